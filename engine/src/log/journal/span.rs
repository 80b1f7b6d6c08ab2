//! What of a log can go into a journal as one entry.

use crate::bytes::Parts;
use crate::log::Log;
use crate::types::Offset;

/// Whole batches at a log's end, all of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub segment: Offset,
    /// Where in the segment it starts and ends, bytes.
    pub pos: u64,
    pub end: u64,
    /// Of its first record, and after its last one.
    pub base: Offset,
    pub next: Offset,
}

impl Span {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.end - self.pos
    }
}

impl Log {
    /// From `from`, the start of a batch, to the log's end. `None` if a segment ends in between, or
    /// nobody knows any more where that batch lies.
    pub fn span(&self, from: Offset) -> Option<Span> {
        let at = self.recent.partition_point(|batch| batch.base < from);
        let first = self.recent.get(at).filter(|first| first.base == from)?;
        let last = self.recent.back()?;
        (last.segment == first.segment && last.next == self.next).then_some(Span {
            segment: first.segment,
            pos: first.pos,
            end: last.end,
            base: from,
            next: last.next,
        })
    }

    /// Its bytes, if all of them are in memory.
    pub fn span_memory(&self, span: &Span) -> Option<Parts> {
        self.tail.memory(span.segment, span.pos, span.end)
    }

    /// Bytes that no planned write covers; more than any number if a segment ends among them.
    pub fn waiting_bytes(&self) -> u64 {
        self.tail.waiting_bytes()
    }
}

#[cfg(test)]
#[path = "span_tests.rs"]
mod tests;
