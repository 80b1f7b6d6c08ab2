//! Which segments retention lets go of, and what follows from a higher log start offset.

use super::index::TimestampOffset;
use super::{Log, Recent, Segment};
use crate::types::{Offset, Timestamp};

impl Log {
    /// Takes out the segments that retention lets go of, oldest first. The active one stays
    /// unless it, too, is past its time: then it is rolled first, as in Kafka, and goes once its
    /// files are finished.
    ///
    /// `end`: nothing at or after it is taken (the high watermark).
    pub fn expire(&mut self, now: Timestamp, end: Offset) -> Vec<Segment> {
        let rules = self.rules.clone();
        let aged = |segment: &Segment| !segment.unproven && segment.aged(now, rules.retention_ms);
        if self.next <= end
            && self.segments.iter().all(aged)
            && !self.pending()
            && self.flying() == 0
        {
            self.roll();
        }
        let mut total = self.bytes();
        let mut gone = Vec::new();
        while self.segments.len() > 1 {
            let (oldest, second) = (&self.segments[0], self.segments[1].base);
            let over =
                rules.retention_bytes >= 0 && total - oldest.size >= rules.retention_bytes as u64;
            let before_start = second <= self.log_start;
            let unfinished = self.unfinished.contains(&oldest.base);
            if second > end || unfinished || !(over || aged(oldest) || before_start) {
                break;
            }
            total -= oldest.size;
            gone.extend(self.segments.pop_front());
            self.raise_start(second);
        }
        // What is gone needs no finishing.
        let first = self.segments[0].base;
        self.seals.retain(|seal| seal.base >= first);
        gone
    }

    /// The first segment, and its bytes, that age would remove by what only its `.timeindex` says.
    pub fn doubted(&self, now: Timestamp) -> Option<(Offset, u64)> {
        let aged = |segment: &&Segment| segment.aged(now, self.rules.retention_ms);
        let mut aged = self.segments.iter().take_while(aged);
        let found = aged.find(|segment| segment.unproven)?;
        Some((found.base, found.size))
    }

    /// A segment's latest time by its batches.
    pub fn tell_latest(&mut self, segment: Offset, latest: TimestampOffset) {
        let mut segments = self.segments.iter_mut();
        if let Some(found) = segments.find(|found| found.base == segment) {
            (found.latest, found.unproven) = (latest, false);
        }
    }

    /// Raises the log start offset; what lies before is not shown any more.
    pub fn raise_start(&mut self, offset: Offset) {
        if offset > self.log_start {
            self.log_start = offset;
            self.epochs.truncate_from_start(offset);
            // Where a batch ends that is not written yet is asked when its write completes.
            let written = self.tail.written();
            let gone = |first: &Recent| {
                first.next <= offset && (first.segment, first.end) <= (written.segment, written.pos)
            };
            while self.recent.front().is_some_and(gone) {
                self.recent.pop_front();
            }
        }
    }
}
