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

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail, ensure};

use crate::cli::{Chosen, Cores, SMALL_RECORD_BYTES, Timing, echo_frames, interrupt};
use crate::contest::{Contestant, MemoryState, Pinning, Place, Server, Variant};
use crate::floor;
use crate::machine::{Facts, allowed_cores, pin, wait_until_quiet};
use crate::measurement::Measurement;
use crate::report::save;
use contest::Contest;
pub(crate) use html::html;
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

/// Where and how all runs take place.
struct Stage<'a> {
    args: &'a RecordArgs,
    parent: PathBuf,
    cores: Chosen,
    /// Raised from outside to end the record early.
    interrupt: Arc<AtomicBool>,
}

pub(crate) fn run(args: &RecordArgs) -> Result<()> {
    ensure!(args.rounds > 0, "--rounds 0: at least 1");
    let stage = Stage {
        args,
        parent: args.dir.clone().unwrap_or_else(std::env::temp_dir),
        cores: args.cores.choose()?,
        interrupt: interrupt()?,
    };
    // Before the run: a result that cannot be kept is not worth measuring.
    save::Place::new(None, &args.results)?;
    pin(stage.cores.driver)?;
    let machine = Facts::gather(&stage.parent)?;
    let started = jiff::Timestamp::now();
    let idle = if args.idle_seconds > 0.0 {
        eprintln!("idle node, {} s ...", args.idle_seconds);
        Some(idle::watch(&stage)?)
    } else {
        None
    };
    let mut contests: Vec<ContestRuns> = chosen(args).map(ContestRuns::new).collect();
    for round in 1..=args.rounds {
        for runs in contests.iter_mut().filter(|runs| runs.failure.is_none()) {
            if stage.interrupted() {
                break;
            }
            eprintln!("round {round}: {} ...", runs.contest.name());
            stage.one_round(runs);
        }
    }
    MemoryState::leave(&stage.parent);
    let any = idle.is_some() || contests.iter().any(ContestRuns::any);
    ensure!(
        any || !stage.interrupted(),
        "interrupted before anything was measured"
    );
    let outcome = Outcome::new(started, machine, &stage, idle, contests);
    let page = page::markdown(&outcome);
    println!("{page}");
    let path = outcome.write(&args.results, &html::html(&outcome), &page)?;
    eprintln!("written: {}", path.display());
    match outcome.problems().as_slice() {
        [] => Ok(()),
        problems => bail!("the result is partial: {}", problems.join("; ")),
    }
}

fn chosen(args: &RecordArgs) -> impl Iterator<Item = Contest> {
    use clap::ValueEnum;
    Contest::value_variants()
        .iter()
        .copied()
        .filter(|contest| args.contests.is_empty() || args.contests.contains(contest))
}

impl Stage<'_> {
    fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// The floors, then the node. A failure is recorded and ends this contest.
    fn one_round(&self, runs: &mut ContestRuns) {
        match self.runs_of(runs) {
            Ok(()) => {}
            // A signal for all reaches floor and node, too: it is why this one failed.
            Err(_) if self.interrupted() => {}
            Err(error) => {
                eprintln!("failed: {error:#}");
                runs.failure = Some(format!("{error:#}"));
            }
        }
    }

    fn runs_of(&self, runs: &mut ContestRuns) -> Result<()> {
        let contest = runs.contest;
        let kept = [&mut runs.floor, &mut runs.floor_beside];
        for (kind, kept) in contest.floors().iter().zip(kept) {
            kept.push(self.floor_run(contest, *kind)?);
        }
        runs.node.push(self.node_run(contest)?);
        Ok(())
    }

    fn floor_run(&self, contest: Contest, kind: floor::Kind) -> Result<Measurement> {
        let dir = tempfile::Builder::new()
            .prefix("odradek-floor-")
            .tempdir_in(&self.parent)?;
        self.args.memory.bring_about(&self.parent)?;
        wait_until_quiet(self.args.quiet_seconds)?;
        let run = floor::Run {
            plan: contest.floor_plan(self.args),
            server_core: self.cores.server,
            driver_core: self.cores.driver,
            dir: dir.path(),
        };
        floor::run(kind, &run, &echo_frames(SMALL_RECORD_BYTES)?)
    }

    fn node_run(&self, contest: Contest) -> Result<Measurement> {
        let mut node = self.start_node()?;
        let measured = contest.run(&node, self.args).context(contest.name());
        let stopped = node.stop();
        let measured = measured?;
        stopped?;
        Ok(measured)
    }

    /// A node with one shard on its core, its directory in the parent.
    fn start_node(&self) -> Result<Server> {
        let node = Contestant::Odradek {
            shards: 1,
            settings: self.args.settings.clone(),
        };
        let place = Place {
            parent: self.parent.clone(),
            pinning: Pinning::Pinned,
            all_cores: allowed_cores(),
            server_core: self.cores.server,
            driver_core: self.cores.driver,
            memory: self.args.memory,
            quiet_seconds: self.args.quiet_seconds,
            jars: None,
        };
        Server::start(&node, &Variant::default(), &place)
    }
}
