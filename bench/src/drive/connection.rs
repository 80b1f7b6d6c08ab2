//! A connection that never blocks: requests out, replies in, in order.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Bytes of one receive while the frame's length is unknown or small.
const READ_BYTES: usize = 64 << 10;
const FRAME_BYTES_MAX: usize = 64 << 20;

/// A request that waits for its reply.
struct Asked {
    correlation: i32,
    at: Instant,
}

/// See the module.
pub(super) struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    /// Small requests, or the head of a large one; sent up to `out_sent`.
    out: Vec<u8>,
    out_sent: usize,
    /// What follows `out`; no request may be added before it is sent.
    body: Option<Rc<[u8]>>,
    body_sent: usize,
    asked: VecDeque<Asked>,
    correlation: i32,
    input: Vec<u8>,
    /// Received and not yet taken: `input[taken..filled]`.
    taken: usize,
    filled: usize,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            address,
            stream,
            out: Vec::new(),
            out_sent: 0,
            body: None,
            body_sent: 0,
            asked: VecDeque::new(),
            correlation: 0,
            input: vec![0; 2 * READ_BYTES],
            taken: 0,
            filled: 0,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// Whether one more request may be added now.
    pub(super) fn has_room(&self, in_flight: usize) -> bool {
        self.asked.len() < in_flight && self.body.is_none()
    }

    pub(super) fn unsent(&self) -> bool {
        self.body.is_some() || self.out_sent < self.out.len()
    }

    /// Adds a request: `write` appends the frame, or its beginning, and returns the rest.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        write: impl FnOnce(i32, &mut Vec<u8>) -> Result<Option<Rc<[u8]>>>,
    ) -> Result<()> {
        debug_assert!(self.body.is_none());
        let correlation = self.correlation;
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        self.body = write(correlation, &mut self.out)?;
        self.asked.push_back(Asked {
            correlation,
            at: now,
        });
        Ok(())
    }

    /// Sends what the socket takes. True when all is sent.
    pub(super) fn flush(&mut self) -> Result<bool> {
        while self.unsent() {
            let head = &self.out[self.out_sent..];
            let body = self
                .body
                .as_deref()
                .map_or(&[][..], |body| &body[self.body_sent..]);
            let slices = [std::io::IoSlice::new(head), std::io::IoSlice::new(body)];
            let head_bytes = head.len();
            match (&self.stream).write_vectored(&slices) {
                Ok(sent) => {
                    self.out_sent += sent.min(head_bytes);
                    self.body_sent += sent.saturating_sub(head_bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("send"),
            }
            if self.out_sent == self.out.len() {
                self.out.clear();
                self.out_sent = 0;
            }
            if self
                .body
                .as_ref()
                .is_some_and(|body| self.body_sent == body.len())
            {
                self.body = None;
                self.body_sent = 0;
            }
        }
        Ok(true)
    }

    /// Receives once, and hands each whole reply (from its correlation id on) to `reply` with the
    /// time at which its request was made.
    pub(super) fn receive(
        &mut self,
        mut reply: impl FnMut(&[u8], Instant) -> Result<()>,
    ) -> Result<()> {
        // A large frame is received to its end and no further: its buffer is then empty again,
        // and nothing is ever moved.
        let waiting = self.filled - self.taken;
        let wanted = match frame_bytes(&self.input[self.taken..self.filled])? {
            Some(whole) if whole > READ_BYTES => whole - waiting,
            _ => READ_BYTES,
        };
        if self.taken > 0 {
            self.input.copy_within(self.taken..self.filled, 0);
            self.taken = 0;
            self.filled = waiting;
        }
        if self.input.len() < self.filled + wanted {
            self.input.resize(self.filled + wanted, 0);
        }
        match (&self.stream).read(&mut self.input[self.filled..self.filled + wanted]) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(received) => self.filled += received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error).context("receive"),
        }
        loop {
            let bytes = &self.input[self.taken..self.filled];
            let Some(whole) = frame_bytes(bytes)?.filter(|whole| *whole <= bytes.len()) else {
                return Ok(());
            };
            let asked = self
                .asked
                .pop_front()
                .context("a reply that nobody asked for")?;
            let frame = &bytes[4..whole];
            ensure!(
                frame.get(..4) == Some(&asked.correlation.to_be_bytes()),
                "a reply with another correlation id"
            );
            reply(frame, asked.at)?;
            self.taken += whole;
            if self.taken == self.filled {
                self.taken = 0;
                self.filled = 0;
            }
        }
    }
}

/// Bytes of the frame that begins here, its length included.
fn frame_bytes(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(length) = bytes.first_chunk() else {
        return Ok(None);
    };
    let whole = u32::from_be_bytes(*length) as usize + 4;
    ensure!(whole <= FRAME_BYTES_MAX, "a reply of {whole} bytes");
    Ok(Some(whole))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    /// Replies of all sizes, pipelined, cut into pieces anywhere.
    #[test]
    fn replies_come_whole_and_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap()).unwrap();
        let sizes = [4, 5, 70_000, 4, 1 << 20, 65_536, 65_537, 12, 3 << 20, 9];
        for _ in sizes {
            let ask = |_, out: &mut Vec<u8>| {
                out.push(1);
                Ok(None)
            };
            connection.ask(Instant::now(), ask).unwrap();
        }
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            for (correlation, size) in (0i32..).zip(sizes) {
                bytes.extend_from_slice(&(size as u32).to_be_bytes());
                bytes.extend_from_slice(&correlation.to_be_bytes());
                bytes.resize(bytes.len() + size - 4, correlation as u8);
            }
            for piece in bytes.chunks(77_777) {
                stream.write_all(piece).unwrap();
            }
        });
        let mut seen = Vec::new();
        while seen.len() < sizes.len() {
            let mut fds = [PollFd::new(connection.fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::from(10_000u16)), Ok(1));
            connection
                .receive(|frame, _| {
                    assert!(frame[4..].iter().all(|byte| *byte == frame[3]));
                    seen.push(frame.len());
                    Ok(())
                })
                .unwrap();
        }
        server.join().unwrap();
        assert_eq!(seen, sizes);
        assert_eq!(connection.unanswered(), 0);
    }
}
