//! DescribeProducers: who writes idempotently to this shard's partitions.
//!
//! Source: Kafka `ReplicaManager.activeProducerState`, KIP-664.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_wire::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, PartitionResponse, ProducerState,
    TopicResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal, topics};
use crate::catalog::Topic;

pub(super) const KEY: i16 = 61;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeProducersRequest::MIN_VERSION..=DescribeProducersRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeProducersRequest<'_> = call.decode()?;
    let image = call.broker.image();
    let mut answers = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let topic = image.topic(asked.name);
        let mut partitions = Vec::with_capacity(asked.partition_indexes.len());
        for index in &asked.partition_indexes {
            let producers = match topic {
                Some(topic) => producers(call.broker, topic, *index).await,
                None => Err(ErrorCode::UnknownTopicOrPartition),
            };
            let error = producers.as_ref().err().copied().unwrap_or(ErrorCode::None);
            partitions.push(PartitionResponse {
                partition_index: *index,
                error_code: error.code(),
                error_message: None,
                active_producers: producers.unwrap_or_default(),
            });
        }
        answers.push(TopicResponse {
            name: asked.name,
            partitions,
        });
    }
    call.reply(&DescribeProducersResponse {
        throttle_time_ms: 0,
        topics: answers,
    })
}

async fn producers(
    broker: &Rc<Broker>,
    topic: &Topic,
    index: i32,
) -> Result<Vec<ProducerState>, ErrorCode> {
    let hosted = broker
        .hosted(topic, index)
        .await
        .map_err(topics::unhosted)?;
    Ok(hosted.partition.with_log(|log| {
        let entries = log.producers().sorted().into_iter();
        entries
            .map(|entry| ProducerState {
                producer_id: entry.id().0,
                producer_epoch: i32::from(entry.epoch().0),
                last_sequence: entry.last_sequence().0,
                last_timestamp: entry.last_timestamp().0,
                coordinator_epoch: entry.coordinator_epoch().0,
                current_txn_start_offset: entry
                    .transaction_first_offset()
                    .map_or(-1, |offset| offset.0),
            })
            .collect()
    }))
}
