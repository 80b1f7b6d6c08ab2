//! What does a core do: how much does it store, send and answer, and what does that cost?
//!
//! Closed loops on one partition, one server for all but where a setting differs: the smallest set
//! that stands for a claim. First, what it takes when idle; then it is warmed up, unmeasured. Produce:
//! 1 KiB records in batches of 1 MiB. Consume: the tail, and closed segments that are resident.
//! One-record batches: 64 B, 8 connections, 32 in flight. Last, how long the server takes to serve
//! again when it was killed.
//!
//! The own node's acks=all survives loss of power; Apache Kafka's does not, as it is not made to
//! flush (its default).

use std::time::Duration;

use anyhow::{Context, Result};

use super::warm::{Pass, gone_soon};
use super::{Better, Scenario, Stage};
use crate::cli::{SMALL_CONNECTIONS, SMALL_IN_FLIGHT, SMALL_RECORD_BYTES};
use crate::contest::{Server, Variant};
use crate::drive::{Load, Range, warm_page_cache};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 0,
    name: "core",
    question: "What does a core do: how much does it store, send and answer, and what does that \
               cost?",
    needs: None,
    run,
};

/// Names of its loads; figures begin with them.
pub(crate) const PRODUCE: &str = "produce acks=1";
pub(crate) const PRODUCE_FULL: &str = "produce acks=1, every record validated";
pub(crate) const PRODUCE_ALL: &str = "produce acks=all";
pub(crate) const TAIL: &str = "consume tail";
pub(crate) const RESIDENT: &str = "consume resident";
pub(crate) const ONE_RECORD: &str = "one-record batches";

/// One connection, as many requests in flight as Kafka's clients have.
pub(super) const ONE: (usize, usize) = (1, 5);

pub(super) const LARGE: Load = Load {
    record_bytes: 1024,
    batch_bytes: 1 << 20,
    acks: 1,
    spread: false,
};
pub(super) const SMALL: Load = Load {
    record_bytes: SMALL_RECORD_BYTES,
    batch_bytes: 0,
    acks: 1,
    spread: false,
};

fn run(stage: &mut Stage) -> Result<()> {
    let usual = Variant {
        settings: vec![gone_soon()],
        ..Variant::default()
    };
    let mut server = stage.start(&usual)?;
    if let Some(took) = server.started_in() {
        stage.figure("start-up", "s", Better::Less, took.as_secs_f64());
    }
    idle(stage, &server)?;
    stage.warm_up(&server, &[Pass::Produce, Pass::Consume, Pass::OneRecord])?;
    one_record(stage, &server)?;
    consume(stage, &server)?;
    produce(stage, &server, PRODUCE, 1)?;
    produce(stage, &server, PRODUCE_ALL, -1)?;
    restarts(stage, &mut server)?;
    drop(server);
    if stage.contestant.is_odradek() {
        // Kafka opens each batch; the own node does when it is told to.
        let full = Variant {
            own_settings: vec![("record.validation", "full".to_owned())],
            ..usual
        };
        let server = stage.start(&full)?;
        stage.warm_up(&server, &[Pass::Produce])?;
        produce(stage, &server, PRODUCE_FULL, 1)?;
    }
    Ok(())
}

/// What it takes when nobody asks for anything.
fn idle(stage: &mut Stage, server: &Server) -> Result<()> {
    if server.pids().is_empty() {
        return Ok(());
    }
    // What starting leaves to be done is not idleness.
    stage.pause(Duration::from_secs_f64(stage.seconds(5.0)))?;
    server.reset_peak();
    let (baseline, time) = (stage.watch_idle()?, stage.seconds(10.0));
    let watch = || stage.pause(Duration::from_secs_f64(time));
    let ((), cost) = stage.cost(baseline, server, watch)?;
    // The machine's CPU is all baseline: only the process's says something.
    let share = 100.0 * cost.process_cpu_s.unwrap_or(0.0) / cost.seconds;
    stage.figure("idle: process CPU", "% of a core", Better::Neither, share);
    let mib = server.usage()?.rss_peak_bytes as f64 / (1 << 20) as f64;
    stage.figure("idle: peak RSS", "MiB", Better::Less, mib);
    Ok(())
}

fn one_record(stage: &mut Stage, server: &Server) -> Result<()> {
    let topic = stage.topic_name("one-record");
    let partitions = stage.topic(server, &topic, 1, &[])?;
    let depth = (SMALL_CONNECTIONS, SMALL_IN_FLIGHT);
    stage.saturate_produce(ONE_RECORD, server, (&topic, &partitions), SMALL, depth)
}

fn consume(stage: &mut Stage, server: &Server) -> Result<()> {
    let (tail, resident) = stage.amount((8 << 20, 256 << 20), (2 << 20, 8 << 20));
    let topic = stage.topic_name("tail");
    let partitions = stage.topic(server, &topic, 1, &[])?;
    stage.fill(&topic, &partitions, 4 * tail)?;
    stage.saturate_consume(TAIL, server, (&topic, &partitions), Range::Last(tail), ONE)?;
    // Small segments: what is resident lies in closed ones.
    let topic = stage.topic_name("resident");
    let segment = [("segment.bytes", (resident / 4).to_string())];
    let partitions = stage.topic(server, &topic, 1, &segment)?;
    stage.fill(&topic, &partitions, 2 * resident)?;
    if let Some(data) = server.data_dir() {
        warm_page_cache(&data, &topic)?;
    }
    let range = Range::First(resident);
    stage.saturate_consume(RESIDENT, server, (&topic, &partitions), range, ONE)
}

fn produce(stage: &mut Stage, server: &Server, name: &str, acks: i16) -> Result<()> {
    let topic = stage.topic_name(&format!("produce{acks}"));
    let partitions = stage.topic(server, &topic, 1, &[])?;
    let load = Load { acks, ..LARGE };
    let load = stage.saturate_produce(name, server, (&topic, &partitions), load, ONE);
    load.context("produce")
}

/// With the data of the loads above.
fn restarts(stage: &mut Stage, server: &mut Server) -> Result<()> {
    if !server.can_restart() {
        stage.skip("restarts: the server was not started here");
        return Ok(());
    }
    stage.check_interrupt()?;
    eprintln!("  {}: killed, stopped, started again ...", server.label());
    server.kill()?;
    let took = server.restart()?;
    stage.figure("restart after kill", "s", Better::Less, took.as_secs_f64());
    let stopped = server.stop()?;
    stage.figure("clean stop", "s", Better::Less, stopped.as_secs_f64());
    let took = server.restart()?;
    stage.figure(
        "restart after clean stop",
        "s",
        Better::Less,
        took.as_secs_f64(),
    );
    Ok(())
}
