//! Sending a reply: memory gathered, resident file ranges by sendfile, cold ones read past the
//! page cache. A cold page is never met on the shard's thread.

use odradek_engine::bytes::{Part, Parts, page_ceil, page_floor};
use odradek_engine::io::{Errno, FileRange, Handle, Io};

use super::reply::{Reply, ReplyPiece};

/// How much of a range is asked about, and sent, at once.
const STEP_BYTES: u64 = 256 << 10;
/// Small replies are written one after the other into memory of this size, at least.
const SMALL_BYTES: usize = 16 << 10;
/// Parts of one gathered send (IOV_MAX is 1024).
const PARTS_MAX: usize = 64;

/// Sends replies in order, as few calls as possible.
pub struct Sender {
    io: Io,
    socket: Handle,
    gathered: Parts,
    /// Small replies that come after what has gathered.
    small: Vec<u8>,
}

impl Sender {
    pub fn new(io: &Io, socket: Handle) -> Self {
        Sender {
            io: io.clone(),
            socket,
            gathered: Parts::new(),
            small: Vec::new(),
        }
    }

    /// Whether more small replies may be gathered before [`Sender::flush`].
    pub fn takes_small(&self) -> bool {
        self.small.len() < SMALL_BYTES / 2
    }

    /// Where a small reply is appended.
    pub fn small(&mut self) -> &mut Vec<u8> {
        if self.small.capacity() == 0 {
            self.small.reserve(SMALL_BYTES);
        }
        &mut self.small
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            let small = std::mem::take(&mut self.small);
            self.gathered.push(Part::Owned(small));
        }
    }

    /// Takes a reply; what is in memory may wait for [`Sender::flush`].
    pub async fn push(&mut self, reply: Reply) -> Result<(), Errno> {
        self.settle();
        for piece in reply.pieces {
            match piece {
                ReplyPiece::Memory(part) => {
                    self.gathered.push(part);
                    if self.gathered.len() >= PARTS_MAX {
                        self.flush().await?;
                    }
                }
                ReplyPiece::File(FileRange { file, pos, len }) => {
                    self.flush().await?;
                    let cached = file.cached().await?;
                    self.range(file.handle(), cached, pos, len).await?;
                }
                ReplyPiece::Lent(range) => {
                    self.flush().await?;
                    let (handle, cached) = (range.handle, range.cached);
                    self.range(handle, cached, range.pos, range.len).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends what has gathered.
    pub async fn flush(&mut self) -> Result<(), Errno> {
        self.settle();
        if self.gathered.is_empty() {
            return Ok(());
        }
        let parts = std::mem::take(&mut self.gathered);
        self.io.send(self.socket, parts).await
    }

    /// Sends `[pos, pos + len)` of a file that is open under two handles: one to read by, one
    /// through the page cache.
    async fn range(
        &mut self,
        file: Handle,
        cached: Handle,
        pos: u64,
        len: u64,
    ) -> Result<(), Errno> {
        let end = pos + len;
        let mut at = pos;
        while at < end {
            let step = STEP_BYTES.min(end - at);
            let sent = if self.io.resident(cached, at, step).await {
                let sent = self
                    .io
                    .sendfile(self.socket, cached, at, step as usize)
                    .await?;
                sent as u64
            } else {
                self.cold(file, at, step).await?
            };
            if sent == 0 {
                // The segment was cut under the read; the promised length cannot be kept.
                return Err(Errno(libc::EIO));
            }
            at += sent;
        }
        Ok(())
    }

    /// Reads past the page cache and sends from memory.
    async fn cold(&self, file: Handle, pos: u64, len: u64) -> Result<u64, Errno> {
        let start = page_floor(pos);
        let span = (page_ceil(pos + len) - start) as usize;
        let block = self.io.pool().take(span);
        let (got, block) = self.io.read(file, start, block, 0, span).await;
        let skip = (pos - start) as usize;
        let got = got?.saturating_sub(skip).min(len as usize);
        if got > 0 {
            let mut parts = Parts::new();
            parts.push(Part::block(&block, skip, got));
            self.io.send(self.socket, parts).await?;
        }
        Ok(got as u64)
    }
}
