//! A request as a service is given it.

use odradek_engine::bytes::{Block, Part};

use super::admission::{Reserved, Room};

/// One request's bytes, after its length.
pub struct Request<'a> {
    bytes: &'a [u8],
    /// Where they were received, if that is a place of their own.
    place: Option<(&'a Block, &'a Reserved)>,
}

impl<'a> Request<'a> {
    /// Bytes whose memory is soon used again.
    pub fn fleeting(bytes: &'a [u8]) -> Self {
        Request { bytes, place: None }
    }

    /// The first bytes of a block of their own.
    pub(super) fn received(block: &'a Block, length: usize, reserved: &'a Reserved) -> Self {
        Request {
            bytes: block.bytes(0, length),
            place: Some((block, reserved)),
        }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Keeps a long request for longer than its handler. The room it takes among the shard's
    /// requests is given back when that is dropped. Short ones are to be copied.
    pub fn keep(&self) -> Option<Kept> {
        let (block, reserved) = self.place?;
        Some(Kept {
            part: Part::block(block, 0, self.bytes.len()),
            room: reserved.take(),
        })
    }
}

/// A request that outlives its handler.
pub struct Kept {
    pub part: Part,
    pub room: Room,
}
