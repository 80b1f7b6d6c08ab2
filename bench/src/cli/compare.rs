//! `odradek bench compare`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::report::compare::compare;
use crate::report::result::FORMAT;
use crate::report::{RunResult, save};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct CompareArgs {
    /// Results of `bench load`, as JSON: of two labels, or of one with --b
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// The other side, whatever the labels
    #[arg(long, num_args = 1..)]
    b: Vec<PathBuf>,
    /// Of the intervals
    #[arg(long, default_value_t = 0.95)]
    confidence: f64,
    /// Also write the comparison here as JSON
    #[arg(long)]
    save: Option<PathBuf>,
}

pub(super) fn run(args: &CompareArgs) -> Result<()> {
    ensure!(
        args.confidence > 0.0 && args.confidence < 1.0,
        "--confidence {}: it lies between 0 and 1",
        args.confidence
    );
    let read_all = |paths: &[PathBuf]| -> Result<Vec<RunResult>> {
        paths.iter().map(|path| read(path)).collect()
    };
    let mut a = read_all(&args.results)?;
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
    let comparison = compare(&a, &b, args.confidence)?;
    print!("{}", comparison.text());
    if let Some(path) = &args.save {
        save::write(path, &serde_json::to_vec_pretty(&comparison)?)?;
    }
    Ok(())
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
