//! What a partition remembers of its idempotent producers, so that a batch sent twice is stored
//! once and a gap is noticed.
//!
//! Per producer id: its epoch and the last five batches, the most that a client may have in
//! flight. [`Producers::check`] decides about a batch and changes nothing; [`Producers::applied`]
//! takes note of one that was appended (or is replayed from the log, which is how the state is
//! rebuilt). Between the two no other batch of the same partition may come.
//!
//! The table is bounded: ids unused for `producer.id.expiration.ms` are forgotten
//! ([`Producers::expire`]), and past the bound the longest unused are. A producer that was
//! forgotten starts anew, at any sequence, as in Kafka since 2.5.
//!
//! "Unused" is judged by the time of the append. Kafka judges by the batch's own timestamp and so
//! forgets a producer of old records between two of its batches; the snapshot file knows only
//! that timestamp.
//!
//! Open transactions are listed by their first offsets, which bounds the last stable offset; they
//! are never forgotten.
//!
//! Absent on purpose: I/O, clocks; whether the coordinator knows a transaction (KIP-890), which
//! whoever appends has asked before.
//!
//! Source: Kafka `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`, KIP-98.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::limits::{OPEN_TRANSACTIONS_PER_PARTITION_MAX, PRODUCERS_PER_PARTITION_MAX};
use crate::record::{BatchInfo, EndTransactionMarker, Origin};
use crate::types::{Epoch, Map, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

mod entry;
mod recent;
mod snapshot;

#[cfg(test)]
mod tests;

pub use entry::{BATCHES_KEPT, BatchMark, ProducerEntry};
pub use snapshot::SnapshotError;

/// What to do with a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    Append,
    /// It is stored already: answer as then.
    Duplicate(BatchMark),
    Refuse(ProducerError),
}

/// Why a producer's batch is refused. [`ProducerError::code`] is what the client is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ProducerError {
    #[error("producer {id} has epoch {known}, so epoch {epoch} is fenced")]
    FencedEpoch {
        id: ProducerId,
        epoch: ProducerEpoch,
        known: ProducerEpoch,
    },
    #[error("producer {id} sent sequence {sequence}, its last one here is {last}")]
    OutOfOrder {
        id: ProducerId,
        sequence: Sequence,
        last: Sequence,
    },
    #[error("producer {id} starts epoch {epoch} with sequence {sequence} instead of 0")]
    EpochStart {
        id: ProducerId,
        epoch: ProducerEpoch,
        sequence: Sequence,
    },
    #[error("producer {id} has a transaction open, so its batch must be transactional")]
    TransactionOpen { id: ProducerId },
    #[error("{open} transactions are open in this partition, as many as may be")]
    TooManyOpen { open: usize },
    #[error("coordinator epoch {epoch} of producer {id} is older than {known}")]
    FencedCoordinator {
        id: ProducerId,
        epoch: Epoch,
        known: Epoch,
    },
}

impl ProducerError {
    /// Kafka's error code (`org.apache.kafka.common.protocol.Errors`).
    pub const fn code(&self) -> i16 {
        match self {
            Self::OutOfOrder { .. } | Self::EpochStart { .. } => 45,
            Self::FencedEpoch { .. } => 47,
            Self::TransactionOpen { .. } => 48,
            Self::TooManyOpen { .. } => 51,
            Self::FencedCoordinator { .. } => 52,
        }
    }
}

/// The producers of one partition.
#[derive(Clone, Debug)]
pub struct Producers {
    entries: Map<ProducerId, ProducerEntry>,
    entries_max: usize,
    /// Producers with an open transaction, by its first offset.
    open: BTreeMap<Offset, ProducerId>,
}

impl Default for Producers {
    fn default() -> Self {
        Self::new()
    }
}

impl Producers {
    /// None yet; takes no memory.
    pub fn new() -> Self {
        Self::bounded(PRODUCERS_PER_PARTITION_MAX)
    }

