//! What becomes of a server that is asked for ten times as much as it can do?
//!
//! First a closed loop that saturates it: its rate. Then another small, open load of which every
//! tenth of a second is watched, and in its middle ten times as many connections and requests in
//! flight as saturated it. While the flood lasts the rate should stay and memory be bounded; once
//! it has gone the small load's latencies should be what they were: goal, within a second.
//!
//! The flood and the small load come from the driver's one core: while it lasts the small load's
//! latencies tell of the driver, too, and are not named.

use std::time::Duration;

use anyhow::{Context, Result};

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::drive::{self, produce};
use crate::load::{Arrivals, Load, Reading};
use crate::machine::pin;
use crate::measurement::Measurement;
use crate::report::{Interval, RunResult, median};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 12,
    name: "overload",
    question: "What becomes of a server that is asked for ten times as much as it can do?",
    needs: None,
    run,
};

/// Connections, and requests in flight on each, that saturate it.
const ENOUGH: (usize, usize) = (40, 5);
/// Times as many connections.
const TIMES: usize = 10;
const PARTITIONS: i32 = 4;
const FLOOD: drive::Load = drive::Load {
    record_bytes: 1024,
    batch_bytes: 16 << 10,
    acks: 1,
    spread: false,
};

fn run(stage: &mut Stage) -> Result<()> {
    let server = stage.start(&Variant::default())?;
    let topic = stage.topic_name("flood");
    let partitions = stage.topic(&server, &topic, PARTITIONS, &[])?;
    let name = "asked for what it can do";
    stage.saturate_produce(name, &server, (&topic, &partitions), FLOOD, ENOUGH)?;
    let enough = stage.findings.measurements.last().map(rate);

    let (quiet, flood) = (stage.seconds(8.0), stage.seconds(10.0));
    let load = Load {
        partitions: PARTITIONS,
        arrivals: Arrivals::Poisson {
            rate: stage.amount(2e3, 500.0),
        },
        reading: Reading::None,
        window_s: quiet + flood + 2.0 * quiet,
        interval_s: 0.1,
        ..stage.new_load("small")
    };
    let begins = load.warmup_s + quiet;
    let flooding = {
        let (core, pid) = (stage.place.driver_core, server.pids().first().copied());
        let mut plan = stage.plan(ENOUGH.0 * TIMES, ENOUGH.1);
        plan.warmup = Duration::ZERO;
        plan.time = Duration::from_secs_f64(flood);
        let (baseline, admin) = (stage.watch_idle()?, server.admin()?);
        std::thread::spawn(move || -> Result<Measurement> {
            pin(core)?;
            std::thread::sleep(Duration::from_secs_f64(begins));
            let done = produce(&admin, &topic, &partitions, FLOOD, plan, baseline, pid)?;
            Ok(done.0.measurement("asked for ten times as much"))
        })
    };
    let small = stage.quiet_load("a small load, and a flood in its middle", &server, &load);
    let flooded = flooding.join().ok().context("the flood's thread")?;
    let (small, flooded) = (small?, flooded.context("the flood")?);
    figures(
        stage,
        &server,
        enough,
        &flooded,
        &small,
        (begins, begins + flood),
    );
    Ok(())
}

/// Bytes a second.
fn rate(run: &Measurement) -> f64 {
    run.bytes as f64 / run.cost.seconds
}

fn figures(
    stage: &mut Stage,
    server: &Server,
    enough: Option<f64>,
    flooded: &Measurement,
    small: &RunResult,
    (begins, ends): (f64, f64),
) {
    let name = "asked for ten times as much";
    stage.figure(
        &format!("{name}: throughput"),
        "MB/s",
        Better::More,
        rate(flooded) / 1e6,
    );
    if let Some(enough) = enough {
        let share = 100.0 * rate(flooded) / enough;
        stage.figure(&format!("{name}: of its rate"), "%", Better::More, share);
    }
    let peak = flooded.memory.as_ref().map(|memory| memory.peak_bytes);
    stage.memory(name, server, peak);
    let Some((before, recovered)) = recovery(&small.timeline, begins, ends) else {
        stage.skip("how fast it recovers: too few intervals had acks");
        return;
    };
    stage.figure("before the flood: ack p99", "ms", Better::Less, before);
    match recovered {
        Some(seconds) => stage.figure(
            "after the flood: until ack p99 is at most twice that (goal: 1 s)",
            "s",
            Better::Less,
            seconds,
        ),
        None => stage.findings.notes.push(
            "after the flood: ack p99 stayed above twice of what it was, until the end".to_owned(),
        ),
    }
    stage.findings.notes.extend(small.caveats.iter().cloned());
}

/// Intervals in a row that must be good.
const IN_A_ROW: usize = 3;

/// The p99 of the usual interval before, milliseconds, and how many seconds after the end it is at
/// most twice that again, and stays so for a moment; `None` within: never. A driver that has fallen
/// behind makes late what should have been made in the flood; that counts, too.
fn recovery(timeline: &[Interval], begins: f64, ends: f64) -> Option<(f64, Option<f64>)> {
    let acked = |one: &Interval| one.produce_ack.map(|ack| (one.at_s, ack.p99_ms));
    let usual: Vec<f64> = timeline
        .iter()
        .filter(|one| !one.warmup && one.at_s < begins)
        .filter_map(acked)
        .map(|(_, p99)| p99)
        .collect();
    let before = median(&usual)?;
    let after: Vec<(f64, f64)> = timeline
        .iter()
        .filter(|one| one.at_s > ends)
        .filter_map(acked)
        .collect();
    let good = after
        .windows(IN_A_ROW)
        .find(|row| row.iter().all(|(_, p99)| *p99 <= 2.0 * before));
    Some((before, good.map(|row| row[0].0 - ends)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Percentiles;

    fn timeline(p99: &[f64]) -> Vec<Interval> {
        let all = p99.iter().enumerate().map(|(at, p99)| Interval {
            at_s: 0.1 * (at + 1) as f64,
            produce_ack: Some(Percentiles {
                p99_ms: *p99,
                ..Percentiles::default()
            }),
            ..Interval::default()
        });
        all.collect()
    }

    #[test]
    fn it_has_recovered_when_it_stays_low() {
        let all = timeline(&[1.0, 1.2, 0.9, 50.0, 60.0, 9.0, 1.0, 3.0, 1.0, 1.5, 2.0, 1.0]);
        let (before, recovered) = recovery(&all, 0.35, 0.5).unwrap();
        assert_eq!(before, 1.0);
        assert!((recovered.unwrap() - 0.4).abs() < 1e-9, "{recovered:?}");
        let never = timeline(&[1.0, 1.0, 1.0, 50.0, 60.0, 9.0, 9.0, 9.0, 9.0]);
        assert_eq!(recovery(&never, 0.35, 0.5), Some((1.0, None)));
        assert_eq!(recovery(&[], 0.35, 0.5), None);
    }
}
