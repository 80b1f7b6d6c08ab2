//! `odradek bench load`

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::options::{LoadOptions, progress};
use super::surroundings::interrupt;
use crate::drive::Plan;
use crate::floor;
use crate::machine::allowed_core;
use crate::measurement::Measurement;
use crate::open::search::{Bound, Search};
use crate::open::{self, Target};
use crate::report::floors::kinds_for;
use crate::report::{RunResult, save, text};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct LoadArgs {
    /// Brokers to begin with, host:port[,host:port]
    #[arg(long)]
    brokers: String,
    /// Search the highest rate that holds a bound instead, as in p99=10ms; end-to-end.p99=20ms
    /// bounds the time until a consumer has it
    #[arg(long, conflicts_with = "saturate")]
    search: Option<Bound>,
    /// Seconds of each trial of a search
    #[arg(long, default_value_t = 5.0)]
    trial_seconds: f64,
    /// Measure floors afterwards instead of drawing known ones: the cheapest programs that move the
    /// same bytes
    #[arg(long)]
    floor: bool,
    /// Core of the floors: the server's [default: the first allowed one]
    #[arg(long, default_value_t = allowed_core(0))]
    server_core: usize,
    /// What is measured, in words [default: the brokers]
    #[arg(long)]
    label: Option<String>,
    /// To be kept with the result: a setting of the server
    #[arg(long = "server-setting")]
    server_settings: Vec<String>,
    /// Processes of the server, whose CPU and memory are counted
    #[arg(long = "pid", value_delimiter = ',')]
    pids: Vec<u32>,
    /// Where the result is written instead, as JSON; the page beside it
    #[arg(long, conflicts_with = "results")]
    save: Option<PathBuf>,
    #[command(flatten)]
    options: LoadOptions,
}

pub(super) fn run(args: &LoadArgs) -> Result<()> {
    let load = args.options.load()?;
    let mut target = args.options.target(&args.brokers, &interrupt()?);
    target.label = args.label.clone().unwrap_or(target.label);
    target.settings = args.server_settings.clone();
    target.pids = args.pids.clone();
    // Before the run: a result that cannot be kept is not worth measuring.
    let place = save::Place::new(args.save.as_deref(), args.options.results())?;
    let core = args.options.pin()?;
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
    args.options.put_floors(&mut result);
    finish(&result, &place)
}

/// Measures what this load's result is to stand beside.
fn floors(
    result: &RunResult,
    target: &Target,
    server_core: usize,
    driver_core: usize,
) -> Result<Vec<Measurement>> {
    let load = &result.load;
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
    let measured = kinds_for(load).into_iter().map(|kind| {
        eprintln!("{} ...", kind.name());
        Ok(floor::run(kind, &run, &frames)?.coarse(2))
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
