//! What `bench load` and `bench compare` have in common: the load, and the driver.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::floor::KnownFloors;
use crate::load::{
    Acks, Arrivals, Codec, Keys, Load, Partitioning, Reading, Sizes, bytes_of, duration_of, rate_of,
};
use crate::machine::{allowed_core, pin};
use crate::open::{self, Target};
use crate::report::{Interval, RunResult, text};

/// A load and how it is driven.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LoadOptions {
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    course: Course,
    #[command(flatten)]
    driver: Driver,
}

/// When messages arrive.
#[derive(Debug, Clone, clap::Args)]
struct Pace {
    /// Messages per second, all producers together: 800, 50k, 1.5M
    #[arg(long, value_parser = rate_of, default_value = "10k")]
    rate: f64,
    /// Messages arrive independently of each other instead of evenly
    #[arg(long)]
    poisson: bool,
    /// Closed loop instead: as fast as the server answers
    #[arg(long, conflicts_with_all = ["rate", "poisson"])]
    saturate: bool,
}

/// What is sent and read.
#[derive(Debug, Clone, clap::Args)]
struct Shape {
    /// Created if it is missing
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Partitions of the topic, if it is created
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Configs of the topic, if it is created: name=value
    #[arg(long = "topic-config")]
    topic_configs: Vec<String>,
    #[arg(long, default_value_t = 1)]
    producers: usize,
    /// Share the partitions among them
    #[arg(long, default_value_t = 1)]
    consumers: usize,
    /// Sets of consumers; each set reads everything
    #[arg(long, default_value_t = 1)]
    consumer_sets: usize,
    /// When messages are read
    #[arg(long, default_value = "live")]
    reading: Reading,
    /// none, uniform:COUNT or zipf:COUNT[:EXPONENT]
    #[arg(long, default_value = "none")]
    keys: Keys,
    /// Of messages without a key
    #[arg(long, default_value = "sticky")]
    partitioning: Partitioning,
    /// Bytes of a value, proof of 28 included: 1024, 100..2000, lognormal:MEDIAN:SIGMA:MAX or
    /// file:PATH (the lines of a file, behind their proofs)
    #[arg(long, default_value = "1024")]
    record_size: Sizes,
    /// Share of a value's bytes that cannot be compressed
    #[arg(long, default_value_t = 0.5)]
    random_share: f64,
    /// none, gzip, snappy, lz4 or zstd: done by the driver
    #[arg(long, default_value = "none")]
    compression: Codec,
    /// Most bytes of a batch
    #[arg(long, value_parser = bytes_of, default_value = "16KiB")]
    batch_size: usize,
    /// How long a batch waits for more
    #[arg(long, value_parser = duration_of, default_value = "5ms")]
    linger: Duration,
    /// Most bytes of a produce request
    #[arg(long, value_parser = bytes_of, default_value = "1MiB")]
    request_size: usize,
    #[arg(long, default_value = "all")]
    acks: Acks,
    /// Requests in flight per connection: a producer has one to each leader
    #[arg(long, default_value_t = 5)]
    in_flight: usize,
    /// Producers with ids and sequences
    #[arg(long)]
    idempotent: bool,
    /// Bytes that a producer holds unanswered at most
    #[arg(long, value_parser = bytes_of, default_value = "32MiB")]
    buffer: usize,
    /// Most bytes of a fetch
    #[arg(long, value_parser = bytes_of, default_value = "1MiB")]
    fetch_size: usize,
    /// Same seed, same load
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How long.
#[derive(Debug, Clone, clap::Args)]
struct Course {
    #[arg(long, value_parser = duration_of, default_value = "5s")]
    warmup: Duration,
    /// The window that is measured
    #[arg(long, value_parser = duration_of, default_value = "30s")]
    duration: Duration,
    /// Of the live figures
    #[arg(long, value_parser = duration_of, default_value = "1s")]
    interval: Duration,
    /// At most, after the window, for answers and for reading the rest
    #[arg(long, value_parser = duration_of, default_value = "30s")]
    drain: Duration,
    /// For which the idle machine is watched beforehand
    #[arg(long, value_parser = duration_of, default_value = "2s")]
    baseline: Duration,
    /// A server that does not answer for so long hangs: the run ends
    #[arg(long, value_parser = duration_of, default_value = "20s", hide = true)]
    silence: Duration,
}

/// Where the driver runs, and where what it measures is kept.
#[derive(Debug, Clone, clap::Args)]
struct Driver {
    /// A driver thread on each
    #[arg(long, value_delimiter = ',', default_values_t = [allowed_core(1)])]
    driver_cores: Vec<usize>,
    /// Server and driver may share a core: figures are then of both together
    #[arg(long)]
    share_cores: bool,
    /// Where the server keeps its data: its file system is kept with the result [default: the
    /// system's temporary directory]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Where results are written, named by date and commit
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// Where results of `odradek bench floor` are: the newest of this CPU is drawn into the plots
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    floors: PathBuf,
}

impl LoadOptions {
    /// The load, if it can be run.
    ///
    /// # Errors
    /// What contradicts itself.
    pub(super) fn load(&self) -> Result<Load> {
        let (shape, course) = (&self.shape, &self.course);
        let rate = self.pace.rate;
        let load = Load {
            topic: shape.topic.clone(),
            partitions: shape.partitions,
            topic_configs: super::produce::pairs(&shape.topic_configs)?,
            arrivals: match (self.pace.saturate, self.pace.poisson) {
                (true, _) => Arrivals::Saturate,
                (false, true) => Arrivals::Poisson { rate },
                (false, false) => Arrivals::Constant { rate },
            },
            producers: shape.producers,
            consumers: shape.consumers,
            consumer_sets: shape.consumer_sets,
            reading: shape.reading,
            keys: shape.keys,
            partitioning: shape.partitioning,
            sizes: shape.record_size.clone(),
            random_share: shape.random_share,
            compression: shape.compression,
            batch_bytes: shape.batch_size,
            linger_ms: shape.linger.as_secs_f64() * 1e3,
            request_bytes: shape.request_size,
            acks: shape.acks,
            in_flight: shape.in_flight,
            idempotent: shape.idempotent,
            buffer_bytes: shape.buffer,
            fetch_bytes: i32::try_from(shape.fetch_size).context("--fetch-size")?,
            warmup_s: course.warmup.as_secs_f64(),
            window_s: course.duration.as_secs_f64(),
            interval_s: course.interval.as_secs_f64(),
            drain_s: course.drain.as_secs_f64(),
            seed: shape.seed,
            ..Load::default()
        };
        load.check(open::PROOF_BYTES).map_err(anyhow::Error::msg)?;
        Ok(load)
    }

