//! `odradek sim`

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::bail;
use clap::Args;
use odradek_engine::mutant::{self, Mutant};
use odradek_sim::Report;
use odradek_sim::mutants::hunt;
use odradek_sim::shrink::{Failure, attempt, shrink};

/// Run the node on a simulated machine where everything goes wrong, and check that it keeps every
/// promise; exit code 1 if it does not.
///
/// Shards, disk, network and clock are simulated in one thread, every choice drawn from the seed:
/// kills at every await, power cuts, torn writes, failing flushes, full and slow disks, short
/// transfers, cut and stalled connections, clock jumps, bytes at rest that change. A seed that fails
/// fails every time; it is made small and printed with what happened.
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
    /// Leave this out: a class of actions or faults, or one of them ("move", "life#2")
    #[arg(long = "drop", value_name = "CLASS")]
    pub dropped: Vec<String>,
    /// Runs by which a failure is made smaller, at most
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub shrink: u32,
    /// Run deliberately broken variants of the node instead, each until a seed catches it
    #[arg(long)]
    pub mutants: bool,
}

const EXAMPLES: &str = "\
Examples:
  odradek sim --seed 1 --seeds 100
  odradek sim --seed 7 --hours 1
  odradek sim --mutants --seeds 200";

pub(super) fn run(args: &SimArgs) -> anyhow::Result<ExitCode> {
    if !(0.0..=1e6).contains(&args.hours) {
        bail!("--hours {}: give 0 to 1000000", args.hours);
    }
    let seeds = args.seed..args.seed.saturating_add(args.seeds);
    match args.mutants {
        true => run_mutants(seeds),
        false => run_seeds(seeds, args),
    }
}

fn run_seeds(seeds: std::ops::Range<u64>, args: &SimArgs) -> anyhow::Result<ExitCode> {
    let dropped: BTreeSet<String> = args.dropped.iter().cloned().collect();
    let (mut all, begun) = (Report::default(), Instant::now());
    for seed in seeds.clone() {
        match attempt(seed, args.hours, dropped.clone()) {
            Ok(report) => all.add(&report),
            Err(failure) => {
                println!("seed {seed} failed: {}", failure.why);
                print(&shrink(*failure, args.shrink));
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    println!(
        "seeds {} to {}: every promise was kept ({:.1} s)",
        seeds.start,
        seeds.end.saturating_sub(1),
        begun.elapsed().as_secs_f64()
    );
    for (what, count) in &all.counts {
        println!("{count:>10}  {what}");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(failure: &Failure) {
    println!("made small, seed {} says: {}", failure.seed, failure.why);
    println!("what happened last:");
    for line in &failure.story {
        println!("  {line}");
    }
    println!("again: {}", failure.command());
}

fn run_mutants(seeds: std::ops::Range<u64>) -> anyhow::Result<ExitCode> {
    if !mutant::POSSIBLE {
        bail!(
            "a release has no broken variants; run a build with debug assertions: \
             cargo run -- sim --mutants"
        );
    }
    let mut missed = 0;
    println!("{:<24} {:>6}  caught by", "variant", "seed");
    for mutant in Mutant::ALL {
        let found = hunt(mutant, seeds.clone());
        let name = format!("{mutant:?}");
        match found.failure {
            Some(failure) => {
                let why = failure.why.lines().next().unwrap_or_default();
                println!("{name:<24} {:>6}  {why}", failure.seed);
            }
            None => {
                missed += 1;
                println!("{name:<24} {:>6}  NOT CAUGHT by {} seeds", "-", found.tried);
            }
        }
    }
    Ok(match missed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
