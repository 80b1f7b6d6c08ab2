//! Large appends stay where they were received.
//!
//! Direct writes want memory that lies in its page as it will in the file. Where somebody received
//! a batch so that it does, its whole pages become an extent of the tail, and only what comes
//! before and after them is copied. A wrong guess costs the copy, nothing else.

use super::{Extent, Tail};
use crate::bytes::{PAGE, Source, page_ceil, page_floor};

/// Fewer bytes are copied: they are to lie with those around them, so that one write takes them.
pub const ADOPTED_BYTES_MIN: usize = 128 << 10;

impl Tail {
    /// Appends bytes at the end, and keeps the block that they lie in for its whole pages, if they
    /// lie there as in the file and fill most of it.
    pub fn append_from(&mut self, source: Source<'_>) {
        match self.adoptable(source) {
            None => self.append(source.bytes()),
            Some((head, whole)) => {
                let bytes = source.bytes();
                self.append(&bytes[..head]);
                self.adopt(source.part(head, whole));
                self.append(&bytes[head + whole..]);
            }
        }
    }

    /// How many bytes come before the whole pages, and how many these have.
    fn adoptable(&self, source: Source<'_>) -> Option<(usize, usize)> {
        let len = source.bytes().len();
        if len < ADOPTED_BYTES_MIN {
            return None;
        }
        let (block, at) = source.place()?;
        let pos = self.end.pos;
        if at % PAGE != pos as usize % PAGE {
            return None;
        }
        let head = (page_ceil(pos) - pos) as usize;
        let whole = page_floor(len.checked_sub(head)? as u64) as usize;
        // What else is in the block is held as long, for nothing.
        (whole >= block.capacity() / 4 * 3).then_some((head, whole))
    }

    /// Whole pages at a page's beginning become an extent.
    fn adopt(&mut self, pages: Source<'_>) {
        let (block, at) = pages.place().expect("they lie in a block");
        let len = pages.bytes().len();
        debug_assert!(self.end.pos.is_multiple_of(PAGE as u64) && len.is_multiple_of(PAGE));
        self.bytes += block.capacity();
        self.extents.push_back(Extent {
            segment: self.end.segment,
            pos: self.end.pos,
            block: block.clone(),
            at,
            len,
            // What follows in the block is not the tail's to write to.
            limit: at + len,
            sealed: true,
        });
        self.end.pos += len as u64;
    }
}
