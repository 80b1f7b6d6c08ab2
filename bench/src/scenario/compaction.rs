//! How fast does a server compact, and what does that cost?
//!
//! Keyed messages of 1 KiB and of 100 bytes, some for every key, go into a topic that may not be
//! compacted yet; then it may. Counted is from there until the cleaner's checkpoint has passed what
//! was written, nobody else asking anything of the server. Target: 200 MB/s of input per core.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::load::{Arrivals, Keys, Load, Reading, Sizes};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 11,
    name: "compaction",
    question: "How fast does a server compact, and what does that cost?",
    needs: Some("its files within reach: how far it has come stands there"),
    run,
};

const MIB: u64 = 1 << 20;
/// The cleaner has begun, and comes to its end, within this time per GiB.
const DONE_WITHIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);

fn run(stage: &mut Stage) -> Result<()> {
    let map = stage.amount(1536 * MIB, 16 * MIB).to_string();
    let server = stage.start(&Variant {
        settings: vec![
            ("log.cleaner.backoff.ms", "50".to_owned()),
            ("log.cleaner.dedupe.buffer.size", map),
        ],
        ..Variant::default()
    })?;
    let Some(dir) = server.data_dir() else {
        stage.skip("all of it: the server's directory is not known");
        return Ok(());
    };
    let keys = stage.amount(2_000_000, 500);
    for (bytes, what) in [(1024, "1 KiB"), (100, "100 bytes")] {
        let segment = stage.amount(128 * MIB, MIB).to_string();
        let configs = [
            ("cleanup.policy", "compact".to_owned()),
            ("segment.bytes", segment),
            // Never, for now.
            ("min.cleanable.dirty.ratio", "1".to_owned()),
        ];
        let configs = configs.map(|(name, value)| (name.to_owned(), value));
        let load = Load {
            topic_configs: configs.to_vec(),
            arrivals: Arrivals::Saturate,
            keys: Keys::Uniform { count: keys },
            sizes: Sizes::Fixed { bytes },
            random_share: 1.0,
            batch_bytes: 64 << 10,
            producers: stage.amount(4, 1),
            reading: Reading::None,
            warmup_s: 0.0,
            window_s: stage.seconds(15.0),
            ..stage.new_load(&format!("compacted-{bytes}"))
        };
        stage.quiet_load(&format!("filling with {what}"), &server, &load)?;
        compact(stage, &server, &dir, &load.topic, what)?;
    }
    Ok(())
}

fn compact(stage: &mut Stage, server: &Server, dir: &Path, topic: &str, what: &str) -> Result<()> {
    let before = on_disk(dir, topic);
    let closed: u64 = before.values().sum::<u64>() - before.last_key_value().map_or(0, |(_, b)| *b);
    let Some(active) = before.keys().next_back().copied().filter(|_| closed > 0) else {
        stage.skip(&format!("{what}: no segment was closed in so short a time"));
        return Ok(());
    };
    server.reset_peak();
    let baseline = stage.watch_idle()?;
    let within = DONE_WITHIN * (1 + (closed / (1 << 30)) as u32);
    let (took, cost) = stage.cost(baseline, server, || {
        let began = Instant::now();
        server
            .admin()?
            .set_topic_config(topic, "min.cleanable.dirty.ratio", "0")?;
        while cleaned(dir, topic) < active {
            ensure!(
                began.elapsed() < within,
                "after {within:?} it is clean up to offset {} of {active}",
                cleaned(dir, topic)
            );
            stage.pause(LOOK)?;
        }
        Ok(began.elapsed())
    })?;
    let after: u64 = on_disk(dir, topic).values().sum();
    let (mb, seconds) = (closed as f64 / 1e6, took.as_secs_f64());
    stage.figure(&format!("{what}: input"), "MB", Better::Neither, mb);
    stage.figure(&format!("{what}: rate"), "MB/s", Better::More, mb / seconds);
    if let Some(cpu_s) = cost.process_cpu_s {
        let name = format!("{what}: CPU of the process");
        stage.figure(&name, "s/GB", Better::Less, cpu_s / mb * 1e3);
        let name = format!("{what}: rate per core");
        stage.figure(&name, "MB/s", Better::More, mb / cpu_s);
    }
    let left = after as f64 / before.values().sum::<u64>() as f64;
    stage.figure(&format!("{what}: left"), "ratio", Better::Neither, left);
    let peak = server.usage().ok().map(|usage| usage.rss_peak_bytes);
    stage.memory(what, server, peak);
    Ok(())
}

/// Bytes of each segment of partition 0, by its first offset.
fn on_disk(dir: &Path, topic: &str) -> BTreeMap<i64, u64> {
    use std::os::unix::fs::MetadataExt;

    let entries = std::fs::read_dir(dir.join(format!("{topic}-0")));
    let files = entries.into_iter().flatten().flatten();
    let segments = files.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let base = name.strip_suffix(".log")?.parse().ok()?;
        // What was allocated ahead is not written.
        let metadata = file.metadata().ok()?;
        Some((base, metadata.len().min(metadata.blocks() * 512)))
    });
    segments.collect()
}

/// Up to which offset partition 0 was cleaned: Kafka keeps it for the whole directory, the node for
/// each partition, in the same format.
fn cleaned(dir: &Path, topic: &str) -> i64 {
    const FILE: &str = "cleaner-offset-checkpoint";
    let places = [dir.join(format!("{topic}-0")).join(FILE), dir.join(FILE)];
    let texts = places
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let found = texts.flat_map(|text| {
        let of_topic = text.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let same = words.next() == Some(topic) && words.next() == Some("0");
            words.next()?.parse::<i64>().ok().filter(|_| same)
        });
        of_topic.collect::<Vec<_>>()
    });
    found.max().unwrap_or(0)
}
