//! The second half of a cleaning: what stays of each batch.
//!
//! Source: Kafka `Cleaner.cleanInto`, `shouldRetainRecord`, `shouldDiscardBatch`;
//! `MemoryRecords.filterTo`.

use std::task::Poll;

use smallvec::SmallVec;

use super::index::control_kind;
use super::{KeyHash, KeyMap, STEP_RECORDS, Transactions};
use crate::log::Aborted;
use crate::mutant::{self, Mutant};
use crate::record::{
    BatchInfo, CompressionTarget, OpenBatch, Record, RecordError, RecordIter, Retained, Writing,
    write_emptied,
};
use crate::types::{Map, Offset, ProducerEpoch, ProducerId, Timestamp};

/// How long tombstones and markers stay.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// The time of the cleaning.
    pub now: Timestamp,
    /// `delete.retention.ms`: from the first cleaning that meets them.
    pub delete_retention_ms: i64,
}

/// What an active producer wrote last: a batch that says so is kept, for its sequence or epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastRecord {
    /// Of data; none when a marker is all that is known.
    pub offset: Option<Offset>,
    pub epoch: ProducerEpoch,
}

/// What a cleaning has gone over and left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub records_read: u64,
    pub records_written: u64,
    /// Records without a key; they are dropped, as in Kafka.
    pub keyless: u64,
}

/// See the module.
pub struct Cleaner {
    map: KeyMap,
    /// The map tells of everything before this; what lies behind stays.
    end: Offset,
    retention: Retention,
    transactions: Transactions,
    producers: Map<ProducerId, LastRecord>,
    retained: Retained,
    opened: Vec<u8>,
    kept: Vec<u8>,
    stats: Stats,
}

impl Cleaner {
    /// By a map that tells of everything before `end`. `transactions`: with those that were aborted
    /// from the log's start on. `producers`: the active ones.
    pub fn new(
        map: KeyMap,
        end: Offset,
        retention: Retention,
        transactions: Transactions,
        producers: Map<ProducerId, LastRecord>,
    ) -> Self {
        Self {
            map,
            end,
            retention,
            transactions,
            producers,
            retained: Retained::default(),
            opened: Vec::new(),
            kept: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// What stays of a batch is written in this codec; `None`: in its own.
    pub fn recompressing(mut self, to: Option<CompressionTarget>) -> Self {
        self.retained = Retained::recompressing(to);
        self
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// See [`Transactions::take_kept`].
    pub fn take_kept_aborted(&mut self) -> Vec<Aborted> {
        self.transactions.take_kept()
    }

    /// The next batch of the log, checked, as [`validate`](crate::record::validate()) gave it. What
    /// stays of it is appended to `out` [step by step](Cleaning::step). `last`: it is the last of its
    /// segments, and stays without records if need be, so that their end is told.
    ///
    /// # Errors
    /// The batch's, when it cannot be opened.
    pub fn begin<'a>(
        &'a mut self,
        bytes: &'a [u8],
        info: &BatchInfo,
        last: bool,
        out: &'a mut Vec<u8>,
    ) -> Result<Cleaning<'a>, RecordError> {
        let marker = info.is_control();
        let free = if marker {
            let kind = control_kind(bytes, info, &mut self.opened)?;
            self.transactions.control(info, kind)
        } else {
            self.transactions.data(info)
        };
        // The horizon stands in the base timestamp.
        let horizon = info.attributes.has_delete_horizon();
        let over = horizon && info.base_timestamp <= self.retention.now;
        let emptied = last || self.is_last_of_its_producer(info);
        let stage = if free && (!marker || over) || info.record_count == 0 {
            Stage::WithoutRecords
        } else if info.base_offset >= self.end && !marker {
            Stage::Verbatim
        } else {
            let open = OpenBatch::open(bytes, *info, &mut self.opened)?;
            self.retained.clear();
            Stage::Selecting(open, open.records())
        };
        Ok(Cleaning {
            map: &self.map,
            end: self.end,
            retention: self.retention,
            retained: &mut self.retained,
            kept: &mut self.kept,
            stats: &mut self.stats,
            bytes,
            info: *info,
            start: out.len(),
            out,
            free,
            over,
            emptied,
            stage,
        })
    }

    /// The same at one stretch; gives what stays, if any does.
    ///
    /// # Errors
    /// Also what a step ends with.
    pub fn batch(
        &mut self,
        bytes: &[u8],
        info: &BatchInfo,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<BatchInfo>, RecordError> {
        let mut cleaning = self.begin(bytes, info, last, out)?;
        loop {
            if let Poll::Ready(stays) = cleaning.step()? {
                return Ok(stays);
            }
        }
    }

    /// Whether its last sequence, or a marker's epoch, is what the producer is known by.
    fn is_last_of_its_producer(&self, info: &BatchInfo) -> bool {
        let known = info.has_producer_id().then_some(info.producer_id);
        let last = known.and_then(|id| self.producers.get(&id));
        last.is_some_and(|last| match last.offset {
            Some(offset) => info.last_offset() == offset,
            None => info.is_control() && info.producer_epoch == last.epoch,
        })
    }
}

/// A batch that is gone over; see [`Cleaner::begin`]. When it is let go of before its end, what it has
/// appended is half a batch.
pub struct Cleaning<'a> {
    map: &'a KeyMap,
    end: Offset,
    retention: Retention,
    retained: &'a mut Retained,
    kept: &'a mut Vec<u8>,
    stats: &'a mut Stats,
    bytes: &'a [u8],
    info: BatchInfo,
    out: &'a mut Vec<u8>,
    /// Of what is appended to `out`.
    start: usize,
    /// Its transaction does not need it.
    free: bool,
    /// Its delete horizon is.
    over: bool,
    /// It stays even without records.
    emptied: bool,
    stage: Stage<'a>,
}

enum Stage<'a> {
    WithoutRecords,
    Verbatim,
    Selecting(OpenBatch<'a>, RecordIter<'a>),
    Writing(OpenBatch<'a>, Writing),
}

impl<'a> Cleaning<'a> {
    /// Goes over some records more, [`STEP_RECORDS`] at most, or writes a piece of what stays. Gives
    /// the batch that stays, if any does, once it stands in `out`.
    ///
    /// # Errors
    /// The first record that is malformed; `out` is as before the batch.
    pub fn step(&mut self) -> Result<Poll<Option<BatchInfo>>, RecordError> {
        let step = self.go_on();
        match &step {
            Err(_) => self.out.truncate(self.start),
            Ok(Poll::Ready(stays)) => {
                let stats = &mut *self.stats;
                stats.bytes_read += self.info.size as u64;
                stats.bytes_written += (self.out.len() - self.start) as u64;
                stats.records_read += self.info.record_count.unsigned_abs() as u64;
                if let Some(stays) = stays {
                    stats.records_written += stays.record_count.unsigned_abs() as u64;
                }
            }
            Ok(Poll::Pending) => {}
        }
        step
    }

