//! TxnOffsetCommit: how far a group has come, as part of a transaction (KIP-98, KIP-447); in force
//! when that commits.
//!
//! Source: Kafka `KafkaApis.handleTxnOffsetCommitRequest`.

use std::ops::RangeInclusive;

use odradek_wire::txn_offset_commit::TxnOffsetCommitRequest;
use odradek_wire::{ErrorCode, Message};

use super::transactions::{ASKED_MAX, Joining, join, member};
use super::{Call, Outcome, Refusal, groups};
use crate::coordinators::OFFSETS_TOPIC;
use crate::coordinators::groups::codec::{self, TopicRef};
use crate::coordinators::groups::{CommitReply, CommitRequest, Producer, Reply, error};
use odradek_engine::types::{ProducerEpoch, ProducerId};

pub(super) const KEY: i16 = TxnOffsetCommitRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    TxnOffsetCommitRequest::MIN_VERSION..=TxnOffsetCommitRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// First version that knows COORDINATOR_LOAD_IN_PROGRESS.
const LOADING: i16 = 2;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: TxnOffsetCommitRequest<'_> = call.decode()?;
    let image = call.broker.image();
    let commit = codec::txn_commit_request(&request, |topic| {
        let TopicRef::Name(name) = topic else {
            return Err(error::UNKNOWN_TOPIC_ID);
        };
        let topic = image.topic(name).ok_or(error::UNKNOWN_TOPIC_OR_PARTITION)?;
        Ok(codec::Topic {
            name: topic.name.to_string(),
            partitions: topic.partitions.len() as i32,
        })
    });
    let reply = write(&call, &request, commit).await?;
    call.reply(&codec::txn_commit_response(&reply))
}

/// Clients before version 2 take COORDINATOR_LOAD_IN_PROGRESS for the end of everything.
///
/// Source: Kafka `KafkaApis.handleTxnOffsetCommitRequest`, KAFKA-7296.
fn told(code: i16, version: i16) -> i16 {
    match code == ErrorCode::CoordinatorLoadInProgress.code() && version < LOADING {
        true => error::COORDINATOR_NOT_AVAILABLE,
        false => code,
    }
}

async fn write(
    call: &Call<'_>,
    request: &TxnOffsetCommitRequest<'_>,
    commit: CommitRequest,
) -> Result<CommitReply, Refusal> {
    let broker = call.broker;
    if commit.group_id.is_empty() {
        return Ok(commit.failed(error::INVALID_GROUP_ID));
    }
    if request.transactional_id.is_empty() || request.producer_id < 0 || request.producer_epoch < 0
    {
        return Ok(commit.failed(error::INVALID_REQUEST));
    }
    let failed = |commit: &CommitRequest, code| commit.failed(told(code, call.version));
    let host = match broker.groups.serving(&commit.group_id).await {
        Ok(host) => host,
        Err(code) => return Ok(failed(&commit, code)),
    };
    let (id, epoch) = (
        ProducerId(request.producer_id),
        ProducerEpoch(request.producer_epoch),
    );
    let look = || host.partition().transaction_of(id, epoch);
    let mut known = look();
    let mut left = ASKED_MAX;
    while !known.0 {
        let member = member(request.transactional_id, id.0, epoch.0);
        let place = vec![(OFFSETS_TOPIC.to_owned(), host.partition().name().index)];
        let joining = Joining::of_offsets(call.version);
        let codes = join(broker, joining, member, place).await;
        if let Some(code) = codes.into_iter().find(|code| *code != error::NONE) {
            return Ok(failed(&commit, code));
        }
        left -= 1;
        let now = look();
        if now == known || left == 0 {
            // What the coordinator was not asked about is to come again, says who writes it.
            break;
        }
        known = now;
    }
    let markers = known.1;
    let producer = Producer { id, epoch, markers };
    let answer = host.question(|shard, ticket, now, out| {
        shard.commit_open(commit, producer, ticket, now, out);
    });
    match answer.await {
        Ok(Reply::Commit(reply)) => Ok(reply),
        _ => Err(groups::GONE),
    }
}
