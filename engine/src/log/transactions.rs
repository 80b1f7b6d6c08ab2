//! Transactions in one log: up to where it is stable, and which of them have aborted.
//!
//! Open ones are the producers' business ([`super::producers`]). Here are those that have ended
//! and whose end is not visible yet, and each segment's list of aborted ones: Kafka's `.txnindex`,
//! by which a reader of committed records knows what to leave out. The list of the active segment
//! is in memory; a closed one's is loaded when somebody reads there.
//!
//! Invariant: the last stable offset never moves back, and lies before every record of a
//! transaction that is open or whose end is not visible.
//!
//! Absent on purpose: I/O, the decision whether a transaction commits.
//!
//! Source: Kafka `ProducerStateManager.firstUnstableOffset`, `TransactionIndex`, `AbortedTxn`.

use std::collections::BTreeMap;

use super::{Appended, Log, Segment};
use crate::limits::ABORTED_PER_SEGMENT_MAX;
use crate::record::{BatchInfo, EndTransactionMarker, RecordError};
use crate::types::{Epoch, Offset, Position, ProducerId, Timestamp};

const VERSION: i16 = 0;
pub(super) const ENTRY_BYTES: usize = 34;

/// A transaction that has aborted, as a segment's `.txnindex` tells it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Aborted {
    /// Of its first record in this log.
    pub first: Offset,
    pub producer_id: ProducerId,
    /// Of the marker that ended it.
    pub last: Offset,
    /// The last stable offset once its end is visible, which may lie before `first`: what aborts
    /// later begins at or after it.
    pub stable: Offset,
}

impl Aborted {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_be_bytes());
        for number in [self.producer_id.0, self.first.0, self.last.0, self.stable.0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn read(bytes: &[u8; ENTRY_BYTES]) -> Option<Aborted> {
        let (version, rest) = bytes.split_first_chunk::<2>()?;
        let (numbers, _) = rest.as_chunks::<8>();
        let &[producer_id, first, last, stable] = numbers else {
            return None;
        };
        let read = Aborted {
            producer_id: ProducerId(i64::from_be_bytes(producer_id)),
            first: Offset(i64::from_be_bytes(first)),
            last: Offset(i64::from_be_bytes(last)),
            stable: Offset(i64::from_be_bytes(stable)),
        };
        let sane = i16::from_be_bytes(*version) == VERSION
            && read.producer_id.0 >= 0
            // It had a record before its marker; zeros are none.
            && (0..read.last.0).contains(&read.first.0)
            && read.stable.0 >= 0;
        sane.then_some(read)
    }

    /// The content of a `.txnindex`, in the order of their ends.
    pub fn to_index(all: &[Aborted]) -> Vec<u8> {
        let mut out = Vec::with_capacity(all.len() * ENTRY_BYTES);
        for one in all {
            one.write(&mut out);
        }
        out
    }

    /// Reads a `.txnindex`; `None` for what is none, or has too many entries.
    pub fn from_index(bytes: &[u8]) -> Option<Vec<Aborted>> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() || entries.len() > ABORTED_PER_SEGMENT_MAX {
            return None;
        }
        let all: Option<Vec<_>> = entries.iter().map(Aborted::read).collect();
        all.filter(|all| all.windows(2).all(|pair| pair[0].last < pair[1].last))
    }
}

/// What a segment knows of aborted transactions whose markers it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AbortedList {
    /// In the order of their ends.
    Known(Vec<Aborted>),
    /// In its `.txnindex`.
    OnDisk,
}

impl Default for AbortedList {
    fn default() -> Self {
        AbortedList::Known(Vec::new())
    }
}

impl AbortedList {
    /// Those that are known.
    pub fn known(&self) -> &[Aborted] {
        match self {
            AbortedList::Known(all) => all,
            AbortedList::OnDisk => &[],
        }
    }

    pub(super) fn push(&mut self, aborted: Aborted) {
        if let AbortedList::Known(all) = self {
            all.push(aborted);
        }
    }
}

/// A search for the aborted transactions with records in a range of offsets, as far as a reader that
/// begins at its start must know them: not those that ended before.
#[derive(Debug)]
pub struct AbortedSearch {
    from: Offset,
    to: Offset,
    /// The last segment that was looked at.
    after: Offset,
    over: bool,
    found: Vec<Aborted>,
}

impl AbortedSearch {
    /// For records in `[from, to)`.
    pub fn new(from: Offset, to: Offset) -> AbortedSearch {
        AbortedSearch {
            from,
            to,
            after: Offset::NONE,
            over: false,
            found: Vec::new(),
        }
    }

    /// Takes in the list of a segment, the one that [`Log::search_aborted`] asked for.
    pub fn take(&mut self, segment: Offset, all: &[Aborted]) {
        self.after = segment;
        let begin = all.partition_point(|one| one.last < self.from);
        for one in &all[begin..] {
            if one.first < self.to {
                self.found.push(*one);
            }
            if one.stable >= self.to {
                self.over = true;
                return;
            }
        }
    }

    /// What was found, by the offsets of their first records.
    pub fn finish(mut self) -> Vec<Aborted> {
        self.found.sort_unstable_by_key(|one| one.first);
        self.found
    }
}

/// Transactions that have ended: the offset of the marker by that of the first record.
#[derive(Clone, Default, Debug)]
pub(super) struct Ending(BTreeMap<Offset, Offset>);

