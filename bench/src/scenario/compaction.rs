//! How fast does a server compact, what does that cost, and what do others notice of it?
//!
//! Keyed records of 1 KiB and then of 100 bytes, 50 million keys, go into a topic that may not be
//! compacted yet; then it may. Counted is from there until the cleaner's checkpoint has passed what
//! was written, nobody else asking anything of the server. Targets: 200 MB/s of input per core, and
//! at most 1.5 GiB for the keys.
//!
//! Then somebody reads the end of another partition: alone, with a compaction beside, and alone again, in
//! turns, each time once the disk has worked off what was written before. Target: the tail's p99 moves by
//! less than 20 %. What counts is the middle one of all seconds' own p99s, because a disk that stops for
//! a tenth of a second, for whatever reason, is all of a whole window's p99; how many seconds are late is
//! told, too, and so is the p99 of all windows together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Contestant, Server, Variant};
use crate::drive::{Admin, Keyed};
use crate::load::{Arrivals, Load};
use crate::machine::pin;
use crate::report::{Latencies, RunResult, median};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 11,
    name: "compaction",
    question: "How fast does a server compact, what does that cost, and what do others notice of it?",
    needs: Some("its files within reach: how far it has come stands there"),
    run,
};

const MIB: u64 = 1 << 20;
/// Of the keys' map, at most.
const MAP_BYTES: u64 = 1536 * MIB;
/// The cleaner has begun, and comes to its end, within this time per GiB.
const DONE_WITHIN: Duration = Duration::from_secs(120);
/// Of a tail without and with a compaction beside: what is compacted in each.
const TURNS: [&str; 3] = [
    "1st turn beside a tail",
    "2nd turn beside a tail",
    "3rd turn beside a tail",
];
const LOOK: Duration = Duration::from_millis(20);
/// A node that logs at all has logged by then what it did.
const SAID_WITHIN: Duration = Duration::from_millis(500);

/// A topic to be compacted.
#[derive(Clone)]
struct Input {
    what: &'static str,
    topic: String,
    dir: PathBuf,
    /// Written, and of it in segments that are closed: the input.
    written: u64,
    closed: u64,
    /// Where the open segment begins: it is clean up to there in the end.
    until: i64,
}

fn run(stage: &mut Stage) -> Result<()> {
    let server = stage.start(&Variant {
        settings: vec![
            ("log.cleaner.backoff.ms", "50".to_owned()),
            (
                "log.cleaner.dedupe.buffer.size",
                stage.amount(MAP_BYTES, 16 * MIB).to_string(),
            ),
        ],
        ..Variant::default()
    })?;
    let Some(dir) = server.data_dir() else {
        stage.skip("all of it: the server's directory is not known");
        return Ok(());
    };
    // Megabytes, keys, bytes of a value.
    let large = (stage.scaled(2_000, 6), stage.scaled(1_000_000, 500), 1024);
    let small = (stage.scaled(10_000, 6), stage.scaled(50_000_000, 500), 100);
    for (what, of) in [("1 KiB", large), ("100 bytes", small)] {
        if let Some(input) = filled(stage, &server, &dir, what, of)? {
            alone(stage, &server, &input)?;
        }
    }
    let beside = (stage.scaled(2_000, 6), stage.scaled(5_000_000, 500), 100);
    let mut noticed = Noticed::default();
    for what in TURNS {
        match filled(stage, &server, &dir, what, beside)? {
            Some(input) => notice(stage, &server, &input, &mut noticed)?,
            None => return Ok(()),
        }
    }
    tell_of(stage, &noticed);
    Ok(())
}

