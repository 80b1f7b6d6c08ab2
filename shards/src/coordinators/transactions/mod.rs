//! The transaction coordinator's decisions, without I/O and without a clock.
//!
//! One [`TransactionsShard`] decides for the transactional ids of one `__transaction_state`
//! partition. An operation takes a request and the time and pushes [`Effects`]: replies to send,
//! states to make durable, ends of transactions to tell the partitions that took part. The caller
//! performs them, tells the end of each write ([`TransactionsShard::persisted`]) and of each
//! round of markers ([`TransactionsShard::marked`]), and calls [`TransactionsShard::tick`] when
//! [`TransactionsShard::next_deadline`] has passed.
//!
//! Semantics are those of Apache Kafka 4.3.1 (`TransactionCoordinator`, `TransactionMetadata`,
//! KIP-98, KIP-360, KIP-588, KIP-664, KIP-890).
//!
//! Invariants: a state is in force when it is durable, not before; while one is being written, or
//! markers are on their way, every other request about the id is told CONCURRENT_TRANSACTIONS, at
//! once or, if it wants to join and has time to wait, when that has passed; a
//! decision to commit or to abort is durable before the first marker is sent, and is carried out
//! after any crash; no epoch is given to two producers.
//!
//! Absent on purpose: where producer ids come from, how markers travel, the log.
//!
//! Deliberately different: time limits end a transaction when they have passed, not at the next of
//! a row of looks (`transaction.abort.timed.out.transaction.cleanup.interval.ms`).

pub mod codec;
mod complete;
mod deadlines;
mod describe;
mod effects;
mod end;
pub mod error;
mod init;
mod lifecycle;
mod partitions;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod transaction;

use std::collections::BTreeMap;

use odradek_engine::types::Epoch;

pub use describe::{Described, Filter, Listed};
pub use effects::{Effect, Effects, Markers, Reply};
pub use end::EndRequest;
pub use init::InitRequest;
pub use partitions::{JoinRequest, Member};
pub use settings::{LATEST_VERSION, Limits, Settings};
pub use state::State;
pub use transaction::{Partitions, Record, Transaction};

use super::effects::{Ticket, Token};
use deadlines::Deadlines;
use effects::Write;
use transaction::Entry;

/// The transactional ids of one coordinator partition.
#[derive(Debug, Default)]
pub struct TransactionsShard {
    settings: Settings,
    /// Of the partition's leader: what markers carry.
    coordinator_epoch: Epoch,
    /// The finalized `transaction.version`.
    version: i16,
    entries: BTreeMap<String, Entry>,
    deadlines: Deadlines,
    writes: BTreeMap<Token, Write>,
    last_token: u64,
}

impl TransactionsShard {
    /// Without transactions; [`replay`](Self::replay) what is stored, then say
    /// [`loaded`](Self::loaded).
    pub fn new(settings: Settings, coordinator_epoch: Epoch) -> Self {
        TransactionsShard {
            settings,
            coordinator_epoch,
            version: LATEST_VERSION,
            ..TransactionsShard::default()
        }
    }

    /// Goes by this `transaction.version` from now on.
    pub fn set_version(&mut self, version: i16) {
        self.version = version;
    }

    /// What is durable of a transactional id.
    pub fn transaction(&self, id: &str) -> Option<&Transaction> {
        self.entries.get(id).map(|entry| &entry.now)
    }

    /// Asks for a state to be made durable; it is in force afterwards.
    fn write(&mut self, id: &str, next: Transaction, write: Write, out: &mut Effects) {
        self.last_token += 1;
        let token = Token(self.last_token);
        let record = Record {
            id: id.to_owned(),
            state: Some(next.clone()),
            version: self.version,
        };
        if let Some(entry) = self.entries.get_mut(id) {
            entry.next = Some(next);
        }
        self.schedule(id);
        self.writes.insert(token, write);
        out.push(Effect::Persist {
            token,
            records: vec![record],
        });
    }

    fn has_room_to_write(&self) -> bool {
        self.writes.len() < self.settings.limits.writes_max
    }

    /// Sets the time at which something is to be done about an id by itself.
    fn schedule(&mut self, id: &str) {
        let at = self.entries.get(id).and_then(|entry| match entry.busy() {
            true => entry.joiners.iter().map(|one| one.request.until_ms).min(),
            false => entry.now.deadline(self.settings.id_expiration_ms),
        });
        self.deadlines.set(id, at);
    }

    fn reply(tickets: impl IntoIterator<Item = Ticket>, reply: Reply, out: &mut Effects) {
        for ticket in tickets {
            let reply = reply.clone();
            out.push(Effect::Reply { ticket, reply });
        }
    }
}
