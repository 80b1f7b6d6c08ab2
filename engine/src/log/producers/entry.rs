//! One producer id's state in one partition.

use super::{
    BatchInfo, EndTransactionMarker, Epoch, Offset, Origin, ProducerEpoch, ProducerError,
    ProducerId, Sequence, Timestamp,
};

/// Batches remembered per producer id: `max.in.flight.requests.per.connection` of an idempotent
/// producer is at most this.
pub const BATCHES_KEPT: usize = 5;

/// An appended batch, as far as it is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchMark {
    pub last_sequence: Sequence,
    pub last_offset: Offset,
    /// Last offset minus base offset, and last sequence minus first.
    pub offset_delta: i32,
    /// The batch's maximum timestamp: under append time, the time of the append.
    pub timestamp: Timestamp,
}

impl BatchMark {
    pub fn base_offset(&self) -> Offset {
        self.last_offset.plus(-i64::from(self.offset_delta))
    }

    pub fn base_sequence(&self) -> Sequence {
        self.last_sequence.decrement(self.offset_delta)
    }
}

/// What is remembered of a producer id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerEntry {
    pub(super) id: ProducerId,
    pub(super) epoch: ProducerEpoch,
    pub(super) coordinator_epoch: Epoch,
    /// The last batch's maximum timestamp: what a snapshot keeps.
    pub(super) last_timestamp: Timestamp,
    pub(super) last_used: Timestamp,
    pub(super) transaction_first_offset: Option<Offset>,
    /// Markers seen since it is known here; not kept in snapshots.
    pub(super) markers: u32,
    /// The oldest first; `None`s behind.
    pub(super) batches: [Option<BatchMark>; BATCHES_KEPT],
}

impl ProducerEntry {
    pub(super) fn new(id: ProducerId) -> Self {
        Self {
            id,
            epoch: ProducerEpoch::NONE,
            coordinator_epoch: Epoch::NONE,
            last_timestamp: Timestamp::NONE,
            last_used: Timestamp::NONE,
            transaction_first_offset: None,
            markers: 0,
            batches: [None; BATCHES_KEPT],
        }
    }

    pub fn id(&self) -> ProducerId {
        self.id
    }

    pub fn epoch(&self) -> ProducerEpoch {
        self.epoch
    }

    /// Of the coordinator that last ended a transaction; [`Epoch::NONE`] before.
    pub fn coordinator_epoch(&self) -> Epoch {
        self.coordinator_epoch
    }

    pub fn last_timestamp(&self) -> Timestamp {
        self.last_timestamp
    }

    /// The first offset of the open transaction.
    pub fn transaction_first_offset(&self) -> Option<Offset> {
        self.transaction_first_offset
    }

    /// How many markers ended, or would have ended, a transaction of it here: whoever asks the
    /// coordinator meanwhile sees by this whether the answer still holds. Begins at 0, wraps.
    pub fn markers(&self) -> u32 {
        self.markers
    }

