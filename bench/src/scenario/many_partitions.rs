//! What do 10,000 partitions cost: to create, idle, written to, after a clean stop, after a kill?
//!
//! Targets for a node of its own: a clean start within 1 s (inodes cached), within 3 s after a kill
//! (also with 100 GB of logs), and at most 8 KiB of resident memory for each partition that is idle.
//! The same load is run once more while the metrics are asked for ten times a second: scraping is to
//! block no shard.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::findings::Better;
use super::grown::grow;
use super::scrape::{Scraping, metrics_address};
use super::{Scenario, Stage};
use crate::contest::{Contestant, MemoryState, Server, Variant};
use crate::drive::touch;
use crate::load::{Arrivals, Load, Partitioning, Reading};
use crate::machine::{descriptors, open_files, slab};
use crate::record::Spread;
use crate::report::{RunResult, median};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 7,
    name: "many-partitions",
    question: "What do 10,000 partitions cost: to create, idle, written to, after a clean stop, after a kill?",
    needs: Some("a server that is started here, for its starts and its memory"),
    run,
};

/// Asked for at a time: Kafka's controller takes fewer than 10,000 records of one request.
const CREATED_AT_ONCE: i32 = 2_500;
/// Seconds without a record before memory at rest is looked at.
const REST_S: f64 = 12.0;
const TOPIC: &str = "many-partitions";
/// Of which the middle one counts.
const CLEAN_STARTS: usize = 5;
/// Between two requests for the metrics.
const SCRAPED_EVERY: Duration = Duration::from_millis(100);
/// By so much each log is made longer: 10,000 of them hold more than 100 GB then.
const HOLE_BYTES: u64 = 10_000_000;

fn run(stage: &mut Stage) -> Result<()> {
    let partitions = stage.amount(10_000, 120);
    // Before the server starts, which has this process's limits.
    let reading = reading(stage, partitions);
    let server = &mut stage.start(&Variant::default())?;
    let topic = stage.topic_name(TOPIC);
    let before = Taken::now(server)?;
    create(stage, server, &topic, partitions)?;
    idle(stage, server, before, partitions)?;

    first_records(stage, server, &topic, partitions, "a first record in each")?;

    let load = Load {
        partitions,
        reading,
        arrivals: Arrivals::Constant {
            rate: stage.amount(20e3, 1e3),
        },
        partitioning: Partitioning::RoundRobin,
        // Answers of many partitions are many small pieces.
        fetch_bytes: 16 << 20,
        drain_s: 60.0,
        ..stage.new_load(TOPIC)
    };
    let load = Load {
        topic: topic.clone(),
        ..load
    };
    let alone = stage.load("produce across all", server, &load)?;
    let taken = Taken::now(server)?;
    memory(stage, "while written to", server, before, taken, partitions);
    scraped(stage, server, &load, &alone)?;
    // What a server lets go of when nobody has used it for some seconds.
    stage.pause(Duration::from_secs_f64(stage.seconds(REST_S)))?;
    let taken = Taken::now(server)?;
    memory(
        stage,
        "at rest after being written to",
        server,
        before,
        taken,
        partitions,
    );
    if !server.can_restart() {
        stage.skip("starts: the server was not started here");
        return Ok(());
    }

    let stopped = server.stop()?;
    seconds(stage, "clean stop", stopped);
    clean_starts(stage, server)?;
    let now = Taken::now(server)?;
    memory(
        stage,
        "after a clean start",
        server,
        before,
        now,
        partitions,
    );

    server.stop()?;
    match MemoryState::Fresh.bring_about(&stage.place.parent) {
        Ok(_) => {
            let started = server.restart()?;
            seconds(stage, "clean start, nothing cached", started);
        }
        Err(error) => {
            stage.skip(&format!("a clean start with nothing cached: {error:#}"));
            server.restart()?;
        }
    }

    let name = "a record in each after a clean start";
    first_records(stage, server, &topic, partitions, name)?;
    // So that there is something to recover.
    stage.quiet_load("before the kill", server, &load)?;
    server.kill()?;
    let started = server.restart()?;
    seconds(stage, "start after a kill", started);
    let name = "a record in each after a kill";
    first_records(stage, server, &topic, partitions, name)?;
    // Whatever was acked is still there, and more can be written.
    stage.quiet_load("after the kill", server, &load)?;
    large(stage, server, &load)
}

