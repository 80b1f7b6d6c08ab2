//! Partitions join a transaction: AddPartitionsToTxn, AddOffsetsToTxn, and implicitly the first
//! produce request to each (KIP-890). Or they are asked whether they are in it.

use odradek_engine::types::{ProducerEpoch, ProducerId};

use super::super::effects::Ticket;
use super::TransactionsShard;
use super::effects::{Effects, Kind, Reply, Write};
use super::error;
use super::transaction::{Entry, Partitions, Transaction, contains, count};

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

/// Who wants partitions to be part of the transaction.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    pub member: Member,
    pub partitions: Partitions,
    /// The transaction version that the request speaks.
    pub client_version: i16,
    /// Until when it waits for the end of what is in its way, milliseconds; 0: not at all.
    pub until_ms: i64,
}

/// One that waits, and where it is answered.
#[derive(Debug)]
pub(super) struct Joiner {
    pub request: JoinRequest,
    pub ticket: Ticket,
}

impl TransactionsShard {
    /// Answered when the partitions are durably part of the transaction, which begins with them if
    /// none was open.
    pub fn add(&mut self, request: JoinRequest, ticket: Ticket, now_ms: i64, out: &mut Effects) {
        let id = request.member.id.clone();
        let patient = now_ms < request.until_ms;
        let joiner = Joiner { request, ticket };
        if let Some(entry) = self
            .entries
            .get_mut(&id)
            .filter(|one| patient && one.busy())
        {
            entry.joiners.push(joiner);
            return self.schedule(&id);
        }
        self.add_all(&id, vec![joiner], now_ms, out);
    }

    /// Nothing is in the way of those any more who waited for it.
    pub(super) fn add_waiting(&mut self, id: &str, now_ms: i64, out: &mut Effects) {
        let idle = self.entries.get_mut(id).filter(|entry| !entry.busy());
        if let Some(entry) = idle.filter(|entry| !entry.joiners.is_empty()) {
            let joiners = std::mem::take(&mut entry.joiners);
            self.add_all(id, joiners, now_ms, out);
        }
    }

    /// Tells those whose time to wait is up.
    pub(super) fn send_away(entry: &mut Entry, now_ms: i64, out: &mut Effects) {
        entry.joiners.retain(|joiner| {
            let waits = now_ms < joiner.request.until_ms;
            if !waits {
                let code = error::CONCURRENT_TRANSACTIONS;
                Self::reply([joiner.ticket], Reply::Code(code), out);
            }
            waits
        });
    }

    /// All that may join do so by one write.
    pub(super) fn add_all(
        &mut self,
        id: &str,
        joiners: Vec<Joiner>,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let (mut next, mut tickets) = (None, Vec::new());
        for Joiner { request, ticket } in joiners {
            match self.decide_join(&request, next.as_ref(), now_ms) {
                Err(code) => Self::reply([ticket], Reply::Code(code), out),
                Ok(joined) => {
                    next = Some(joined);
                    tickets.push(ticket);
                }
            }
        }
        if let Some(next) = next {
            let write = Write {
                id: id.to_owned(),
                tickets,
                kind: Kind::Join,
            };
            self.write(id, next, write, out);
        }
    }

    /// `before`: the transaction with those who join by the same write.
    fn decide_join(
        &self,
        request: &JoinRequest,
        before: Option<&Transaction>,
        now_ms: i64,
    ) -> Result<Transaction, i16> {
        let (member, partitions) = (&request.member, &request.partitions);
        let entry = self.entry(member)?;
        // First of all: under version 2 the id and epoch may be those that come with it.
        if entry.busy() {
            return Err(error::CONCURRENT_TRANSACTIONS);
        }
        member.check(entry)?;
        let now = &entry.now;
        if now.state == super::State::Ongoing && contains(&now.partitions, partitions) {
            return Err(error::NONE);
        }
        let before = before.unwrap_or(now);
        let limits = &self.settings.limits;
        if count(&before.partitions).saturating_add(count(partitions)) > limits.partitions_max {
            return Err(error::INVALID_REQUEST);
        }
        if !self.has_room_to_write() {
            return Err(error::COORDINATOR_NOT_AVAILABLE);
        }
        Ok(before.joined(partitions, request.client_version, now_ms))
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