    /// Brokers to be loaded by this driver, one after another perhaps.
    pub(super) fn target(&self, brokers: &str, interrupt: &Arc<AtomicBool>) -> Target {
        let driver = &self.driver;
        let mut target = Target::new(brokers, 0);
        target.driver_cores = driver.driver_cores.clone();
        target.share_cores = driver.share_cores;
        target.data_dir = driver.data_dir.clone().unwrap_or(target.data_dir);
        target.baseline = self.course.baseline;
        target.silence_max = self.course.silence;
        target.interrupt = interrupt.clone();
        target
    }

    /// The directory for results.
    pub(super) fn results(&self) -> &std::path::Path {
        &self.driver.results
    }

    /// Puts the newest known floors beside a result that has none of its own.
    pub(super) fn put_floors(&self, result: &mut RunResult) {
        put_floors(result, &self.driver.floors);
    }

    /// Pins the watcher beside the driver, not on the server's core. What cannot be pinned is told
    /// by the run itself.
    ///
    /// # Errors
    /// Without a driver core.
    pub(super) fn pin(&self) -> Result<usize> {
        let cores = &self.driver.driver_cores;
        let core = *cores.first().context("a driver core")?;
        let _ = pin(core);
        Ok(core)
    }
}

/// As [`LoadOptions::put_floors`], of results in `dir`.
pub(super) fn put_floors(result: &mut RunResult, dir: &Path) {
    if !result.floors.is_empty() {
        return;
    }
    if let Some(known) = KnownFloors::newest(dir, &result.machine) {
        result.floors = known.beside(result);
        result.floors_from = Some(known.told());
    }
}

/// A line of live figures.
pub(super) fn progress(interval: &Interval) {
    eprintln!("{}", text::progress(interval));
}
