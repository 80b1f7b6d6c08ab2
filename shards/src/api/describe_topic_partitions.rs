//! DescribeTopicPartitions: topics in pages, in the order of their names.
//!
//! Source: KIP-966, Kafka `DescribeTopicPartitionsRequestHandler`.

use std::ops::RangeInclusive;

use odradek_wire::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, ResponseCursor,
};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal, authorized, topics};
use crate::catalog::PartitionEntry;

pub(super) const KEY: i16 = 75;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeTopicPartitionsRequest::MIN_VERSION..=DescribeTopicPartitionsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeTopicPartitionsRequest<'_> = call.decode()?;
    let broker = call.broker;
    let image = broker.image();
    let all = request.topics.is_empty();
    let mut names: Vec<&str> = match all {
        true => image.topics().map(|topic| &*topic.name).collect(),
        false => request.topics.iter().map(|topic| topic.name).collect(),
    };
    names.sort_unstable();
    names.dedup();
    let (from, from_index) = match &request.cursor {
        None => ("", 0),
        Some(cursor) => {
            if cursor.partition_index < 0 || !all && !names.contains(&cursor.topic_name) {
                // The response has no field for an error of its own: each topic says it.
                return call.reply(&refused(&request));
            }
            (cursor.topic_name, cursor.partition_index as usize)
        }
    };
    names.retain(|name| *name >= from);
    let most = broker.settings.max_request_partition_size_limit;
    let mut left = request.response_partition_limit.min(most).max(1) as usize;
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        if left == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let Some(topic) = image.topic(name) else {
            let error = match topics::valid_name(name) {
                Ok(()) => ErrorCode::UnknownTopicOrPartition,
                Err(_) => ErrorCode::InvalidTopicException,
            };
            response.topics.push(missing(name, error));
            continue;
        };
        let start = if name == from { from_index } else { 0 };
        let partitions: Vec<_> = topic
            .partitions
            .iter()
            .enumerate()
            .skip(start)
            .take(left)
            .map(|(index, entry)| describe(broker, index as i32, entry))
            .collect();
        left -= partitions.len();
        let next = start + partitions.len();
        response.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(name),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions,
            topic_authorized_operations: authorized::TOPIC,
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        if next < topic.partitions.len() {
            response.next_cursor = Some(cursor(name, next as i32));
            break;
        }
    }
    call.reply(&response)
}

fn cursor(topic_name: &str, partition_index: i32) -> ResponseCursor<'_> {
    ResponseCursor {
        topic_name,
        partition_index,
    }
}

fn missing(name: &str, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic<'_> {
    DescribeTopicPartitionsResponseTopic {
        error_code: error.code(),
        name: Some(name),
        topic_authorized_operations: authorized::TOPIC,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn refused<'a>(
    request: &DescribeTopicPartitionsRequest<'a>,
) -> DescribeTopicPartitionsResponse<'a> {
    DescribeTopicPartitionsResponse {
        topics: request
            .topics
            .iter()
            .map(|topic| DescribeTopicPartitionsResponseTopic {
                topic_authorized_operations: authorized::NOT_ASKED,
                ..missing(topic.name, ErrorCode::InvalidRequest)
            })
            .collect(),
        ..DescribeTopicPartitionsResponse::default()
    }
}

fn describe(
    broker: &Broker,
    partition_index: i32,
    entry: &PartitionEntry,
) -> DescribeTopicPartitionsResponsePartition {
    let id = broker.id_of(entry.shard);
    let (error, leader_id, offline_replicas) = match broker.offline(entry) {
        false => (ErrorCode::None, id, Vec::new()),
        // Its log directory has failed.
        true => (ErrorCode::LeaderNotAvailable, -1, vec![id]),
    };
    DescribeTopicPartitionsResponsePartition {
        error_code: error.code(),
        partition_index,
        leader_id,
        leader_epoch: entry.leader_epoch,
        replica_nodes: vec![id],
        isr_nodes: vec![id],
        offline_replicas,
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
    }
}
