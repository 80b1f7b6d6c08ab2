//! DeleteRecords: what is deleted stays so, and nothing else is.

use odradek_wire::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use odradek_wire::{ErrorCode, Message, Reader};

use crate::common::{Client, EARLIEST, LATEST, TestNode, batch, wait_until};

const VERSION: i16 = DeleteRecordsRequest::MAX_VERSION;
const EVERYTHING: i64 = -1;

pub(crate) fn try_delete(
    client: &mut Client,
    topic: &str,
    index: i32,
    offset: i64,
) -> (ErrorCode, i64) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic,
            partitions: vec![DeleteRecordsPartition {
                partition_index: index,
                offset,
            }],
        }],
        timeout_ms: 30_000,
    };
    let body = client.call(VERSION, &request).expect("an answer");
    let response = DeleteRecordsResponse::decode(&mut Reader::new(&body), VERSION);
    let one = response.expect("readable").topics[0].partitions[0].clone();
    let code = ErrorCode::from_code(one.error_code).expect("a known code");
    (code, one.low_watermark)
}

fn delete(client: &mut Client, offset: i64) -> i64 {
    let (error, start) = try_delete(client, "t", 0, offset);
    assert_eq!(error, ErrorCode::None, "deleting to {offset}");
    start
}

fn ends(client: &mut Client) -> (i64, i64) {
    let mut ask = |time| client.list_offsets("t", 0, time).offset;
    (ask(EARLIEST), ask(LATEST))
}

#[test]
fn what_is_deleted_stays_deleted_over_kills_and_stops() {
    let mut node = TestNode::start(&[]);
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    // Batches of three: a start may lie inside one.
    for _ in 0..10 {
        client.store("t", 0, &batch(&[b"a", b"b", b"c"]));
    }
    for (round, start) in [4, 5, 12, 30].into_iter().enumerate() {
        let mut client = node.client();
        assert_eq!(delete(&mut client, start), start);
        assert_eq!(delete(&mut client, start - 3), start, "it never moves down");
        if round % 2 == 0 {
            node.kill();
        } else {
            node.stop();
        }
        node.run();
        let mut client = node.client();
        assert_eq!(ends(&mut client), (start, 30));
        let before = client.fetch("t", 0, start - 1, 1 << 20);
        assert_eq!(before.error, ErrorCode::OffsetOutOfRange);
        let records = client.consume("t", 0, start);
        let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (start..30).collect::<Vec<_>>());
    }
    let mut client = node.client();
    assert_eq!(client.store("t", 0, &batch(&[b"new"])), 30);
    assert_eq!(delete(&mut client, EVERYTHING), 31);
    assert_eq!(client.store("t", 0, &batch(&[b"newer"])), 31);
    for _ in 0..2 {
        node.kill();
        node.run();
        let mut client = node.client();
        assert_eq!(ends(&mut client), (31, 32));
        assert_eq!(client.consume("t", 0, 31).len(), 1);
    }
    // A topic of the same name begins anew.
    let mut client = node.client();
    assert_eq!(client.delete_topic("t"), ErrorCode::None);
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    assert_eq!(client.store("t", 0, &batch(&[b"first"])), 0);
    assert_eq!(ends(&mut client), (0, 1));
}

#[test]
fn deletion_gives_the_space_back_and_the_log_goes_on() {
    let settings = [
        ("log.retention.check.interval.ms", "50"),
        ("log.segment.bytes", "1048576"),
    ];
    let mut node = TestNode::start(&settings);
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    let large = batch(&[&[7; 100_000]]);
    let segments = |node: &TestNode| {
        let files = std::fs::read_dir(node.partition("t", 0)).expect("its directory");
        let names = files.map(|file| file.expect("an entry").file_name());
        names
            .filter(|name| name.to_string_lossy().ends_with(".log"))
            .count()
    };
    let mut end = 0;
    for round in 0..3 {
        for _ in 0..35 {
            end = client.store("t", 0, &large) + 1;
        }
        assert_eq!(delete(&mut client, EVERYTHING), end);
        wait_until("old segments go", || segments(&node) == 1);
        // The segment in use has records both deleted and new, and is not cut short by a start.
        end = client.store("t", 0, &large) + 1;
        if round > 0 {
            node.kill();
        } else {
            node.stop();
        }
        node.run();
        client = node.client();
        assert_eq!(ends(&mut client), (end - 1, end), "round {round}");
        assert_eq!(client.consume("t", 0, end - 1).len(), 1);
    }
}

#[test]
fn what_cannot_be_deleted_is_refused() {
    let node = TestNode::start(&[("shards", "2")]);
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 2, &[]), ErrorCode::None);
    let compacted = [("cleanup.policy", "compact")];
    assert_eq!(client.create_topic("c", 1, &compacted), ErrorCode::None);
    let mut leader = node.leader("t", 0);
    leader.store("t", 0, &batch(&[b"x"]));
    use ErrorCode::{
        NotLeaderOrFollower, OffsetOutOfRange, PolicyViolation, UnknownTopicOrPartition,
    };
    let refused = |topic: &str, index, offset, expected| {
        let leads = index < 2 && topic != "none";
        let mut leader = node.leader(
            if leads { topic } else { "t" },
            if leads { index as usize } else { 0 },
        );
        let (error, start) = try_delete(&mut leader, topic, index, offset);
        assert_eq!(
            (error, start),
            (expected, -1),
            "{topic}-{index} to {offset}"
        );
    };
    refused("t", 0, 2, OffsetOutOfRange);
    refused("t", 0, -2, OffsetOutOfRange);
    refused("t", 7, 0, UnknownTopicOrPartition);
    refused("none", 0, 0, UnknownTopicOrPartition);
    refused("c", 0, 0, PolicyViolation);
    let mut other = node.leader("t", 1);
    let (error, _) = try_delete(&mut other, "t", 0, 1);
    assert_eq!(error, NotLeaderOrFollower);
    assert_eq!(leader.list_offsets("t", 0, EARLIEST).offset, 0);
}
