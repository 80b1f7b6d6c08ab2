//! `odradek bench matrix`: every way in which the node writes and sends, on several file systems.
//!
//! Two tables. Write: strategy × durability × file system. Read: strategy × where the data is ×
//! file system. Which strategies there are, the engine's own lists say. Each cell is a start of the
//! node itself, measured by a closed loop, and kept when it is done: a run that was stopped goes on
//! where it was.
//!
//! Invariants: what a file system refuses is shown as refused, and what the node does not have yet
//! as that; a failure is shown, too, and tried again by the next run. Figures stand nowhere else
//! than in kept cells.
//!
//! Absent on purpose: floors in the same run (`bench record`; known ones are drawn), small records,
//! several nodes.

mod beside;
mod cache;
mod cell;
mod disk;
mod file_system;
mod keep;
mod modes;
mod notes;
mod page;
mod pictures;
mod read;
mod row;
mod tail;
mod write;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::cli::{Chosen, Cores, interrupt};
use crate::contest::{Contestant, MemoryState, Pinning, Place};
use crate::drive::Plan;
use crate::machine::{Facts, allowed_cores, pin};
use cell::{Cell, Finding, Kept, Table};
use file_system::{Kind, Mounted};
use keep::Keep;
use read::DataSet;

pub(crate) use page::Outcome;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MatrixArgs {
    /// Shorter windows and one round: at most 15 minutes
    #[arg(long)]
    quick: bool,
    /// Only these file systems
    #[arg(long = "file-system", value_enum)]
    file_systems: Vec<Kind>,
    /// Only cells whose name contains one of these, as in write-direct-dsync or tail
    #[arg(long)]
    only: Vec<String>,
    /// Where data is written: the file system `here`, and the images of the others; with some
    /// 30 GiB free [default: the system's temporary directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the tables are written, named by date and commit
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
    /// Where results of `odradek bench floor` are: the newest of this CPU is drawn into the plots
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    floors: PathBuf,
    /// Where cells are kept until the tables are whole [default: odradek-matrix-COMMIT in the data
    /// directory]
    #[arg(long)]
    work: Option<PathBuf>,
    /// Runs of each cell; medians are shown [default: 3; with --quick 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of each window [default: 5; with --quick 2.5]
    #[arg(long)]
    seconds: Option<f64>,
    /// Seconds under load before the window [default: 2; with --quick 0.7]
    #[arg(long)]
    warmup_seconds: Option<f64>,
    /// Seconds for which the idle machine is watched beforehand [default: 2; with --quick 0.7]
    #[arg(long)]
    baseline_seconds: Option<f64>,
    /// Seconds to wait at most, before each start, for the machine to become quiet
    #[arg(long, default_value_t = 5.0)]
    quiet_seconds: f64,
    /// Bytes of the log that is read cold [default: as many as a fast disk gives in that time]
    #[arg(long)]
    data_bytes: Option<u64>,
    /// Settings of the node: name=value
    #[arg(long = "set")]
    settings: Vec<String>,
    #[command(flatten)]
    cores: Cores,
}

/// Connections, and requests in flight on each.
const CONNECTIONS: usize = 1;
const IN_FLIGHT: usize = 5;

/// A cold range lasts for a window at this rate, bytes per second; what is faster reads it twice,
/// which its cell then says.
const COLD_BYTES_PER_S: f64 = 1.6e9;

/// What all cells have in common. Kept cells of other terms are not taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Terms {
    commit: String,
    modified: bool,
    seconds: f64,
    warmup_seconds: f64,
    baseline_seconds: f64,
    data_bytes: u64,
    server_core: usize,
    driver_core: usize,
    /// Of the node, beside a cell's own.
    settings: Vec<String>,
}

impl Terms {
    fn plan(&self, connections: usize) -> Plan {
        let seconds = |value: f64| std::time::Duration::from_secs_f64(value.clamp(0.01, 3600.0));
        Plan {
            connections,
            in_flight: IN_FLIGHT,
            baseline: seconds(self.baseline_seconds),
            warmup: seconds(self.warmup_seconds),
            time: seconds(self.seconds),
        }
    }
}

