//! One transactional id: its producer, and its transaction.
//!
//! Each function gives the state that follows; none of them changes anything. Source: Kafka
//! `TransactionMetadata.prepare…`.

use std::collections::{BTreeMap, BTreeSet};

use odradek_engine::types::{ProducerEpoch, ProducerId};

use super::error;
use super::partitions::Joiner;
use super::state::State;

/// Topics' partitions.
pub type Partitions = BTreeMap<String, BTreeSet<i32>>;

/// No time.
const NONE_MS: i64 = -1;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub producer_id: ProducerId,
    /// The one before the last change.
    pub previous_id: ProducerId,
    /// The one that takes over when this transaction is complete; its epochs are used up.
    pub next_id: ProducerId,
    pub epoch: ProducerEpoch,
    /// The one before it was raised: who asks again states it. Not stored.
    pub last_epoch: ProducerEpoch,
    pub timeout_ms: i32,
    pub state: State,
    pub partitions: Partitions,
    pub start_ms: i64,
    pub update_ms: i64,
    /// The transaction version by which it is ended.
    pub client_version: i16,
}

/// A record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub id: String,
    /// `None`: the id is forgotten.
    pub state: Option<Transaction>,
    /// The `transaction.version` by whose format it is written.
    pub version: i16,
}

/// An id as the coordinator holds it.
#[derive(Debug)]
pub(super) struct Entry {
    /// What is durable.
    pub now: Transaction,
    /// What is being written.
    pub next: Option<Transaction>,
    /// Who waits for the end of what is in its way; none unless [`busy`](Self::busy).
    pub joiners: Vec<Joiner>,
}

impl Entry {
    /// With nothing on its way.
    pub fn new(now: Transaction) -> Self {
        Entry {
            now,
            next: None,
            joiners: Vec::new(),
        }
    }

    /// Whether something has begun that must end before anything else begins.
    pub fn busy(&self) -> bool {
        self.next.is_some() || self.now.state.is_prepared()
    }
}

/// The next epoch; the last one stays.
fn raised(epoch: ProducerEpoch) -> ProducerEpoch {
    ProducerEpoch(epoch.0.saturating_add(1))
}

/// Whether this is the last epoch that a client is ever given.
pub(super) fn is_exhausted(epoch: ProducerEpoch) -> bool {
    epoch.0 >= i16::MAX - 1
}

impl Transaction {
    /// An id that nobody has used.
    pub(super) fn new(producer_id: ProducerId, timeout_ms: i32, now_ms: i64) -> Self {
        Transaction {
            producer_id,
            previous_id: ProducerId::NONE,
            next_id: ProducerId::NONE,
            epoch: ProducerEpoch::NONE,
            last_epoch: ProducerEpoch::NONE,
            timeout_ms,
            state: State::Empty,
            partitions: Partitions::new(),
            start_ms: NONE_MS,
            update_ms: now_ms,
            client_version: 0,
        }
    }

    /// What every change has in common.
    fn step(&self, state: State, now_ms: i64) -> Transaction {
        assert!(
            self.state.may_become(state),
            "a transaction cannot go from {:?} to {state:?}",
            self.state
        );
        Transaction {
            previous_id: self.producer_id,
            state,
            update_ms: now_ms,
            ..self.clone()
        }
    }

    /// A producer begins, or begins again: its epoch rises, so that all before it is fenced.
    ///
    /// # Errors
    /// PRODUCER_FENCED: it is not the one that it says it was.
    pub(super) fn incremented(
        &self,
        timeout_ms: i32,
        expected: Option<ProducerEpoch>,
        now_ms: i64,
    ) -> Result<Transaction, i16> {
        let raised = raised(self.epoch);
        let (epoch, last_epoch) = match expected {
            None => (raised, ProducerEpoch::NONE),
            Some(expected) if self.epoch == ProducerEpoch::NONE || expected == self.epoch => {
                (raised, self.epoch)
            }
            // It asks again.
            Some(expected) if expected == self.last_epoch => (self.epoch, self.last_epoch),
            Some(_) => return Err(error::PRODUCER_FENCED),
        };
        Ok(Transaction {
            epoch,
            last_epoch,
            ..self.emptied(timeout_ms, now_ms)
        })
    }

