//! What compaction asks of a log, and how a compacted segment comes into it.

use super::{Extent, LastRecord};
use crate::log::{Log, Segment};
use crate::types::{Map, Offset, ProducerId};

impl Log {
    /// The closed segments whose files are finished, and the offset at which they end.
    pub fn compactable(&self) -> (Vec<Extent>, Offset) {
        let closed = self.segments.len() - 1;
        let closed = self.segments.range(..closed);
        let limit = self.unfinished.front().copied();
        let finished = closed.take_while(|one| limit.is_none_or(|limit| one.base < limit));
        let extents: Vec<Extent> = finished
            .map(|one| Extent {
                base: one.base,
                size: one.size,
                latest: one.latest.timestamp,
                started: one.started,
                aborted: one.aborted.known().len(),
            })
            .collect();
        let end = self.segments[extents.len()].base;
        (extents, end)
    }

    /// What the active producers wrote last.
    pub fn last_records(&self) -> Map<ProducerId, LastRecord> {
        let all = self.producers.entries();
        let last = all.map(|entry| {
            let last = LastRecord {
                offset: entry.last_batch().map(|mark| mark.last_offset),
                epoch: entry.epoch(),
            };
            (entry.id(), last)
        });
        last.collect()
    }

    /// A compacted segment takes the place of those from its base up to `until`, where another
    /// begins: all closed and finished. What is known of where their batches lie is forgotten.
    ///
    /// # Panics
    /// When there are no such segments: nothing else may take closed segments out meanwhile.
    pub fn replace(&mut self, compacted: Segment, until: Offset) {
        let base = compacted.base;
        let first = self.segments.iter().position(|one| one.base == base);
        let first = first.expect("the segment that is replaced");
        let after = self.segments.iter().position(|one| one.base == until);
        let after = after.expect("the segment behind those that are replaced");
        assert!(first < after, "a segment ends behind its base");
        assert!(
            self.unfinished.iter().all(|one| *one >= until),
            "what is compacted is finished"
        );
        self.segments.drain(first + 1..after);
        self.segments[first] = compacted;
        let replaced = base..until;
        self.recent
            .retain(|batch| !replaced.contains(&batch.segment));
        self.boundary = None;
        self.tail.forget_before(until);
    }
}
