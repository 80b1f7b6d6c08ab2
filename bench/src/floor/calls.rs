//! Sends that are one or two system calls and never block: the same whatever waits for room.

use std::fs::File;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, SpliceFFlags, splice};
use odradek_engine::bytes::{Block, Pool};

use super::Kind;
use super::files::{CHUNK, READ_BYTES};

/// Bytes of one call on a file, but for sendfile.
pub(super) const CALL_BYTES: usize = 256 << 10;
/// Bytes of one sendfile: in smaller ones it takes more CPU.
const SENDFILE_BYTES: usize = 1 << 20;
/// Distinct chunks sent in turn, as a tail holds them.
pub(super) const CHUNKS: usize = 8;

/// What a call came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    Some,
    /// The socket has no room.
    Full,
    /// The driver has hung up.
    HungUp,
}

/// Where the bytes come from.
pub(super) enum Source<'a> {
    Memory {
        chunks: Vec<Block>,
        at: usize,
    },
    Sendfile {
        file: &'a File,
        offset: i64,
    },
    Splice(Spliced<'a>),
    ReadSend {
        file: &'a File,
        offset: u64,
        piece: Block,
        left: usize,
    },
}

/// A file, and the pipe that its pages pass.
pub(super) struct Spliced<'a> {
    file: &'a File,
    offset: i64,
    /// Bytes in the pipe.
    held: usize,
    from: OwnedFd,
    into: OwnedFd,
}

impl<'a> Source<'a> {
    /// Of the chunks of a tail.
    pub(super) fn memory() -> Self {
        let pool = Pool::new();
        Source::Memory {
            chunks: (0..CHUNKS).map(|_| pool.take(CHUNK)).collect(),
            at: 0,
        }
    }

    /// Of a resident file, by the calls that `kind` names.
    pub(super) fn file(kind: Kind, file: &'a File) -> Result<Self> {
        Ok(match kind {
            Kind::Splice => {
                let (from, into) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
                let bytes = nix::fcntl::FcntlArg::F_SETPIPE_SZ(CALL_BYTES as i32);
                nix::fcntl::fcntl(&into, bytes).context("a pipe of 256 KiB")?;
                Source::Splice(Spliced {
                    file,
                    offset: 0,
                    held: 0,
                    from,
                    into,
                })
            }
            Kind::ReadSend => Source::ReadSend {
                file,
                offset: 0,
                piece: Pool::new().take(CALL_BYTES),
                left: 0,
            },
            _ => Source::Sendfile { file, offset: 0 },
        })
    }

    /// One call's worth into a socket that does not block.
    pub(super) fn send(&mut self, stream: &TcpStream) -> Result<Sent> {
        match self {
            Source::Memory { chunks, at } => {
                let (chunk, sent) = (*at / CHUNK, *at % CHUNK);
                let sent = send(stream, chunks[chunk].bytes(sent, CHUNK - sent));
                if let Ok(sent) = sent {
                    *at = (*at + sent) % (CHUNKS * CHUNK);
                }
                came_to(sent, "send")
            }
            Source::Sendfile { file, offset } => {
                let count = (READ_BYTES as usize - *offset as usize).min(SENDFILE_BYTES);
                let sent = nix::sys::sendfile::sendfile(stream, *file, Some(offset), count);
                *offset %= READ_BYTES as i64;
                came_to(sent, "sendfile")
            }
            Source::Splice(spliced) => spliced.send(stream),
            Source::ReadSend {
                file,
                offset,
                piece,
                left,
            } => {
                if *left == 0 {
                    // SAFETY: this is the only piece, and nothing is in flight.
                    let into = unsafe { piece.bytes_mut(0, CALL_BYTES) };
                    file.read_exact_at(into, *offset)?;
                    *offset = (*offset + CALL_BYTES as u64) % READ_BYTES;
                    *left = CALL_BYTES;
                }
                let sent = send(stream, piece.bytes(CALL_BYTES - *left, *left));
                *left -= sent.unwrap_or(0);
                came_to(sent, "send")
            }
        }
    }
}

impl Spliced<'_> {
    fn send(&mut self, stream: &TcpStream) -> Result<Sent> {
        let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
        if self.held == 0 {
            let count = (READ_BYTES as usize - self.offset as usize).min(CALL_BYTES);
            let offset = Some(&mut self.offset);
            self.held = splice(self.file, offset, &self.into, None, count, flags)
                .context("splice from the file")?;
            self.offset %= READ_BYTES as i64;
        }
        let sent = splice(&self.from, None, stream, None, self.held, flags);
        self.held -= sent.unwrap_or(0);
        came_to(sent, "splice")
    }
}

fn send(stream: &TcpStream, bytes: &[u8]) -> nix::Result<usize> {
    use nix::sys::socket::MsgFlags;
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    nix::sys::socket::send(stream.as_raw_fd(), bytes, flags)
}

fn came_to(sent: nix::Result<usize>, call: &'static str) -> Result<Sent> {
    match sent {
        Ok(_) => Ok(Sent::Some),
        Err(Errno::EAGAIN) => Ok(Sent::Full),
        Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(Sent::HungUp),
        Err(error) => Err(error).context(call),
    }
}
