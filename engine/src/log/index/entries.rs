//! The two tables: append, look up, truncate, read, write.

use super::{IndexError, OffsetPosition, TimestampOffset};
use crate::types::{Offset, Position, Timestamp};

const RANGE_MAX: u32 = i32::MAX as u32;

/// Which offset lies where in a segment. See the [module](super).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetIndex {
    base_offset: Offset,
    entries: Vec<[u8; 8]>,
}

fn u32_at<const N: usize>(entry: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
}

/// Splits a file into entries, leaving out the zeros at the end that a preallocated file has.
fn split<const N: usize>(bytes: &[u8]) -> Result<&[[u8; N]], IndexError> {
    let (mut entries, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(IndexError::Size {
            bytes: bytes.len(),
            entry_bytes: N,
        });
    }
    while let [kept @ .., last] = entries
        && *last == [0; N]
    {
        entries = kept;
    }
    Ok(entries)
}

impl OffsetIndex {
    pub const ENTRY_BYTES: usize = 8;

    pub fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            entries: Vec::new(),
        }
    }

    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The content of the file.
    pub fn as_bytes(&self) -> &[u8] {
        self.entries.as_flattened()
    }

    pub fn last(&self) -> Option<OffsetPosition> {
        self.entries.last().map(|entry| self.decode(entry))
    }

    pub fn iter(&self) -> impl Iterator<Item = OffsetPosition> {
        self.entries.iter().map(|entry| self.decode(entry))
    }

    fn decode(&self, entry: &[u8; 8]) -> OffsetPosition {
        OffsetPosition {
            offset: self.base_offset.plus(i64::from(u32_at(entry, 0))),
            position: Position(u32_at(entry, 4).into()),
        }
    }

    /// Adds an entry: `offset` is the last one of the batch at `position`.
    ///
    /// # Panics
    /// When it does not follow the last entry or does not fit (2 GiB, 2³¹ offsets): the log rolls
    /// before that, so it is a broken invariant.
    pub fn append(&mut self, offset: Offset, position: Position) {
        let relative = offset.relative_to(self.base_offset);
        let relative = relative.expect("an indexed offset is within its segment");
        let position = u32::try_from(position.0)
            .ok()
            .filter(|&position| position <= RANGE_MAX)
            .expect("a segment is smaller than 2 GiB");
        if let Some(last) = self.entries.last() {
            assert!(
                relative > u32_at(last, 0) && position > u32_at(last, 4),
                "index entries rise"
            );
        }
        let mut entry = [0; 8];
        entry[..4].copy_from_slice(&relative.to_be_bytes());
        entry[4..].copy_from_slice(&position.to_be_bytes());
        self.entries.push(entry);
    }

    /// Adds another index's entries, of the same segment, as far as they follow the last one.
    pub(super) fn extend(&mut self, later: &Self) {
        for entry in &later.entries {
            let follows = self.entries.last().is_none_or(|last| {
                u32_at(entry, 0) > u32_at(last, 0) && u32_at(entry, 4) > u32_at(last, 4)
            });
            if follows {
                self.entries.push(*entry);
            }
        }
    }

    /// The entry with the largest offset ≤ `offset`; the segment's start without one. A scan from
    /// there meets the batch that holds `offset`.
    pub fn lookup(&self, offset: Offset) -> OffsetPosition {
        let after = self
            .entries
            .partition_point(|entry| self.decode(entry).offset <= offset);
        match after.checked_sub(1) {
            Some(slot) => self.decode(&self.entries[slot]),
            None => OffsetPosition {
                offset: self.base_offset,
                position: Position::ZERO,
            },
        }
    }

    /// An offset that no record before `position` reaches; `None` where the index ends before.
    pub fn bound(&self, position: Position) -> Option<Offset> {
        let before = self
            .entries
            .partition_point(|entry| self.decode(entry).position < position);
        let entry = self.entries.get(before)?;
        Some(self.decode(entry).offset)
    }

    /// Removes the entries at `offset` and later.
    pub fn truncate(&mut self, offset: Offset) {
        let kept = self
            .entries
            .partition_point(|entry| self.decode(entry).offset < offset);
        self.entries.truncate(kept);
    }

    /// Removes the entries that do not lie before `end`.
    pub(super) fn keep_below(&mut self, end: OffsetPosition) {
        let kept = self.entries.partition_point(|entry| {
            let entry = self.decode(entry);
            entry.offset < end.offset && entry.position < end.position
        });
        self.entries.truncate(kept);
    }

    /// Reads the content of a file; zeros at its end are left out. `segment_bytes` is where the
    /// segment ends.
    ///
    /// # Errors
    /// [`IndexError`] for whatever this index would not have written.
    pub fn parse(
        base_offset: Offset,
        bytes: &[u8],
        segment_bytes: Position,
    ) -> Result<Self, IndexError> {
        let entries = split::<8>(bytes)?;
        let mut previous: Option<(u32, u32)> = None;
        for (n, entry) in entries.iter().enumerate() {
            let (relative, position) = (u32_at(entry, 0), u32_at(entry, 4));
            let offset = base_offset.checked_add(relative.into());
            let fits = relative <= RANGE_MAX && u64::from(position) < segment_bytes.0;
            if !fits || offset.is_none() {
                return Err(IndexError::Range { entry: n });
            }
            if previous.is_some_and(|(r, p)| relative <= r || position <= p) {
                return Err(IndexError::Order { entry: n });
            }
            previous = Some((relative, position));
        }
        Ok(Self {
            base_offset,
            entries: entries.to_vec(),
        })
    }
}

