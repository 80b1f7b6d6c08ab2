//! Partitions join a transaction: AddPartitionsToTxn, AddOffsetsToTxn, and implicitly the first
//! produce request to each (KIP-890). Or they are asked whether they are in it.

use odradek_engine::types::{ProducerEpoch, ProducerId};

use super::super::effects::Ticket;
use super::TransactionsShard;
use super::effects::{Effects, Kind, Reply, Write};
use super::error;
use super::transaction::{Entry, Partitions, contains, count};

/// Who says that it is in the transaction.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: String,
    pub producer_id: ProducerId,
    pub epoch: ProducerEpoch,
}

impl Member {
    fn check(&self, entry: &Entry) -> Result<(), i16> {
        if entry.now.producer_id != self.producer_id {
            return Err(error::INVALID_PRODUCER_ID_MAPPING);
        }
        if entry.now.epoch != self.epoch {
            return Err(error::PRODUCER_FENCED);
        }
        Ok(())
    }
}

impl TransactionsShard {
    /// Answered when the partitions are durably part of the transaction, which begins with them if
    /// none was open. `client_version`: the transaction version that the request speaks.
    pub fn add(
        &mut self,
        member: &Member,
        partitions: &Partitions,
        client_version: i16,
        ticket: Ticket,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let next = self.entry(member).and_then(|entry| {
            // First of all: under version 2 the id and epoch may be those that come with it.
            if entry.busy() {
                return Err(error::CONCURRENT_TRANSACTIONS);
            }
            member.check(entry)?;
            let now = &entry.now;
            if now.state == super::State::Ongoing && contains(&now.partitions, partitions) {
                return Err(error::NONE);
            }
            let limits = &self.settings.limits;
            if count(&now.partitions).saturating_add(count(partitions)) > limits.partitions_max {
                return Err(error::INVALID_REQUEST);
            }
            if !self.has_room_to_write() {
                return Err(error::COORDINATOR_NOT_AVAILABLE);
            }
            Ok(now.joined(partitions, client_version, now_ms))
        });
        match next {
            Err(code) => Self::reply(Some(ticket), Reply::Code(code), out),
            Ok(next) => {
                let write = Write {
                    id: member.id.clone(),
                    ticket: Some(ticket),
                    kind: Kind::Join,
                };
                self.write(&member.id, next, write, out);
            }
        }
    }

    /// Whether partitions are in the open transaction: for each an error code, or one for all.
    ///
    /// What is being written does not count: whoever appends looks once more.
    pub fn verify(&self, member: &Member, partitions: &[(String, i32)]) -> Result<Vec<i16>, i16> {
        let entry = self.entry(member)?;
        member.check(entry)?;
        if entry.now.state.is_prepared() {
            return Err(error::CONCURRENT_TRANSACTIONS);
        }
        let known = &entry.now.partitions;
        let verified = partitions.iter().map(|(topic, index)| {
            let known = known.get(topic);
            match known.is_some_and(|known| known.contains(index)) {
                true => error::NONE,
                false => error::TRANSACTION_ABORTABLE,
            }
        });
        Ok(verified.collect())
    }

    fn entry(&self, member: &Member) -> Result<&Entry, i16> {
        if member.id.is_empty() {
            return Err(error::INVALID_REQUEST);
        }
        let entry = self.entries.get(&member.id);
        entry.ok_or(error::INVALID_PRODUCER_ID_MAPPING)
    }
}
