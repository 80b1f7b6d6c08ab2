//! The requests that clients make, each a function: asked, and the answer's parts.

use odradek_wire::Reader;
use odradek_wire::Records;
use odradek_wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};
use odradek_wire::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use odradek_wire::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use odradek_wire::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use odradek_wire::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use odradek_wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use odradek_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse,
};
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};

use crate::client::{Connection, Lost};
use crate::oracle::Partition;

const PRODUCE_KEY: i16 = 0;

/// Sends a batch; gives the request's correlation id.
pub async fn send(
    connection: &mut Connection,
    version: i16,
    partition: Partition,
    acks: i16,
    bytes: &[u8],
) -> Result<i32, Lost> {
    let request = ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 1000,
        topic_data: vec![TopicProduceData {
            name: partition.0,
            partition_data: vec![PartitionProduceData {
                index: partition.1,
                records: Records::Bytes(bytes),
            }],
            ..TopicProduceData::default()
        }],
    };
    connection.send(version, &request).await
}

/// The answer's error and base offset.
pub async fn answer(
    connection: &mut Connection,
    version: i16,
    id: i32,
) -> Result<(i16, i64), Lost> {
    let body = connection.receive(PRODUCE_KEY, version, id).await?;
    let answer = ProduceResponse::decode(&mut Reader::new(&body), version).expect("a response");
    let one = &answer.responses[0].partition_responses[0];
    Ok((one.error_code, one.base_offset))
}

/// The log's start and high watermark, as ListOffsets tells, or the error.
pub async fn earliest_and_latest(
    connection: &mut Connection,
    partition: Partition,
) -> Result<Result<(i64, i64), i16>, Lost> {
    const VERSION: i16 = 7;
    let mut found = [0; 2];
    for (place, timestamp) in found.iter_mut().zip([-2, -1]) {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: partition.0,
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition.1,
                    timestamp,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        let body = connection.ask(VERSION, &request).await?;
        let answer = ListOffsetsResponse::decode(&mut Reader::new(&body), VERSION);
        let answer = answer.expect("a response");
        let one = &answer.topics[0].partitions[0];
        if one.error_code != 0 {
            return Ok(Err(one.error_code));
        }
        *place = one.offset;
    }
    Ok(Ok((found[0], found[1])))
}

/// A partition as metadata tells of it.
pub struct Told {
    pub index: i32,
    pub leader: i32,
    pub epoch: i32,
}

/// A topic as metadata tells of it; no partitions and an error if there is none.
pub struct ToldTopic {
    pub error: i16,
    pub partitions: Vec<Told>,
}

/// What metadata tells of a topic.
pub async fn metadata(
    connection: &mut Connection,
    topic: &str,
    create: bool,
) -> Result<ToldTopic, Lost> {
    const VERSION: i16 = 9;
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic),
            ..MetadataRequestTopic::default()
        }]),
        allow_auto_topic_creation: create,
        ..MetadataRequest::default()
    };
    let body = connection.ask(VERSION, &request).await?;
    let answer = MetadataResponse::decode(&mut Reader::new(&body), VERSION).expect("metadata");
    let topic = &answer.topics[0];
    let told = topic.partitions.iter().map(|one| Told {
        index: one.partition_index,
        leader: one.leader_id,
        epoch: one.leader_epoch,
    });
    Ok(ToldTopic {
        error: topic.error_code,
        partitions: told.collect(),
    })
}

/// Deletes what is before `offset`: the error, and where the log begins.
pub async fn delete_records(
    connection: &mut Connection,
    partition: Partition,
    offset: i64,
) -> Result<(i16, i64), Lost> {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: partition.0,
            partitions: vec![DeleteRecordsPartition {
                partition_index: partition.1,
                offset,
            }],
        }],
        timeout_ms: 5_000,
    };
    let body = connection.ask(2, &request).await?;
    let answer = DeleteRecordsResponse::decode(&mut Reader::new(&body), 2).expect("a response");
    let one = &answer.topics[0].partitions[0];
    Ok((one.error_code, one.low_watermark))
}

/// Makes a topic of one partition: the error.
pub async fn create_topic(
    connection: &mut Connection,
    name: &str,
    config: (&str, &str),
) -> Result<i16, Lost> {
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name,
            num_partitions: 1,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: vec![CreatableTopicConfig {
                name: config.0,
                value: Some(config.1),
            }],
        }],
        timeout_ms: 5_000,
        validate_only: false,
    };
    let body = connection.ask(7, &request).await?;
    let answer = CreateTopicsResponse::decode(&mut Reader::new(&body), 7).expect("a response");
    Ok(answer.topics[0].error_code)
}

