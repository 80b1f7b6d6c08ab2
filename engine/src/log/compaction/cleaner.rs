//! The second half of a cleaning: what stays of each batch.
//!
//! Source: Kafka `Cleaner.cleanInto`, `shouldRetainRecord`, `shouldDiscardBatch`;
//! `MemoryRecords.filterTo`.

use super::index::control_kind;
use super::{KeyMap, Transactions};
use crate::log::Aborted;
use crate::mutant::{self, Mutant};
use crate::record::{
    BatchInfo, CompressionTarget, OpenBatch, RecordError, Retained, write_emptied,
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
    looked_at: usize,
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
            looked_at: 0,
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

    /// Bytes of the last batch's records as they are when opened, if they were.
    pub fn looked_at(&self) -> usize {
        self.looked_at
    }

    /// See [`Transactions::take_kept`].
    pub fn take_kept_aborted(&mut self) -> Vec<Aborted> {
        self.transactions.take_kept()
    }

    /// The next batch of the log, checked, as [`validate`](crate::record::validate()) gave it:
    /// appends what stays of it to `out`, and gives that batch, if any stays. `last`: it is the last
    /// of its segments, and stays without records if need be, so that their end is told.
    ///
    /// # Errors
    /// The batch's, when it cannot be opened; `out` is as before.
    pub fn batch(
        &mut self,
        bytes: &[u8],
        info: &BatchInfo,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<BatchInfo>, RecordError> {
        let start = out.len();
        self.looked_at = 0;
        let stays = self.decide(bytes, info, last, out);
        if stays.is_err() {
            out.truncate(start);
        }
        let stats = &mut self.stats;
        stats.bytes_read += info.size as u64;
        stats.bytes_written += (out.len() - start) as u64;
        stats.records_read += info.record_count.unsigned_abs() as u64;
        if let Ok(Some(stays)) = &stays {
            stats.records_written += stays.record_count.unsigned_abs() as u64;
        }
        stays
    }

    fn decide(
        &mut self,
        bytes: &[u8],
        info: &BatchInfo,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<Option<BatchInfo>, RecordError> {
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
        let without_records = |out: &mut Vec<u8>| Ok(emptied.then(|| write_emptied(info, out)));
        if free && (!marker || over) || info.record_count == 0 {
            return without_records(out);
        }
        if info.base_offset >= self.end && !marker {
            return Ok(Some(verbatim(bytes, info, out)));
        }
        let open = OpenBatch::open(bytes, *info, &mut self.opened)?;
        self.looked_at = open.records_bytes();
        let (map, end, keyless) = (&self.map, self.end, &mut self.stats.keyless);
        self.retained.select(&open, |record| {
            let offset = open.offset_of(record);
            if marker || offset >= end {
                return true;
            }
            let Some(key) = record.key else {
                *keyless += 1;
                return false;
            };
            let latest = map.get(key).is_none_or(|latest| offset >= latest);
            let forgotten = offset.0 % 8 == 0 && mutant::is(Mutant::ForgetNewest);
            let latest = latest && !forgotten;
            latest && (record.value.is_some() || !over)
        })?;
        if self.retained.count() == 0 {
            return without_records(out);
        }
        let begins = (self.retained.tombstones() || marker && free) && !horizon;
        if !begins && !self.retained.dropped() {
            return Ok(Some(verbatim(bytes, info, out)));
        }
        let Retention {
            now,
            delete_retention_ms,
        } = self.retention;
        let horizon = begins.then(|| Timestamp(now.0.saturating_add(delete_retention_ms)));
        self.retained
            .write(&open, horizon, &mut self.kept, out)
            .map(Some)
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

fn verbatim(bytes: &[u8], info: &BatchInfo, out: &mut Vec<u8>) -> BatchInfo {
    out.extend_from_slice(&bytes[..info.size]);
    *info
}
