//! Does a server keep its rate and its latencies when it runs past its retention limit?
//!
//! An hour's behaviour in minutes: segments and the limit are small, so that as many segments are
//! rolled and deleted as in an hour of a busy log with usual ones. Brokers of one thread per core
//! were seen to fall behind here.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::load::{Arrivals, Load};
use crate::report::{Interval, Percentiles, RunResult};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 5,
    name: "past-retention",
    question: "Does a server keep its rate and its latencies when it runs past its retention limit?",
    needs: None,
    run,
};

const MIB: u64 = 1 << 20;
/// What is past the limit is gone within this time: looks and delays are a second each.
const GONE_WITHIN: Duration = Duration::from_secs(15);

fn run(stage: &mut Stage) -> Result<()> {
    let look_ms = stage.amount(1000, 50).to_string();
    let server = stage.start(&Variant {
        settings: vec![("log.retention.check.interval.ms", look_ms)],
        ..Variant::default()
    })?;
    let partitions = stage.amount(8, 2);
    let segment = stage.amount(8 * MIB, MIB);
    let kept = stage.amount(64 * MIB, MIB);
    let configs = [
        ("segment.bytes", segment),
        ("retention.bytes", kept),
        ("file.delete.delay.ms", stage.amount(1000, 0)),
    ];
    let configs = configs.map(|(name, value)| (name.to_owned(), value.to_string()));
    let load = Load {
        partitions,
        topic_configs: configs.to_vec(),
        arrivals: Arrivals::Constant {
            rate: stage.amount(50e3, 10e3),
        },
        producers: stage.amount(4, 1),
        warmup_s: stage.seconds(2.0),
        window_s: stage.seconds(120.0),
        ..stage.new_load("past-retention")
    };
    let run = stage.load("the whole run", &server, &load)?;
    let limit = kept * partitions as u64;
    before_and_past(stage, &run, limit, segment * partitions as u64);
    deleted(stage, &server, &load, limit, segment * partitions as u64)
}

/// The seconds before the limit was reached beside those past it.
fn before_and_past(stage: &mut Stage, run: &RunResult, limit: u64, slack: u64) {
    let (mut before, mut past) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for interval in &run.timeline {
        bytes += interval.acked_bytes;
        let whole = interval.seconds > 0.9 * run.load.interval_s;
        if interval.warmup || !whole {
            continue;
        } else if bytes < limit {
            before.push(interval);
        } else if bytes > limit + 2 * slack {
            past.push(interval);
        }
    }
    if before.is_empty() || past.is_empty() {
        stage.skip(&format!(
            "before and past the limit beside each other: {} and {} whole intervals are too few",
            before.len(),
            past.len()
        ));
        return;
    }
    type Of = fn(&Interval) -> Option<Percentiles>;
    let kinds: [(&str, Of); 2] = [
        ("ack", |one| one.produce_ack),
        ("end to end", |one| one.end_to_end),
    ];
    for (what, of) in kinds {
        let p99s = |intervals: &[&Interval]| -> Vec<f64> {
            let p99s = intervals.iter().filter_map(|one| Some(of(one)?.p99_ms));
            p99s.collect()
        };
        let (before, past) = (p99s(&before), p99s(&past));
        let middle = |values: &[f64]| crate::report::median(values).unwrap_or(f64::NAN);
        let worst = past.iter().copied().fold(f64::NAN, f64::max);
        let figures = [
            ("before the limit", middle(&before)),
            ("past the limit", middle(&past)),
            ("past the limit, worst interval", worst),
        ];
        for (when, ms) in figures {
            let name = format!("{when}: {what} p99 of an interval");
            stage.figure(&name, "ms", Better::Less, ms);
        }
        let name = format!("past the limit: {what} p99, of that before");
        let ratio = middle(&past) / middle(&before);
        stage.figure(&name, "ratio", Better::Less, ratio);
    }
    let written = bytes as f64 / limit as f64;
    stage.figure("written, of the limit", "ratio", Better::Neither, written);
}

/// Whether what is past the limit goes away, and how soon.
fn deleted(stage: &mut Stage, server: &Server, load: &Load, limit: u64, slack: u64) -> Result<()> {
    let mut admin = server.admin()?;
    let layout = admin.topic(&crate::drive::TopicSpec {
        name: load.topic.clone(),
        partitions: load.partitions,
        configs: Vec::new(),
    })?;
    let (mut gone, mut made) = (0, 0);
    for partition in &layout {
        let mut leader = crate::drive::Admin::connect(partition.leader)?;
        let (first, end) = leader.offsets(&load.topic, partition.index)?;
        gone += first;
        made += end;
    }
    let share = 100.0 * gone as f64 / made as f64;
    stage.figure("deleted at the end", "% of records", Better::Neither, share);
    let Some(dir) = server.data_dir() else {
        stage.skip("what stays on disk: the server's directory is not known");
        return Ok(());
    };
    // Per partition: what is kept, the segment that is filling, one that is being deleted.
    let most = limit + 3 * slack;
    let began = Instant::now();
    let at_the_end = on_disk(&dir, &load.topic);
    let mut now = at_the_end;
    while now > most {
        ensure!(
            began.elapsed() < GONE_WITHIN,
            "{now} bytes are on disk {GONE_WITHIN:?} after the end, with a limit of {limit}"
        );
        stage.pause(Duration::from_millis(50))?;
        now = on_disk(&dir, &load.topic);
    }
    let ratio = at_the_end as f64 / limit as f64;
    stage.figure(
        "on disk at the end, of the limit",
        "ratio",
        Better::Less,
        ratio,
    );
    Ok(())
}

/// Bytes of the topic's files.
fn on_disk(dir: &Path, topic: &str) -> u64 {
    use std::os::unix::fs::MetadataExt;

    let partitions = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let of_topic = partitions.filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(topic)
    });
    let files = of_topic.flat_map(|entry| std::fs::read_dir(entry.path()).into_iter().flatten());
    // Files may vanish meanwhile.
    let sizes = files.flatten().filter_map(|file| file.metadata().ok());
    sizes.map(|metadata| metadata.blocks() * 512).sum()
}