/// The same with large logs: each has a finished segment that is mostly a hole. It takes no room, and a
/// start that looked into it would take minutes.
fn large(stage: &mut Stage, server: &mut Server, load: &Load) -> Result<()> {
    let (Contestant::Odradek { .. }, Some(data)) = (stage.contestant, server.data_dir()) else {
        stage.skip("a start after a kill with large logs: it is known of the own node's files only how they can be made so");
        return Ok(());
    };
    let topic = &load.topic;
    let all = stage.topic(server, topic, load.partitions, &[])?;
    let mut admin = server.admin()?;
    // What is older than that ends a segment: the next record begins another.
    admin.set_topic_config(topic, "segment.ms", "1")?;
    drop(admin);
    // In halves: both segments of a log are open until the node stops, and a process may have so many
    // files open. All is finished then that can be.
    for half in all.chunks(all.len().div_ceil(2)) {
        server.stop()?;
        server.restart()?;
        touch(topic, half)?;
    }
    let mut admin = server.admin()?;
    admin.set_topic_config(topic, "segment.ms", "604800000")?;
    drop(admin);
    server.stop()?;
    server.restart()?;
    let load = Load {
        warmup_s: stage.seconds(2.0),
        window_s: stage.seconds(4.0),
        ..load.clone()
    };
    stage.quiet_load("before the kill, large logs", server, &load)?;
    server.kill()?;
    let (grown, bytes) = grow(&data, topic, HOLE_BYTES)?;
    let partitions = load.partitions as usize;
    ensure!(
        grown == partitions,
        "{grown} of {partitions} logs could be made large"
    );
    let started = server.restart()?;
    let gb = bytes as f64 / 1e9;
    stage.figure("large logs, holes included", "GB", Better::Neither, gb);
    seconds(stage, "start after a kill, large logs", started);
    let name = "a record in each after a kill, large logs";
    first_records(stage, server, topic, load.partitions, name)
}

/// The load again, while the metrics are asked for.
fn scraped(stage: &mut Stage, server: &Server, load: &Load, alone: &RunResult) -> Result<()> {
    let Some(address) = metrics_address(server) else {
        stage.skip("scraping: where the server serves metrics is not known");
        return Ok(());
    };
    let name = "produce across all, scraped ten times a second";
    let scraping = Scraping::start(address, SCRAPED_EVERY);
    let beside = stage.load(name, server, load);
    let pages = scraping.end()?;
    let beside = beside?;
    for (percent, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let both = beside.produce_ack.ms(quantile);
        if let Some((beside, alone)) = both.zip(alone.produce_ack.ms(quantile)) {
            let figure = format!("{name}: ack {percent}, of that unscraped");
            stage.figure(&figure, "×", Better::Less, beside / alone);
        }
    }
    let took = Spread::of(pages.iter().map(|page| page.took.as_secs_f64() * 1e3));
    if let Some(took) = took {
        let figure = format!("{name}: a page, median");
        stage.figure(&figure, "ms", Better::Neither, took.median);
        let figure = format!("{name}: a page, longest");
        stage.figure(&figure, "ms", Better::Neither, took.max);
    }
    let longest = pages.iter().map(|page| page.bytes).max().unwrap_or(0);
    let (count, mib) = (pages.len(), longest as f64 / (1 << 20) as f64);
    let note = format!("{name}: {count} pages of up to {mib:.1} MiB");
    stage.findings.notes.push(note);
    Ok(())
}

/// A record in each partition, asked for many at a time: what it costs to open them all.
fn first_records(
    stage: &mut Stage,
    server: &Server,
    topic: &str,
    partitions: i32,
    name: &str,
) -> Result<()> {
    let all = stage.topic(server, topic, partitions, &[])?;
    let began = Instant::now();
    touch(topic, &all)?;
    seconds(stage, name, began.elapsed());
    Ok(())
}

/// Whether records are read while they are produced: who reads opens files, too.
fn reading(stage: &mut Stage, partitions: i32) -> Reading {
    let needed = 3 * u64::from(partitions.unsigned_abs());
    let files = open_files(needed);
    if files >= needed {
        return Reading::Live;
    }
    stage.skip(&format!(
        "reading: a process may have {files} files open here, which is less than {needed}"
    ));
    Reading::None
}

