//! A closed segment's batches, one after the other, each checked: also whether it lies where it says.
//! The CRC does not cover a batch's offset, and by a wrong one the wrong records would be dropped.

use std::rc::Rc;

use odradek_engine::bytes::{Block, PAGE, page_ceil};
use odradek_engine::io::{Errno, Io, SegmentFile};
use odradek_engine::log::compaction::Extent;
use odradek_engine::record::{BatchInfo, RecordError, Rules, batch_end, validate};
use odradek_engine::types::Offset;

/// See the module.
pub(super) struct Batches {
    io: Io,
    file: Rc<SegmentFile>,
    end: u64,
    /// What was read and not given, up to `at` in the file: so many bytes of the block from `start` on.
    block: Option<Block>,
    start: usize,
    len: usize,
    /// Whole pages, or the end.
    at: u64,
    /// No batch begins before this,
    next: Offset,
    /// nor ends behind this.
    until: Offset,
}

impl Batches {
    /// Those of a segment behind which another begins at `until`.
    pub(super) fn new(io: &Io, file: Rc<SegmentFile>, extent: &Extent, until: Offset) -> Self {
        Batches {
            io: io.clone(),
            file,
            end: extent.size,
            block: None,
            start: 0,
            len: 0,
            at: 0,
            next: extent.base,
            until,
        }
    }

    /// Where the next batch starts.
    pub(super) fn position(&self) -> u64 {
        self.at - self.len as u64
    }

    /// Whether all were given.
    pub(super) fn ended(&self) -> bool {
        self.position() >= self.end
    }

    /// Reads on: what a whole batch needs, if that is known, in pieces of about `chunk` bytes, at least
    /// one. Gives how many were read.
    ///
    /// # Errors
    /// The disk's; EIO where the file ends too early.
    pub(super) async fn fill(&mut self, chunk: usize) -> Result<usize, Errno> {
        let rest = self.rest();
        // What a batch claims is no more than there is.
        let needed = match rest.get(8..12) {
            Some(length) => {
                let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
                (length as usize)
                    .saturating_add(12)
                    .saturating_sub(self.len)
            }
            None => 0,
        };
        let left = self.end.saturating_sub(self.at) as usize;
        let wanted = chunk.max(needed).min(left);
        if wanted == 0 {
            return Err(Errno(libc::EIO));
        }
        // Read is to whole pages of memory from whole pages of the file.
        let span = page_ceil(wanted as u64) as usize;
        let start = self.len.next_multiple_of(PAGE) - self.len;
        let mut block = self.io.pool().take(start + self.len + span);
        // SAFETY: the block is new, nothing else holds any of it.
        unsafe { block.bytes_mut(start, self.len) }.copy_from_slice(rest);
        let (into, mut got) = (start + self.len, 0);
        while got < span {
            let piece = chunk.next_multiple_of(PAGE).min(span - got);
            let (handle, at) = (self.file.handle(), self.at + got as u64);
            let read = self.io.read(handle, at, block, into + got, piece).await;
            block = read.1;
            let some = read.0?;
            got += some;
            if some < piece {
                break;
            }
        }
        // Behind the segment's end there may be padding.
        let got = got.min(left);
        if got < wanted {
            return Err(Errno(libc::EIO));
        }
        (self.start, self.len) = (start, self.len + got);
        self.block = Some(block);
        self.at += got as u64;
        Ok(got)
    }

    fn rest(&self) -> &[u8] {
        match &self.block {
            Some(block) => block.bytes(self.start, self.len),
            None => &[],
        }
    }

    /// The next batch and its bytes; `None` until more is [read](Self::fill).
    #[allow(clippy::type_complexity)]
    pub(super) fn next(&mut self) -> Option<Result<(BatchInfo, &[u8]), RecordError>> {
        let size = match batch_end(self.rest()) {
            Ok(Some(size)) => size,
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        };
        let checked = validate(&self.rest()[..size], &Rules::LOG).and_then(|info| {
            if info.base_offset < self.next || info.next_offset() > self.until {
                let offset = info.base_offset.0;
                return Err(RecordError::BaseOffset { offset });
            }
            Ok(info)
        });
        let info = match checked {
            Ok(info) => info,
            Err(error) => return Some(Err(error)),
        };
        let start = self.start;
        (self.start, self.len) = (start + size, self.len - size);
        self.next = info.next_offset();
        let block = self.block.as_ref().expect("a batch was read");
        Some(Ok((info, block.bytes(start, size))))
    }
}