    /// As [`new`](Self::new), for at most `entries_max` ids (at least 1).
    pub fn bounded(entries_max: usize) -> Self {
        Self {
            entries: Map::default(),
            entries_max: entries_max.clamp(1, PRODUCERS_PER_PARTITION_MAX),
            open: BTreeMap::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// In no order.
    pub fn entries(&self) -> impl Iterator<Item = &ProducerEntry> {
        self.entries.values()
    }

    pub fn get(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&id)
    }

    /// Open transactions by their first offsets, in order.
    pub fn open(&self) -> impl Iterator<Item = (Offset, ProducerId)> {
        self.open.iter().map(|(first, id)| (*first, *id))
    }

    /// The first offset of the oldest open transaction.
    pub fn first_open(&self) -> Option<Offset> {
        self.open.first_key_value().map(|(first, _)| *first)
    }

    /// Whether a transaction of this very epoch is open: then its partition needs no asking.
    pub fn is_open(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.get(id)
            .is_some_and(|entry| entry.transaction_first_offset.is_some() && entry.epoch == epoch)
    }

    /// In rising order of ids.
    pub fn sorted(&self) -> Vec<&ProducerEntry> {
        let mut all: Vec<_> = self.entries.values().collect();
        all.sort_unstable_by_key(|entry| entry.id);
        all
    }

    /// May this batch be appended? Changes nothing. Batches without a producer id always may.
    ///
    /// From a client the sequence is checked; what the node itself writes has none and is only
    /// fenced by epoch; what stands in a log is taken as it is.
    pub fn check(&self, batch: &BatchInfo, origin: Origin) -> Decision {
        if !batch.has_producer_id() || origin == Origin::Log {
            return Decision::Append;
        }
        let entry = self.entries.get(&batch.producer_id);
        if batch.is_transactional()
            && self.open.len() >= OPEN_TRANSACTIONS_PER_PARTITION_MAX
            && entry.is_none_or(|entry| entry.transaction_first_offset.is_none())
        {
            let open = self.open.len();
            return Decision::Refuse(ProducerError::TooManyOpen { open });
        }
        let Some(entry) = entry else {
            return Decision::Append;
        };
        if origin == Origin::Client
            && let Some(mark) = entry.find(batch)
        {
            return Decision::Duplicate(mark);
        }
        match entry.check(batch, origin) {
            Ok(()) => Decision::Append,
            Err(error) => Decision::Refuse(error),
        }
    }

    /// May this marker end the producer's transaction here? Changes nothing. From transaction
    /// `version` 2 on a marker has a greater epoch than what it ends; one that comes a second time
    /// is taken again.
    ///
    /// # Errors
    /// [`ProducerError::FencedEpoch`], [`ProducerError::FencedCoordinator`].
    pub fn check_marker(
        &self,
        batch: &BatchInfo,
        marker: EndTransactionMarker,
        version: i8,
    ) -> Result<(), ProducerError> {
        match self.entries.get(&batch.producer_id) {
            None => Ok(()),
            Some(entry) => entry.check_marker(batch, marker, version),
        }
    }

    /// Takes note of a data batch as it was stamped, appended at `now`, whatever
    /// [`check`](Self::check) would say. While replaying a log, `now` is the batch's own
    /// maximum timestamp. Control batches go to [`applied_marker`](Self::applied_marker).
    pub fn applied(&mut self, batch: &BatchInfo, now: Timestamp) {
        if batch.has_producer_id() && !batch.is_control() {
            let id = batch.producer_id;
            if self.entry(id, now).add(batch) {
                self.open.insert(batch.base_offset, id);
            }
        }
    }

    /// Takes note of a transaction marker. Gives the first offset of the transaction that it
    /// ended, if it had any batch here.
    pub fn applied_marker(
        &mut self,
        batch: &BatchInfo,
        marker: EndTransactionMarker,
        now: Timestamp,
    ) -> Option<Offset> {
        let first = self.entry(batch.producer_id, now).end(batch, marker)?;
        self.open.remove(&first);
        Some(first)
    }

    fn entry(&mut self, id: ProducerId, now: Timestamp) -> &mut ProducerEntry {
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&id) {
            self.evict();
        }
        let entry = self
            .entries
            .entry(id)
            .or_insert_with(|| ProducerEntry::new(id));
        entry.last_used = now;
        entry
    }

    /// Forgets the longest unused eighth at once, so that a flood of new ids costs each of them a
    /// constant amount. Those with an open transaction stay.
    fn evict(&mut self) {
        let idle = self.entries.values().filter(|entry| !entry.age().0);
        let mut ages: Vec<_> = idle.map(ProducerEntry::age).collect();
        if ages.is_empty() {
            return;
        }
        let count = (ages.len() / 8).max(1);
        let (_, &mut last, _) = ages.select_nth_unstable(count - 1);
        self.entries.retain(|_, entry| entry.age() > last);
    }

    /// Forgets the ids that were not used in the last `expiration_ms`
    /// (`producer.id.expiration.ms`), but for those with an open transaction.
    pub fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.entries.retain(|_, entry| {
            let unused_ms = now.0.saturating_sub(entry.last_used.0);
            entry.transaction_first_offset.is_some() || unused_ms < expiration_ms
        });
        if self.entries.is_empty() {
            self.entries = Map::default();
        }
    }

    pub fn clear(&mut self) {
        self.entries = Map::default();
        self.open.clear();
    }
}
