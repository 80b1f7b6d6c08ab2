//! A disk that fills up: what was acknowledged stays, what is there is served, and when there is
//! room again the node goes on without a restart.
//!
//! Needs a small file system of its own: root and a loop device.

use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use odradek_wire::{ErrorCode, Reader};

use crate::common::{Client, LATEST, TestNode, batch, wait_until};
use crate::faulty_disk::{Call, Fault, FaultyDisk, Rule};
use crate::metrics;
use crate::small_disk::SmallDisk;
use crate::transactions::steps::{PARTITIONS, Producer, TOPIC, committed, wait_for_stable};

/// Partitions of a topic that gets nothing while there is room.
const MANY: i32 = 20;

fn value(number: i64) -> Vec<u8> {
    let mut value = vec![7; 50_000];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// Everything acknowledged is there, in order, at its offset; what was acknowledged when it was written
/// can be read once it is durable.
fn check(client: &mut Client, topic: &str, stored: &[(i64, i64)]) {
    let end = stored.last().map_or(0, |(offset, _)| offset + 1);
    wait_until("all that was acknowledged can be read", || {
        client.list_offsets(topic, 0, LATEST).offset >= end
    });
    let found = client.consume(topic, 0, 0);
    for (offset, number) in stored {
        let record = &found[*offset as usize];
        assert_eq!((record.offset, &record.value), (*offset, &value(*number)));
    }
}

#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let Some(disk) = SmallDisk::new(64) else {
        return;
    };
    let mut node = TestNode::prepare(&[("log.segment.bytes", "1048576")]);
    node.set_data(&disk.path().join("data"));
    node.run();
    for topic in ["busy", "calm"] {
        node.create(topic);
    }
    let made = node.client().create_topic("many", MANY, &[]);
    assert_eq!(made, ErrorCode::None);
    let mut client = node.client();
    let calm: Vec<(i64, i64)> = (0..20).map(|n| (n, n)).collect();
    for (offset, number) in &calm {
        assert_eq!(client.store("calm", 0, &batch(&[&value(*number)])), *offset);
    }
    let mut stored = Vec::new();
    let mut number = 0;
    for round in 0..3 {
        disk.fill(3 << 20);
        let error = loop {
            // Alternately with acks=1 and acks=all.
            let acks = if number % 2 == 0 { 1 } else { -1 };
            let produced = client.produce("busy", 0, acks, &batch(&[&value(number)]));
            match produced.error {
                ErrorCode::None => stored.push((produced.offset, number)),
                error => break error,
            }
            number += 1;
            assert!(stored.len() < 2000, "the disk does not fill up");
        };
        assert_eq!(error, ErrorCode::KafkaStorageError);
        node.logged("free space");
        if round == 0 {
            // Each of many partitions finds it full, again and again: that is one line a second,
            // and one that says how many were kept back.
            wait_until("lines are kept back", || {
                for index in 0..MANY {
                    let produced = client.produce("many", index, -1, &batch(&[&value(0)]));
                    assert_eq!(produced.error, ErrorCode::KafkaStorageError, "{index}");
                }
                node.log()
                    .contains("more lines like the next were kept back")
            });
            node.seldom("free space", 1);
        }
        // While it is full: all that is there is read, and other clients are served.
        check(&mut client, "busy", &stored);
        check(&mut node.client(), "calm", &calm);
        assert_eq!(client.metadata("calm", false).0, ErrorCode::None);
        if round == 1 {
            // Over a kill with the disk full.
            node.kill();
            node.run();
            client = node.client();
            check(&mut client, "busy", &stored);
        }
        disk.free();
        wait_until("records are taken again", || {
            number += 1;
            let produced = client.produce("busy", 0, -1, &batch(&[&value(number)]));
            if produced.error == ErrorCode::None {
                stored.push((produced.offset, number));
            }
            produced.error == ErrorCode::None
        });
        check(&mut client, "busy", &stored);
        number += 1;
    }
    node.create("late");
    assert_eq!(client.store("late", 0, &batch(&[b"new"])), 0);
    let end = client.list_offsets("busy", 0, LATEST).offset;
    node.stop();
    node.run();
    let mut client = node.client();
    assert_eq!(client.list_offsets("busy", 0, LATEST).offset, end);
    check(&mut client, "busy", &stored);
    check(&mut client, "calm", &calm);
}