impl Log {
    /// Up to where every transaction has ended, given what is visible (last stable offset).
    pub fn stable(&self, visible: Offset) -> Offset {
        let ending = self.ending.0.first_key_value().map(|(first, _)| *first);
        match (self.producers.first_open(), ending) {
            (None, None) => visible,
            (open, ending) => {
                let first = open.into_iter().chain(ending).min().unwrap_or(visible);
                first.max(self.log_start).min(visible)
            }
        }
    }

    /// Everything before this offset is visible: ends of transactions, too.
    pub fn shown(&mut self, visible: Offset) {
        if !self.ending.0.is_empty() {
            self.ending.0.retain(|_, marker| *marker >= visible);
        }
    }

    /// Appends the marker that ends a producer's transaction: one checked control batch. `version`
    /// is the transaction version of who sends it.
    ///
    /// On return it is in memory, as after [`Log::append`].
    ///
    /// # Errors
    /// Only if `info` is not of these bytes.
    pub fn append_marker(
        &mut self,
        bytes: &[u8],
        info: &BatchInfo,
        marker: EndTransactionMarker,
        version: i8,
        epoch: Epoch,
        now: Timestamp,
    ) -> Result<Appended, RecordError> {
        if let Err(error) = self.producers.check_marker(info, marker, version) {
            return Ok(Appended::Refused(error));
        }
        let stamped = self.store(bytes.into(), info, epoch, None)?;
        let first = self.producers.applied_marker(&stamped, marker, now);
        if let Some(first) = first {
            let last = stamped.last_offset();
            self.ending.0.insert(first, last);
            if !marker.commit {
                let stable = self.producers.first_open();
                self.active().aborted.push(Aborted {
                    producer_id: stamped.producer_id,
                    first,
                    last,
                    stable: stable.unwrap_or(last.plus(1)),
                });
            }
        }
        Ok(Appended::Stored(stamped))
    }

    /// An offset that no record reaches which ends by `position` of a segment; near what is there.
    pub fn bound(&self, segment: Offset, position: Position) -> Offset {
        let at = self.segment_of(segment).unwrap_or(0);
        let following = self.segments.get(at + 1).map(|following| following.base);
        let index = self.segments[at].index.as_ref();
        let indexed = index.and_then(|index| index.offsets().bound(position));
        let recent = self
            .recent
            .partition_point(|batch| (batch.segment, batch.end) < (segment, position.0));
        let recent = self.recent.get(recent).map(|batch| batch.next);
        let known = [following, indexed, recent, Some(self.next)];
        let least = known.into_iter().flatten().min();
        least.expect("the log has an end")
    }

    /// Goes on with a search. `Some`: this segment's list must be read from disk first.
    pub fn search_aborted(&self, search: &mut AbortedSearch) -> Option<Offset> {
        let first = self.segment_of(search.from).unwrap_or(0);
        for segment in self.segments.range(first..) {
            if search.over {
                return None;
            }
            if segment.base <= search.after {
                continue;
            }
            match &segment.aborted {
                AbortedList::Known(all) => search.take(segment.base, all),
                AbortedList::OnDisk => return Some(segment.base),
            }
        }
        None
    }

    /// Gives a closed segment the list that a search asked for; lets go of others
    /// beyond the `keep` newest.
    pub fn set_aborted(&mut self, base: Offset, all: Vec<Aborted>, keep: usize) {
        let active = self.segments.len() - 1;
        if let Some(at) = self.segment_of(base).filter(|at| *at != active)
            && self.segments[at].base == base
        {
            self.segments[at].aborted = AbortedList::Known(all);
        }
        let mut kept = 0;
        for segment in self.segments.range_mut(..active).rev() {
            let loaded = !segment.aborted.known().is_empty();
            if !loaded || segment.base == base || self.unfinished.contains(&segment.base) {
                continue;
            }
            kept += 1;
            if kept > keep {
                segment.aborted = AbortedList::OnDisk;
            }
        }
    }
}

impl Segment {
    /// Whether no more aborted transactions fit into its list.
    pub(super) fn is_full_of_aborted(&self) -> bool {
        self.aborted.known().len() >= ABORTED_PER_SEGMENT_MAX
    }
}

/// Which transactions are open, and which abort, while a log's batches are read one by one.
#[derive(Clone, Default, Debug)]
pub struct Undecided(BTreeMap<ProducerId, Offset>);

impl Undecided {
    /// Those that a producer state has open.
    pub fn of(producers: &super::producers::Producers) -> Undecided {
        let open = producers.open();
        Undecided(open.map(|(first, id)| (id, first)).collect())
    }

    /// A batch of data.
    pub fn data(&mut self, info: &BatchInfo) {
        if info.is_transactional() {
            self.0.entry(info.producer_id).or_insert(info.base_offset);
        }
    }

    /// A marker; the transaction that it aborts, if it had records here.
    pub fn marker(&mut self, info: &BatchInfo, marker: EndTransactionMarker) -> Option<Aborted> {
        let first = self.0.remove(&info.producer_id)?;
        let last = info.last_offset();
        (!marker.commit).then(|| Aborted {
            producer_id: info.producer_id,
            first,
            last,
            stable: self.0.values().min().copied().unwrap_or(last.plus(1)),
        })
    }
}

#[cfg(test)]
#[path = "transactions_tests.rs"]
mod tests;