/// Fills a topic that is not to be compacted yet; none where too little was written.
fn filled(
    stage: &mut Stage,
    server: &Server,
    dir: &Path,
    what: &'static str,
    (megabytes, keys, value_bytes): (u64, u64, usize),
) -> Result<Option<Input>> {
    let topic = stage.topic_name(&format!("compacted {what}").replace(' ', "-"));
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("segment.bytes", stage.amount(128 * MIB, MIB).to_string()),
        // Never, for now.
        ("min.cleanable.dirty.ratio", "1".to_owned()),
    ];
    let partition = stage.topic(server, &topic, 1, &configs)?[0];
    let label = server.label();
    eprintln!("  {label}: filling with {what}, {megabytes} MB, {keys} keys ...");
    let filled =
        Keyed::new(&topic, keys, value_bytes)
            .fill(partition, megabytes * 1_000_000, || stage.check_interrupt());
    let records = filled.with_context(|| stage.blame(what, server))?;
    let segments = on_disk(dir, &topic);
    let written: u64 = segments.values().sum();
    let (Some((until, open)), true) = (segments.last_key_value(), segments.len() > 1) else {
        stage.skip(&format!("{what}: no segment was closed in so short a time"));
        return Ok(None);
    };
    let input = Input {
        what,
        topic,
        dir: dir.to_owned(),
        written,
        closed: written - open,
        until: *until,
    };
    for (name, unit, value) in [
        ("input", "MB", input.closed as f64 / 1e6),
        (
            "records of each key",
            "records",
            records as f64 / keys as f64,
        ),
    ] {
        stage.figure(&format!("{what}: {name}"), unit, Better::Neither, value);
    }
    Ok(Some(input))
}

impl Input {
    /// Lets it be compacted and waits until it is.
    fn compact(&self, admin: &mut Admin, go_on: impl Fn() -> Result<()>) -> Result<Duration> {
        let within = DONE_WITHIN * (1 + (self.closed / (1 << 30)) as u32);
        let began = Instant::now();
        admin.set_topic_config(&self.topic, "min.cleanable.dirty.ratio", "0")?;
        while cleaned(&self.dir, &self.topic) < self.until {
            ensure!(
                began.elapsed() < within,
                "after {within:?} it is clean up to offset {} of {}",
                cleaned(&self.dir, &self.topic),
                self.until
            );
            go_on()?;
            std::thread::sleep(LOOK);
        }
        Ok(began.elapsed())
    }
}

fn alone(stage: &mut Stage, server: &Server, input: &Input) -> Result<()> {
    let what = input.what;
    server.reset_peak();
    let baseline = stage.watch_idle()?;
    let (took, cost) = stage.cost(baseline, server, || {
        input.compact(&mut server.admin()?, || stage.check_interrupt())
    })?;
    let after: u64 = on_disk(&input.dir, &input.topic).values().sum();
    let (mb, seconds) = (input.closed as f64 / 1e6, took.as_secs_f64());
    stage.figure(&format!("{what}: rate"), "MB/s", Better::More, mb / seconds);
    if let Some(cpu_s) = cost.process_cpu_s {
        let name = format!("{what}: CPU of the process");
        stage.figure(&name, "s/GB", Better::Less, cpu_s / mb * 1e3);
        let name = format!("{what}: rate per core (goal: 200)");
        stage.figure(&name, "MB/s", Better::More, mb / cpu_s);
    }
    let left = after as f64 / input.written as f64;
    stage.figure(&format!("{what}: left"), "ratio", Better::Neither, left);
    // The own node says of each pass how many keys it knew, and in how much memory.
    let said = match stage.contestant {
        Contestant::Odradek { .. } => told(server, &input.topic),
        _ => Vec::new(),
    };
    if !said.is_empty() {
        let most = |name: &str| said.iter().filter_map(|line| field(line, name)).max();
        let passes = said.len() as f64;
        stage.figure(&format!("{what}: passes"), "passes", Better::Less, passes);
        if let (Some(keys), Some(bytes)) = (most("keys"), most("map_bytes")) {
            let name = format!("{what}: keys of a pass");
            stage.figure(&name, "keys", Better::Neither, keys as f64);
            let name = format!("{what}: their map (goal: 1536)");
            stage.figure(&name, "MiB", Better::Less, bytes as f64 / MIB as f64);
        }
    }
    let peak = server.usage().ok().map(|usage| usage.rss_peak_bytes);
    stage.memory(what, server, peak);
    Ok(())
}

/// What a node says of its passes over a topic; of the last just after its checkpoint.
fn told(server: &Server, topic: &str) -> Vec<String> {
    let until = Instant::now() + SAID_WITHIN;
    loop {
        let said = server.lines(&format!("compacted {topic}-0 "));
        if !said.is_empty() || Instant::now() > until {
            return said;
        }
        std::thread::sleep(LOOK);
    }
}

