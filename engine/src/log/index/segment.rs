//! A segment's two indexes together, and when they get an entry.

use super::{BatchInfo, OffsetIndex, OffsetPosition, TimeIndex, TimestampOffset};
use crate::types::{Offset, Position, Timestamp};

/// The settings that decide about entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexRules {
    /// `index.interval.bytes`: an entry is due when more than these bytes came since the last.
    pub interval_bytes: u64,
    /// `segment.index.bytes`: the size of either file at which the segment must roll.
    pub index_bytes_max: usize,
}

/// The indexes of one segment, fed with every batch that is appended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentIndex {
    offsets: OffsetIndex,
    times: TimeIndex,
    /// Since the batch that brought the last entry, that batch included.
    bytes_since_entry: u64,
    latest: TimestampOffset,
}

impl SegmentIndex {
    pub fn new(base_offset: Offset) -> Self {
        Self::from_parts(OffsetIndex::new(base_offset), TimeIndex::new(base_offset))
    }

    /// Of indexes that were read. The latest timestamp is then the time index's last one; what
    /// lies in the segment past it must be replayed by [`note_timestamp`](Self::note_timestamp)
    /// where more is to be appended.
    pub fn from_parts(offsets: OffsetIndex, times: TimeIndex) -> Self {
        let latest = times.last().unwrap_or(TimestampOffset {
            timestamp: Timestamp::NONE,
            offset: offsets.base_offset(),
        });
        Self {
            offsets,
            times,
            bytes_since_entry: 0,
            latest,
        }
    }

    /// Of a segment that is gone on with somewhere in the middle, whose `latest` is known: without
    /// entries so far, and with one for the next batch, whatever the interval.
    pub fn resumed(base_offset: Offset, latest: TimestampOffset) -> Self {
        Self {
            bytes_since_entry: u64::MAX,
            latest,
            ..Self::new(base_offset)
        }
    }

    /// Puts entries before these: of the same segment's beginning, which reaches to `end`. They may
    /// come from a file that is not what it was: what lies past `end`, or contradicts the segment's
    /// latest timestamp, is left out. Searches begin earlier then, never too late.
    pub fn prepend(&mut self, earlier: Self, end: OffsetPosition) {
        let mut whole = earlier;
        whole.offsets.keep_below(end);
        whole.offsets.extend(&self.offsets);
        whole.times.truncate(end.offset);
        whole.times.keep_to(self.latest);
        whole.times.extend(&self.times);
        (self.offsets, self.times) = (whole.offsets, whole.times);
    }

    pub fn offsets(&self) -> &OffsetIndex {
        &self.offsets
    }

    pub fn times(&self) -> &TimeIndex {
        &self.times
    }

    /// The latest timestamp of the segment and the last offset of the batch that brought it;
    /// [`Timestamp::NONE`] without one.
    pub fn latest(&self) -> TimestampOffset {
        self.latest
    }

