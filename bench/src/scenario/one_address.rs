//! What does one address for all cores cost?
//!
//! Two shards, two partitions, 1 MiB requests as fast as they are answered. First each shard is a
//! broker: a connection to each, which sends to its partition. Then the node is one broker
//! (`shards.advertise=node`), and each connection sends to both partitions in turn, so that half of
//! all requests go on to the other shard. Both shards run where the server may run: on one core it
//! is the work that is compared.

use super::{Scenario, Stage};
use crate::contest::Variant;
use crate::drive::Load;

pub(super) const SCENARIO: Scenario = Scenario {
    number: 10,
    name: "one-address",
    question: "What does one address for all cores cost?",
    needs: Some("shards, and one address for all: the own node, shards.advertise=node"),
    run,
};

const SHARDS: usize = 2;
/// As many requests in flight as Kafka's clients have.
const DEPTH: (usize, usize) = (SHARDS, 5);

fn run(stage: &mut Stage) -> anyhow::Result<()> {
    if !stage.contestant.is_odradek() {
        stage.skip("all: the server has no shards");
        return Ok(());
    }
    for (mode, node_mode) in [("each shard a broker", false), ("one address", true)] {
        let server = stage.start(&Variant {
            shards: Some(SHARDS),
            node_mode,
            ..Variant::default()
        })?;
        for (what, acks) in [("acks=1", 1), ("acks=all", -1)] {
            let topic = stage.topic_name(&format!("one-address{acks}"));
            let partitions = stage.topic(&server, &topic, SHARDS as i32, &[])?;
            let load = Load {
                record_bytes: 1024,
                batch_bytes: 1 << 20,
                acks,
                spread: node_mode,
            };
            let name = format!("{mode}, produce {what}");
            stage.saturate_produce(&name, &server, (&topic, &partitions), load, DEPTH)?;
        }
    }
    Ok(())
}
