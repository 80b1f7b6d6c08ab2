//! The same data under one address and under one for each shard, by turns.

use super::groups::{commit, committed, find};
use super::{PARTITIONS, TOPIC, prepare};
use crate::common::{TestNode, batch};
use odradek_wire::ErrorCode;

/// Every partition with the shard's directory it lies in is as it was.
fn check(node: &TestNode, rounds: i64) {
    for index in 0..PARTITIONS {
        let records = node.leader(TOPIC, index as usize).consume(TOPIC, index, 0);
        assert_eq!(records.len() as i64, rounds, "partition {index}");
        for (round, record) in records.iter().enumerate() {
            assert_eq!(record.value, format!("{index}:{round}").as_bytes());
        }
    }
}

#[test]
fn the_mode_can_be_switched_between_starts() {
    let mut node = prepare();
    let groups: Vec<String> = (0..6).map(|number| format!("group-{number}")).collect();
    for (round, mode) in (0..).zip(["core", "node", "core", "node"]) {
        node.set("shards.advertise", mode);
        node.run();
        assert_eq!(node.shards().len(), if mode == "core" { 4 } else { 1 });
        if round == 0 {
            let mut client = node.client();
            assert_eq!(client.create_topic(TOPIC, PARTITIONS, &[]), ErrorCode::None);
        }
        check(&node, round);
        for index in 0..PARTITIONS {
            let value = format!("{index}:{round}");
            let mut leader = node.leader(TOPIC, index as usize);
            assert_eq!(
                leader.store(TOPIC, index, &batch(&[value.as_bytes()])),
                round
            );
        }
        for group in &groups {
            let coordinator = find(&mut node.client(), group);
            let mut client = match mode {
                "core" => {
                    let shard = coordinator as usize % 1000;
                    crate::common::Client::connect(&node.shards()[shard])
                }
                _ => node.client(),
            };
            let expected = if round == 0 { -1 } else { round - 1 };
            let known = committed(&mut client, std::slice::from_ref(group));
            assert_eq!(known, [(group.clone(), expected)]);
            assert_eq!(commit(&mut client, group, round), 0);
        }
        match round {
            1 => node.kill(),
            _ => node.stop(),
        }
    }
}
