//! `odradek bench record`: the node beside the floors, in turn, on this machine, now.
//!
//! Each run has a fresh process, a fresh directory and its own warm-up; floor and node alternate;
//! a run begins when the machine has become quiet. Of CPU the least of all runs is compared, of
//! latencies the medians over the rounds.

pub(crate) mod contest;
mod html;
pub(crate) mod idle;
mod least;
pub(crate) mod outcome;
mod page;
mod summary;
#[cfg(test)]
mod test_runs;
pub(crate) mod verdict;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::{Cores, SMALL_RECORD_BYTES, Timing, echo_frames};
use crate::contest::{Contestant, MemoryState, Pinning, Place, Server, Variant};
use crate::floor;
use crate::machine::{Facts, allowed_cores, pin, wait_until_quiet};
use crate::measurement::Measurement;
use contest::Contest;
use outcome::{ContestRuns, Outcome};
pub(crate) use summary::Spread;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RecordArgs {
    /// Which contests [default: all]
    #[arg(value_enum)]
    contests: Vec<Contest>,
    /// Runs of each contestant
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where data is written: the file system to be measured, with some 30 GiB free [default: the
    /// system's temporary directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the result is written
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    cores: Cores,
    /// State of the machine's memory before each run
    #[arg(long, value_enum, default_value_t = MemoryState::AsFound)]
    memory: MemoryState,
    /// Connections, but for one-record batches (8)
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests in flight per connection, but for one-record batches (32)
    #[arg(long, default_value_t = 5)]
    in_flight: usize,
    /// Bytes of a record's value, but for one-record batches (64)
    #[arg(long, default_value_t = 1024)]
    record_size: usize,
    /// Most bytes of a produce request's batch
    #[arg(long, default_value_t = 1 << 20)]
    request_size: usize,
    /// Seconds for which an idle node is watched; 0: not at all
    #[arg(long, default_value_t = 60.0)]
    idle_seconds: f64,
    /// Seconds to wait at most, before each run, for the machine to become quiet
    #[arg(long, default_value_t = 30.0)]
    quiet_seconds: f64,
    /// Settings of the node: name=value
    #[arg(long = "set")]
    settings: Vec<String>,
}

pub(crate) fn run(args: &RecordArgs) -> Result<()> {
    pin(args.cores.driver_core)?;
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let machine = Facts::gather(&parent)?;
    let started = jiff::Timestamp::now();
    let idle = if args.idle_seconds > 0.0 {
        eprintln!("idle node, {} s ...", args.idle_seconds);
        Some(idle::watch(&parent, args)?)
    } else {
        None
    };
    let mut contests: Vec<ContestRuns> = chosen(args).map(ContestRuns::new).collect();
    for round in 1..=args.rounds {
        for runs in &mut contests {
            eprintln!("round {round}: {} ...", runs.contest.name());
            one_round(runs, &parent, args);
        }
    }
    MemoryState::leave(&parent);
    let outcome = Outcome::new(started, machine, args, idle, contests);
    let page = page::markdown(&outcome);
    println!("{page}");
    let path = outcome.write(&args.results, &html::html(&outcome), &page)?;
    eprintln!("written: {}", path.display());
    Ok(())
}

fn chosen(args: &RecordArgs) -> impl Iterator<Item = Contest> {
    use clap::ValueEnum;
    Contest::value_variants()
        .iter()
        .copied()
        .filter(|contest| args.contests.is_empty() || args.contests.contains(contest))
}

/// The floor, then the node. A failure is recorded and ends this contest.
fn one_round(runs: &mut ContestRuns, parent: &Path, args: &RecordArgs) {
    if runs.failure.is_some() {
        return;
    }
    let contest = runs.contest;
    let floors = contest.floors().iter();
    let floors = floors.map(|kind| floor_run(contest, *kind, parent, args));
    let floors: Result<Vec<Measurement>> = floors.collect();
    let done = floors.and_then(|floors| {
        let node = node_run(contest, parent, args)?;
        let mut floors = floors.into_iter();
        runs.floor.extend(floors.next());
        runs.floor_beside.extend(floors.next());
        runs.node.push(node);
        Ok(())
    });
    if let Err(error) = done {
        eprintln!("failed: {error:#}");
        runs.failure = Some(format!("{error:#}"));
    }
}

fn floor_run(
    contest: Contest,
    kind: floor::Kind,
    parent: &Path,
    args: &RecordArgs,
) -> Result<Measurement> {
    let dir = tempfile::Builder::new()
        .prefix("odradek-floor-")
        .tempdir_in(parent)?;
    args.memory.bring_about(parent)?;
    wait_until_quiet(args.quiet_seconds)?;
    let run = floor::Run {
        plan: contest.floor_plan(args),
        server_core: args.cores.server_core,
        driver_core: args.cores.driver_core,
        dir: dir.path(),
    };
    floor::run(kind, &run, &echo_frames(SMALL_RECORD_BYTES)?)
}

fn node_run(contest: Contest, parent: &Path, args: &RecordArgs) -> Result<Measurement> {
    let mut node = start_node(parent, args)?;
    let measured = contest.run(&node, args).context(contest.name());
    let stopped = node.stop();
    let measured = measured?;
    stopped?;
    Ok(measured)
}

/// A node with one shard on its core, its directory in `parent`.
fn start_node(parent: &Path, args: &RecordArgs) -> Result<Server> {
    let node = Contestant::Odradek {
        shards: 1,
        settings: args.settings.clone(),
    };
    let place = Place {
        parent: parent.to_owned(),
        pinning: Pinning::Pinned,
        all_cores: allowed_cores(),
        server_core: args.cores.server_core,
        driver_core: args.cores.driver_core,
        memory: args.memory,
        quiet_seconds: args.quiet_seconds,
        jars: None,
    };
    Server::start(&node, &Variant::default(), &place)
}