const GROUP: &str = "g";
/// Requests that are made while there is no room, and of which few may be logged.
const MANY_REQUESTS: i64 = 50;
/// More than there is room for in what files have allocated ahead.
const SMALL_MAX: i64 = 5_000;

/// Commits an offset of the topic's first partition; the error code.
fn commit(client: &mut Client, offset: i64) -> i16 {
    let request = OffsetCommitRequest {
        group_id: GROUP,
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC,
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let body = client.call(8, &request).expect("an answer");
    let response = OffsetCommitResponse::decode(&mut Reader::new(&body), 8);
    response.expect("readable").topics[0].partitions[0].error_code
}

/// InitProducerId: the error code, id and epoch.
fn init(client: &mut Client, id: Option<&str>, timeout_ms: i32) -> (i16, i64, i16) {
    let request = InitProducerIdRequest {
        transactional_id: id,
        transaction_timeout_ms: timeout_ms,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    let body = client.call(5, &request).expect("an answer");
    let begun = InitProducerIdResponse::decode(&mut Reader::new(&body), 5).expect("readable");
    (begun.error_code, begun.producer_id, begun.producer_epoch)
}

/// Asks until it is refused; why.
fn until_refused(mut ask: impl FnMut(i64) -> i16) -> Option<ErrorCode> {
    let code = (0..SMALL_MAX).map(&mut ask).find(|code| *code != 0);
    ErrorCode::from_code(code.expect("there is no end of room"))
}

#[test]
fn metadata_groups_and_transactions_are_refused_on_a_full_disk_and_heal() {
    let Some(disk) = SmallDisk::new(64) else {
        return;
    };
    let mut node = TestNode::prepare(&[
        ("offsets.topic.num.partitions", "1"),
        ("transaction.state.log.num.partitions", "1"),
    ]);
    node.set_data(&disk.path().join("data"));
    node.run();
    node.create("busy");
    let mut client = node.client();
    let made = client.create_topic(TOPIC, PARTITIONS, &[]);
    assert_eq!(made, ErrorCode::None);
    metrics::commit(&node, GROUP, TOPIC, 0, 0);
    let mut open = Producer::begin(&node, "open", 2);
    open.write(&[0], "kept");
    // Nobody ends this one, and its time is over while there is no room, or soon after.
    let mut left = Producer::begin(&node, "left", 2);
    let (code, id, epoch) = init(&mut client, Some("left"), 4_000);
    assert_eq!(code, 0);
    (left.id, left.epoch) = (id, epoch);
    left.write(&[1], "left");

    disk.fill(256 << 10);
    let refused = until_refused(|number| {
        let produced = client.produce("busy", 0, -1, &batch(&[&value(number)]));
        produced.error.code()
    });
    assert_eq!(refused, Some(ErrorCode::KafkaStorageError));
    let mut offset = 0;
    let refused = until_refused(|_| {
        offset += 1;
        commit(&mut client, offset)
    });
    assert_eq!(refused, Some(ErrorCode::NotCoordinator));
    let stored = offset - 1;
    for partitions in [50, 1] {
        let refused = until_refused(|number| {
            let name = format!("of-{partitions}-{number}");
            client.create_topic(&name, partitions, &[]).code()
        });
        assert_eq!(refused, Some(ErrorCode::KafkaStorageError));
    }
    let refused = until_refused(|number| {
        let id = format!("id-{number}");
        init(&mut client, Some(&id), 60_000).0
    });
    assert_eq!(refused, Some(ErrorCode::NotCoordinator));
    let ended = ErrorCode::from_code(open.try_end(true));
    assert_eq!(ended, Some(ErrorCode::NotCoordinator));
    let refused = until_refused(|_| init(&mut client, None, 0).0);
    assert_eq!(refused, Some(ErrorCode::CoordinatorLoadInProgress));
    for number in 0..MANY_REQUESTS {
        offset += 1;
        commit(&mut client, offset);
        client.create_topic(&format!("more-{number}"), 50, &[]);
        client.metadata(&format!("made-{number}"), true);
        init(&mut client, Some(&format!("more-{number}")), 60_000);
        init(&mut client, None, 0);
    }
    // Of groups, and of transactions.
    node.seldom("are loaded anew", 2);
    // A change that was refused, and what came of that.
    node.seldom("the metadata log cannot be written", 2);

    disk.free();
    // Though nobody asks its coordinator for anything.
    wait_for_stable(&mut client, 1, 2);
    wait_until("the transaction is ended", || open.try_end(true) == 0);
    wait_for_stable(&mut client, 0, 2);
    let found = committed(&mut client, GROUP).expect("an offset");
    assert!((stored..=offset).contains(&found), "{stored}, {found}");
    wait_until("offsets are committed", || commit(&mut client, 77_777) == 0);
    wait_until("there are producer ids", || {
        init(&mut client, None, 0).0 == 0
    });
    wait_until("topics are made", || {
        let made = client.create_topic("late", 1, &[]);
        matches!(made, ErrorCode::None | ErrorCode::TopicAlreadyExists)
    });
    assert_eq!(client.store("late", 0, &batch(&[b"new"])), 0);
    let mut again = Producer::begin(&node, "again", 2);
    again.write(&[2], "again");
    again.end(true);
    wait_for_stable(&mut client, 2, 2);
    node.stop();
    node.run();
    let mut client = node.client();
    assert_eq!(committed(&mut client, GROUP), Ok(77_777));
    assert_eq!(client.consume("late", 0, 0).len(), 1);
    node.stop();
}

/// Room that was allocated is not all that a write may need, where a file system copies on write.
#[test]
fn the_metadata_log_is_written_again_when_there_is_room_again() {
    let Some(disk) = FaultyDisk::mount(false) else {
        return;
    };
    let mut node = TestNode::prepare(&[("log.write.strategy", "direct")]);
    node.set_data(&disk.path().join("data"));
    node.run();
    let mut client = node.client();
    // What is refused is not there, or, where the write was made before it failed, is there later.
    let faults = [Fault::Error(libc::ENOSPC), Fault::Torn(libc::ENOSPC)];
    for (number, fault) in (0..).zip(faults) {
        let [before, refused, after] =
            ["before", "refused", "after"].map(|name| format!("{name}-{number}"));
        assert_eq!(client.create_topic(&before, 1, &[]), ErrorCode::None);
        for call in [Call::Write, Call::DurableWrite] {
            disk.inject(Rule::new(call, "/__cluster_metadata-0/", fault));
        }
        for _ in 0..3 {
            let made = client.create_topic(&refused, 1, &[]);
            assert_eq!(made, ErrorCode::KafkaStorageError);
        }
        assert!(disk.hits() > 0);
        assert_eq!(client.store(&before, 0, &batch(&[b"still"])), 0);
        disk.repair();
        wait_until("topics are made", || {
            client.create_topic(&after, 1, &[]) == ErrorCode::None
        });
        assert_eq!(client.store(&after, 0, &batch(&[b"new"])), 0);
        let there = client.metadata(&refused, false).0 == ErrorCode::None;
        assert_eq!(there, matches!(fault, Fault::Torn(_)), "{refused}");
    }
    node.logged("is in the log after all");
    node.stop();
    node.run();
    let mut client = node.client();
    for number in 0..2 {
        let expected = [
            ("before", ErrorCode::None),
            ("after", ErrorCode::None),
            (
                "refused",
                [ErrorCode::UnknownTopicOrPartition, ErrorCode::None][number],
            ),
        ];
        for (name, expected) in expected {
            let name = format!("{name}-{number}");
            assert_eq!(client.metadata(&name, false).0, expected, "{name}");
        }
    }
    node.stop();
}
