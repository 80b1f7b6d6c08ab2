//! From a stream of bytes to requests.
//!
//! Small requests are read where the kernel put them. A request that is not whole gets a block
//! of its own, and the rest is received straight into it. The claimed length is checked against
//! the bound, and room is reserved before bytes are received into it.

use std::rc::Rc;

use odradek_engine::bytes::{Block, PAGE};
use odradek_engine::io::{Errno, Handle, Io, Provided, Received};

use super::admission::{Admission, Reserved};
use super::idle::Activity;
use super::request::Request;

/// Why no further request can be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the peer closed the connection")]
    End,
    #[error("the peer closed the connection within a request")]
    Cut,
    #[error(
        "a request of {length} bytes was announced; {max} is the limit (socket.request.max.bytes)"
    )]
    Length { length: i32, max: i32 },
    #[error("the peer stalled within a request of {0} bytes while others waited for room")]
    Stalled(usize),
    #[error(
        "the system has no memory for a request of {0} bytes; allow the process more, or set a \
         smaller socket.request.max.bytes"
    )]
    Memory(usize),
    #[error("receiving failed: {0}")]
    Io(#[from] Errno),
}

enum Held {
    Nothing,
    Provided(Provided),
    Block(Block, usize, usize),
}

impl Held {
    fn bytes(&self) -> &[u8] {
        match self {
            Held::Nothing => &[],
            Held::Provided(provided) => provided.bytes(),
            Held::Block(block, start, end) => block.bytes(*start, end - start),
        }
    }

    fn advance(&mut self, n: usize) {
        match self {
            Held::Nothing => assert_eq!(n, 0),
            Held::Provided(provided) => provided.advance(n),
            Held::Block(_, start, _) => *start += n,
        }
        if self.bytes().is_empty() {
            *self = Held::Nothing;
        }
    }
}

/// A request's bytes, after its length. Its place is reserved until it is dropped.
pub enum Frame {
    /// Within what the stream holds: so many bytes, to be consumed.
    Held(usize),
    /// So many bytes of a block, from the first number on.
    Block(Block, usize, usize, Reserved),
}

/// The length of the request that `bytes` begin with, if they reach so far.
#[inline]
fn announced(bytes: &[u8], max: i32) -> Result<Option<usize>, FrameError> {
    let Some(head) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*head);
    if length < 0 || length > max {
        return Err(FrameError::Length { length, max });
    }
    Ok(Some(length as usize))
}

/// The request that `bytes` begin with, without its length; none where it is not whole. It may
/// have `max` bytes.
///
/// # Errors
/// [`FrameError::Length`], before anything is done for so long a request.
#[inline]
pub fn cut(bytes: &[u8], max: i32) -> Result<Option<&[u8]>, FrameError> {
    let length = announced(bytes, max)?;
    Ok(length.and_then(|length| bytes.get(4..4 + length)))
}

/// A connection's incoming side.
pub struct Frames {
    io: Io,
    socket: Handle,
    held: Held,
    max: i32,
    admission: Rc<Admission>,
    activity: Rc<Activity>,
}

impl Frames {
    /// Requests from `socket`, each at most `max` bytes.
    pub fn new(
        io: &Io,
        socket: Handle,
        max: i32,
        admission: Rc<Admission>,
        activity: Rc<Activity>,
    ) -> Self {
        Frames {
            io: io.clone(),
            socket,
            held: Held::Nothing,
            max,
            admission,
            activity,
        }
    }

    /// The announced length of the request that begins here, if that much is here.
    #[inline]
    fn length(&self) -> Result<Option<usize>, FrameError> {
        announced(self.held.bytes(), self.max)
    }

    /// The next request if it is here whole, to be [`passed`](Self::pass).
    #[inline]
    pub fn whole(&self) -> Result<Option<&[u8]>, FrameError> {
        cut(self.held.bytes(), self.max)
    }

    /// Done with a whole request of so many bytes.
    #[inline]
    pub fn pass(&mut self, length: usize) {
        self.held.advance(4 + length);
    }

