//! When a segment is closed, and what finishes its files.

use super::index::OffsetPosition;
use super::{Aborted, Log, Segment};
use crate::record::BatchInfo;
use crate::types::{Offset, Timestamp};

/// A segment that was rolled and whose files must be finished once its bytes are written.
#[derive(Debug)]
pub struct Seal {
    /// The segment.
    pub base: Offset,
    /// Its length: what lies beyond in the file is padding to be cut.
    pub size: u64,
    /// Offset after its last record: a producer snapshot is named so.
    pub next: Offset,
    /// Contents of its `.index`, `.timeindex` and the producer snapshot.
    pub index: Vec<u8>,
    pub time_index: Vec<u8>,
    pub producers: Vec<u8>,
    /// Content of its `.txnindex`; without entries there is no such file.
    pub aborted: Vec<u8>,
    /// What the indexes do not know; see [`Log::gap`].
    pub gap: Option<OffsetPosition>,
}

impl Log {
    /// By time a segment ends where a record is so much later than its first batch, whatever the
    /// clock says: who copies a year of records in an hour has a year of segments.
    ///
    /// Source: Kafka `LogSegment.shouldRoll`, `timeWaitedForRoll`.
    pub(super) fn must_roll(&self, info: &BatchInfo, append_time: Option<Timestamp>) -> bool {
        let active = self.segments.back().expect("an active segment");
        if active.size == 0 {
            return false;
        }
        let index = active.index.as_ref().expect("the active index");
        let last = self.next.plus(i64::from(info.last_offset_delta));
        let time = append_time.unwrap_or(info.max_timestamp);
        active.size + info.size as u64 > self.rules.segment_bytes
            || (active.started != Timestamp::NONE
                && time.0.saturating_sub(active.started.0) > self.rules.roll_ms)
            || index.is_full(&self.rules.index)
            || active.is_full_of_aborted()
            || last
                .relative_to(active.base)
                .is_none_or(|delta| delta > i32::MAX as u32)
    }

    /// Closes the active segment and opens the next, if there is anything in it.
    pub fn roll(&mut self) {
        if self.segments.back().is_none_or(|active| active.size == 0) {
            return;
        }
        let seal = self.close();
        self.unfinished.push_back(seal.base);
        self.seals.push_back(seal);
        self.segments.push_back(Segment::new(self.next));
        self.tail.roll(self.next);
    }

    /// What finishes the active segment's files as they stand: at a roll, or at the end.
    pub fn close(&mut self) -> Seal {
        let next = self.next;
        let producers = self.producers.to_snapshot();
        let active = self.active();
        let index = active.index.as_mut().expect("the active index");
        index.seal();
        Seal {
            base: active.base,
            size: active.size,
            next,
            index: index.offsets().as_bytes().to_vec(),
            time_index: index.times().as_bytes().to_vec(),
            producers,
            aborted: Aborted::to_index(active.aborted.known()),
            gap: active.gap,
        }
    }

    /// A rolled segment whose files can be finished, because all its bytes are written.
    pub fn take_seal(&mut self) -> Option<Seal> {
        let written = self.tail.written();
        let first = self.seals.front()?;
        if (first.base, first.size) <= (written.segment, written.pos) {
            return self.seals.pop_front();
        }
        None
    }

    /// The files of a rolled segment are finished.
    pub fn finished(&mut self, base: Offset) {
        self.unfinished.retain(|other| *other != base);
    }

    /// Whether there are rolled segments whose files are not finished.
    pub fn finishing(&self) -> bool {
        !self.unfinished.is_empty()
    }
}
