//! What does one hot partition among many do to the others, and does moving it to a free core help?
//!
//! Keys follow a steep Zipf law, so that one partition takes a third of all messages; it shares its
//! core with its share of the others. Then it is moved (AlterPartitionReassignments, as
//! `kafka-reassign-partitions` does) to the core that leads the fewest, and the same is asked again.
//! The own node's is moved in the middle of a load, and the longest wait for an ack is the move's
//! interruption.
//! With fewer free cores than shards the second run shows the move's own cost, not its use: the
//! report says on which cores the server ran.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::drive::Layout;
use crate::load::{Arrivals, KeyDraw, Keys, Load, Reading};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 9,
    name: "hot-partition",
    question: "What does one hot partition among many do to the others, and does moving it to a free core help?",
    needs: Some(
        "several brokers to move between: the own node's shards, AlterPartitionReassignments",
    ),
    run,
};

const PARTITIONS: i32 = 16;
const SHARDS: usize = 2;
const KEYS: Keys = Keys::Zipf {
    count: 10_000,
    exponent: 1.3,
};

fn run(stage: &mut Stage) -> Result<()> {
    let server = stage.start(&Variant {
        shards: Some(SHARDS),
        ..Variant::default()
    })?;
    let load = Load {
        partitions: PARTITIONS,
        arrivals: Arrivals::Poisson {
            rate: stage.amount(50e3, 1e3),
        },
        producers: 2,
        keys: KEYS,
        ..stage.new_load("hot-partition")
    };
    let even = Load {
        keys: Keys::Uniform { count: 10_000 },
        topic: stage.topic_name("even-partitions"),
        ..load.clone()
    };
    stage.load("even", &server, &even)?;
    stage.load("one hot", &server, &load)?;
    let (hot, share) = hottest(&load);
    stage.figure(
        "the hot partition's share",
        "% of messages",
        Better::Neither,
        100.0 * share,
    );
    let mut admin = server.admin()?;
    let layout = admin.layout(&load.topic)?;
    if layout.brokers.len() < 2 {
        stage.skip("the move: there is one broker only");
    } else if !admin.can_move() {
        stage.skip("the move: the server has no AlterPartitionReassignments yet");
    } else {
        moved(stage, &server, &load, &layout, hot)?;
    }
    Ok(())
}

fn moved(stage: &mut Stage, server: &Server, load: &Load, layout: &Layout, hot: i32) -> Result<()> {
    let to = emptiest(layout, hot).context("no broker to move to")?;
    let took = match stage.contestant.is_odradek() {
        true => live(stage, server, load, (hot, to))?,
        // The driver's producers do not look for another leader; the own node passes on what they
        // send to the old one.
        false => server.admin()?.move_to(&load.topic, hot, to)?,
    };
    let ms = took.as_secs_f64() * 1e3;
    stage.figure(
        "the move, until the new leader is known",
        "ms",
        Better::Less,
        ms,
    );
    let cores = stage.place.cores();
    if cores.len() < SHARDS {
        stage.findings.notes.push(format!(
            "the shards share core {cores:?}: the move frees no core here"
        ));
    }
    stage.load("one hot, moved", server, load)?;
    Ok(())
}

/// Moves it in the middle of a load that nobody reads: how long that took.
fn live(
    stage: &mut Stage,
    server: &Server,
    load: &Load,
    (hot, to): (i32, i32),
) -> Result<Duration> {
    let load = Load {
        reading: Reading::None,
        ..load.clone()
    };
    let (topic, wait) = (load.topic.clone(), load.warmup_s + load.window_s / 2.0);
    let mut admin = server.admin()?;
    let moving = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs_f64(wait));
        admin.move_to(&topic, hot, to)
    });
    let result = stage.load("one hot, moved meanwhile", server, &load);
    let took = moving.join().expect("no panic")?;
    let longest = result?.produce_ack.max_ns as f64 / 1e6;
    stage.figure(
        "the move under load: longest wait for an ack",
        "ms",
        Better::Less,
        longest,
    );
    Ok(took)
}

/// The partition that most messages go to, and their share: keys are drawn as the load draws them.
fn hottest(load: &Load) -> (i32, f64) {
    const DRAWN: u32 = 20_000;
    let partitions = load.partitions as usize;
    let mut counts = vec![0u32; partitions];
    let mut draw = KeyDraw::new(load.keys, 0, load.seed);
    for _ in 0..DRAWN {
        if let Some(key) = draw.draw() {
            counts[odradek_engine::record::partition_of_key(&key, partitions)] += 1;
        }
    }
    let most = counts.iter().enumerate().max_by_key(|(_, count)| **count);
    let (at, count) = most.map_or((0, 0), |(at, count)| (at, *count));
    (at as i32, f64::from(count) / f64::from(DRAWN))
}

/// The broker that leads the fewest of the topic, but not the one that leads `hot`.
fn emptiest(layout: &Layout, hot: i32) -> Option<i32> {
    let mut led: BTreeMap<i32, usize> = layout.brokers.iter().map(|id| (*id, 0)).collect();
    for leader in &layout.leaders {
        if let Some(count) = led.get_mut(leader) {
            *count += 1;
        }
    }
    let now = layout.leaders.get(hot as usize).copied()?;
    led.remove(&now);
    let fewest = led.into_iter().min_by_key(|(_, count)| *count);
    fewest.map(|(broker, _)| broker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hot_partition_is_the_one_that_gets_most() {
        let load = Load {
            partitions: PARTITIONS,
            keys: KEYS,
            ..Load::default()
        };
        let (hot, share) = hottest(&load);
        // The first key alone has a quarter.
        let first = odradek_engine::record::partition_of_key(&0u64.to_be_bytes(), 16);
        assert_eq!(hot as usize, first);
        assert!((0.2..0.5).contains(&share), "{share}");
    }

    #[test]
    fn it_moves_to_another_broker_that_leads_the_fewest() {
        let layout = Layout {
            brokers: vec![1000, 1001, 1002],
            leaders: vec![1000, 1001, 1001, 1000, 1002],
        };
        assert_eq!(emptiest(&layout, 1), Some(1002));
        assert_eq!(emptiest(&layout, 4), Some(1000));
        assert_eq!(emptiest(&layout, 9), None);
    }
}
