//! TxnOffsetCommit, and the end of the transaction that it belongs to (KIP-98, KIP-447).
//!
//! The records are durable like any other's when the commit is answered; they are in force when
//! the transaction's commit marker is. Until then a read of stable offsets is told
//! UNSTABLE_OFFSET_COMMIT.
//!
//! Source: Kafka `OffsetMetadataManager.commitTransactionalOffset`, `replayEndTransactionMarker`.

use odradek_engine::types::{ProducerId, TransactionEnd};

use super::GroupsShard;
use super::commit::CommitRequest;
use super::effects::{Effect, Effects, Producer, Reply, Ticket};
use super::error;
use super::group::ClassicGroup;
use super::records::{CommittedOffset, Record};
use super::state::State;
use super::writes::Write;

impl GroupsShard {
    /// Answered when every offset in it is durable.
    pub fn commit_open(
        &mut self,
        request: CommitRequest,
        producer: Producer,
        ticket: Ticket,
        now_ms: i64,
        out: &mut Effects,
    ) {
        if let Err(code) = self.validate_open(&request) {
            let reply = Reply::Commit(request.failed(code));
            return out.push(Effect::Reply { ticket, reply });
        }
        let group = request.group_id.clone();
        let (reply, offsets) = self.accept(request, now_ms);
        if offsets.is_empty() {
            let reply = Reply::Commit(reply);
            return out.push(Effect::Reply { ticket, reply });
        }
        let records = offsets
            .iter()
            .map(|(topic, partition, value)| Record::OffsetCommit {
                group_id: group.clone(),
                topic: topic.clone(),
                partition: *partition,
                value: value.clone(),
            })
            .collect();
        let token = self.writes.begin(Write::CommitOpen {
            ticket,
            group: group.clone(),
            producer: producer.id,
            offsets: offsets.clone(),
            reply,
        });
        self.offsets.begin(&group, token, &offsets);
        out.push(Effect::PersistOpen {
            token,
            producer,
            records,
        });
    }

    fn validate_open(&self, request: &CommitRequest) -> Result<(), i16> {
        if request.group_id.is_empty() {
            return Err(error::INVALID_GROUP_ID);
        }
        self.check_group_id(&request.group_id)?;
        let limits = &self.settings.limits;
        if self.writes.pending.len() >= limits.writes_max {
            return Err(error::COORDINATOR_NOT_AVAILABLE);
        }
        match self.groups.get(&request.group_id) {
            Some(group) => validate_member(group, request),
            None if request.generation >= 0 => Err(error::ILLEGAL_GENERATION),
            None if self.groups.len() >= limits.groups_max => Err(error::COORDINATOR_NOT_AVAILABLE),
            None => Ok(()),
        }
    }

    /// The offsets are in the log.
    pub(super) fn open_written(
        &mut self,
        group: &str,
        producer: ProducerId,
        offsets: Vec<(String, i32, CommittedOffset)>,
        now_ms: i64,
    ) {
        if !self.groups.contains_key(group) {
            let simple = ClassicGroup::new(group, now_ms);
            self.groups.insert(group.to_owned(), simple);
        }
        for (topic, partition, value) in offsets {
            let key = (group.to_owned(), topic.clone(), partition);
            if self.open_offsets.put(producer, key, value) {
                self.offsets.end_one(group, &topic, partition);
            }
        }
    }

    /// Writes the marker that ends a producer's transaction in this partition. Answered when it is
    /// durable, and what the transaction committed in force.
    pub fn end_transaction(&mut self, end: TransactionEnd, ticket: Ticket, out: &mut Effects) {
        let token = self.writes.begin(Write::End { ticket, end });
        out.push(Effect::End { token, end });
    }

    /// The marker is in the log.
    pub fn transaction_ended(&mut self, producer: ProducerId, commit: bool) {
        for mut ended in self.open_offsets.end(producer) {
            let value = ended.value.take().filter(|_| commit);
            if let Some(value) = value {
                self.open_offsets.committed(&ended);
                let (group, topic, partition) = &ended.key;
                self.offsets.put(group, topic, *partition, value);
            }
            let (group, topic, partition) = &ended.key;
            self.offsets.end_one(group, topic, *partition);
        }
    }

    /// Folds in a record of a transaction that may yet be open.
    pub fn replay_open(&mut self, producer: ProducerId, record: Record) {
        match record {
            Record::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => {
                let written_ms = value.commit_timestamp_ms;
                let offsets = vec![(topic, partition, value)];
                let token = self.writes.last();
                self.offsets.begin(&group_id, token, &offsets);
                self.open_written(&group_id, producer, offsets, written_ms);
            }
            // Nobody writes others so; they are taken as they are.
            other => self.replay(other),
        }
    }
}

/// A producer need not say which member it works for; if it does, that must be true.
fn validate_member(group: &ClassicGroup, request: &CommitRequest) -> Result<(), i16> {
    if group.state() == State::Dead {
        return Err(error::COORDINATOR_NOT_AVAILABLE);
    }
    if request.generation < 0 && group.state() == State::Empty {
        return Ok(());
    }
    let claims_membership =
        request.generation >= 0 || !request.member_id.is_empty() || request.instance_id.is_some();
    if !claims_membership {
        return Ok(());
    }
    group.validate_member(&request.member_id, request.instance_id.as_deref())?;
    match request.generation == group.generation {
        true => Ok(()),
        false => Err(error::ILLEGAL_GENERATION),
    }
}
