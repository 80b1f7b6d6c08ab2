//! A transactional producer and a reader of committed records, by hand.

use odradek_engine::record::BatchBuilder;
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence};
use odradek_wire::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use odradek_wire::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
};
use odradek_wire::end_txn::{EndTxnRequest, EndTxnResponse};
use odradek_wire::fetch::{FetchRequest, FetchResponse};
use odradek_wire::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use odradek_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
};
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
};
use odradek_wire::{ErrorCode, Reader, Records, Request};

use crate::common::{Client, TestNode, build, fetch_request, now_ms, wait_for, wait_until};

pub(crate) const TOPIC: &str = "t";
pub(crate) const PARTITIONS: i32 = 4;

pub(crate) fn start() -> TestNode {
    let mut node = TestNode::prepare(&[
        ("shards", "4"),
        ("shards.advertise", "node"),
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.num.partitions", "4"),
    ]);
    node.run();
    let created = node.client().create_topic(TOPIC, PARTITIONS, &[]);
    assert_eq!(created, ErrorCode::None);
    node
}

/// A producer with a transactional id, by hand.
pub(crate) struct Producer {
    pub(crate) client: Client,
    pub(crate) transactional_id: String,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequences: [i32; PARTITIONS as usize],
    /// As a client of this transaction version.
    pub(crate) version: i16,
}

pub(crate) fn ask<'a, Q: Request<'a>>(client: &mut Client, version: i16, request: &Q) -> Vec<u8> {
    client.call(version, request).expect("an answer")
}

/// A connection to the coordinator of a transactional id, once there is one.
pub(crate) fn coordinator(node: &TestNode, transactional_id: &str) -> Client {
    let mut client = node.client();
    let find = FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec![transactional_id],
        ..FindCoordinatorRequest::default()
    };
    wait_for("there is a coordinator", || {
        let body = ask(&mut client, 4, &find);
        let found = FindCoordinatorResponse::decode(&mut Reader::new(&body), 4);
        let found = &found.expect("readable").coordinators[0];
        let address = format!("{}:{}", found.host, found.port);
        (found.error_code == 0).then(|| Client::connect(&address))
    })
}

impl Producer {
    /// Begins, and waits until what was open under the id is ended.
    pub(crate) fn begin(node: &TestNode, transactional_id: &str, version: i16) -> Producer {
        let mut client = coordinator(node, transactional_id);
        let request = InitProducerIdRequest {
            transactional_id: Some(transactional_id),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequest::default()
        };
        let (mut id, mut epoch) = (-1, -1);
        wait_until("the producer may begin", || {
            let body = ask(&mut client, 5, &request);
            let begun = InitProducerIdResponse::decode(&mut Reader::new(&body), 5);
            let begun = begun.expect("readable");
            (id, epoch) = (begun.producer_id, begun.producer_epoch);
            // What is in its way is retriable.
            assert!(matches!(begun.error_code, 0 | 51), "{}", begun.error_code);
            begun.error_code == 0
        });
        Producer {
            client,
            transactional_id: transactional_id.to_owned(),
            id,
            epoch,
            sequences: [0; PARTITIONS as usize],
            version,
        }
    }