/// A field of a line that a node wrote: `name=value`.
fn field(line: &str, name: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// What who reads the end of another partition notices.
#[derive(Default)]
struct Noticed {
    alone: Seen,
    beside: Seen,
    /// Percent of each window in which there was a compaction.
    shares: Vec<f64>,
}

#[derive(Default)]
struct Seen {
    whole: Vec<Latencies>,
    /// End to end p99 of each whole interval, milliseconds.
    seconds: Vec<f64>,
}

impl Seen {
    fn take(&mut self, stage: &mut Stage, run: RunResult) {
        stage.findings.notes.extend(run.caveats.iter().cloned());
        let whole = run
            .timeline
            .iter()
            .filter(|interval| !interval.warmup && interval.seconds > 0.9 * run.load.interval_s);
        let p99s = whole.filter_map(|interval| Some(interval.end_to_end?.p99_ms));
        self.seconds.extend(p99s);
        self.whole.push(run.end_to_end);
    }

    /// Of the seconds, milliseconds.
    fn middle_p99(&self) -> f64 {
        median(&self.seconds).unwrap_or(f64::NAN)
    }

    /// Percent of the seconds whose p99 is more than twice `calm`.
    fn late(&self, calm: f64) -> f64 {
        let late = self.seconds.iter().filter(|p99| **p99 > 2.0 * calm).count();
        100.0 * late as f64 / self.seconds.len() as f64
    }
}

fn notice(stage: &mut Stage, server: &Server, input: &Input, noticed: &mut Noticed) -> Result<()> {
    let load = Load {
        arrivals: Arrivals::Poisson {
            rate: stage.amount(10e3, 1e3),
        },
        window_s: stage.seconds(15.0),
        ..stage.new_load("tail")
    };
    stage.settle(server)?;
    let before = stage.quiet_load("a tail alone", server, &load)?;
    stage.settle(server)?;
    let compacting = {
        let (core, input, mut admin) = (stage.place.driver_core, input.clone(), server.admin()?);
        let interrupt = stage.interrupt.clone();
        let warmup = Duration::from_secs_f64(load.warmup_s);
        std::thread::spawn(move || {
            pin(core)?;
            std::thread::sleep(warmup);
            input.compact(&mut admin, || super::stage::check(&interrupt))
        })
    };
    let beside = stage.quiet_load("a tail beside a compaction", server, &load);
    let took = compacting.join().ok().context("the compaction's thread")?;
    let (beside, took) = (beside?, took?);
    stage.settle(server)?;
    let after = stage.quiet_load("a tail alone again", server, &load)?;
    noticed.alone.take(stage, before);
    noticed.beside.take(stage, beside);
    noticed.alone.take(stage, after);
    let share = 100.0 * took.as_secs_f64().min(load.window_s) / load.window_s;
    noticed.shares.push(share);
    Ok(())
}

fn tell_of(stage: &mut Stage, noticed: &Noticed) {
    let name = "the tail beside a compaction: of the window it lasted";
    let share = median(&noticed.shares).unwrap_or(f64::NAN);
    stage.figure(name, "%", Better::Neither, share);
    let (alone, beside) = (&noticed.alone, &noticed.beside);
    for (what, seen) in [("alone", alone), ("beside a compaction", beside)] {
        let name = format!("the tail {what}: end to end");
        let all = Latencies::sum(seen.whole.iter());
        stage.findings.latency(&name, &all);
        let middle = seen.middle_p99();
        let name = format!("the tail {what}: end to end p99 of the middle second");
        stage.figure(&name, "ms", Better::Less, middle);
        let name = format!("the tail {what}: seconds whose p99 is twice the middle one alone");
        let late = seen.late(alone.middle_p99());
        stage.figure(&name, "%", Better::Less, late);
        let seconds: Vec<_> = seen.seconds.iter().map(|p99| format!("{p99:.1}")).collect();
        let seconds = seconds.join(" ");
        let note = format!("the tail {what}: p99 of each second, ms: {seconds}");
        stage.findings.notes.push(note);
    }
    let name =
        "the tail's p99 of the middle second beside a compaction, of that alone (goal: below 1.2)";
    let ratio = beside.middle_p99() / alone.middle_p99();
    stage.figure(name, "ratio", Better::Less, ratio);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_lines_are_understood() {
        let line = "2026-01-01T00:00:00Z  INFO odradek: compacted t-0 up to offset 7: 3 segments \
                    became 1 keys=500 map_bytes=12000 records=9";
        assert_eq!(field(line, "keys"), Some(500));
        assert_eq!(field(line, "map_bytes"), Some(12_000));
        assert_eq!(field(line, "bytes"), None);
    }
}