    /// The next request. Where it is not here whole, `place` is shown what is here of it and tells
    /// where in a page it is to lie.
    pub async fn next(&mut self, place: impl Fn(&[u8]) -> usize) -> Result<Frame, FrameError> {
        loop {
            if let Some(length) = self.length()? {
                if self.held.bytes().len() >= 4 + length {
                    self.held.advance(4);
                    return Ok(Frame::Held(length));
                }
                return self.rest(length, place).await;
            }
            if self.held.bytes().is_empty() {
                self.arrive().await?;
            } else {
                self.fill_head().await?;
            }
        }
    }

    /// Waits until a byte of the next request is here.
    pub async fn arrive(&mut self) -> Result<(), FrameError> {
        if self.held.bytes().is_empty() {
            self.held = match self.io.receive(self.socket).await? {
                Received::Provided(provided) => Held::Provided(provided),
                Received::Block(block, len) => Held::Block(block, 0, len as usize),
                Received::End => return Err(FrameError::End),
            };
            self.activity.touch(self.io.now());
        }
        Ok(())
    }

    /// Fewer than four bytes are here: gathers the length.
    async fn fill_head(&mut self) -> Result<(), FrameError> {
        let block = self.io.pool().take(1);
        let have = self.held.bytes().len();
        // SAFETY: the block is new.
        unsafe { block.bytes_mut(0, have) }.copy_from_slice(self.held.bytes());
        self.held = Held::Nothing;
        self.activity.receiving(true);
        let (got, block) = self
            .io
            .receive_into(self.socket, block, have, 4 - have, true)
            .await;
        self.activity.receiving(false);
        if got? < 4 - have {
            return Err(FrameError::Cut);
        }
        self.held = Held::Block(block, 0, 4);
        Ok(())
    }

    /// Receives the rest of a request of `length` bytes into a block of its own, as far as there
    /// is room for it.
    async fn rest(
        &mut self,
        length: usize,
        place: impl Fn(&[u8]) -> usize,
    ) -> Result<Frame, FrameError> {
        self.held.advance(4);
        let start = place(self.held.bytes()) % PAGE;
        let mut reserved = Reserved::new(&self.admission, self.socket, self.io.now());
        reserved.grow(&self.io, length).await;
        let block = self.io.pool().try_take((start + length).max(1));
        let mut block = block.ok_or(FrameError::Memory(length))?;
        let mut have = self.held.bytes().len();
        // SAFETY: the block is new.
        unsafe { block.bytes_mut(start, have) }.copy_from_slice(self.held.bytes());
        self.held = Held::Nothing;
        while have < length {
            if have >= reserved.granted() {
                reserved.grow(&self.io, length).await;
            }
            let wanted = reserved.granted().min(length) - have;
            // While it waits for room, that is not its peer's fault.
            self.activity.receiving(true);
            let (got, back) = self
                .io
                .receive_into(self.socket, block, start + have, wanted, true)
                .await;
            self.activity.receiving(false);
            block = back;
            let got = got?;
            if got < wanted {
                return Err(match reserved.evicted() {
                    true => FrameError::Stalled(length),
                    false => FrameError::Cut,
                });
            }
            have += got;
            reserved.received(self.io.now());
            self.activity.touch(self.io.now());
        }
        reserved.complete();
        Ok(Frame::Block(block, start, length, reserved))
    }

    /// A frame's request.
    pub fn request<'a>(&'a self, frame: &'a Frame) -> Request<'a> {
        match frame {
            Frame::Held(len) => Request::fleeting(&self.held.bytes()[..*len], &self.admission),
            Frame::Block(block, start, len, reserved) => {
                Request::received(block, *start, *len, reserved, &self.admission)
            }
        }
    }

    /// What is here and was not taken yet: it begins with a request.
    pub fn unread(&self) -> Vec<u8> {
        self.held.bytes().to_vec()
    }

    /// Begins with bytes that were received before.
    pub fn resume(&mut self, unread: &[u8]) {
        assert!(self.held.bytes().is_empty(), "nothing was received here");
        if !unread.is_empty() {
            let block = self.io.pool().take(unread.len());
            // SAFETY: the block is new.
            unsafe { block.bytes_mut(0, unread.len()) }.copy_from_slice(unread);
            self.held = Held::Block(block, 0, unread.len());
        }
    }

    /// Done with a frame.
    pub fn consume(&mut self, frame: Frame) {
        if let Frame::Held(len) = frame {
            self.held.advance(len);
        }
    }
}