    /// The same under a new id, because the epochs of the old one are used up.
    pub(super) fn rotated(
        &self,
        id: ProducerId,
        timeout_ms: i32,
        keeps_last: bool,
        now_ms: i64,
    ) -> Transaction {
        Transaction {
            producer_id: id,
            epoch: ProducerEpoch(0),
            last_epoch: match keeps_last {
                true => self.epoch,
                false => ProducerEpoch::NONE,
            },
            ..self.emptied(timeout_ms, now_ms)
        }
    }

    fn emptied(&self, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction {
            timeout_ms,
            partitions: Partitions::new(),
            start_ms: NONE_MS,
            ..self.step(State::Empty, now_ms)
        }
    }

    /// With more partitions; begins if it has not.
    pub(super) fn joined(
        &self,
        more: &Partitions,
        client_version: i16,
        now_ms: i64,
    ) -> Transaction {
        let mut next = self.step(State::Ongoing, now_ms);
        if self.state.is_settled() {
            next.start_ms = now_ms;
        }
        for (topic, partitions) in more {
            let known = next.partitions.entry(topic.clone()).or_default();
            known.extend(partitions);
        }
        next.client_version = client_version;
        next
    }

    /// The decision. From transaction version 2 on the epoch rises; `next_id` is the id to go on by
    /// if epochs are used up.
    pub(super) fn prepared(
        &self,
        commit: bool,
        client_version: i16,
        next_id: ProducerId,
        now_ms: i64,
    ) -> Transaction {
        let state = match commit {
            true => State::PrepareCommit,
            false => State::PrepareAbort,
        };
        let mut next = self.step(state, now_ms);
        if client_version >= 2 {
            next.epoch = raised(self.epoch);
            next.last_epoch = self.epoch;
        }
        if self.state.is_settled() {
            // Nothing was written in it; a start is asked for all the same.
            next.start_ms = now_ms;
        }
        next.next_id = next_id;
        next.client_version = client_version;
        next
    }

    /// The abort by the coordinator itself: its producer is fenced, by the rise that is part of every
    /// end since version 2, or by one of its own (KAFKA-19367).
    pub(super) fn fenced(&self, version: i16, now_ms: i64) -> Transaction {
        let mut fenced = self.prepared(false, version, ProducerId::NONE, now_ms);
        if version < 2 {
            fenced.epoch = raised(self.epoch);
            fenced.last_epoch = ProducerEpoch::NONE;
        }
        fenced
    }

    /// All partitions have their markers.
    pub(super) fn completed(&self, now_ms: i64) -> Transaction {
        let state = match self.state {
            State::PrepareCommit => State::CompleteCommit,
            _ => State::CompleteAbort,
        };
        let mut next = self.step(state, now_ms);
        if self.client_version >= 2 && self.next_id != ProducerId::NONE {
            (next.producer_id, next.epoch) = (self.next_id, ProducerEpoch(0));
        }
        next.next_id = ProducerId::NONE;
        next.partitions = Partitions::new();
        next
    }

    /// When something is to be done about it by itself, milliseconds: the transaction times out, or
    /// the id has not been used for `expiration_ms`.
    pub(super) fn deadline(&self, expiration_ms: i64) -> Option<i64> {
        match self.state {
            State::Ongoing => {
                let after = i64::from(self.timeout_ms) + 1;
                Some(self.start_ms.saturating_add(after))
            }
            state if state.is_settled() => Some(self.update_ms.saturating_add(expiration_ms)),
            _ => None,
        }
    }
}

/// How many partitions there are.
pub(super) fn count(partitions: &Partitions) -> usize {
    partitions.values().map(BTreeSet::len).sum()
}

/// Whether all of these are among those.
pub(super) fn contains(all: &Partitions, some: &Partitions) -> bool {
    some.iter().all(|(topic, partitions)| {
        all.get(topic)
            .is_some_and(|known| partitions.is_subset(known))
    })
}
