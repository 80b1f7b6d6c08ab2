//! Does a consumer that reads old records move the latencies of those that read new ones?
//!
//! Tailing consumers alone, then beside one that reads a history which is in nobody's memory: it is
//! evicted from the page cache before each reading, and the server may use less memory than it has
//! bytes. The two alternate. Target: the tail's p99 moves by less than 10 %.
//!
//! The backfilling consumer runs on the driver's core, but only when nobody else wants it, and
//! leaves it to the kernel to drop what it receives.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Contestant, Server, Variant};
use crate::drive::{Backfilled, Partition, backfill, fill, step_back};
use crate::load::{Arrivals, Load};
use crate::machine::pin;
use crate::report::{RunResult, median};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 6,
    name: "backfill",
    question: "Does a consumer that reads old records move the latencies of those that read new ones?",
    needs: None,
    run,
};

const GIB: u64 = 1 << 30;
const HISTORY: &str = "history";
const HISTORY_PARTITIONS: i32 = 4;

fn run(stage: &mut Stage) -> Result<()> {
    let server = start(stage)?;
    let bytes = stage.amount(4 * GIB, 16 << 20);
    let history = stage.topic_name(HISTORY);
    let configs = [("segment.bytes", (256u64 << 20).to_string())];
    let partitions = stage.topic(&server, &history, HISTORY_PARTITIONS, &configs)?;
    eprintln!("  {}: {} MiB of history ...", server.label(), bytes >> 20);
    fill(&history, &partitions, bytes / HISTORY_PARTITIONS as u64)?;
    let load = Load {
        partitions: 4,
        arrivals: Arrivals::Poisson {
            rate: stage.amount(20e3, 1e3),
        },
        producers: 2,
        window_s: stage.seconds(15.0),
        ..stage.new_load("tail")
    };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut read = Backfilled::default();
    for _ in 0..stage.amount(3, 1) {
        alone.push(stage.quiet_load("the tail alone", &server, &load)?);
        let (run, lap) = both(stage, &server, &load, &history, &partitions)?;
        beside.push(run);
        read.bytes += lap.bytes;
        read.seconds += lap.seconds;
        read.laps += lap.laps;
    }
    figures(stage, &alone, &beside, read);
    Ok(())
}

/// With less memory than there is history, where that can be had.
fn start(stage: &mut Stage) -> Result<Server> {
    let limit = match stage.contestant {
        Contestant::Kafka { heap, .. } => heap_bytes(heap).map(|heap| heap + GIB),
        Contestant::Odradek { .. } => Some(GIB),
        Contestant::Address { .. } => None,
    };
    let limited = Variant {
        memory_limit: limit,
        ..Variant::default()
    };
    match stage.start(&limited) {
        Err(error) if limit.is_some() && format!("{error:#}").contains("control group") => {
            stage.skip(&format!("a limit on the server's memory: {error:#}"));
            stage.start(&Variant::default())
        }
        other => other,
    }
}

/// Of `1g` or `512m`.
fn heap_bytes(heap: &str) -> Option<u64> {
    let (number, unit) = heap.split_at(heap.len().checked_sub(1)?);
    let unit = match unit {
        "g" | "G" => GIB,
        "m" | "M" => 1 << 20,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * unit)
}

/// The load with somebody reading the history beside it.
fn both(
    stage: &mut Stage,
    server: &Server,
    load: &Load,
    topic: &str,
    partitions: &[Partition],
) -> Result<(RunResult, Backfilled)> {
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (stop, core) = (stop.clone(), stage.place.driver_core);
        let (topic, partitions) = (topic.to_owned(), partitions.to_vec());
        let dir = server.data_dir();
        std::thread::spawn(move || {
            pin(core)?;
            step_back()?;
            backfill(&topic, &partitions, &stop, || match &dir {
                Some(dir) => evict(dir, &topic),
                None => Ok(()),
            })
        })
    };
    let run = stage.quiet_load("the tail beside a backfill", server, load);
    stop.store(true, Ordering::Relaxed);
    let read = reader.join().ok().context("the backfilling thread")?;
    Ok((run?, read.context("the backfill")?))
}

/// Takes a topic's files out of the page cache.
fn evict(data: &Path, topic: &str) -> Result<()> {
    for entry in std::fs::read_dir(data)?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(topic) {
            continue;
        }
        for file in std::fs::read_dir(entry.path())?.flatten() {
            let file = File::open(file.path())?;
            // Dirty pages stay.
            file.sync_data()?;
            posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        }
    }
    Ok(())
}

fn figures(stage: &mut Stage, alone: &[RunResult], beside: &[RunResult], read: Backfilled) {
    let mut p99 = [f64::NAN; 2];
    for (at, (name, runs)) in [("alone", alone), ("beside a backfill", beside)]
        .into_iter()
        .enumerate()
    {
        for (percent, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let all: Vec<f64> = runs
                .iter()
                .filter_map(|run| run.end_to_end.ms(quantile))
                .collect();
            let ms = median(&all).unwrap_or(f64::NAN);
            let name = format!("the tail {name}: end to end {percent}");
            stage.figure(&name, "ms", Better::Less, ms);
            if quantile == 0.99 {
                p99[at] = ms;
            }
        }
        let acks: Vec<f64> = runs
            .iter()
            .filter_map(|run| run.produce_ack.ms(0.99))
            .collect();
        let name = format!("the tail {name}: ack p99");
        let ms = median(&acks).unwrap_or(f64::NAN);
        stage.figure(&name, "ms", Better::Less, ms);
        for run in runs {
            stage.findings.notes.extend(run.caveats.iter().cloned());
        }
    }
    let name = "the tail's end to end p99 beside a backfill, of that alone (target: below 1.1)";
    stage.figure(name, "ratio", Better::Less, p99[1] / p99[0]);
    let mb = read.bytes as f64 / 1e6 / read.seconds;
    stage.figure("backfill", "MB/s", Better::More, mb);
    let laps = read.laps as f64;
    stage.figure("backfill: whole readings", "times", Better::Neither, laps);
}