/// What cells of one file system share.
struct Stage<'a> {
    terms: &'a Terms,
    place: Place,
    contestant: Contestant,
    /// Where its bytes go, for counting them; none where it is not known.
    device: Option<disk::Device>,
}

pub(crate) fn run(args: &MatrixArgs) -> Result<()> {
    let began = Instant::now();
    let cores = args.cores.choose()?;
    let interrupt = interrupt()?;
    let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&parent)?;
    let machine = Facts::gather(&parent)?;
    let terms = terms(args, &machine, cores);
    let commit = terms.commit.get(..10).unwrap_or("unknown");
    let work = args.work.clone();
    let work = work.unwrap_or_else(|| parent.join(format!("odradek-matrix-{commit}")));
    let keep = Keep::new(&work, &terms)?;
    let clock = Clock {
        before_s: keep.elapsed(),
        began,
    };
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 3 });
    pin(terms.driver_core)?;
    let kinds: Vec<Kind> = match args.file_systems.as_slice() {
        [] => Kind::ALL.to_vec(),
        some => some.to_vec(),
    };
    let here = machine.file_system.kind.as_str();
    let mut wanted = Vec::new();
    for kind in &kinds {
        let name = kind.name(here);
        wanted.extend(cell::all(&name, *kind == kinds[0], rounds));
    }
    wanted.retain(|cell| {
        let name = cell.name();
        args.only.is_empty() || args.only.iter().any(|part| name.contains(part.as_str()))
    });
    announce(&wanted, &keep, &terms);
    let shared = cores.shared().map(|what| ("cores".to_owned(), what));
    let mut told: Vec<(String, String)> = shared.into_iter().collect();
    for kind in kinds {
        let name = kind.name(here);
        let cells: Vec<&Cell> = wanted
            .iter()
            .filter(|cell| cell.file_system == name && !keep.has(cell))
            .collect();
        if cells.is_empty() || stopped(&interrupt) {
            continue;
        }
        match Mounted::new(kind, &parent) {
            Ok(mounted) => {
                told.push(mounted.describe()?);
                let stage = stage(args, &terms, &mounted);
                on_file_system(&stage, &cells, &keep, &clock, &interrupt)?;
            }
            Err(why) => {
                eprintln!("{name} is not measured: {why:#}");
                for cell in cells {
                    let why = format!("{why:#}");
                    keep.put(&Kept::new(cell, &terms, Finding::Unsupported { why }))?;
                }
            }
        }
    }
    keep.note(&told)?;
    keep.set_elapsed(clock.seconds())?;
    let took = page::Took {
        quick: args.quick,
        elapsed_s: clock.seconds(),
        resumed: clock.before_s > 0.0,
    };
    let kept = (keep.notes()?, keep.all(&wanted)?);
    let mut outcome = page::Outcome::new(machine, terms, took, kept, &wanted);
    outcome.put_floors(&args.floors);
    outcome.show();
    let path = outcome.write(&args.results)?;
    eprintln!("written: {}", path.display());
    if stopped(&interrupt) {
        bail!("stopped: the same command goes on from here");
    }
    let failed = outcome.failed();
    if !failed.is_empty() {
        bail!(
            "failed, and tried again by the same command: {}",
            failed.join(", ")
        );
    }
    keep.drop_all()
}

/// What the whole took: of runs that were stopped, up to their last cell.
struct Clock {
    /// Of earlier runs.
    before_s: f64,
    began: Instant,
}

impl Clock {
    fn seconds(&self) -> f64 {
        self.before_s + self.began.elapsed().as_secs_f64()
    }
}

