//! CreatePartitions: topics that get more partitions, and what becomes of them over restarts.

use odradek_wire::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsResponse,
    CreatePartitionsTopic,
};
use odradek_wire::{ErrorCode, Message, Reader};

use crate::common::{Client, TestNode, batch};

const VERSION: i16 = CreatePartitionsRequest::MAX_VERSION;

fn grow(
    client: &mut Client,
    topics: &[(&str, i32, Option<&[i32]>)],
    validate_only: bool,
) -> Vec<(String, i16, Option<String>)> {
    let topics = topics.iter().map(|(name, count, brokers)| {
        let assign = |id: &i32| CreatePartitionsAssignment {
            broker_ids: vec![*id],
        };
        CreatePartitionsTopic {
            name,
            count: *count,
            assignments: brokers.map(|ids| ids.iter().map(assign).collect()),
        }
    });
    let request = CreatePartitionsRequest {
        topics: topics.collect(),
        timeout_ms: 30_000,
        validate_only,
    };
    let body = client.call(VERSION, &request).expect("an answer");
    let response = CreatePartitionsResponse::decode(&mut Reader::new(&body), VERSION);
    let results = response.expect("readable").results.into_iter();
    let owned = |why: Option<&str>| why.map(str::to_owned);
    results
        .map(|one| {
            (
                one.name.to_owned(),
                one.error_code,
                owned(one.error_message),
            )
        })
        .collect()
}

fn code(results: &[(String, i16, Option<String>)]) -> i16 {
    assert_eq!(results.len(), 1, "{results:?}");
    results[0].1
}

#[test]
fn a_topic_grows_and_stays_so() {
    let mut node = TestNode::start(&[("shards", "2")]);
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    node.leader("t", 0).store("t", 0, &batch(&[b"before"]));
    assert_eq!(code(&grow(&mut client, &[("t", 4, None)], true)), 0);
    assert_eq!(client.metadata("t", false).1.len(), 1, "only validated");
    assert_eq!(code(&grow(&mut client, &[("t", 4, None)], false)), 0);
    // Every shard serves it at once: by any connection, without a retry.
    for round in 0..3 {
        let mut leaders = std::collections::BTreeSet::new();
        for index in 0..4 {
            let mut leader = node.leader("t", index);
            leaders.insert(node.client().metadata("t", false).1[index].0);
            let stored = leader.store("t", index as i32, &batch(&[b"x"]));
            let before = i64::from(index == 0);
            assert_eq!(stored, round + before, "partition {index}");
        }
        assert_eq!(leaders.len(), 2, "spread over the shards");
        match round {
            0 => node.kill(),
            _ => node.stop(),
        }
        node.run();
    }
    // Where they are put by hand.
    let mut client = node.client();
    let first = client.metadata("t", false).1;
    let ids: Vec<i32> = vec![first[0].0, first[0].0];
    assert_eq!(code(&grow(&mut client, &[("t", 6, Some(&ids))], false)), 0);
    let grown = client.metadata("t", false).1;
    assert_eq!((grown[4].0, grown[5].0), (first[0].0, first[0].0));
    assert_eq!(grown[..4], first[..4], "the others stay where they are");
}

#[test]
fn each_topic_is_answered_for_itself() {
    let node = TestNode::start(&[]);
    let mut client = node.client();
    for name in ["a", "b", "c"] {
        assert_eq!(client.create_topic(name, 2, &[]), ErrorCode::None);
    }
    let asked = [
        ("a", 3, None),
        ("b", 2, None),
        ("c", 3, None),
        ("c", 4, None),
        ("none", 3, None),
    ];
    let mut results = grow(&mut client, &asked, false);
    results.sort();
    let codes: Vec<(&str, i16)> = results
        .iter()
        .map(|(name, code, _)| (name.as_str(), *code))
        .collect();
    let expected = [
        ("a", ErrorCode::None),
        ("b", ErrorCode::InvalidPartitions),
        ("c", ErrorCode::InvalidRequest),
        ("none", ErrorCode::UnknownTopicOrPartition),
    ];
    assert_eq!(codes, expected.map(|(name, code)| (name, code.code())));
    let count = |client: &mut Client, name: &str| client.metadata(name, false).1.len();
    let counts = ["a", "b", "c"].map(|name| count(&mut client, name));
    assert_eq!(counts, [3, 2, 2]);
    let big = grow(&mut client, &[("a", 100_000, None)], false);
    assert_eq!(code(&big), ErrorCode::PolicyViolation.code());
}
