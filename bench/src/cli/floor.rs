//! `odradek bench floor`

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::cores::Cores;
use super::load::{SMALL_CONNECTIONS, SMALL_IN_FLIGHT, SMALL_RECORD_BYTES, Timing};
use super::surroundings::interrupt;
use crate::contest::MemoryState;
use crate::drive::{Batch, Frames};
use crate::floor::outcome::{Configuration, FloorRuns, Floors};
use crate::floor::{self, Kind, Run, Runtime};
use crate::machine::{Facts, pin};
use crate::report::save;

/// Stands for every floor.
const ALL: &str = "all";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct FloorArgs {
    /// Which floors [default: all]
    #[arg(value_parser = choices(), hide_possible_values = true)]
    floors: Vec<String>,
    /// Only lists the floors, and where each can be had
    #[arg(long)]
    list: bool,
    /// On what [default: all]
    #[arg(long, value_delimiter = ',')]
    runtime: Vec<Runtime>,
    /// Runs of each; medians are shown
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Where files are written: the file system to be measured [default: the system's temporary
    /// directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the result is written
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// Bytes of an echoed frame's record value
    #[arg(long, default_value_t = SMALL_RECORD_BYTES)]
    record_size: usize,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    cores: Cores,
    /// State of the machine's memory before each run
    #[arg(long, value_enum, default_value_t = MemoryState::AsFound)]
    memory: MemoryState,
}

/// The floors' names, and one for all.
fn choices() -> PossibleValuesParser {
    let all = PossibleValue::new(ALL).help("Every floor");
    let kinds = Kind::value_variants().iter();
    let kinds = kinds.filter_map(ValueEnum::to_possible_value);
    PossibleValuesParser::new(kinds.chain([all]))
}

impl FloorArgs {
    fn chosen(&self) -> Vec<FloorRuns> {
        let all = self.floors.is_empty() || self.floors.iter().any(|name| name == ALL);
        let runtimes = match self.runtime.as_slice() {
            [] => Runtime::value_variants(),
            runtimes => runtimes,
        };
        let kinds = Kind::value_variants().iter();
        let kinds = kinds.filter(|kind| all || self.floors.contains(&kind.value_name()));
        kinds
            .flat_map(|kind| {
                runtimes
                    .iter()
                    .map(|runtime| FloorRuns::new(*kind, *runtime))
            })
            .collect()
    }
}

pub(super) fn run(args: &FloorArgs) -> Result<()> {
    if args.list {
        print!("{}", floor::page::list());
        return Ok(());
    }
    ensure!(args.rounds > 0, "--rounds 0: at least 1");
    let cores = args.cores.choose()?;
    // Before the run: a result that cannot be kept is not worth measuring.
    save::Place::new(None, &args.results)?;
    let interrupt = interrupt()?;
    let interrupted = || interrupt.load(Ordering::Relaxed);
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::tempdir_in(&parent)?;
    pin(cores.driver)?;
    let frames = echo_frames(args.record_size)?;
    let started = jiff::Timestamp::now();
    let run = Run {
        plan: args.timing.plan(SMALL_CONNECTIONS, SMALL_IN_FLIGHT),
        server_core: cores.server,
        driver_core: cores.driver,
        dir: dir.path(),
    };
    let mut floors = args.chosen();
    'rounds: for round in 1..=args.rounds {
        for floor in floors.iter_mut().filter(|floor| floor.can_run()) {
            if interrupted() {
                break 'rounds;
            }
            let (kind, runtime) = (floor.kind, floor.runtime);
            eprintln!("round {round}: {}, {} ...", kind.name(), runtime.name());
            let measured = args
                .memory
                .bring_about(&parent)
                .and_then(|_| floor::run_on(runtime, kind, &run, &frames));
            match measured {
                Ok(measured) => floor.runs.push(measured),
                // A signal for all reaches the floor's server, too.
                Err(_) if interrupted() => {}
                Err(error) => {
                    eprintln!("failed: {error:#}");
                    floor.failure = Some(format!("{error:#}"));
                }
            }
        }
    }
    MemoryState::leave(&parent);
    ensure!(
        !interrupted() || floors.iter().any(|floor| !floor.runs.is_empty()),
        "interrupted before anything was measured"
    );
    let outcome = Floors {
        started: started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        machine: Facts::gather(dir.path())?,
        configuration: Configuration {
            rounds: args.rounds,
            seconds: args.timing.seconds,
            warmup_seconds: args.timing.warmup_seconds,
            baseline_seconds: args.timing.baseline_seconds,
            echo_connections: SMALL_CONNECTIONS,
            echo_in_flight: SMALL_IN_FLIGHT,
            echo_request_bytes: frames.request_bytes,
            echo_reply_bytes: frames.reply_bytes,
            server_core: cores.server,
            driver_core: cores.driver,
            memory: args.memory,
        },
        floors,
        interrupted: interrupted(),
    };
    let page = floor::page::markdown(&outcome);
    println!("{page}");
    let path = outcome.write(&args.results, &floor::html(&outcome), &page)?;
    eprintln!("written: {}", path.display());
    match outcome.problems().as_slice() {
        [] => Ok(()),
        problems => bail!("the result is partial: {}", problems.join("; ")),
    }
}

/// The frames that a one-record produce would send.
pub(crate) fn echo_frames(record_bytes: usize) -> Result<Frames> {
    const PRODUCE_VERSION: i16 = 12;
    let batch = Batch::build(record_bytes, 0, crate::drive::now_ms())?;
    Ok(Frames::new("bench", &[0], &batch, 1, PRODUCE_VERSION)?.for_echo())
}