fn terms(args: &MatrixArgs, machine: &Facts, cores: Chosen) -> Terms {
    let pick =
        |given: Option<f64>, quick, usual| given.unwrap_or(if args.quick { quick } else { usual });
    let seconds = pick(args.seconds, 2.5, 5.0);
    let warmup_seconds = pick(args.warmup_seconds, 0.7, 2.0);
    let cold = (seconds + warmup_seconds) * COLD_BYTES_PER_S;
    Terms {
        commit: machine.commit.clone(),
        modified: machine.modified,
        seconds,
        warmup_seconds,
        baseline_seconds: pick(args.baseline_seconds, 0.7, 2.0),
        data_bytes: args.data_bytes.unwrap_or(cold as u64),
        server_core: cores.server,
        driver_core: cores.driver,
        settings: args.settings.clone(),
    }
}

fn stage<'a>(args: &MatrixArgs, terms: &'a Terms, mounted: &Mounted) -> Stage<'a> {
    Stage {
        terms,
        place: Place {
            parent: mounted.dir().to_owned(),
            pinning: Pinning::Pinned,
            all_cores: allowed_cores(),
            server_core: terms.server_core,
            driver_core: terms.driver_core,
            memory: MemoryState::AsFound,
            quiet_seconds: args.quiet_seconds,
            jars: None,
        },
        contestant: Contestant::Odradek {
            shards: 1,
            settings: terms.settings.clone(),
        },
        device: mounted.device(),
    }
}

fn stopped(interrupt: &AtomicBool) -> bool {
    interrupt.load(Ordering::Relaxed)
}

/// Seconds that a cell takes beside its baseline, warm-up and window, about: starts, stops, syncs.
const AROUND_S: f64 = 3.0;
/// At which the log that is read is written, bytes per second, about.
const FILL_BYTES_PER_S: f64 = 0.8e9;

fn announce(wanted: &[Cell], keep: &Keep, terms: &Terms) {
    let left: Vec<&Cell> = wanted.iter().filter(|cell| !keep.has(cell)).collect();
    let each = terms.baseline_seconds + terms.warmup_seconds + terms.seconds + AROUND_S;
    let mut filled: Vec<&str> = left
        .iter()
        .filter(|cell| cell.table == Table::Read)
        .map(|cell| cell.file_system.as_str())
        .collect();
    filled.dedup();
    let seconds =
        left.len() as f64 * each + filled.len() as f64 * terms.data_bytes as f64 / FILL_BYTES_PER_S;
    eprintln!(
        "{} cells, {} of them kept from before; some {:.0} minutes",
        wanted.len(),
        wanted.len() - left.len(),
        (seconds / 60.0).ceil()
    );
}

/// Runs the cells of one file system that are missing.
fn on_file_system(
    stage: &Stage<'_>,
    cells: &[&Cell],
    keep: &Keep,
    clock: &Clock,
    interrupt: &AtomicBool,
) -> Result<()> {
    let mut data: Option<DataSet> = None;
    for (at, cell) in cells.iter().enumerate() {
        if stopped(interrupt) {
            return Ok(());
        }
        eprint!("{:3} of {}  {} ... ", at + 1, cells.len(), cell.name());
        let began = Instant::now();
        let finding = match cell.table {
            Table::Write => write::run(stage, cell),
            Table::Read if cell.mode.is_some() => read::run_mode(stage, cell),
            Table::Read => read::run(stage, cell, &mut data),
        };
        let finding = finding.unwrap_or_else(|error| Finding::of_failure(&error, cell));
        if stopped(interrupt) {
            // A signal for all reaches the node, too: this one may be half a run.
            return Ok(());
        }
        eprintln!(
            "{} ({:.1} s)",
            finding.in_short(),
            began.elapsed().as_secs_f64()
        );
        keep.put(&Kept::new(cell, stage.terms, finding))?;
        keep.set_elapsed(clock.seconds())?;
    }
    Ok(())
}

#[cfg(test)]
fn test_terms() -> Terms {
    Terms {
        commit: String::new(),
        modified: false,
        seconds: 1.0,
        warmup_seconds: 1.0,
        baseline_seconds: 1.0,
        data_bytes: 0,
        server_core: 0,
        driver_core: 1,
        settings: Vec::new(),
    }
}
