//! Transactions in a partition: their ends, and which of them a reader must leave out.

use odradek_engine::log::{Aborted, AbortedSearch, Appended};
use odradek_engine::record::{BatchBuilder, EndTransactionMarker, Rules, validate};
use odradek_engine::types::{
    Offset, ProducerEpoch, ProducerId, Sequence, Timestamp, TransactionEnd,
};

use super::side_files::read_aborted;
use super::{Partition, Read, ReadError};

/// Lists of aborted transactions that stay in memory, of closed segments.
const LISTS_KEPT: usize = 3;

/// Why a transaction's end was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmarked {
    /// Another epoch of the producer, or of the coordinator, has come first: a Kafka error code.
    #[error("it is fenced: {0}")]
    Fenced(i16),
    #[error("{0}")]
    Storage(String),
}

impl Partition {
    /// Writes the marker that ends a transaction here; the offset after it, to be waited for.
    pub fn end_transaction(&self, end: TransactionEnd, now: Timestamp) -> Result<Offset, Unmarked> {
        let storage = |error: &dyn std::fmt::Display| Unmarked::Storage(error.to_string());
        let marker = EndTransactionMarker {
            commit: end.commit,
            coordinator_epoch: end.coordinator_epoch,
        };
        let mut builder = BatchBuilder::new().transactional().control().producer(
            end.producer_id,
            end.producer_epoch,
            Sequence::NONE,
        );
        builder
            .append_marker(now, marker)
            .map_err(|error| storage(&error))?;
        let bytes = builder.build().map_err(|error| storage(&error))?;
        let info = validate(&bytes, &Rules::NODE).map_err(|error| storage(&error))?;
        let mut state = self.state.borrow_mut();
        self.check(&state).map_err(|error| storage(&error))?;
        let epoch = state.epoch;
        let appended = state
            .log
            .append_marker(&bytes, &info, marker, end.version, epoch, now)
            .map_err(|error| storage(&error))?;
        match appended {
            Appended::Stored(stored) => {
                self.account(&mut state);
                self.enliven(&mut state);
                self.kick(&mut state);
                Ok(stored.next_offset())
            }
            Appended::Refused(error) => Err(Unmarked::Fenced(error.code())),
            Appended::Duplicate(_) => unreachable!("markers have no sequence"),
        }
    }

    /// The aborted transactions with records in what was read from `from` on: who reads committed
    /// records only must leave them out.
    pub async fn aborted(&self, from: Offset, read: &Read) -> Result<Vec<Aborted>, ReadError> {
        let Some(reach) = read.reach else {
            return Ok(Vec::new());
        };
        let to = reach.min(read.stable);
        let mut generation = self.generation();
        let mut search = AbortedSearch::new(from, to);
        loop {
            let (segment, exchange) = {
                let state = self.state.borrow();
                self.check_read(&state)?;
                if state.generation() != generation {
                    // Compaction has put segments together: a list may be another's part now. What
                    // it took out is of no record that was read.
                    generation = state.generation();
                    search = AbortedSearch::new(from, to);
                }
                let segment = state.log.search_aborted(&mut search);
                (
                    segment,
                    segment.and_then(|segment| state.exchanging(segment)),
                )
            };
            let Some(segment) = segment else {
                return Ok(search.finish());
            };
            if let Some(exchange) = exchange {
                exchange.passed().await;
                continue;
            }
            let read = read_aborted(self.io(), &self.directory, segment).await?;
            if self.exchanged(generation) || self.state.borrow().exchanging(segment).is_some() {
                continue;
            }
            let gone = self.with_log(|log| log.log_start() > segment);
            let all = match read {
                Some(all) => all,
                None if gone => Vec::new(),
                None => {
                    self.ground.troubles.log(self.io(), || {
                        tracing::error!(
                            partition = %self.name,
                            "the .txnindex of segment {} is damaged: readers of committed records \
                             do not get past it",
                            segment.0
                        );
                    });
                    return Err(ReadError::Damaged {
                        segment: segment.0,
                        pos: 0,
                    });
                }
            };
            search.take(segment, &all);
            self.state
                .borrow_mut()
                .log
                .set_aborted(segment, all, LISTS_KEPT);
        }
    }

    /// Whether this producer has a transaction of this epoch open here; and how many markers of it
    /// were seen, by which a later look tells whether one came in between.
    pub fn transaction_of(&self, id: ProducerId, epoch: ProducerEpoch) -> (bool, u32) {
        self.with_log(|log| {
            let producers = log.producers();
            let markers = producers.get(id).map_or(0, |entry| entry.markers());
            (producers.is_open(id, epoch), markers)
        })
    }

    /// Whether a marker or a batch of a later epoch of this producer has come: its transaction is over, be it
    /// that its time was, or that another one of its id has begun.
    pub fn is_fenced(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.with_log(|log| {
            let entry = log.producers().get(id);
            entry.is_some_and(|entry| entry.epoch() > epoch)
        })
    }
}
