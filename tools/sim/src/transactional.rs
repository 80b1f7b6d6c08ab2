//! The requests of transactional producers, each a function: asked, and the answer's parts.
//!
//! Before KIP-890 (protocol 1) partitions and groups are added to a transaction by requests of their
//! own; since (protocol 2) by being written to, and each end gives the producer its next epoch.

use std::collections::BTreeMap;

use odradek_wire::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use odradek_wire::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
};
use odradek_wire::end_txn::{EndTxnRequest, EndTxnResponse};
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
};
use odradek_wire::{Reader, Records};

use crate::client::{Connection, Lost};
use crate::oracle::Partition;

/// How a client goes about its transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Partitions are added before they are written to; the epoch stays from one transaction to the
    /// next.
    Asking,
    /// Partitions join by being written to; the epoch rises with each transaction (KIP-890).
    Joining,
}

/// Who writes.
#[derive(Clone, Debug)]
pub struct Identity {
    pub transactional_id: String,
    pub producer: i64,
    pub epoch: i16,
    pub protocol: Protocol,
    /// The next sequence of each partition.
    pub sequences: BTreeMap<Partition, i32>,
}

impl Identity {
    fn version(&self, asking: i16, joining: i16) -> i16 {
        match self.protocol {
            Protocol::Asking => asking,
            Protocol::Joining => joining,
        }
    }
}

/// InitProducerId: the producer's id and epoch, or the error.
pub async fn init(
    connection: &mut Connection,
    transactional_id: &str,
    timeout_ms: i32,
) -> Result<Result<(i64, i16), i16>, Lost> {
    let request = InitProducerIdRequest {
        transactional_id: Some(transactional_id),
        transaction_timeout_ms: timeout_ms,
        ..InitProducerIdRequest::default()
    };
    let body = connection.ask(4, &request).await?;
    let answer = InitProducerIdResponse::decode(&mut Reader::new(&body), 4).expect("a response");
    Ok(match answer.error_code {
        0 => Ok((answer.producer_id, answer.producer_epoch)),
        error => Err(error),
    })
}

/// Adds partitions to the transaction: the error.
pub async fn add_partitions(
    connection: &mut Connection,
    who: &Identity,
    partitions: &[Partition],
) -> Result<i16, Lost> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(topic).or_default().push(*index);
    }
    let topics = topics.into_iter();
    let topics = topics.map(|(name, partitions)| AddPartitionsToTxnTopic { name, partitions });
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: &who.transactional_id,
        v3_and_below_producer_id: who.producer,
        v3_and_below_producer_epoch: who.epoch,
        v3_and_below_topics: topics.collect(),
        ..AddPartitionsToTxnRequest::default()
    };
    let body = connection.ask(3, &request).await?;
    let answer = AddPartitionsToTxnResponse::decode(&mut Reader::new(&body), 3);
    let answer = answer.expect("a response").results_by_topic_v3_and_below;
    let codes = answer.iter().flat_map(|topic| &topic.results_by_partition);
    let mut codes = codes.map(|one| one.partition_error_code);
    Ok(codes.find(|code| *code != 0).unwrap_or(0))
}

/// Adds a group's offsets to the transaction: the error.
pub async fn add_offsets(
    connection: &mut Connection,
    who: &Identity,
    group: &str,
) -> Result<i16, Lost> {
    let request = AddOffsetsToTxnRequest {
        transactional_id: &who.transactional_id,
        producer_id: who.producer,
        producer_epoch: who.epoch,
        group_id: group,
    };
    let body = connection.ask(3, &request).await?;
    let answer = AddOffsetsToTxnResponse::decode(&mut Reader::new(&body), 3);
    Ok(answer.expect("a response").error_code)
}

/// Commits a group's offset as part of the transaction: the error.
pub async fn commit_offset(
    connection: &mut Connection,
    who: &Identity,
    group: &str,
    partition: Partition,
    offset: i64,
) -> Result<i16, Lost> {
    let version = who.version(3, 5);
    let request = TxnOffsetCommitRequest {
        transactional_id: &who.transactional_id,
        group_id: group,
        producer_id: who.producer,
        producer_epoch: who.epoch,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: partition.0,
            partitions: vec![TxnOffsetCommitRequestPartition {
                partition_index: partition.1,
                committed_offset: offset,
                ..TxnOffsetCommitRequestPartition::default()
            }],
        }],
        ..TxnOffsetCommitRequest::default()
    };
    let body = connection.ask(version, &request).await?;
    let answer = TxnOffsetCommitResponse::decode(&mut Reader::new(&body), version);
    Ok(answer.expect("a response").topics[0].partitions[0].error_code)
}

/// Sends one batch for each of some partitions; gives the request's correlation id.
pub async fn send(
    connection: &mut Connection,
    who: &Identity,
    batches: &[(Partition, &[u8])],
) -> Result<i32, Lost> {
    let mut topics: BTreeMap<&str, Vec<PartitionProduceData<'_>>> = BTreeMap::new();
    for ((topic, index), bytes) in batches {
        topics.entry(topic).or_default().push(PartitionProduceData {
            index: *index,
            records: Records::Bytes(bytes),
        });
    }
    let topics = topics.into_iter();
    let request = ProduceRequest {
        transactional_id: Some(&who.transactional_id),
        acks: -1,
        timeout_ms: 5_000,
        topic_data: topics
            .map(|(name, partition_data)| TopicProduceData {
                name,
                partition_data,
                ..TopicProduceData::default()
            })
            .collect(),
    };
    connection.send(who.version(9, 12), &request).await
}

/// The answer: error and base offset of each of these partitions.
pub async fn answers(
    connection: &mut Connection,
    who: &Identity,
    id: i32,
    partitions: &[Partition],
) -> Result<Vec<(i16, i64)>, Lost> {
    const PRODUCE_KEY: i16 = 0;
    let version = who.version(9, 12);
    let body = connection.receive(PRODUCE_KEY, version, id).await?;
    let answer = ProduceResponse::decode(&mut Reader::new(&body), version).expect("a response");
    let told = |(topic, index): &Partition| {
        let topics = answer.responses.iter().filter(|one| one.name == *topic);
        let mut all = topics.flat_map(|one| &one.partition_responses);
        let one = all
            .find(|one| one.index == *index)
            .expect("an answer for each");
        (one.error_code, one.base_offset)
    };
    Ok(partitions.iter().map(told).collect())
}

/// EndTxn: the producer's id and epoch from now on, or the error.
pub async fn end(
    connection: &mut Connection,
    who: &Identity,
    commit: bool,
) -> Result<Result<(i64, i16), i16>, Lost> {
    let version = who.version(4, 5);
    let request = EndTxnRequest {
        transactional_id: &who.transactional_id,
        producer_id: who.producer,
        producer_epoch: who.epoch,
        committed: commit,
    };
    let body = connection.ask(version, &request).await?;
    let answer = EndTxnResponse::decode(&mut Reader::new(&body), version).expect("a response");
    Ok(match (answer.error_code, who.protocol) {
        (0, Protocol::Asking) => Ok((who.producer, who.epoch)),
        (0, Protocol::Joining) => Ok((answer.producer_id, answer.producer_epoch)),
        (error, _) => Err(error),
    })
}
