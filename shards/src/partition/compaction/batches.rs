//! A closed segment's batches, one after the other, each checked: also whether it lies where it says.
//! The CRC does not cover a batch's offset, and by a wrong one the wrong records would be dropped.

use std::rc::Rc;

use odradek_engine::io::{Errno, SegmentFile};
use odradek_engine::log::compaction::Extent;
use odradek_engine::record::{BatchInfo, RecordError, Rules, batch_end, validate};
use odradek_engine::types::Offset;

/// See the module.
pub(super) struct Batches {
    file: Rc<SegmentFile>,
    /// Where `bytes` begin.
    at: u64,
    end: u64,
    bytes: Vec<u8>,
    /// How much of them was given.
    given: usize,
    /// No batch begins before this,
    next: Offset,
    /// nor ends behind this.
    until: Offset,
}

impl Batches {
    /// Those of a segment behind which another begins at `until`.
    pub(super) fn new(file: Rc<SegmentFile>, extent: &Extent, until: Offset) -> Self {
        Batches {
            file,
            at: 0,
            end: extent.size,
            bytes: Vec::new(),
            given: 0,
            next: extent.base,
            until,
        }
    }

    /// Where the next batch starts.
    pub(super) fn position(&self) -> u64 {
        self.at + self.given as u64
    }

    /// Whether all were given.
    pub(super) fn ended(&self) -> bool {
        self.position() >= self.end
    }

    /// Reads on, `chunk` bytes or what a whole batch needs. Gives how many were read.
    ///
    /// # Errors
    /// The disk's; EIO where the file ends too early.
    pub(super) async fn fill(&mut self, chunk: usize) -> Result<usize, Errno> {
        self.bytes.drain(..self.given);
        self.at += self.given as u64;
        self.given = 0;
        let have = self.bytes.len();
        // What a batch claims is no more than there is.
        let needed = match self.bytes.get(8..12) {
            Some(length) => {
                let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
                (length as usize).saturating_add(12).saturating_sub(have)
            }
            None => 0,
        };
        let from = self.at + have as u64;
        let left = self.end.saturating_sub(from) as usize;
        let wanted = chunk.max(needed).min(left);
        let more = self.file.read(from, wanted).await?;
        if more.len() < wanted || wanted == 0 {
            return Err(Errno(libc::EIO));
        }
        self.bytes.extend_from_slice(&more);
        Ok(more.len())
    }

    /// The next batch and its bytes; `None` until more is [read](Self::fill).
    #[allow(clippy::type_complexity)]
    pub(super) fn next(&mut self) -> Option<Result<(BatchInfo, &[u8]), RecordError>> {
        let rest = &self.bytes[self.given..];
        let size = match batch_end(rest) {
            Ok(Some(size)) => size,
            Ok(None) => return None,
            Err(error) => return Some(Err(error)),
        };
        let batch = &rest[..size];
        let checked = validate(batch, &Rules::LOG).and_then(|info| {
            if info.base_offset < self.next || info.next_offset() > self.until {
                let offset = info.base_offset.0;
                return Err(RecordError::BaseOffset { offset });
            }
            self.given += size;
            self.next = info.next_offset();
            Ok((info, batch))
        });
        Some(checked)
    }
}
