//! `odradek bench load`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::surroundings::interrupt;
use crate::drive::Plan;
use crate::floor::{self, Kind};
use crate::load::{
    Acks, Arrivals, Codec, Keys, Load, Partitioning, Reading, Sizes, bytes_of, duration_of, rate_of,
};
use crate::machine::{allowed_core, pin};
use crate::measurement::Measurement;
use crate::open::search::{Bound, Search};
use crate::open::{self, Target};
use crate::report::{Interval, RunResult, save, text};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct LoadArgs {
    /// Brokers to begin with, host:port[,host:port]
    #[arg(long)]
    brokers: String,
    /// Messages per second, all producers together: 800, 50k, 1.5M
    #[arg(long, value_parser = rate_of, default_value = "10k")]
    rate: f64,
    /// Messages arrive independently of each other instead of evenly
    #[arg(long)]
    poisson: bool,
    /// Closed loop instead: as fast as the server answers
    #[arg(long, conflicts_with_all = ["rate", "poisson", "search"])]
    saturate: bool,
    /// Search the highest rate that holds a bound instead, as in p99=10ms; end-to-end.p99=20ms
    /// bounds the time until a consumer has it
    #[arg(long)]
    search: Option<Bound>,
    /// Seconds of each trial of a search
    #[arg(long, default_value_t = 5.0)]
    trial_seconds: f64,
    /// Measure floors afterwards, too: the cheapest programs that move the same bytes
    #[arg(long)]
    floor: bool,
    /// Core of the floors: the server's [default: the first allowed one]
    #[arg(long, default_value_t = allowed_core(0))]
    server_core: usize,
    #[command(flatten)]
    shape: Shape,
    #[command(flatten)]
    course: Course,
    #[command(flatten)]
    who: Who,
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
}

/// Who and where.
#[derive(Debug, Clone, clap::Args)]
struct Who {
    /// What is measured, in words [default: the brokers]
    #[arg(long)]
    label: Option<String>,
    /// To be kept with the result: a setting of the server
    #[arg(long = "server-setting")]
    server_settings: Vec<String>,
    /// Processes of the server, whose CPU and memory are counted
    #[arg(long = "pid", value_delimiter = ',')]
    pids: Vec<u32>,
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
    /// Where the result is written, named by date and commit
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// Where the result is written instead, as JSON; the page beside it
    #[arg(long, conflicts_with = "results")]
    save: Option<PathBuf>,
}

impl LoadArgs {
    fn load(&self) -> Result<Load> {
        let (shape, course) = (&self.shape, &self.course);
        let rate = self.rate;
        let load = Load {
            topic: shape.topic.clone(),
            partitions: shape.partitions,
            topic_configs: super::produce::pairs(&shape.topic_configs)?,
            arrivals: match (self.saturate, self.poisson) {
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

    fn target(&self) -> Target {
        let who = &self.who;
        let mut target = Target::new(&self.brokers, 0);
        target.label = who.label.clone().unwrap_or(target.label);
        target.settings = who.server_settings.clone();
        target.pids = who.pids.clone();
        target.driver_cores = who.driver_cores.clone();
        target.share_cores = who.share_cores;
        target.data_dir = who.data_dir.clone().unwrap_or(target.data_dir);
        target.baseline = self.course.baseline;
        target
    }
}

pub(super) fn run(args: &LoadArgs) -> Result<()> {
    let load = args.load()?;
    let mut target = args.target();
    target.interrupt = interrupt()?;
    // Before the run: a result that cannot be kept is not worth measuring.
    let place = save::Place::new(args.who.save.as_deref(), &args.who.results)?;
    // Not on the server's core.
    let core = *target.driver_cores.first().context("a driver core")?;
    pin_if_allowed(core);
    eprintln!("seed {}", load.seed);
    let mut result = match args.search {
        None => open::run(&load, &target, &mut progress)?,
        Some(bound) => {
            let search = Search {
                bound,
                trial_s: args.trial_seconds,
            };
            let tell = &mut |line: &str| eprintln!("{line}");
            search.run(&load, &target, tell, &mut progress)?
        }
    };
    if args.floor {
        match floors(&result, &target, args.server_core, core) {
            Ok(floors) => result.floors = floors,
            Err(error) => {
                let failed = format!("the floors could not be measured: {error:#}");
                result.caveats.push(failed);
            }
        }
    }
    finish(&result, &place)
}

/// The cheapest programs that do what this load asks for: an echo of one request at a time (the
/// least latency), and what receives, stores and sends its bytes.
fn floors(
    result: &RunResult,
    target: &Target,
    server_core: usize,
    driver_core: usize,
) -> Result<Vec<Measurement>> {
    let load = &result.load;
    let mut kinds = vec![Kind::Echo];
    kinds.push(match load.acks {
        Acks::All => Kind::StoreDurable,
        _ => Kind::Store,
    });
    if load.reading == Reading::Live {
        kinds.push(Kind::Send);
    }
    let record_bytes = load.sizes.bounds().map_or(1024, |(_, most)| most);
    let frames = super::echo_frames(record_bytes)?;
    let dir = tempfile::tempdir_in(&target.data_dir)?;
    let run = floor::Run {
        plan: Plan {
            connections: 1,
            in_flight: 1,
            baseline: target.baseline,
            warmup: Duration::from_millis(500),
            time: Duration::from_secs(3),
        },
        server_core,
        driver_core,
        dir: dir.path(),
    };
    let measured = kinds.into_iter().map(|kind| {
        eprintln!("{} ...", kind.name());
        floor::run(kind, &run, &frames)
    });
    measured.collect()
}

/// Shows and keeps a result.
///
/// # Errors
/// When it is partial, after it was kept as such.
fn finish(result: &RunResult, place: &save::Place) -> Result<()> {
    print!("{}", text::summary(result));
    match place.keep(result) {
        Ok(path) => eprintln!("written: {}", path.display()),
        Err(error) if result.complete => return Err(error),
        Err(error) => eprintln!("odradek bench: {error:#}"),
    }
    if !result.complete {
        bail!("the result is partial: {}", result.problems.join("; "));
    }
    Ok(())
}

/// The watcher's place is beside the driver. What cannot be pinned is told by the run itself.
fn pin_if_allowed(core: usize) {
    let _ = pin(core);
}

fn progress(interval: &Interval) {
    eprintln!("{}", text::progress(interval));
}
