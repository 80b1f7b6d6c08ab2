//! OffsetForLeaderEpoch: where an epoch ends, so that a client finds out whether its log was cut.
//!
//! Source: KIP-320, Kafka `ReplicaManager.lastOffsetForLeaderEpoch`.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_engine::types::Epoch;
use odradek_wire::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal, fetch, topics};
use crate::catalog::Topic;

pub(super) const KEY: i16 = 23;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    OffsetForLeaderEpochRequest::MIN_VERSION..=OffsetForLeaderEpochRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: OffsetForLeaderEpochRequest<'_> = call.decode()?;
    let image = call.broker.image();
    let mut answers = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let topic = image.topic(asked.topic);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        if let Some(topic) = topic {
            let wanted = asked.partitions.iter();
            let wanted = wanted.map(|partition| (topic.clone(), partition.partition));
            call.broker.holdings.open_all(wanted).await;
        }
        for partition in &asked.partitions {
            partitions.push(match topic {
                Some(topic) => one(call.broker, topic, partition).await,
                None => failed(partition, ErrorCode::UnknownTopicOrPartition),
            });
        }
        answers.push(OffsetForLeaderTopicResult {
            topic: asked.topic,
            partitions,
        });
    }
    call.reply(&OffsetForLeaderEpochResponse {
        topics: answers,
        ..OffsetForLeaderEpochResponse::default()
    })
}

fn failed(asked: &OffsetForLeaderPartition, error: ErrorCode) -> EpochEndOffset {
    EpochEndOffset {
        error_code: error.code(),
        partition: asked.partition,
        leader_epoch: -1,
        end_offset: -1,
    }
}

async fn one(
    broker: &Rc<Broker>,
    topic: &Topic,
    asked: &OffsetForLeaderPartition,
) -> EpochEndOffset {
    let hosted = match broker.hosted(topic, asked.partition).await {
        Ok(hosted) => hosted,
        Err(error) => return failed(asked, topics::unhosted(error)),
    };
    let error = fetch::epoch_error(&hosted, asked.current_leader_epoch);
    if error != ErrorCode::None {
        return failed(asked, error);
    }
    let end = hosted.partition.with_log(|log| {
        let epoch = Epoch(asked.leader_epoch);
        log.epochs().end_offset_for(epoch, log.next())
    });
    EpochEndOffset {
        leader_epoch: end.epoch.0,
        end_offset: end.end_offset.0,
        ..failed(asked, ErrorCode::None)
    }
}
