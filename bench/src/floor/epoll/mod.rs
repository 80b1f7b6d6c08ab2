//! Floors on epoll: system calls that do not block, edges of readiness, and a pool of threads for
//! what a disk makes wait.

mod cold;
mod durable;
mod echo;
mod outwards;
mod pool;
mod receive;

use std::net::TcpStream;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::calls::Source;
use super::server::{Prepared, ServerArgs};

/// Serves one load.
pub(super) fn serve(args: &ServerArgs, streams: &[TcpStream], prepared: Prepared) -> Result<()> {
    for stream in streams {
        stream.set_nonblocking(true)?;
    }
    let first = streams.first().context("a floor needs a connection")?;
    match prepared {
        Prepared::Inwards(then) => receive::run(first, then),
        Prepared::Resident(kept) => outwards::run(first, Source::file(args.kind, &kept.file)?),
        Prepared::Cold(kept) => cold::run(first, &kept.file),
        Prepared::Blocks(blocks) => durable::run(first, args.course(), blocks),
        Prepared::Nothing if args.kind == super::Kind::Send => {
            outwards::run(first, Source::memory())
        }
        Prepared::Nothing => echo::run(streams, args.reply_bytes),
    }
}

/// Waits for edges: what is ready stays so until a call says that it would block.
struct Edges {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

/// Something became ready.
#[derive(Clone, Copy, Debug)]
struct Edge {
    /// As it was watched.
    id: u64,
    readable: bool,
    writable: bool,
}

impl Edges {
    fn new() -> Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            events: vec![EpollEvent::empty(); 64],
        })
    }

    fn watch(&self, fd: impl AsFd, id: u64, flags: EpollFlags) -> Result<()> {
        let event = EpollEvent::new(flags | EpollFlags::EPOLLET, id);
        self.epoll.add(fd, event)?;
        Ok(())
    }

    /// Blocks until there is one at least.
    fn wait(&mut self) -> Result<impl Iterator<Item = Edge> + '_> {
        let count = match self.epoll.wait(&mut self.events, EpollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => 0,
            other => other?,
        };
        let gone = EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        Ok(self.events[..count].iter().map(move |event| Edge {
            id: event.data(),
            readable: event.events().intersects(EpollFlags::EPOLLIN | gone),
            writable: event.events().intersects(EpollFlags::EPOLLOUT | gone),
        }))
    }
}

/// What a call on a socket came to: none where it would have blocked, 0 where the driver is gone.
fn came_to(result: nix::Result<usize>) -> Result<Option<usize>> {
    use nix::errno::Errno;
    match result {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Errno::EAGAIN) => Ok(None),
        Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(Some(0)),
        Err(error) => Err(error.into()),
    }
}

fn receive(stream: &TcpStream, into: &mut [u8]) -> Result<Option<usize>> {
    use std::os::fd::AsRawFd;
    let flags = nix::sys::socket::MsgFlags::empty();
    came_to(nix::sys::socket::recv(stream.as_raw_fd(), into, flags))
}

fn send(stream: &TcpStream, bytes: &[u8]) -> Result<Option<usize>> {
    use std::os::fd::AsRawFd;
    let flags = nix::sys::socket::MsgFlags::MSG_NOSIGNAL;
    came_to(nix::sys::socket::send(stream.as_raw_fd(), bytes, flags))
}
