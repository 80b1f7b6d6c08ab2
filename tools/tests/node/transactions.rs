//! Transactions over partitions, coordinators and groups of several shards, asked over the wire.

use odradek_engine::record::BatchBuilder;
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence};
use odradek_wire::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use odradek_wire::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
};
use odradek_wire::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse,
};
use odradek_wire::end_txn::{EndTxnRequest, EndTxnResponse};
use odradek_wire::fetch::{FetchRequest, FetchResponse};
use odradek_wire::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use odradek_wire::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
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

use crate::common::{Client, TestNode, build, fetch_request, wait_until};

const TOPIC: &str = "t";
const PARTITIONS: i32 = 4;

fn start() -> TestNode {
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
struct Producer {
    client: Client,
    transactional_id: String,
    id: i64,
    epoch: i16,
    sequences: [i32; PARTITIONS as usize],
    /// As a client of this transaction version.
    version: i16,
}

fn ask<'a, Q: Request<'a>>(client: &mut Client, version: i16, request: &Q) -> Vec<u8> {
    client.call(version, request).expect("an answer")
}

impl Producer {
    /// Begins, and waits until what was open under the id is ended.
    fn begin(node: &TestNode, transactional_id: &str, version: i16) -> Producer {
        let mut client = node.client();
        let find = FindCoordinatorRequest {
            key_type: 1,
            coordinator_keys: vec![transactional_id],
            ..FindCoordinatorRequest::default()
        };
        wait_until("there is a coordinator", || {
            let body = ask(&mut client, 4, &find);
            let found = FindCoordinatorResponse::decode(&mut Reader::new(&body), 4);
            found.expect("readable").coordinators[0].error_code == 0
        });
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
    fn add(&mut self, index: i32) -> i16 {
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
    fn produce(&mut self, partitions: &[i32], value: &str) -> Vec<i16> {
        let (id, epoch) = (ProducerId(self.id), ProducerEpoch(self.epoch));
        let batches: Vec<Vec<u8>> = partitions
            .iter()
            .map(|index| {
                let sequence = Sequence(self.sequences[*index as usize]);
                let builder = BatchBuilder::new()
                    .transactional()
                    .producer(id, epoch, sequence);
                build(builder, 1, &[value.as_bytes()])
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
    fn write(&mut self, partitions: &[i32], value: &str) {
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
    fn try_end(&mut self, commit: bool) -> i16 {
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

    fn end(&mut self, commit: bool) {
        assert_eq!(self.try_end(commit), 0);
    }

    /// Commits an offset of a group as part of the transaction.
    fn commit_offset(&mut self, group: &str, offset: i64) -> i16 {
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
struct Seen {
    high_watermark: i64,
    stable: i64,
    /// Producer and first offset.
    aborted: Vec<(i64, i64)>,
    bytes: usize,
}

fn read_committed(client: &mut Client, index: i32, offset: i64) -> Seen {
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
fn stable_end(client: &mut Client, index: i32) -> i64 {
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
fn committed(client: &mut Client, group: &str) -> Result<i64, i16> {
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
fn wait_for_stable(client: &mut Client, index: i32, end: i64) {
    wait_until("the markers are there", || stable_end(client, index) >= end);
}

#[test]
fn a_transaction_over_all_shards_commits_and_another_aborts() {
    let node = start();
    let mut reader = node.client();
    for version in [0, 2] {
        let id = format!("id-{version}");
        let mut producer = Producer::begin(&node, &id, version);
        let all: Vec<i32> = (0..PARTITIONS).collect();
        let before: Vec<i64> = all.iter().map(|at| stable_end(&mut reader, *at)).collect();
        producer.write(&all, "first");
        producer.write(&all, "second");
        for (index, before) in all.iter().zip(&before) {
            let seen = read_committed(&mut reader, *index, *before);
            assert_eq!(
                (seen.stable, seen.bytes),
                (*before, 0),
                "nothing is decided"
            );
            assert_eq!(seen.high_watermark, before + 2);
        }
        producer.end(true);
        for (index, before) in all.iter().zip(&before) {
            wait_for_stable(&mut reader, *index, before + 3);
            let seen = read_committed(&mut reader, *index, *before);
            assert!(seen.aborted.is_empty() && seen.bytes > 0);
        }
        let aborting = (producer.id, before[2] + 3);
        producer.write(&[2], "third");
        producer.end(false);
        wait_for_stable(&mut reader, 2, before[2] + 5);
        let seen = read_committed(&mut reader, 2, before[2]);
        assert_eq!(seen.aborted, [aborting]);
        // Behind its marker nobody needs to know.
        let seen = read_committed(&mut reader, 2, before[2] + 5);
        assert_eq!((seen.aborted, seen.bytes), (vec![], 0));
    }
}

#[test]
fn what_was_decided_survives_a_kill_and_what_was_open_stays_open() {
    let mut node = start();
    let mut decided = Producer::begin(&node, "decided", 2);
    let mut aborted = Producer::begin(&node, "aborted", 2);
    let mut open = Producer::begin(&node, "open", 2);
    let id = aborted.id;
    aborted.write(&[0], "dropped");
    decided.write(&[0, 1, 2, 3], "kept");
    open.write(&[1], "undecided");
    aborted.end(false);
    // The kill comes while the markers are on their way, or thereabouts.
    decided.end(true);
    node.kill();
    node.run();
    let mut reader = node.client();
    wait_for_stable(&mut reader, 0, 4);
    assert_eq!(read_committed(&mut reader, 0, 0).aborted, [(id, 0)]);
    wait_for_stable(&mut reader, 1, 1);
    assert_eq!(stable_end(&mut reader, 1), 1, "one is open");
    for index in [2, 3] {
        wait_for_stable(&mut reader, index, 2);
    }
    // It goes on where it was.
    open.client = node.client();
    open.end(true);
    wait_for_stable(&mut reader, 1, 4);
    let end = stable_end(&mut reader, 1);
    // And once more, now from what is on disk alone.
    node.stop();
    node.run();
    let mut reader = node.client();
    assert_eq!(stable_end(&mut reader, 1), end);
    assert_eq!(read_committed(&mut reader, 0, 0).aborted, [(id, 0)]);
    node.kill();
    node.run();
    let mut reader = node.client();
    assert_eq!(read_committed(&mut reader, 0, 0).aborted, [(id, 0)]);
}

#[test]
fn offsets_are_committed_with_the_transaction() {
    let mut node = start();
    let mut reader = node.client();
    for (version, offset) in [(0, 10), (2, 20)] {
        let group = format!("group-{version}");
        let mut producer = Producer::begin(&node, &format!("id-{version}"), version);
        producer.write(&[3], "value");
        assert_eq!(producer.commit_offset(&group, offset), 0);
        // UNSTABLE_OFFSET_COMMIT.
        assert_eq!(committed(&mut reader, &group), Err(88));
        producer.end(true);
        wait_until("it is in force", || {
            committed(&mut reader, &group) == Ok(offset)
        });
        producer.write(&[3], "value");
        assert_eq!(producer.commit_offset(&group, offset + 1), 0);
        producer.end(false);
        wait_until("it is dropped", || {
            committed(&mut reader, &group) == Ok(offset)
        });
    }
    let mut producer = Producer::begin(&node, "id-2", 2);
    producer.write(&[3], "value");
    assert_eq!(producer.commit_offset("group-2", 30), 0);
    node.kill();
    node.run();
    let mut reader = node.client();
    assert_eq!(
        committed(&mut reader, "group-2"),
        Err(88),
        "it is still open"
    );
    producer.client = node.client();
    producer.end(true);
    wait_until("it is in force", || {
        committed(&mut reader, "group-2") == Ok(30)
    });
}

#[test]
fn a_new_producer_fences_the_one_before_it() {
    let node = start();
    let mut reader = node.client();
    for version in [0, 2] {
        let id = format!("id-{version}");
        let mut old = Producer::begin(&node, &id, version);
        let before = stable_end(&mut reader, 0);
        old.write(&[0], "dropped");
        let mut new = Producer::begin(&node, &id, version);
        assert!(new.epoch > old.epoch && new.id == old.id);
        // What it had open is aborted.
        wait_for_stable(&mut reader, 0, before + 2);
        assert_eq!(read_committed(&mut reader, 0, before).aborted.len(), 1);
        // INVALID_PRODUCER_EPOCH of who takes records, PRODUCER_FENCED of the coordinator.
        assert_eq!(old.produce(&[0], "late"), [47]);
        assert_eq!(old.produce(&[1], "late"), [47]);
        assert_eq!(old.try_end(true), 90);
        new.write(&[0], "kept");
        new.end(true);
        wait_for_stable(&mut reader, 0, before + 4);
    }
}

#[test]
fn records_need_a_transaction_that_the_coordinator_knows() {
    let node = start();
    let mut producer = Producer::begin(&node, "id", 0);
    // TRANSACTION_ABORTABLE: its partition was not added.
    assert_eq!(producer.produce(&[0], "value"), [120]);
    assert_eq!(producer.add(0), 0);
    assert_eq!(producer.produce(&[0, 1], "value"), [0, 120]);
    // UNKNOWN_TOPIC_OR_PARTITION.
    assert_eq!(producer.add(PARTITIONS), 3);
    producer.end(true);
    // INVALID_TXN_STATE, once its markers are written.
    let mut code = 51;
    wait_until("it is complete", || {
        code = producer.try_end(false);
        code != 51
    });
    assert_eq!(code, 48);
    // INVALID_PRODUCER_ID_MAPPING.
    producer.id += 1000;
    assert_eq!(producer.add(0), 49);
}

#[test]
fn transactions_are_described_and_listed_wherever_they_are() {
    let node = start();
    let ids = ["one", "two", "three", "four", "five"];
    let mut producers: Vec<Producer> = ids.iter().map(|id| Producer::begin(&node, id, 2)).collect();
    producers[0].write(&[1, 3], "value");
    let mut client = node.client();
    let request = DescribeTransactionsRequest {
        transactional_ids: vec!["one", "nobody", "five"],
    };
    let body = ask(&mut client, 0, &request);
    let described = DescribeTransactionsResponse::decode(&mut Reader::new(&body), 0);
    let described = described.expect("readable").transaction_states;
    let told: Vec<_> = described
        .iter()
        .map(|it| (it.error_code, it.transactional_id, it.transaction_state))
        .collect();
    let expected = [
        (0, "one", "Ongoing"),
        (105, "nobody", ""),
        (0, "five", "Empty"),
    ];
    assert_eq!(told, expected);
    assert_eq!(described[0].topics[0].partitions, [1, 3]);
    assert_eq!(described[0].producer_id, producers[0].id);
    let mut list = |states: Vec<&'static str>, pattern: Option<&'static str>| {
        let request = ListTransactionsRequest {
            state_filters: states,
            duration_filter: -1,
            transactional_id_pattern: pattern,
            ..ListTransactionsRequest::default()
        };
        let body = ask(&mut client, 2, &request);
        let listed = ListTransactionsResponse::decode(&mut Reader::new(&body), 2);
        let listed = listed.expect("readable");
        let mut ids: Vec<String> = listed
            .transaction_states
            .iter()
            .map(|one| one.transactional_id.to_owned())
            .collect();
        ids.sort();
        (listed.error_code, ids.join(" "))
    };
    assert_eq!(
        list(vec![], None),
        (0, "five four one three two".to_owned())
    );
    assert_eq!(list(vec!["Ongoing"], None), (0, "one".to_owned()));
    assert_eq!(list(vec![], Some("f.*")), (0, "five four".to_owned()));
    // INVALID_REGULAR_EXPRESSION.
    assert_eq!(list(vec![], Some("(")).0, 128);
}