fn create(stage: &mut Stage, server: &Server, topic: &str, partitions: i32) -> Result<()> {
    eprintln!("  {}: {partitions} partitions ...", server.label());
    let began = Instant::now();
    let first = partitions.min(CREATED_AT_ONCE);
    stage.topic(server, topic, first, &[])?;
    let mut admin = server.admin()?;
    let mut count = first;
    while count < partitions {
        stage.check_interrupt()?;
        count = (count + CREATED_AT_ONCE).min(partitions);
        admin.grow(topic, count)?;
    }
    // Until all have leaders.
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let layout = admin.layout(topic)?;
        if layout.leaders.len() == partitions as usize && !layout.leaders.contains(&-1) {
            break;
        }
        ensure!(
            Instant::now() < until,
            "{} of {partitions} partitions have leaders",
            layout.leaders.len()
        );
        stage.pause(Duration::from_millis(20))?;
    }
    seconds(stage, "create", began.elapsed());
    Ok(())
}

/// Memory right after creation, and what it costs to keep them.
fn idle(stage: &mut Stage, server: &Server, before: Taken, partitions: i32) -> Result<()> {
    // What creation leaves behind is done by then.
    stage.pause(Duration::from_secs_f64(stage.seconds(3.0)))?;
    let baseline = stage.watch_idle()?;
    let time = Duration::from_secs_f64(stage.seconds(8.0));
    let ((), cost) = stage.cost(baseline, server, || stage.pause(time))?;
    if let Some(process) = cost.process_cpu_s {
        let share = 100.0 * process / cost.seconds;
        stage.figure("idle: process CPU", "% of a core", Better::Less, share);
    }
    let taken = Taken::now(server)?;
    memory(stage, "idle", server, before, taken, partitions);
    Ok(())
}

/// Starts a stopped server, several times: one alone tells of the moment as much as of the server.
fn clean_starts(stage: &mut Stage, server: &mut Server) -> Result<()> {
    let mut took = vec![server.restart()?.as_secs_f64()];
    for _ in 1..stage.amount(CLEAN_STARTS, 1) {
        server.stop()?;
        took.push(server.restart()?.as_secs_f64());
    }
    let middle = median(&took).unwrap_or(f64::NAN);
    stage.figure("clean start, inodes cached", "s", Better::Less, middle);
    let least = took.iter().copied().fold(f64::INFINITY, f64::min);
    let most = took.iter().copied().fold(0.0, f64::max);
    let name = "clean start, inodes cached: the fastest";
    stage.figure(name, "s", Better::Less, least);
    let name = "clean start, inodes cached: the slowest";
    stage.figure(name, "s", Better::Less, most);
    Ok(())
}

fn seconds(stage: &mut Stage, name: &str, took: Duration) {
    stage.figure(name, "s", Better::Less, took.as_secs_f64());
}

/// What the server and, for it, the kernel take.
#[derive(Clone, Copy)]
struct Taken {
    rss: u64,
    slab: u64,
    descriptors: u64,
}

impl Taken {
    fn now(server: &Server) -> Result<Self> {
        let open = server.pids().iter().map(|pid| descriptors(*pid));
        Ok(Self {
            rss: server.usage()?.rss_bytes,
            slab: slab()?,
            descriptors: open.sum::<Result<u64>>()?,
        })
    }
}

/// What came with the partitions, for each of them.
fn memory(
    stage: &mut Stage,
    when: &str,
    server: &Server,
    before: Taken,
    now: Taken,
    partitions: i32,
) {
    let each =
        |now: u64, before: u64| (now as f64 - before as f64) / 1024.0 / f64::from(partitions);
    if !server.pids().is_empty() {
        let rss = each(now.rss, before.rss);
        stage.figure(&format!("{when}: RSS"), "KiB/partition", Better::Less, rss);
        let open = now.descriptors as f64;
        let name = format!("{when}: open files");
        stage.figure(&name, "descriptors", Better::Neither, open);
    }
    // The kernel's own bookkeeping: inodes, dentries, buffers. The whole machine's.
    let slab = each(now.slab, before.slab);
    let name = format!("{when}: kernel slab");
    stage.figure(&name, "KiB/partition", Better::Neither, slab);
}