    fn go_on(&mut self) -> Result<Poll<Option<BatchInfo>>, RecordError> {
        match &mut self.stage {
            Stage::WithoutRecords => Ok(Poll::Ready(self.without_records())),
            Stage::Verbatim => Ok(Poll::Ready(Some(self.verbatim()))),
            Stage::Selecting(open, records) => {
                let open = *open;
                let mut group = Group::new();
                for _ in 0..STEP_RECORDS {
                    let Some(next) = records.next_with_size() else {
                        break;
                    };
                    let (record, size) = next?;
                    let asked = !self.info.is_control() && open.offset_of(&record) < self.end;
                    let key = record.key.filter(|_| asked).map(|key| {
                        let key = self.map.hash(key);
                        self.map.fetch(key);
                        key
                    });
                    group.push((record, size, key));
                }
                if group.is_empty() {
                    return Ok(self.selected(open));
                }
                for (record, size, key) in group {
                    let stays = self.stays(&open, &record, key);
                    self.retained.add(&open, &record, size, stays);
                }
                Ok(Poll::Pending)
            }
            Stage::Writing(open, writing) => {
                let step = writing.step(self.retained, open, self.kept, self.out)?;
                Ok(step.map(Some))
            }
        }
    }

    fn stays(&mut self, open: &OpenBatch<'_>, record: &Record<'_>, key: Option<KeyHash>) -> bool {
        let offset = open.offset_of(record);
        if self.info.is_control() || offset >= self.end {
            return true;
        }
        let Some(key) = key else {
            self.stats.keyless += 1;
            return false;
        };
        let latest = self.map.get(key).is_none_or(|latest| offset >= latest);
        let forgotten = offset.0 % 8 == 0 && mutant::is(Mutant::ForgetNewest);
        let latest = latest && !forgotten;
        latest && (record.value.is_some() || !self.over)
    }

    /// It is known which records stay.
    fn selected(&mut self, open: OpenBatch<'a>) -> Poll<Option<BatchInfo>> {
        if self.retained.count() == 0 {
            return Poll::Ready(self.without_records());
        }
        let horizon = self.info.attributes.has_delete_horizon();
        let begins = self.retained.tombstones() || self.info.is_control() && self.free;
        let begins = begins && !horizon;
        if !begins && !self.retained.dropped() {
            return Poll::Ready(Some(self.verbatim()));
        }
        let Retention {
            now,
            delete_retention_ms,
        } = self.retention;
        let horizon = begins.then(|| Timestamp(now.0.saturating_add(delete_retention_ms)));
        let writing = self.retained.write(&open, horizon, self.kept, self.out);
        self.stage = Stage::Writing(open, writing);
        Poll::Pending
    }

    fn without_records(&mut self) -> Option<BatchInfo> {
        self.emptied.then(|| write_emptied(&self.info, self.out))
    }

    fn verbatim(&mut self) -> BatchInfo {
        self.out.extend_from_slice(&self.bytes[..self.info.size]);
        self.info
    }
}

/// Records with their sizes, and what the map knows their keys by, if it is to be asked.
type Group<'a> = SmallVec<[(Record<'a>, usize, Option<KeyHash>); STEP_RECORDS]>;
