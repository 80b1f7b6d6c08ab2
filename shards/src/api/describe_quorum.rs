//! DescribeQuorum: the metadata log, and the one controller that keeps it.
//!
//! The controller is on shard 0 and its only voter, under that shard's id as a broker. The other
//! shards are no observers: they are handed each new image, they fetch no log.
//!
//! Source: Kafka `KafkaRaftClient.handleDescribeQuorumRequest`, KIP-595, KIP-836, KIP-853.

use std::ops::RangeInclusive;

use odradek_wire::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, ReplicaState,
    ResponsePartitionData, ResponseTopicData,
};
use odradek_wire::{ErrorCode, Message, Uuid};

use super::{Broker, Call, Outcome, Refusal, change};
use crate::partition::Standing;

pub(super) const KEY: i16 = 55;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeQuorumRequest::MIN_VERSION..=DescribeQuorumRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

const METADATA: &str = "__cluster_metadata";

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeQuorumRequest<'_> = call.decode()?;
    let broker = call.broker;
    if !asks_for_metadata(&request) {
        return call.reply(&unknown(&request));
    }
    let standing = change::at_controller(broker, |broker| {
        Box::pin(async move { broker.controller().log().standing() })
    });
    let standing = match standing.await {
        Ok(standing) => standing,
        Err((error, why)) => {
            return call.reply(&DescribeQuorumResponse {
                error_code: error.code(),
                error_message: Some(&why),
                ..DescribeQuorumResponse::default()
            });
        }
    };
    let endpoint = &broker.endpoints[0];
    let listener = broker.settings.advertised.first();
    call.reply(&DescribeQuorumResponse {
        topics: vec![ResponseTopicData {
            topic_name: METADATA,
            partitions: vec![of_one(broker, &standing)],
        }],
        nodes: vec![Node {
            node_id: broker.id_of(0),
            listeners: vec![Listener {
                name: listener.map_or("", |listener| &listener.name),
                host: &endpoint.host,
                port: endpoint.port,
            }],
        }],
        ..DescribeQuorumResponse::default()
    })
}

/// Kafka answers for one partition of one topic only.
fn asks_for_metadata(request: &DescribeQuorumRequest<'_>) -> bool {
    match &request.topics[..] {
        [topic] => {
            topic.topic_name == METADATA
                && matches!(&topic.partitions[..], [partition] if partition.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown<'a>(request: &DescribeQuorumRequest<'a>) -> DescribeQuorumResponse<'a> {
    let topics = request.topics.iter().map(|topic| ResponseTopicData {
        topic_name: topic.topic_name,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| ResponsePartitionData {
                partition_index: partition.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition.code(),
                ..ResponsePartitionData::default()
            })
            .collect(),
    });
    DescribeQuorumResponse {
        topics: topics.collect(),
        ..DescribeQuorumResponse::default()
    }
}

fn of_one(broker: &Broker, standing: &Standing) -> ResponsePartitionData<'static> {
    // A leader is always caught up with itself.
    let now = broker.io.wall_clock();
    ResponsePartitionData {
        partition_index: 0,
        error_code: ErrorCode::None.code(),
        leader_id: broker.id_of(0),
        leader_epoch: standing.epoch.0,
        high_watermark: standing.visible.0,
        current_voters: vec![ReplicaState {
            replica_id: broker.id_of(0),
            replica_directory_id: broker.facts.directory_id.parse().unwrap_or(Uuid::ZERO),
            log_end_offset: standing.next.0,
            last_fetch_timestamp: now,
            last_caught_up_timestamp: now,
        }],
        ..ResponsePartitionData::default()
    }
}
