//! Small frames in, small frames out: one receive and one send per edge where that is enough.

use std::net::TcpStream;

use anyhow::Result;
use nix::sys::epoll::EpollFlags;

use super::{Edges, receive, send};
use crate::floor::answers::{Partial, Reply};

const BUFFER_BYTES: usize = 16 << 10;

/// One connection's state.
#[derive(Default)]
struct Peer {
    partial: Partial,
    waiting: Vec<u8>,
    sent: usize,
    /// The driver has hung up.
    gone: bool,
}

pub(super) fn run(streams: &[TcpStream], reply_bytes: usize) -> Result<()> {
    let mut reply = Reply::new(reply_bytes)?;
    let mut peers: Vec<Peer> = streams.iter().map(|_| Peer::default()).collect();
    let mut edges = Edges::new()?;
    for (at, stream) in streams.iter().enumerate() {
        edges.watch(
            stream,
            at as u64,
            EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
        )?;
    }
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut open = streams.len();
    while open > 0 {
        for edge in edges.wait()? {
            let at = edge.id as usize;
            let (peer, stream) = (&mut peers[at], &streams[at]);
            if peer.gone {
                continue;
            }
            if edge.readable {
                peer.gone = peer.readable(stream, &mut buffer, &mut reply)?;
            }
            peer.gone |= peer.flush(stream)?;
            open -= usize::from(peer.gone);
        }
    }
    Ok(())
}

impl Peer {
    /// Takes all there is, and answers it. True: the driver has hung up.
    fn readable(
        &mut self,
        stream: &TcpStream,
        buffer: &mut [u8],
        reply: &mut Reply,
    ) -> Result<bool> {
        loop {
            let Some(bytes) = receive(stream, buffer)? else {
                return Ok(false);
            };
            if bytes == 0 {
                return Ok(true);
            }
            let landed = &buffer[..bytes];
            self.partial.landed(landed, reply, &mut self.waiting)?;
            // Less than asked for: there is no more, epoll(7).
            if bytes < buffer.len() {
                return Ok(false);
            }
            if self.flush(stream)? {
                return Ok(true);
            }
        }
    }

    /// Sends what waits, as far as there is room. True: the driver has hung up.
    fn flush(&mut self, stream: &TcpStream) -> Result<bool> {
        while self.sent < self.waiting.len() {
            match send(stream, &self.waiting[self.sent..])? {
                None => return Ok(false),
                Some(0) => return Ok(true),
                Some(bytes) => self.sent += bytes,
            }
        }
        self.waiting.clear();
        self.sent = 0;
        Ok(false)
    }
}
