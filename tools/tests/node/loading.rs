//! Requests whose coordinator is being loaded for long: each is told so in its own place, and all
//! is there when the load has ended.

use odradek_wire::add_offsets_to_txn::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use odradek_wire::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
    AddPartitionsToTxnTransaction,
};
use odradek_wire::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use odradek_wire::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use odradek_wire::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse,
};
use odradek_wire::end_txn::{EndTxnRequest, EndTxnResponse};
use odradek_wire::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use odradek_wire::join_group::{JoinGroupRequest, JoinGroupResponse};
use odradek_wire::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use odradek_wire::list_groups::{ListGroupsRequest, ListGroupsResponse};
use odradek_wire::list_transactions::{ListTransactionsRequest, ListTransactionsResponse};
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use odradek_wire::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
    OffsetDeleteResponse,
};
use odradek_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use odradek_wire::sync_group::{SyncGroupRequest, SyncGroupResponse};
use odradek_wire::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
};
use odradek_wire::{ErrorCode, Message, Reader, Request};

use crate::common::{TestNode, wait_until};
use crate::faulty_disk::{Call, Fault, FaultyDisk, Rule};
use crate::metrics::commit;
use crate::transactions::steps::{Producer, TOPIC, committed, read_committed, wait_for_stable};

const LOADING: i16 = ErrorCode::CoordinatorLoadInProgress.code();
const GROUP: &str = "g";
const ID: &str = "id";

