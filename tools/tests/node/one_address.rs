//! A node of four shards that is one broker to its clients: any connection asks for anything.

mod connections;
mod fetching;
mod groups;
mod producing;
mod switching;

use crate::common::{Client, TestNode, batch};
use odradek_wire::ErrorCode;

const SHARDS: u64 = 4;
/// Two for each shard.
const PARTITIONS: i32 = 8;
const TOPIC: &str = "t";

fn prepare() -> TestNode {
    let mut node = TestNode::prepare(&[
        ("shards", "4"),
        ("shards.advertise", "node"),
        ("num.partitions", "8"),
        ("offsets.topic.num.partitions", "8"),
    ]);
    node.set_log_level("info,odradek_shards=debug");
    node
}

/// Four shards behind one address, and a topic with partitions on each.
fn start() -> TestNode {
    let mut node = prepare();
    node.run();
    let mut client = node.client();
    assert_eq!(client.create_topic(TOPIC, PARTITIONS, &[]), ErrorCode::None);
    node
}

/// How often a connection has gone from one shard to another.
fn moves(node: &TestNode) -> usize {
    node.log().matches("connection goes to shard").count()
}

/// Stores a record in every partition; its value names the partition.
fn store_everywhere(client: &mut Client, round: i64) {
    for index in 0..PARTITIONS {
        let value = format!("{index}:{round}");
        assert_eq!(
            client.store(TOPIC, index, &batch(&[value.as_bytes()])),
            round
        );
    }
}
