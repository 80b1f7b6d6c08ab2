//! `odradek sim`

mod mutants;
mod record;
mod survey;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// Run the node on a simulated machine where everything goes wrong, and check that it keeps every
/// promise; exit code 1 if it does not.
///
/// Shards, disk, network and clock are simulated in one thread, every choice drawn from the seed:
/// kills at every await, power cuts, torn writes, failing flushes, full and slow disks, short
/// transfers, cut and stalled connections, clock jumps, bytes at rest that change. A seed that fails
/// fails every time; the first that does is made small and printed with what happened.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SimArgs {
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How many seeds, counting up
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub seeds: u64,
    /// Simulated hours of each seed; 0 is a handful of lives
    #[arg(long, value_name = "H", default_value_t = 0.0)]
    pub hours: f64,
    /// Seeds at a time, each on a thread
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub jobs: usize,
    /// Leave this out: a class of actions or faults, or one of them ("move", "life#2")
    #[arg(long = "drop", value_name = "CLASS")]
    pub dropped: Vec<String>,
    /// Runs by which a failure is made smaller, at most
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub shrink: u32,
    /// Write what was run, and what there was of everything or what caught each variant, to a file
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Run deliberately broken variants of the node instead, each until a seed catches it
    #[arg(long)]
    pub mutants: bool,
}

const EXAMPLES: &str = "\
Examples:
  odradek sim --seed 1 --seeds 100 --jobs 2
  odradek sim --seed 7 --hours 1
  odradek sim --mutants --seeds 400 --record tools/sim/mutants.md";

pub(super) fn run(args: &SimArgs) -> anyhow::Result<ExitCode> {
    if !(0.0..=1e6).contains(&args.hours) {
        bail!("--hours {}: give 0 to 1000000", args.hours);
    }
    if !(1..=1024).contains(&args.jobs) {
        bail!("--jobs {}: give 1 to 1024", args.jobs);
    }
    let seeds = args.seed..args.seed.saturating_add(args.seeds);
    match args.mutants {
        true => mutants::run(seeds, args),
        false => survey::run(seeds, args),
    }
}
