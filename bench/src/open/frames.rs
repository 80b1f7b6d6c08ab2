//! Whole frames from a socket, into one buffer that is used again.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use odradek_engine::bytes::Block;
use odradek_engine::io::{Handle, Io};

/// No server may make the driver hold more than this.
const FRAME_BYTES_MAX: usize = 256 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// The receiving side of a connection.
pub(crate) struct Frames {
    io: Io,
    socket: Handle,
    block: Block,
    /// Received and not yet handed out: `block[start..end]`.
    start: usize,
    end: usize,
}

impl Frames {
    pub(crate) fn new(io: &Io, socket: Handle) -> Self {
        Self {
            io: io.clone(),
            socket,
            block: io.pool().take(BUFFER_BYTES),
            start: 0,
            end: 0,
        }
    }

    /// The next frame, without its length; see [`Frames::bytes`].
    ///
    /// # Errors
    /// When the connection ends or fails, or a length is impossible.
    pub(crate) async fn next(&mut self) -> Result<Range<usize>> {
        loop {
            let wanted = match self.whole()? {
                Some(whole) if whole <= self.end - self.start => {
                    let frame = self.start + 4..self.start + whole;
                    self.start += whole;
                    return Ok(frame);
                }
                Some(whole) => whole,
                None => BUFFER_BYTES,
            };
            self.make_room(wanted);
            let room = self.block.capacity() - self.end;
            let block = self.block.clone();
            let received = self
                .io
                .receive_into(self.socket, block, self.end, room, false);
            match received.await.0.context("receive")? {
                0 => bail!("the server closed the connection"),
                received => self.end += received,
            }
        }
    }

    /// Is a whole frame here already?
    pub(crate) fn has_next(&self) -> bool {
        matches!(self.whole(), Ok(Some(whole)) if whole <= self.end - self.start)
    }

    /// The bytes of a frame, until the next is asked for.
    pub(crate) fn bytes(&self, frame: Range<usize>) -> &[u8] {
        self.block.bytes(frame.start, frame.len())
    }

    /// Bytes of the frame that begins here, its length included.
    fn whole(&self) -> Result<Option<usize>> {
        let here = self.block.bytes(self.start, self.end - self.start);
        let Some(length) = here.first_chunk() else {
            return Ok(None);
        };
        let whole = u32::from_be_bytes(*length) as usize + 4;
        ensure!(
            whole <= FRAME_BYTES_MAX,
            "a reply of {whole} bytes: this is not Kafka's protocol, or a fetch too large"
        );
        Ok(Some(whole))
    }

    /// Room for a frame of `wanted` bytes that begins here.
    fn make_room(&mut self, wanted: usize) {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
        if self.start + wanted <= self.block.capacity() && self.end < self.block.capacity() {
            return;
        }
        let next = self.io.pool().take(wanted.max(BUFFER_BYTES));
        let rest = self.end - self.start;
        // SAFETY: the block was taken just now, nobody else has a handle to it.
        let front = unsafe { next.bytes_mut(0, rest) };
        front.copy_from_slice(self.block.bytes(self.start, rest));
        self.block = next;
        self.start = 0;
        self.end = rest;
    }
}
