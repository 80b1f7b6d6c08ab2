//! `odradek bench compare`

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail, ensure};

use super::options::{LoadOptions, progress};
use super::surroundings::interrupt;
use crate::open;
use crate::report::compare::{Comparison, compare, compare_pairs};
use crate::report::result::FORMAT;
use crate::report::{RunResult, save, text};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct CompareArgs {
    /// Results of `bench load`, as JSON: of two labels, or of one with --b
    #[arg(required_unless_present = "against", conflicts_with = "against")]
    result: Vec<PathBuf>,
    /// The other side, whatever the labels
    #[arg(long, num_args = 1.., conflicts_with = "against")]
    b: Vec<PathBuf>,
    /// Run a load against two servers in turn instead: the brokers of A and those of B
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    against: Vec<String>,
    /// Pairs of runs
    #[arg(long, default_value_t = 5, requires = "against")]
    rounds: usize,
    /// What A and B are, in words [default: their brokers]
    #[arg(long, num_args = 2, value_names = ["A", "B"], requires = "against")]
    labels: Vec<String>,
    /// A's process, whose CPU and memory are counted
    #[arg(long, requires = "against")]
    pid_a: Option<u32>,
    /// B's process
    #[arg(long, requires = "against")]
    pid_b: Option<u32>,
    /// Of the intervals
    #[arg(long, default_value_t = 0.95)]
    confidence: f64,
    /// Also write the comparison here as JSON
    #[arg(long)]
    save: Option<PathBuf>,
    #[command(flatten, next_help_heading = "The load, with --against")]
    options: LoadOptions,
}

pub(super) fn run(args: &CompareArgs) -> Result<()> {
    ensure!(
        args.confidence > 0.0 && args.confidence < 1.0,
        "--confidence {}: it lies between 0 and 1",
        args.confidence
    );
    let comparison = match args.against.as_slice() {
        [a, b] => alternate(args, [a, b])?,
        _ => of_files(args)?,
    };
    print!("{}", comparison.text());
    if let Some(path) = &args.save {
        save::write(path, &serde_json::to_vec_pretty(&comparison)?)?;
    }
    Ok(())
}

/// Loads both in turn. Who is first changes from round to round, so that neither gains by it; each
/// run is kept.
fn alternate(args: &CompareArgs, brokers: [&str; 2]) -> Result<Comparison> {
    ensure!(
        (1..=1000).contains(&args.rounds),
        "--rounds {}: it lies within 1 and 1000",
        args.rounds
    );
    let interrupt = interrupt()?;
    let load = args.options.load()?;
    let mut targets = brokers.map(|brokers| args.options.target(brokers, &interrupt));
    for (target, label) in targets.iter_mut().zip(&args.labels) {
        target.label.clone_from(label);
    }
    let [a, b] = &mut targets;
    if a.label == b.label {
        a.label.push_str(" (A)");
        b.label.push_str(" (B)");
    }
    a.pids.extend(args.pid_a);
    b.pids.extend(args.pid_b);
    let place = save::Place::new(None, args.options.results())?;
    args.options.pin()?;
    let mut pairs = Vec::new();
    for round in 0..args.rounds {
        let mut pair = [None, None];
        for side in [round % 2, 1 - round % 2] {
            let target = &targets[side];
            eprintln!("round {} of {}: {}", round + 1, args.rounds, target.label);
            let mut result = open::run(&load, target, &mut progress)?;
            args.options.put_floors(&mut result);
            eprint!("{}", text::summary(&result));
            eprintln!("written: {}", place.keep(&result)?.display());
            pair[side] = Some(result);
            if interrupt.load(Ordering::Relaxed) {
                break;
            }
        }
        if let [Some(a), Some(b)] = pair {
            pairs.push((a, b));
        }
        if interrupt.load(Ordering::Relaxed) {
            eprintln!("interrupted: what there is is compared");
            break;
        }
    }
    compare_pairs(&pairs, args.confidence)
}

fn of_files(args: &CompareArgs) -> Result<Comparison> {
    let read_all = |paths: &[PathBuf]| -> Result<Vec<RunResult>> {
        paths.iter().map(|path| read(path)).collect()
    };
    let mut a = read_all(&args.result)?;
    let b = if args.b.is_empty() {
        let first = a[0].label.clone();
        let (of_first, others): (Vec<_>, Vec<_>) =
            a.into_iter().partition(|run| run.label == first);
        a = of_first;
        let Some(second) = others.first().map(|run| run.label.clone()) else {
            bail!("all results are labelled {first:?}: name the other side with --b");
        };
        if let Some(third) = others.iter().find(|run| run.label != second) {
            let third = &third.label;
            bail!("results of more than two labels: {first:?}, {second:?}, {third:?}");
        }
        others
    } else {
        read_all(&args.b)?
    };
    compare(&a, &b, args.confidence)
}

fn read(path: &Path) -> Result<RunResult> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let value: serde_json::Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not JSON", path.display()))?;
    ensure!(
        value["format"] == FORMAT,
        "{}: not a result of `bench load` in format {FORMAT} but {}",
        path.display(),
        value["format"]
    );
    serde_json::from_value(value).with_context(|| format!("{} is no result", path.display()))
}
