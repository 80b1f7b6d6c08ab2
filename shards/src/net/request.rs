//! A request as a service is given it.

use std::rc::Rc;

use odradek_engine::bytes::{Block, Part};
use odradek_engine::io::Io;

use super::admission::{Admission, Reserved, Room};

/// One request's bytes, after its length.
pub struct Request<'a> {
    bytes: &'a [u8],
    /// Where they were received, if that is a place of their own.
    place: Option<(&'a Block, usize, &'a Reserved)>,
    admission: &'a Rc<Admission>,
}

impl<'a> Request<'a> {
    /// Bytes whose memory is soon used again.
    pub(super) fn fleeting(bytes: &'a [u8], admission: &'a Rc<Admission>) -> Self {
        Request {
            bytes,
            place: None,
            admission,
        }
    }

    /// `length` bytes of a block of their own, from `start` on.
    pub(super) fn received(
        block: &'a Block,
        start: usize,
        length: usize,
        reserved: &'a Reserved,
        admission: &'a Rc<Admission>,
    ) -> Self {
        Request {
            bytes: block.bytes(start, length),
            place: Some((block, start, reserved)),
            admission,
        }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The block that holds them, if they have one of their own: nobody writes to it any more.
    #[inline]
    pub fn block(&self) -> Option<&'a Block> {
        self.place.map(|(block, ..)| block)
    }

    /// Keeps the request for longer than its handler: where it is, or copied once there is room
    /// for that. Its room among the shard's requests is given back when [`Kept::room`] is dropped.
    pub async fn keep(&self, io: &Io) -> Kept {
        match self.place {
            Some((block, start, reserved)) => Kept {
                part: Part::block(block, start, self.bytes.len()),
                room: reserved.take(),
            },
            None => Kept {
                room: self.admission.room(io, self.bytes.len()).await,
                part: Part::Owned(self.bytes.to_vec()),
            },
        }
    }
}

/// A request that outlives its handler.
pub struct Kept {
    pub part: Part,
    pub room: Room,
}