/// Deletes a topic: the error.
pub async fn delete_topic(connection: &mut Connection, name: &str) -> Result<i16, Lost> {
    let request = DeleteTopicsRequest {
        topic_names: vec![name],
        timeout_ms: 5_000,
        ..DeleteTopicsRequest::default()
    };
    let body = connection.ask(5, &request).await?;
    let answer = DeleteTopicsResponse::decode(&mut Reader::new(&body), 5).expect("a response");
    Ok(answer.responses[0].error_code)
}

/// Sets one of a topic's settings: the error.
pub async fn alter_topic(
    connection: &mut Connection,
    topic: &str,
    setting: (&str, &str),
) -> Result<i16, Lost> {
    const TOPIC: i8 = 2;
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: topic,
            configs: vec![AlterableConfig {
                name: setting.0,
                config_operation: 0,
                value: Some(setting.1),
            }],
        }],
        validate_only: false,
    };
    let body = connection.ask(1, &request).await?;
    let answer = IncrementalAlterConfigsResponse::decode(&mut Reader::new(&body), 1);
    Ok(answer.expect("a response").responses[0].error_code)
}

/// Moves a partition to a broker: the error.
pub async fn reassign(
    connection: &mut Connection,
    partition: Partition,
    to: i32,
) -> Result<i16, Lost> {
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic {
            name: partition.0,
            partitions: vec![ReassignablePartition {
                partition_index: partition.1,
                replicas: Some(vec![to]),
            }],
        }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let body = connection.ask(1, &request).await?;
    let answer = AlterPartitionReassignmentsResponse::decode(&mut Reader::new(&body), 1);
    let answer = answer.expect("a response");
    Ok(match answer.error_code {
        0 => answer.responses[0].partitions[0].error_code,
        error => error,
    })
}

/// What is coordinated.
pub const GROUP: i8 = 0;
pub const TRANSACTION: i8 = 1;

/// The broker that coordinates a group or a transactional id, or the error.
pub async fn coordinator(
    connection: &mut Connection,
    key_type: i8,
    key: &str,
) -> Result<Result<i32, i16>, Lost> {
    let request = FindCoordinatorRequest {
        key_type,
        coordinator_keys: vec![key],
        ..FindCoordinatorRequest::default()
    };
    let body = connection.ask(4, &request).await?;
    let answer = FindCoordinatorResponse::decode(&mut Reader::new(&body), 4).expect("a response");
    let one = &answer.coordinators[0];
    Ok(match one.error_code {
        0 => Ok(one.node_id),
        error => Err(error),
    })
}

/// Commits a group's offset, without being a member: the error.
pub async fn commit(
    connection: &mut Connection,
    group: &str,
    partition: Partition,
    offset: i64,
) -> Result<i16, Lost> {
    let request = OffsetCommitRequest {
        group_id: group,
        topics: vec![OffsetCommitRequestTopic {
            name: partition.0,
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: partition.1,
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let body = connection.ask(8, &request).await?;
    let answer = OffsetCommitResponse::decode(&mut Reader::new(&body), 8).expect("a response");
    Ok(answer.topics[0].partitions[0].error_code)
}

/// What a group has committed, -1 for nothing; or the error. `stable`: not while a transaction may
/// commit something else.
pub async fn committed(
    connection: &mut Connection,
    group: &str,
    partition: Partition,
    stable: bool,
) -> Result<Result<i64, i16>, Lost> {
    let request = OffsetFetchRequest {
        group_id: group,
        require_stable: stable,
        topics: Some(vec![OffsetFetchRequestTopic {
            name: partition.0,
            partition_indexes: vec![partition.1],
        }]),
        ..OffsetFetchRequest::default()
    };
    let body = connection.ask(7, &request).await?;
    let answer = OffsetFetchResponse::decode(&mut Reader::new(&body), 7).expect("a response");
    if answer.error_code != 0 {
        return Ok(Err(answer.error_code));
    }
    let one = &answer.topics[0].partitions[0];
    Ok(match one.error_code {
        0 => Ok(one.committed_offset),
        error => Err(error),
    })
}