/// How late the records are, up to which offset. See the [module](super).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeIndex {
    base_offset: Offset,
    entries: Vec<[u8; 12]>,
}

impl TimeIndex {
    pub const ENTRY_BYTES: usize = 12;

    pub fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            entries: Vec::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The content of the file.
    pub fn as_bytes(&self) -> &[u8] {
        self.entries.as_flattened()
    }

    pub fn last(&self) -> Option<TimestampOffset> {
        self.entries.last().map(|entry| self.decode(entry))
    }

    pub fn iter(&self) -> impl Iterator<Item = TimestampOffset> {
        self.entries.iter().map(|entry| self.decode(entry))
    }

    fn decode(&self, entry: &[u8; 12]) -> TimestampOffset {
        let (timestamp, _) = entry.split_first_chunk::<8>().expect("12 bytes");
        TimestampOffset {
            timestamp: Timestamp(i64::from_be_bytes(*timestamp)),
            offset: self.base_offset.plus(i64::from(u32_at(entry, 8))),
        }
    }

    /// Adds an entry if its timestamp is later than the last one's (than "none" at first):
    /// `offset` is the last one of the batch that brought `timestamp`.
    ///
    /// # Panics
    /// When the offset is out of range or falls: a broken invariant.
    pub fn append(&mut self, timestamp: Timestamp, offset: Offset) {
        let relative = offset.relative_to(self.base_offset);
        let relative = relative.expect("an indexed offset is within its segment");
        let last = self.last();
        if timestamp <= last.map_or(Timestamp::NONE, |last| last.timestamp) {
            return;
        }
        assert!(
            last.is_none_or(|last| last.offset <= offset),
            "index entries rise"
        );
        let mut entry = [0; 12];
        entry[..8].copy_from_slice(&timestamp.0.to_be_bytes());
        entry[8..].copy_from_slice(&relative.to_be_bytes());
        self.entries.push(entry);
    }

    /// Adds another index's entries, of the same segment, as far as they follow the last one.
    pub(super) fn extend(&mut self, later: &Self) {
        for entry in &later.entries {
            let next = self.decode(entry);
            let follows = self
                .last()
                .is_none_or(|last| next.timestamp > last.timestamp && next.offset >= last.offset);
            if follows {
                self.entries.push(*entry);
            }
        }
    }

    /// The entry with the latest timestamp ≤ `timestamp`; no timestamp and the segment's base
    /// without one. Every record before its offset is at most as late.
    pub fn lookup(&self, timestamp: Timestamp) -> TimestampOffset {
        let after = self
            .entries
            .partition_point(|entry| self.decode(entry).timestamp <= timestamp);
        match after.checked_sub(1) {
            Some(slot) => self.decode(&self.entries[slot]),
            None => TimestampOffset {
                timestamp: Timestamp::NONE,
                offset: self.base_offset,
            },
        }
    }

    /// Removes the entries at `offset` and later.
    pub fn truncate(&mut self, offset: Offset) {
        let kept = self
            .entries
            .partition_point(|entry| self.decode(entry).offset < offset);
        self.entries.truncate(kept);
    }

    /// Removes the entries that cannot stand where `latest` is the segment's latest timestamp: as
    /// late or later, of another batch, or earlier, but brought by a later batch.
    pub(super) fn keep_to(&mut self, latest: TimestampOffset) {
        let kept = self.entries.partition_point(|entry| {
            let entry = self.decode(entry);
            entry == latest || entry.timestamp < latest.timestamp && entry.offset <= latest.offset
        });
        self.entries.truncate(kept);
    }

    /// Reads the content of a file; zeros at its end are left out. `next_offset` is the offset
    /// after the segment's last record.
    ///
    /// # Errors
    /// [`IndexError`] for whatever this index would not have written.
    pub fn parse(
        base_offset: Offset,
        bytes: &[u8],
        next_offset: Offset,
    ) -> Result<Self, IndexError> {
        let index = Self {
            base_offset,
            entries: split::<12>(bytes)?.to_vec(),
        };
        let mut previous: Option<(i64, u32)> = None;
        for (n, entry) in index.entries.iter().enumerate() {
            let relative = u32_at(entry, 8);
            let offset = base_offset.checked_add(relative.into());
            let fits = relative <= RANGE_MAX && offset.is_some_and(|offset| offset < next_offset);
            if !fits {
                return Err(IndexError::Range { entry: n });
            }
            let timestamp = index.decode(entry).timestamp.0;
            if timestamp < 0 || previous.is_some_and(|(t, r)| timestamp <= t || relative < r) {
                return Err(IndexError::Order { entry: n });
            }
            previous = Some((timestamp, relative));
        }
        Ok(index)
    }
}