    /// The oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = BatchMark> + Clone {
        self.batches.iter().copied().flatten()
    }

    pub fn last_batch(&self) -> Option<BatchMark> {
        self.batches().next_back()
    }

    /// [`Sequence::NONE`] when no batch of this epoch is remembered.
    pub fn last_sequence(&self) -> Sequence {
        self.last_batch()
            .map_or(Sequence::NONE, |mark| mark.last_sequence)
    }

    /// Orders the entries from the first to go to the last. Unique, so that an eviction takes
    /// exactly as many as it means to.
    pub(super) fn age(&self) -> (bool, Timestamp, ProducerId) {
        let in_transaction = self.transaction_first_offset.is_some();
        (in_transaction, self.last_used, self.id)
    }

    /// The remembered batch of the same epoch with exactly the same sequences.
    pub(super) fn find(&self, batch: &BatchInfo) -> Option<BatchMark> {
        if batch.producer_epoch != self.epoch {
            return None;
        }
        self.batches().find(|mark| {
            mark.last_sequence == batch.last_sequence()
                && mark.base_sequence() == batch.base_sequence
        })
    }

    pub(super) fn check(&self, batch: &BatchInfo, origin: Origin) -> Result<(), ProducerError> {
        self.check_epoch(batch)?;
        if origin == Origin::Client {
            self.check_sequence(batch)?;
        }
        if self.transaction_first_offset.is_some() && !batch.is_transactional() {
            return Err(ProducerError::TransactionOpen { id: self.id });
        }
        Ok(())
    }

    fn check_epoch(&self, batch: &BatchInfo) -> Result<(), ProducerError> {
        if batch.producer_epoch < self.epoch {
            return Err(ProducerError::FencedEpoch {
                id: self.id,
                epoch: batch.producer_epoch,
                known: self.epoch,
            });
        }
        Ok(())
    }

    fn check_sequence(&self, batch: &BatchInfo) -> Result<(), ProducerError> {
        let id = self.id;
        let sequence = batch.base_sequence;
        if batch.producer_epoch == self.epoch {
            let last = self.last_sequence();
            if !sequence.follows(last) {
                return Err(ProducerError::OutOfOrder { id, sequence, last });
            }
        } else if sequence != Sequence::ZERO && self.epoch != ProducerEpoch::NONE {
            let epoch = batch.producer_epoch;
            return Err(ProducerError::EpochStart {
                id,
                epoch,
                sequence,
            });
        }
        Ok(())
    }

    pub(super) fn check_marker(
        &self,
        batch: &BatchInfo,
        marker: EndTransactionMarker,
        version: i8,
    ) -> Result<(), ProducerError> {
        self.check_epoch(batch)?;
        let again = self.transaction_first_offset.is_none()
            || batch.producer_epoch == ProducerEpoch(i16::MAX);
        if version >= 2 && batch.producer_epoch == self.epoch && !again {
            return Err(ProducerError::FencedEpoch {
                id: self.id,
                epoch: batch.producer_epoch,
                known: self.epoch,
            });
        }
        if marker.coordinator_epoch < self.coordinator_epoch {
            return Err(ProducerError::FencedCoordinator {
                id: self.id,
                epoch: marker.coordinator_epoch,
                known: self.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// Whether a transaction began with it.
    pub(super) fn add(&mut self, batch: &BatchInfo) -> bool {
        self.enter(batch.producer_epoch);
        self.push(BatchMark {
            last_sequence: batch.last_sequence(),
            last_offset: batch.last_offset(),
            offset_delta: batch.last_offset_delta,
            timestamp: batch.max_timestamp,
        });
        self.last_timestamp = batch.max_timestamp;
        let begins = batch.is_transactional() && self.transaction_first_offset.is_none();
        if begins {
            self.transaction_first_offset = Some(batch.base_offset);
        }
        begins
    }

    pub(super) fn end(
        &mut self,
        batch: &BatchInfo,
        marker: EndTransactionMarker,
    ) -> Option<Offset> {
        self.enter(batch.producer_epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = batch.max_timestamp;
        self.markers = self.markers.wrapping_add(1);
        self.transaction_first_offset.take()
    }

    /// Another epoch's batches mean nothing in this one.
    fn enter(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches = [None; BATCHES_KEPT];
        }
    }

    /// Puts batches, the oldest first, before the only one that is known, of which they come before.
    /// Whether that can be.
    pub(super) fn precede<'a>(&mut self, earlier: impl Iterator<Item = &'a BatchMark>) -> bool {
        let last = self.last_batch();
        self.batches = [None; BATCHES_KEPT];
        let mut rising = true;
        for mark in earlier.copied().chain(last) {
            let before = self.last_batch();
            rising &= before.is_none_or(|before| before.last_offset < mark.base_offset());
            self.push(mark);
        }
        rising && (last.is_some() || self.last_batch().is_none())
    }

    pub(super) fn push(&mut self, mark: BatchMark) {
        let free = self.batches.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.batches.rotate_left(1);
            BATCHES_KEPT - 1
        });
        self.batches[slot] = Some(mark);
    }
}