    /// Takes note of a batch, stamped, that starts at `position`; adds entries when they are due.
    ///
    /// # Panics
    /// When batches do not come in order, or past what the segment holds: the log rolls before.
    pub fn on_append(&mut self, batch: &BatchInfo, position: Position, rules: &IndexRules) {
        self.note_timestamp(batch);
        if self.bytes_since_entry > rules.interval_bytes {
            self.offsets.append(batch.last_offset(), position);
            self.times.append(self.latest.timestamp, self.latest.offset);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry = self.bytes_since_entry.saturating_add(batch.size as u64);
    }

    /// Takes note of a batch's timestamp alone.
    pub fn note_timestamp(&mut self, batch: &BatchInfo) {
        if batch.max_timestamp > self.latest.timestamp {
            self.latest = TimestampOffset {
                timestamp: batch.max_timestamp,
                offset: batch.last_offset(),
            };
        }
    }

    /// Must the segment roll because an index is as large as it may be? One entry of the time
    /// index stays free for [`seal`](Self::seal).
    pub fn is_full(&self, rules: &IndexRules) -> bool {
        self.offsets.len() >= rules.index_bytes_max / OffsetIndex::ENTRY_BYTES
            || self.times.len() + 1 >= rules.index_bytes_max / TimeIndex::ENTRY_BYTES
    }

    /// The segment gets no more batches (or the node stops): the time index ends with the
    /// segment's latest timestamp.
    pub fn seal(&mut self) {
        self.times.append(self.latest.timestamp, self.latest.offset);
    }

    /// A position from which a scan meets the batch that holds `offset`.
    pub fn lookup(&self, offset: Offset) -> OffsetPosition {
        self.offsets.lookup(offset)
    }

    /// A position from which a scan meets the first record at least as late as `timestamp`;
    /// `None` when the segment has none.
    pub fn lookup_time(&self, timestamp: Timestamp) -> Option<OffsetPosition> {
        if self.latest.timestamp < timestamp {
            return None;
        }
        // The entry names the batch that was the first to be as late.
        Some(self.offsets.lookup(self.times.lookup(timestamp).offset))
    }

    /// The segment now ends before `offset`. The latest timestamp falls back to the time index's
    /// last; batches past that entry must be replayed by
    /// [`note_timestamp`](Self::note_timestamp).
    pub fn truncate(&mut self, offset: Offset) {
        self.offsets.truncate(offset);
        self.times.truncate(offset);
        *self = Self::from_parts(
            std::mem::replace(&mut self.offsets, OffsetIndex::new(offset)),
            std::mem::replace(&mut self.times, TimeIndex::new(offset)),
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::IndexError;
    use super::*;
    use crate::record::{BatchBuilder, Rules, validate};

    const RULES: IndexRules = IndexRules {
        interval_bytes: 200,
        index_bytes_max: 1 << 20,
    };
    const BASE: Offset = Offset(5_000_000_000);

    struct Batch {
        info: BatchInfo,
        position: Position,
    }

    /// A segment of batches with so many records, so late.
    fn segment(batches: &[(u8, i64)]) -> (Vec<Batch>, SegmentIndex) {
        let mut index = SegmentIndex::new(BASE);
        let mut builder = BatchBuilder::new().base_offset(BASE);
        let mut position = Position::ZERO;
        let mut all = Vec::new();
        for &(records, timestamp) in batches {
            for _ in 0..=records % 8 {
                builder
                    .append(Timestamp(timestamp), None, Some(&[0; 20]), &[])
                    .unwrap();
            }
            let bytes = builder.build().unwrap();
            let info = validate(&bytes, &Rules::NODE).unwrap();
            index.on_append(&info, position, &RULES);
            all.push(Batch { info, position });
            position = position.plus(bytes.len() as u64);
        }
        (all, index)
    }

    fn end(batches: &[Batch]) -> (Position, Offset) {
        batches.last().map_or((Position::ZERO, BASE), |last| {
            (
                last.position.plus(last.info.size as u64),
                last.info.next_offset(),
            )
        })
    }

    #[test]
    fn an_entry_is_due_after_the_interval() {
        let (batches, index) = segment(&[(7, 10); 6]);
        // 8 records of 28 bytes and 61 of the header: every batch is longer than the interval,
        // the first has nothing before it.
        let entries: Vec<_> = index.offsets().iter().collect();
        assert_eq!(entries.len(), 5);
        assert_eq!(entries[0].offset, batches[1].info.last_offset());
        assert_eq!(entries[0].position, batches[1].position);
        assert_eq!(index.times().len(), 1, "the timestamp never rose again");
        let full = IndexRules {
            index_bytes_max: 5 * OffsetIndex::ENTRY_BYTES,
            ..RULES
        };
        assert!(index.is_full(&full) && !index.is_full(&RULES));
    }

    #[test]
    fn bytes_are_kafkas() {
        let mut offsets = OffsetIndex::new(BASE);
        offsets.append(BASE.plus(258), Position(4097));
        assert_eq!(offsets.as_bytes(), [0, 0, 1, 2, 0, 0, 16, 1]);
        let mut times = TimeIndex::new(BASE);
        times.append(Timestamp(0x0102_0304), BASE.plus(258));
        assert_eq!(times.as_bytes(), [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 1, 2]);
    }

    #[test]
    fn ill_files_are_refused() {
        let offsets = |bytes: &[u8]| OffsetIndex::parse(Offset(0), bytes, Position(100));
        let times = |bytes: &[u8]| TimeIndex::parse(Offset(0), bytes, Offset(100));
        let size = |bytes, entry_bytes| IndexError::Size { bytes, entry_bytes };
        assert_eq!(offsets(&[0; 9]).unwrap_err(), size(9, 8));
        assert_eq!(times(&[0; 13]).unwrap_err(), size(13, 12));
        assert!(offsets(&[0; 80]).unwrap().is_empty(), "preallocated");
        assert!(times(&[0; 120]).unwrap().is_empty(), "preallocated");
        let entry =
            |offset: u32, position: u32| [offset.to_be_bytes(), position.to_be_bytes()].concat();
        let range = IndexError::Range { entry: 0 };
        assert_eq!(offsets(&entry(1, 100)).unwrap_err(), range);
        assert_eq!(offsets(&entry(1 << 31, 1)).unwrap_err(), range);
        let order = IndexError::Order { entry: 1 };
        for second in [entry(5, 60), entry(6, 50), entry(0, 60)] {
            let both = [entry(5, 50), second].concat();
            assert_eq!(offsets(&both).unwrap_err(), order);
        }
        let entry = |timestamp: i64, offset: u32| {
            [&timestamp.to_be_bytes()[..], &offset.to_be_bytes()].concat()
        };
        assert_eq!(times(&entry(1, 100)).unwrap_err(), range);
        for second in [entry(10, 6), entry(11, 4)] {
            let both = [entry(10, 5), second].concat();
            assert_eq!(times(&both).unwrap_err(), order);
        }
        let negative = IndexError::Order { entry: 0 };
        assert_eq!(times(&entry(-5, 1)).unwrap_err(), negative);
        let far = OffsetIndex::parse(Offset(i64::MAX), &[0, 0, 0, 1, 0, 0, 0, 1], Position(9));
        assert_eq!(far.unwrap_err(), range);
    }

    proptest! {
        #[test]
        fn a_scan_from_a_lookup_meets_what_is_sought(
            batches in prop::collection::vec((any::<u8>(), 0..50i64), 0..40),
            seal: bool,
            cut in 0..40usize,
        ) {
            let (batches, mut index) = segment(&batches);
            if seal {
                index.seal();
            }
            let (end_position, end_offset) = end(&batches);
            for offset in BASE.0..end_offset.0 {
                let start = index.lookup(Offset(offset)).position;
                let met = batches.iter().find(|batch| {
                    batch.position >= start && batch.info.last_offset() >= Offset(offset)
                });
                prop_assert!(met.unwrap().info.base_offset <= Offset(offset));
            }
            for entry in index.offsets().iter() {
                prop_assert_eq!(index.lookup(entry.offset), entry);
            }
            for timestamp in (-1..52).map(Timestamp) {
                let late = |batch: &&Batch| batch.info.max_timestamp >= timestamp;
                let first = batches.iter().find(late).map(|batch| batch.position);
                let found = index.lookup_time(timestamp).map(|found| {
                    let after = batches.iter().filter(|batch| batch.position >= found.position);
                    after.clone().find(late).map(|batch| batch.position)
                });
                prop_assert_eq!(found.flatten(), first);
            }
            let offsets = index.offsets();
            let read = OffsetIndex::parse(BASE, offsets.as_bytes(), end_position);
            prop_assert_eq!(&read.unwrap(), offsets);
            let times = TimeIndex::parse(BASE, index.times().as_bytes(), end_offset);
            // An entry of zeros alone cannot be told from a preallocated file's end.
            if index.times().as_bytes() != [0; 12] {
                prop_assert_eq!(&times.unwrap(), index.times());
            }
            // Cutting a segment leaves no entry beyond its new end.
            let kept = &batches[..cut.min(batches.len())];
            let (cut_position, cut_offset) = end(kept);
            index.truncate(cut_offset);
            prop_assert!(index.offsets().iter().all(|entry| entry.position < cut_position));
            prop_assert!(index.times().iter().all(|entry| entry.offset < cut_offset));
            prop_assert!(index.latest().offset < cut_offset || index.latest().offset == BASE);
        }

        #[test]
        fn entries_of_a_damaged_file_are_never_in_the_way(
            batches in prop::collection::vec((any::<u8>(), 0..50i64), 1..40),
            cut in 0..40usize,
            before in 0..40usize,
            offsets in prop::collection::btree_map(0..400u32, 0..20_000u32, 0..20),
            times in prop::collection::btree_map(0..60i64, 0..400u32, 0..20),
        ) {
            let (all, whole) = segment(&batches);
            let cut = cut.min(all.len());
            let (gap_position, gap_offset) = end(&all[..cut]);
            let gap = OffsetPosition { offset: gap_offset, position: gap_position };
            let mut first = SegmentIndex::new(BASE);
            all[..cut].iter().for_each(|batch| first.note_timestamp(&batch.info));
            let mut resumed = SegmentIndex::resumed(BASE, first.latest());
            // Whatever rises in a file is an index there.
            let rising = |entries: Vec<(u64, u64)>| {
                let mut kept: Vec<(u64, u64)> = Vec::new();
                for entry in entries {
                    if kept.last().is_none_or(|last| last.1 < entry.1) {
                        kept.push(entry);
                    }
                }
                kept
            };
            let mut file = SegmentIndex::new(BASE);
            for (offset, position) in rising(offsets.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect()) {
                file.offsets.append(BASE.plus(offset as i64), Position(position));
            }
            for (time, offset) in rising(times.iter().map(|(a, b)| (*a as u64, (*b).into())).collect()) {
                file.times.append(Timestamp(time as i64), BASE.plus(offset as i64));
            }
            let before = before.clamp(cut, all.len());
            for batch in &all[cut..before] {
                resumed.on_append(&batch.info, batch.position, &RULES);
            }
            resumed.prepend(file, gap);
            for batch in &all[before..] {
                resumed.on_append(&batch.info, batch.position, &RULES);
            }
            resumed.seal();
            prop_assert_eq!(resumed.latest(), whole.latest());
            let size = end(&all).0;
            let read = OffsetIndex::parse(BASE, resumed.offsets().as_bytes(), size);
            prop_assert_eq!(&read.unwrap(), resumed.offsets());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, base: i64, end: i64) {
            for entry_bytes in [8, 12] {
                let bytes = &bytes[..bytes.len() / entry_bytes * entry_bytes];
                if let Ok(index) = OffsetIndex::parse(Offset(base), bytes, Position(end as u64)) {
                    index.lookup(Offset(end));
                    index.iter().for_each(drop);
                }
                if let Ok(index) = TimeIndex::parse(Offset(base), bytes, Offset(end)) {
                    index.lookup(Timestamp(end));
                    index.iter().for_each(drop);
                }
            }
        }
    }
}