/// A request that was sent on a connection of its own: what it is, and how its error is received.
type Sent = (&'static str, Box<dyn FnOnce() -> i16>);

fn decoded<'a, R: Message<'a>>(body: &'a [u8], version: i16) -> R {
    R::decode(&mut Reader::new(body), version).expect("readable")
}

fn sent<Q: Request<'static> + 'static>(
    node: &TestNode,
    what: &'static str,
    version: i16,
    request: Q,
    error: fn(&[u8], i16) -> i16,
) -> Sent {
    let mut client = node.client();
    let number = client.send(version, &request).expect("sent");
    let receive = move || {
        let body = client.receive::<Q>(version, number).expect("an answer");
        error(&body, version)
    };
    (what, Box::new(receive))
}

fn describe_group(node: &TestNode) -> Sent {
    let describe = DescribeGroupsRequest {
        groups: vec![GROUP],
        ..DescribeGroupsRequest::default()
    };
    sent(node, "DescribeGroups", 5, describe, |body, version| {
        decoded::<DescribeGroupsResponse<'_>>(body, version).groups[0].error_code
    })
}

fn describe_transaction(node: &TestNode) -> Sent {
    let describe = DescribeTransactionsRequest {
        transactional_ids: vec![ID],
    };
    sent(
        node,
        "DescribeTransactions",
        0,
        describe,
        |body, version| {
            let answer: DescribeTransactionsResponse<'_> = decoded(body, version);
            answer.transaction_states[0].error_code
        },
    )
}

/// Everything that a group's coordinator is asked.
fn of_groups(node: &TestNode) -> Vec<Sent> {
    let join = JoinGroupRequest {
        group_id: GROUP,
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer",
        ..JoinGroupRequest::default()
    };
    let sync = SyncGroupRequest {
        group_id: GROUP,
        ..SyncGroupRequest::default()
    };
    let heartbeat = HeartbeatRequest {
        group_id: GROUP,
        ..HeartbeatRequest::default()
    };
    let leave = LeaveGroupRequest {
        group_id: GROUP,
        members: vec![MemberIdentity::default()],
        ..LeaveGroupRequest::default()
    };
    let commit = OffsetCommitRequest {
        group_id: GROUP,
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC,
            partitions: vec![OffsetCommitRequestPartition::default()],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let commit_open = || TxnOffsetCommitRequest {
        transactional_id: ID,
        group_id: GROUP,
        generation_id: -1,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: TOPIC,
            partitions: vec![TxnOffsetCommitRequestPartition::default()],
        }],
        ..TxnOffsetCommitRequest::default()
    };
    let fetch = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: GROUP,
            topics: Some(vec![OffsetFetchRequestTopics {
                name: TOPIC,
                partition_indexes: vec![0],
                ..OffsetFetchRequestTopics::default()
            }]),
            member_epoch: -1,
            ..OffsetFetchRequestGroup::default()
        }],
        ..OffsetFetchRequest::default()
    };
    let fetch_one = || OffsetFetchRequest {
        group_id: GROUP,
        topics: Some(vec![OffsetFetchRequestTopic {
            name: TOPIC,
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    let delete = DeleteGroupsRequest {
        groups_names: vec![GROUP],
    };
    let delete_offsets = OffsetDeleteRequest {
        group_id: GROUP,
        topics: vec![OffsetDeleteRequestTopic {
            name: TOPIC,
            partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
        }],
    };
    vec![
        sent(node, "JoinGroup", 9, join, |body, version| {
            decoded::<JoinGroupResponse<'_>>(body, version).error_code
        }),
        sent(node, "SyncGroup", 5, sync, |body, version| {
            decoded::<SyncGroupResponse<'_>>(body, version).error_code
        }),
        sent(node, "Heartbeat", 4, heartbeat, |body, version| {
            decoded::<HeartbeatResponse>(body, version).error_code
        }),
        sent(node, "LeaveGroup", 5, leave, |body, version| {
            decoded::<LeaveGroupResponse<'_>>(body, version).error_code
        }),
        sent(node, "OffsetCommit", 8, commit, |body, version| {
            let answer: OffsetCommitResponse<'_> = decoded(body, version);
            answer.topics[0].partitions[0].error_code
        }),
        sent(
            node,
            "TxnOffsetCommit",
            4,
            commit_open(),
            |body, version| {
                let answer: TxnOffsetCommitResponse<'_> = decoded(body, version);
                answer.topics[0].partitions[0].error_code
            },
        ),
        sent(
            node,
            "old TxnOffsetCommit",
            1,
            commit_open(),
            |body, version| {
                let answer: TxnOffsetCommitResponse<'_> = decoded(body, version);
                answer.topics[0].partitions[0].error_code
            },
        ),
        sent(node, "OffsetFetch", 9, fetch, |body, version| {
            let answer: OffsetFetchResponse<'_> = decoded(body, version);
            answer.groups[0].error_code
        }),
        sent(
            node,
            "OffsetFetch of one",
            7,
            fetch_one(),
            |body, version| decoded::<OffsetFetchResponse<'_>>(body, version).error_code,
        ),
        sent(node, "old OffsetFetch", 1, fetch_one(), |body, version| {
            let answer: OffsetFetchResponse<'_> = decoded(body, version);
            answer.topics[0].partitions[0].error_code
        }),
        describe_group(node),
        sent(node, "DeleteGroups", 2, delete, |body, version| {
            decoded::<DeleteGroupsResponse<'_>>(body, version).results[0].error_code
        }),
        sent(node, "OffsetDelete", 0, delete_offsets, |body, version| {
            decoded::<OffsetDeleteResponse<'_>>(body, version).error_code
        }),
        sent(
            node,
            "ListGroups",
            4,
            ListGroupsRequest::default(),
            |body, version| {
                let answer: ListGroupsResponse<'_> = decoded(body, version);
                assert!(answer.groups.is_empty(), "no list that looks whole");
                answer.error_code
            },
        ),
    ]
}

/// Everything that a transaction's coordinator is asked.
fn of_transactions(node: &TestNode, producer_id: i64, producer_epoch: i16) -> Vec<Sent> {
    let topics = || {
        vec![AddPartitionsToTxnTopic {
            name: TOPIC,
            partitions: vec![0],
        }]
    };
    let init = InitProducerIdRequest {
        transactional_id: Some(ID),
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    let add = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: ID,
        v3_and_below_producer_id: producer_id,
        v3_and_below_producer_epoch: producer_epoch,
        v3_and_below_topics: topics(),
        ..AddPartitionsToTxnRequest::default()
    };
    let add_several = AddPartitionsToTxnRequest {
        transactions: vec![AddPartitionsToTxnTransaction {
            transactional_id: ID,
            producer_id,
            producer_epoch,
            verify_only: false,
            topics: topics(),
        }],
        ..AddPartitionsToTxnRequest::default()
    };
    let add_offsets = AddOffsetsToTxnRequest {
        transactional_id: ID,
        producer_id,
        producer_epoch,
        group_id: GROUP,
    };
    let end = EndTxnRequest {
        transactional_id: ID,
        producer_id,
        producer_epoch,
        committed: true,
    };
    let list = ListTransactionsRequest {
        duration_filter: -1,
        ..ListTransactionsRequest::default()
    };
    vec![
        sent(node, "InitProducerId", 5, init, |body, version| {
            decoded::<InitProducerIdResponse>(body, version).error_code
        }),
        sent(node, "AddPartitionsToTxn", 3, add, |body, version| {
            let answer: AddPartitionsToTxnResponse<'_> = decoded(body, version);
            answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
        }),
        sent(
            node,
            "AddPartitionsToTxn of several",
            4,
            add_several,
            |body, version| {
                let answer: AddPartitionsToTxnResponse<'_> = decoded(body, version);
                let topic = &answer.results_by_transaction[0].topic_results[0];
                topic.results_by_partition[0].partition_error_code
            },
        ),
        sent(node, "AddOffsetsToTxn", 4, add_offsets, |body, version| {
            decoded::<AddOffsetsToTxnResponse>(body, version).error_code
        }),
        sent(node, "EndTxn", 5, end, |body, version| {
            decoded::<EndTxnResponse>(body, version).error_code
        }),
        describe_transaction(node),
        sent(node, "ListTransactions", 1, list, |body, version| {
            let answer: ListTransactionsResponse<'_> = decoded(body, version);
            assert!(
                answer.transaction_states.is_empty(),
                "no list that looks whole"
            );
            answer.error_code
        }),
    ]
}

#[test]
fn who_asks_a_coordinator_that_is_loaded_for_long_is_told_so() {
    let Some(disk) = FaultyDisk::mount(true) else {
        return;
    };
    let mut node = TestNode::prepare(&[
        ("offsets.topic.num.partitions", "1"),
        ("transaction.state.log.num.partitions", "1"),
        ("num.partitions", "4"),
    ]);
    node.set_data(&disk.path().join("data"));
    node.run();
    node.create(TOPIC);
    commit(&node, GROUP, TOPIC, 0, 7);
    let mut producer = Producer::begin(&node, ID, 2);
    producer.write(&[0], "open");
    node.stop();
    for topic in ["/__consumer_offsets-0/", "/__transaction_state-0/"] {
        disk.inject(Rule::new(Call::Read, topic, Fault::Held));
    }
    node.run();
    // Twice: who comes again begins no other load.
    let mut hits = 0;
    for round in 0..2 {
        let mut all = of_groups(&node);
        all.extend(of_transactions(&node, producer.id, producer.epoch));
        for (what, error) in all {
            let expected = match what {
                "Heartbeat" => 0,
                "old TxnOffsetCommit" => ErrorCode::CoordinatorNotAvailable.code(),
                _ => LOADING,
            };
            assert_eq!(error(), expected, "{what}");
        }
        producer.client = node.client();
        // Producers know no coordinator's errors.
        let again = ErrorCode::NotEnoughReplicas.code();
        assert_eq!(producer.produce(&[1], "later"), [again]);
        assert!(round == 0 || disk.hits() == hits, "loaded twice at once");
        hits = disk.hits();
    }
    disk.repair();
    let mut client = node.client();
    wait_until("the loads have ended", || {
        let both = [describe_group(&node), describe_transaction(&node)];
        both.map(|(_, error)| error()) == [0, 0]
    });
    assert_eq!(committed(&mut client, GROUP), Ok(7));
    producer.end(true);
    wait_for_stable(&mut client, 0, 2);
    assert!(read_committed(&mut client, 0, 0).aborted.is_empty());
    node.stop();
}
