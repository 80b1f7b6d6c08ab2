//! How what a read found is sent: `log.read.strategy`.
//!
//! A read names ranges in the tail's memory, in page cache, and on disk alone. A strategy sends all
//! of them in its one way, so that ways can be compared; `auto` takes for each the way that suits
//! it.

mod auto;
mod direct;
mod memory;
mod read_send;
mod send_zc;
mod sendfile;
mod splice;

use crate::bytes::{Part, Parts, page_ceil, page_floor};
use crate::io::{Errno, Handle, Io, Pipe, Source, SourceRange};

super::strategies! {
    /// See the module.
    ReadStrategy {
        /// The tail from memory, what is resident by sendfile, the rest read past the page cache.
        Auto = "auto",
        /// The tail from memory; what is not there is read as by `read`.
        Memory = "memory",
        /// Everything out of files, by sendfile; a page that is not resident stops the shard until
        /// it is.
        Sendfile = "sendfile",
        /// Everything out of files, through a pipe.
        Splice = "splice",
        /// Everything out of files, read through the page cache into memory.
        Read = "read",
        /// Everything out of files, read past the page cache into memory.
        Direct = "direct",
        /// The tail from memory, the rest as by `read`, without the copy into the socket.
        SendZc = "send-zc",
    }
}

/// How much of a range is asked about, and sent, at once.
const STEP_BYTES: u64 = 256 << 10;

/// How much of what was read from a file is sent before others have a turn: sending copies, and a
/// reader of old records should not keep those of new ones waiting for it.
const TURN_BYTES: usize = 64 << 10;

impl ReadStrategy {
    /// Whether what is in the tail's memory is sent from there, not out of its file.
    pub fn uses_tail(self) -> bool {
        use ReadStrategy::{Auto, Memory, SendZc};
        matches!(self, Auto | Memory | SendZc)
    }

    /// Whether it can differ from another strategy on ranges outside the tail's memory.
    pub fn uses_files(self) -> bool {
        self != ReadStrategy::Memory
    }

    /// Whether the driver has what it needs; a plain way takes its place where not.
    pub fn available(self, io: &Io) -> bool {
        match self {
            ReadStrategy::Splice => io.pipes(),
            ReadStrategy::SendZc => io.zero_copy(),
            _ => true,
        }
    }
}

/// One connection's way out.
pub struct Outlet {
    io: Io,
    socket: Handle,
    strategy: ReadStrategy,
    /// Of [`splice`], once it was needed.
    pipe: Option<Pipe>,
}

impl Outlet {
    pub fn new(io: &Io, socket: Handle, strategy: ReadStrategy) -> Self {
        Outlet {
            io: io.clone(),
            socket,
            strategy,
            pipe: None,
        }
    }

    /// Sends memory whole.
    pub async fn memory(&self, parts: Parts) -> Result<(), Errno> {
        match self.strategy {
            ReadStrategy::SendZc => send_zc::memory(self, parts).await,
            _ => self.io.send(self.socket, parts).await,
        }
    }

    /// Sends a file range whole.
    ///
    /// # Errors
    /// The peer's; the file's, in which case it is in [doubt](crate::io::Doubt) from now on. EIO
    /// where the file ends before it: it was cut under the read, the promised length cannot be kept.
    pub async fn range(&mut self, range: impl Into<SourceRange>) -> Result<(), Errno> {
        let SourceRange { file, pos, len } = range.into();
        let end = pos + len;
        let mut at = pos;
        while at < end {
            let step = STEP_BYTES.min(end - at);
            let sent = match self.step(&file, at, step).await {
                Ok(0) => Err(Errno(libc::EIO)),
                sent => sent,
            };
            match sent {
                Ok(sent) => at += sent,
                Err(error) => {
                    if !error.of_peer() {
                        file.doubt().raise();
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn step(&mut self, file: &Source, at: u64, step: u64) -> Result<u64, Errno> {
        match self.strategy {
            ReadStrategy::Auto => auto::send(self, file, at, step).await,
            ReadStrategy::Memory => memory::send(self, file, at, step).await,
            ReadStrategy::Sendfile => sendfile::send(self, file, at, step).await,
            ReadStrategy::Splice => splice::send(self, file, at, step).await,
            ReadStrategy::Read => read_send::send(self, file, at, step).await,
            ReadStrategy::Direct => direct::send(self, file, at, step).await,
            ReadStrategy::SendZc => send_zc::send(self, file, at, step).await,
        }
    }

    /// Reads `[pos, pos + len)` by `handle` into memory and sends it: bytes sent; less only where
    /// the file ends. Read at once, sent in turns that others can come between.
    async fn fetch_and_send(&self, handle: Handle, pos: u64, len: u64) -> Result<u64, Errno> {
        let start = page_floor(pos);
        let span = (page_ceil(pos + len) - start) as usize;
        let block = self.io.pool().take(span);
        let (got, block) = self.io.read(handle, start, block, 0, span).await;
        let skip = (pos - start) as usize;
        let end = got?.min(skip + len as usize);
        let mut at = skip;
        while at < end {
            let turn = TURN_BYTES.min(end - at);
            let mut parts = Parts::new();
            parts.push(Part::block(&block, at, turn));
            self.memory(parts).await?;
            at += turn;
        }
        Ok((at - skip) as u64)
    }
}