    /// AddPartitionsToTxn.
    pub(crate) fn add(&mut self, index: i32) -> i16 {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: &self.transactional_id,
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: TOPIC,
                partitions: vec![index],
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        let body = ask(&mut self.client, 3, &request);
        let added = AddPartitionsToTxnResponse::decode(&mut Reader::new(&body), 3);
        let added = added.expect("readable");
        added.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    /// One record each; the error codes.
    pub(crate) fn produce(&mut self, partitions: &[i32], value: &str) -> Vec<i16> {
        let (id, epoch) = (ProducerId(self.id), ProducerEpoch(self.epoch));
        let batches: Vec<Vec<u8>> = partitions
            .iter()
            .map(|index| {
                let sequence = Sequence(self.sequences[*index as usize]);
                let builder = BatchBuilder::new()
                    .transactional()
                    .producer(id, epoch, sequence);
                build(builder, now_ms(), &[value.as_bytes()])
            })
            .collect();
        let data = partitions.iter().zip(&batches);
        let data = data.map(|(index, batch)| PartitionProduceData {
            index: *index,
            records: Records::Bytes(batch),
        });
        let request = ProduceRequest {
            transactional_id: Some(&self.transactional_id),
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: TOPIC,
                partition_data: data.collect(),
                ..TopicProduceData::default()
            }],
        };
        let version = if self.version >= 2 { 12 } else { 11 };
        let body = ask(&mut self.client, version, &request);
        let produced = ProduceResponse::decode(&mut Reader::new(&body), version);
        let produced = produced.expect("readable");
        let answers = produced.responses[0].partition_responses.iter();
        let codes: Vec<i16> = answers.map(|answer| answer.error_code).collect();
        for (index, code) in partitions.iter().zip(&codes) {
            self.sequences[*index as usize] += i32::from(*code == 0);
        }
        codes
    }

    /// Writes a record into each of these partitions, as its version does.
    pub(crate) fn write(&mut self, partitions: &[i32], value: &str) {
        if self.version < 2 {
            for index in partitions {
                let mut code = 51;
                wait_until("the partition joins", || {
                    code = self.add(*index);
                    code != 51
                });
                assert_eq!(code, 0);
            }
        }
        let mut codes = Vec::new();
        wait_until("the transaction before is complete", || {
            codes = self.produce(partitions, value);
            codes.iter().all(|code| *code != 51)
        });
        assert_eq!(codes, vec![0; partitions.len()]);
    }

    /// EndTxn; the error code.
    pub(crate) fn try_end(&mut self, commit: bool) -> i16 {
        let version = if self.version >= 2 { 5 } else { 4 };
        let request = EndTxnRequest {
            transactional_id: &self.transactional_id,
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed: commit,
        };
        let body = ask(&mut self.client, version, &request);
        let ended = EndTxnResponse::decode(&mut Reader::new(&body), version);
        let ended = ended.expect("readable");
        if ended.error_code == 0 && version >= 5 {
            assert_eq!(ended.producer_epoch, self.epoch + 1);
            (self.id, self.epoch) = (ended.producer_id, ended.producer_epoch);
            self.sequences = [0; PARTITIONS as usize];
        }
        ended.error_code
    }

    pub(crate) fn end(&mut self, commit: bool) {
        assert_eq!(self.try_end(commit), 0);
    }

    /// Commits an offset of a group as part of the transaction.
    pub(crate) fn commit_offset(&mut self, group: &str, offset: i64) -> i16 {
        let version = if self.version >= 2 { 5 } else { 4 };
        if version < 5 {
            let request = AddOffsetsToTxnRequest {
                transactional_id: &self.transactional_id,
                producer_id: self.id,
                producer_epoch: self.epoch,
                group_id: group,
            };
            let body = ask(&mut self.client, 4, &request);
            let added = AddOffsetsToTxnResponse::decode(&mut Reader::new(&body), 4);
            assert_eq!(added.expect("readable").error_code, 0);
        }
        let request = TxnOffsetCommitRequest {
            transactional_id: &self.transactional_id,
            group_id: group,
            producer_id: self.id,
            producer_epoch: self.epoch,
            generation_id: -1,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: TOPIC,
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: offset,
                    ..TxnOffsetCommitRequestPartition::default()
                }],
            }],
            ..TxnOffsetCommitRequest::default()
        };
        let body = ask(&mut self.client, version, &request);
        let committed = TxnOffsetCommitResponse::decode(&mut Reader::new(&body), version);
        committed.expect("readable").topics[0].partitions[0].error_code
    }
}

/// What a reader of committed records gets of a partition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) high_watermark: i64,
    pub(crate) stable: i64,
    /// Producer and first offset.
    pub(crate) aborted: Vec<(i64, i64)>,
    pub(crate) bytes: usize,
}

pub(crate) fn read_committed(client: &mut Client, index: i32, offset: i64) -> Seen {
    let request = FetchRequest {
        isolation_level: 1,
        ..fetch_request(TOPIC, index, offset, 1 << 20)
    };
    let body = ask(client, 12, &request);
    let fetched = FetchResponse::decode(&mut Reader::new(&body), 12).expect("readable");
    let data = &fetched.responses[0].partitions[0];
    assert_eq!(data.error_code, 0);
    let aborted = data.aborted_transactions.iter().flatten();
    Seen {
        high_watermark: data.high_watermark,
        stable: data.last_stable_offset,
        aborted: aborted
            .map(|one| (one.producer_id, one.first_offset))
            .collect(),
        bytes: data.records.bytes().map_or(0, <[u8]>::len),
    }
}

/// The log's end for a reader of committed records.
pub(crate) fn stable_end(client: &mut Client, index: i32) -> i64 {
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 1,
        topics: vec![ListOffsetsTopic {
            name: TOPIC,
            partitions: vec![ListOffsetsPartition {
                partition_index: index,
                timestamp: -1,
                current_leader_epoch: -1,
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let body = ask(client, 7, &request);
    let listed = ListOffsetsResponse::decode(&mut Reader::new(&body), 7).expect("readable");
    listed.topics[0].partitions[0].offset
}

/// A group's offset of the first partition, or the error, as one who wants stable offsets.
pub(crate) fn committed(client: &mut Client, group: &str) -> Result<i64, i16> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: group,
            topics: Some(vec![OffsetFetchRequestTopics {
                name: TOPIC,
                partition_indexes: vec![0],
                ..OffsetFetchRequestTopics::default()
            }]),
            member_epoch: -1,
            ..OffsetFetchRequestGroup::default()
        }],
        require_stable: true,
        ..OffsetFetchRequest::default()
    };
    let body = ask(client, 9, &request);
    let fetched = OffsetFetchResponse::decode(&mut Reader::new(&body), 9).expect("readable");
    let group = &fetched.groups[0];
    assert_eq!(group.error_code, 0);
    let partition = &group.topics[0].partitions[0];
    match partition.error_code {
        0 => Ok(partition.committed_offset),
        code => Err(code),
    }
}

/// After a kill a marker may be there twice.
pub(crate) fn wait_for_stable(client: &mut Client, index: i32, end: i64) {
    wait_until("the markers are there", || stable_end(client, index) >= end);
}
