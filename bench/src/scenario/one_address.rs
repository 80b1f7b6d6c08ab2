//! What does one address for all cores cost?
//!
//! Two shards, two partitions, 1 MiB requests as fast as they are answered. Either each shard is a
//! broker: a connection to each, which sends to its partition. Or the node is one broker
//! (`shards.advertise=node`), and each connection sends to both partitions in turn, so that half of
//! all requests go on to the other shard. Both shards run where the server may run: on one core it
//! is the work that is compared.
//!
//! The two take turns, each time on a fresh server, and who is first changes. Figures are medians
//! of the rounds; the goal is one address's CPU per GB, of the other's: at most 1.25.

use std::time::Duration;

use anyhow::Result;

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::Variant;
use crate::drive::{Load, Plan};
use crate::measurement::Measurement;
use crate::record::Spread;

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
const ROUNDS: usize = 5;
/// What is compared, and with what.
const MODES: [(&str, bool); 2] = [("each shard a broker", false), ("one address", true)];
const ACKS: [(&str, i16); 2] = [("acks=1", 1), ("acks=all", -1)];

/// The runs of a mode ([`MODES`]) at one of [`ACKS`].
type Taken = [[Vec<Measurement>; ACKS.len()]; MODES.len()];

fn run(stage: &mut Stage) -> Result<()> {
    if !stage.contestant.is_odradek() {
        stage.skip("all: the server has no shards");
        return Ok(());
    }
    let mut taken = Taken::default();
    for round in 0..stage.amount(ROUNDS, 1) {
        for turn in 0..MODES.len() {
            one_mode(stage, round, (round + turn) % MODES.len(), &mut taken)?;
        }
    }
    for (at, (mode, _)) in MODES.iter().enumerate() {
        for (what, runs) in ACKS.iter().map(|(what, _)| what).zip(&taken[at]) {
            told(stage, &format!("{mode}, produce {what}"), runs);
        }
    }
    for (at, (what, _)) in ACKS.iter().enumerate() {
        compared(stage, what, &taken[0][at], &taken[1][at]);
    }
    stage.findings.measurements = taken.into_iter().flatten().flatten().collect();
    Ok(())
}

/// The server goes with its data at the end: the disk holds what one turn wrote.
fn one_mode(stage: &mut Stage, round: usize, at: usize, taken: &mut Taken) -> Result<()> {
    let (mode, node_mode) = MODES[at];
    let server = stage.start(&Variant {
        shards: Some(SHARDS),
        node_mode,
        ..Variant::default()
    })?;
    for ((what, acks), runs) in ACKS.iter().zip(&mut taken[at]) {
        let topic = stage.topic_name(&format!("one-address{acks}"));
        let partitions = stage.topic(&server, &topic, SHARDS as i32, &[])?;
        let load = Load {
            record_bytes: 1024,
            batch_bytes: 1 << 20,
            acks: *acks,
            spread: node_mode,
        };
        let plan = Plan {
            // As long at any scale: until tails have filled once every page of theirs is new to the
            // server, and here and there to the host, which costs more than what is compared.
            warmup: Duration::from_secs_f64(stage.amount(1.0, 0.2)),
            time: Duration::from_secs_f64(stage.seconds(2.0)),
            ..stage.plan(DEPTH.0, DEPTH.1)
        };
        let name = format!("{mode}, produce {what}, round {}", round + 1);
        let (run, _) = stage.quiet_produce(&name, &server, (&topic, &partitions), load, plan)?;
        runs.push(run);
        server.admin()?.delete_topic(&topic)?;
    }
    Ok(())
}

/// Medians of a mode's runs.
fn told(stage: &mut Stage, name: &str, runs: &[Measurement]) {
    let mut figure = |what: &str, unit: &str, better, of: Option<Spread>| {
        if let Some(spread) = of {
            stage.figure(&format!("{name}: {what}"), unit, better, spread.median);
        }
    };
    let rate = Spread::of(runs.iter().map(|run| 1e3 * run.gb_per_s()));
    figure("throughput", "MB/s", Better::More, rate);
    figure("machine CPU", "s/GB", Better::Less, machine(runs));
    figure("process CPU", "s/GB", Better::Neither, process(runs));
    let driver = Spread::of(runs.iter().map(Measurement::driver_s_per_gb));
    figure("driver CPU", "s/GB", Better::Neither, driver);
    let driver = Spread::of(runs.iter().map(Measurement::driver_us_per_request));
    figure("driver CPU", "µs/request", Better::Neither, driver);
}

fn compared(stage: &mut Stage, what: &str, apart: &[Measurement], one: &[Measurement]) {
    let both = [
        ("machine", machine(one).zip(machine(apart))),
        ("process", process(one).zip(process(apart))),
    ];
    for (whose, spreads) in both {
        let Some((one, apart)) = spreads else {
            stage.skip(&format!(
                "{whose} CPU, {what}: no round of each was of use (the machine was busy with \
                 something else)"
            ));
            continue;
        };
        let name = format!(
            "one address, {what}: {whose} CPU per GB, of each shard a broker's (goal: 1.25)"
        );
        stage.figure(&name, "×", Better::Less, one.median / apart.median);
        stage.findings.notes.push(format!(
            "{what}, {whose} s/GB: one address {}, each shard a broker {}",
            one.show(3),
            apart.show(3)
        ));
    }
}

/// CPU seconds per GB of the whole machine, of the rounds in which it is known.
fn machine(runs: &[Measurement]) -> Option<Spread> {
    let quiet = runs.iter().filter(|run| run.machine_was_quiet());
    Spread::of(quiet.map(Measurement::machine_s_per_gb))
}

fn process(runs: &[Measurement]) -> Option<Spread> {
    Spread::of(runs.iter().filter_map(Measurement::process_s_per_gb))
}
