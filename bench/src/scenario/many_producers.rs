//! What do keyed, small batches from many producers cost, with few shards and with many?
//!
//! The case in which brokers of one thread per core have lost to Kafka: a client talks to every core
//! on a connection of its own, so the more cores, the more and the smaller requests. Kafka's clients'
//! defaults (idempotent, acks=all, linger 5 ms) at a fixed rate, then as fast as it goes with
//! batches of at most 1 KiB. All shards run on one core: what differs is the work, not the cores
//! that do it.

use anyhow::{Context, Result};

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::load::{Arrivals, Keys, Load, Sizes};
use crate::report::RunResult;

pub(super) const SCENARIO: Scenario = Scenario {
    number: 3,
    name: "many-producers",
    question: "What do keyed, small batches from many producers cost, with few shards and with many?",
    needs: Some("shards, which only the own node has; one address for all: shards.advertise=node"),
    run,
};

const PARTITIONS: i32 = 64;
const SHARDS: [usize; 4] = [1, 4, 16, 64];
/// Of the one-address mode.
const NODE_MODE_SHARDS: [usize; 2] = [4, 16];
const RECORD_BYTES: usize = 128;
const SMALL_BATCH_BYTES: usize = 1024;

fn run(stage: &mut Stage) -> Result<()> {
    if !stage.contestant.is_odradek() {
        let server = stage.start(&Variant::default())?;
        return ask(stage, "as configured", &server);
    }
    let core_mode = stage.amount(&SHARDS[..], &SHARDS[..2]).iter();
    let core_mode = core_mode.map(|shards| (format!("{shards} shards"), *shards, false));
    let node_mode = stage.amount(&NODE_MODE_SHARDS[..], &NODE_MODE_SHARDS[..1]);
    let node_mode = node_mode
        .iter()
        .map(|shards| (format!("{shards} shards, one address"), *shards, true));
    // One that fails does not keep the others from running.
    let mut failed = None;
    for (name, shards, node_mode) in core_mode.chain(node_mode) {
        let variant = Variant {
            shards: Some(shards),
            node_mode,
            ..Variant::default()
        };
        let asked = match stage.start(&variant) {
            Ok(server) => ask(stage, &name, &server),
            Err(error) if node_mode && format!("{error:#}").contains("shards.advertise") => {
                stage.skip(&format!("{name}: the node has no such mode yet: {error:#}"));
                Ok(())
            }
            Err(error) => Err(error),
        };
        stage.check_interrupt()?;
        failed = failed.or(asked.with_context(|| name.clone()).err());
    }
    failed.map_or(Ok(()), Err)
}

fn ask(stage: &mut Stage, name: &str, server: &Server) -> Result<()> {
    let rate = stage.amount(50e3, 500.0);
    let steady = Load {
        partitions: PARTITIONS,
        arrivals: Arrivals::Poisson { rate },
        producers: stage.amount(100, 5),
        keys: Keys::Uniform { count: 10_000 },
        sizes: Sizes::Fixed {
            bytes: RECORD_BYTES,
        },
        idempotent: true,
        ..stage.new_load("many-producers")
    };
    let run = stage.load(&format!("{name}, {rate:.0}/s"), server, &steady)?;
    let leaders = run.server.leaders.len();
    let connections = leaders * (steady.producers + steady.consumers);
    let figure = format!("{name}: connections");
    stage.figure(&figure, "connections", Better::Neither, connections as f64);
    requests(stage, name, &run);

    let most = Load {
        arrivals: Arrivals::Saturate,
        batch_bytes: SMALL_BATCH_BYTES,
        // So that reading does not set the pace.
        reading: crate::load::Reading::After,
        topic: stage.topic_name("many-producers-most"),
        ..steady
    };
    stage.load(&format!("{name}, 1 KiB batches"), server, &most)?;
    Ok(())
}

/// What batching came to.
fn requests(stage: &mut Stage, name: &str, run: &RunResult) {
    let window = &run.window;
    let requests = window.produce_requests as f64;
    let mb = window.acked_bytes as f64 / 1e6;
    let name = |what: &str| format!("{name}: {what}");
    stage.figure(
        &name("produce requests"),
        "requests/MB",
        Better::Less,
        requests / mb,
    );
    stage.figure(
        &name("produce requests"),
        "messages/request",
        Better::More,
        window.acked as f64 / requests,
    );
}
