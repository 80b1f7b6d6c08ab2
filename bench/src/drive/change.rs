//! What a scenario asks of a topic that stands: more partitions, a first record in each, another
//! leader.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use odradek_wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};
use odradek_wire::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};
use odradek_wire::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::{Message, Records};

use super::admin::{Admin, Partition, check, reply_body};
use super::load::now_ms;
use super::produce::Batch;

const TIMEOUT_MS: i32 = 30_000;
/// Of a request that puts a record into each.
const TOUCHED_AT_ONCE: usize = 500;
/// A partition that is to move has its new leader within this time.
const MOVED_WITHIN: Duration = Duration::from_secs(30);

/// A topic's brokers and leaders, by their ids.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) brokers: Vec<i32>,
    /// By partition; -1 where there is none now.
    pub(crate) leaders: Vec<i32>,
}

impl Admin {
    /// Gives a topic `count` partitions, more than it has.
    ///
    /// # Errors
    /// When the server refuses it.
    pub(crate) fn grow(&mut self, topic: &str, count: i32) -> Result<()> {
        let version = self.version::<CreatePartitionsRequest>(3)?;
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic,
                count,
                assignments: None,
            }],
            timeout_ms: TIMEOUT_MS,
            validate_only: false,
        };
        let reply = self.call(&request, version)?;
        let mut body = reply_body(&reply, CreatePartitionsRequest::API_KEY, version)?;
        let response = CreatePartitionsResponse::decode(&mut body, version)?;
        let result = response.results.first().context("an empty reply")?;
        check("CreatePartitions", result.error_code)
            .with_context(|| result.error_message.unwrap_or_default().to_owned())
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// When the server refuses it.
    pub(crate) fn delete_topic(&mut self, topic: &str) -> Result<()> {
        let version = self.version::<DeleteTopicsRequest>(5)?;
        let request = DeleteTopicsRequest {
            topic_names: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        let reply = self.call(&request, version)?;
        let mut body = reply_body(&reply, DeleteTopicsRequest::API_KEY, version)?;
        let response = DeleteTopicsResponse::decode(&mut body, version)?;
        let result = response.responses.first().context("an empty reply")?;
        check("DeleteTopics", result.error_code)
            .with_context(|| result.error_message.unwrap_or_default().to_owned())
    }

    /// Who leads what now.
    pub(crate) fn layout(&mut self, topic: &str) -> Result<Layout> {
        let version = self.version::<MetadataRequest>(9)?;
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(topic),
                ..Default::default()
            }]),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let reply = self.call(&request, version)?;
        let mut body = reply_body(&reply, MetadataRequest::API_KEY, version)?;
        let response = MetadataResponse::decode(&mut body, version)?;
        let found = response.topics.first().context("an empty reply")?;
        check("Metadata", found.error_code)?;
        let mut partitions: Vec<(i32, i32)> = found
            .partitions
            .iter()
            .map(|one| (one.partition_index, one.leader_id))
            .collect();
        partitions.sort_unstable();
        Ok(Layout {
            brokers: response.brokers.iter().map(|one| one.node_id).collect(),
            leaders: partitions.into_iter().map(|(_, leader)| leader).collect(),
        })
    }

    /// Whether the server can move partitions at all.
    pub(crate) fn can_move(&self) -> bool {
        self.version::<AlterPartitionReassignmentsRequest>(1)
            .is_ok()
    }

    /// Moves a partition to another broker and waits until it leads. Returns how long that took.
    ///
    /// # Errors
    /// When the server refuses it, or the leader stays.
    pub(crate) fn move_to(&mut self, topic: &str, partition: i32, broker: i32) -> Result<Duration> {
        let version = self.version::<AlterPartitionReassignmentsRequest>(1)?;
        let request = AlterPartitionReassignmentsRequest {
            timeout_ms: TIMEOUT_MS,
            topics: vec![ReassignableTopic {
                name: topic,
                partitions: vec![ReassignablePartition {
                    partition_index: partition,
                    replicas: Some(vec![broker]),
                }],
            }],
            ..Default::default()
        };
        let began = Instant::now();
        let reply = self.call(&request, version)?;
        let key = AlterPartitionReassignmentsRequest::API_KEY;
        let mut body = reply_body(&reply, key, version)?;
        let response = AlterPartitionReassignmentsResponse::decode(&mut body, version)?;
        check("AlterPartitionReassignments", response.error_code)
            .with_context(|| response.error_message.unwrap_or_default().to_owned())?;
        for answer in response.responses.iter().flat_map(|one| &one.partitions) {
            check("AlterPartitionReassignments", answer.error_code)
                .with_context(|| answer.error_message.unwrap_or_default().to_owned())?;
        }
        loop {
            let layout = self.layout(topic)?;
            ensure!(
                layout.brokers.contains(&broker),
                "broker {broker} is not one of {:?}",
                layout.brokers
            );
            if layout.leaders.get(partition as usize) == Some(&broker) {
                return Ok(began.elapsed());
            }
            if began.elapsed() > MOVED_WITHIN {
                bail!("partition {partition} has not moved to {broker} within {MOVED_WITHIN:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Puts a record into each partition, durable, a request of many partitions after the other.
///
/// # Errors
/// When the server refuses one.
pub(crate) fn touch(topic: &str, partitions: &[Partition]) -> Result<()> {
    let batch = Batch::build(64, 0, now_ms())?;
    let mut leaders: Vec<_> = partitions.iter().map(|one| one.leader).collect();
    leaders.sort_unstable();
    leaders.dedup();
    for leader in leaders {
        let mut admin = Admin::connect(leader)?;
        let version = admin.version::<ProduceRequest>(12)?;
        let led = partitions.iter().filter(|one| one.leader == leader);
        let led: Vec<i32> = led.map(|one| one.index).collect();
        for some in led.chunks(TOUCHED_AT_ONCE) {
            let data = some.iter().map(|index| PartitionProduceData {
                index: *index,
                records: Records::Bytes(&batch.bytes),
            });
            let request = ProduceRequest {
                transactional_id: None,
                acks: -1,
                timeout_ms: TIMEOUT_MS,
                topic_data: vec![TopicProduceData {
                    name: topic,
                    partition_data: data.collect(),
                    ..Default::default()
                }],
            };
            let reply = admin.call(&request, version)?;
            let mut body = reply_body(&reply, ProduceRequest::API_KEY, version)?;
            let response = ProduceResponse::decode(&mut body, version)?;
            let answers = response.responses.iter();
            for answer in answers.flat_map(|one| &one.partition_responses) {
                check("produce", answer.error_code)
                    .with_context(|| format!("partition {}", answer.index))?;
            }
        }
    }
    Ok(())
}
