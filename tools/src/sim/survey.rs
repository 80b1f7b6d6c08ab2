//! Many seeds, some at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use odradek_sim::Report;
use odradek_sim::shrink::{Failure, attempt, shrink};

use super::{SimArgs, record};

/// What came of many seeds.
#[derive(Default)]
pub(super) struct Survey {
    pub(super) seeds: Range<u64>,
    pub(super) hours: f64,
    pub(super) all: Report,
    /// By seed.
    pub(super) failed: BTreeMap<u64, Failure>,
    pub(super) took: Duration,
}

pub(super) fn run(seeds: Range<u64>, args: &SimArgs) -> anyhow::Result<ExitCode> {
    let survey = survey(seeds, args);
    if let Some(path) = &args.record {
        record::write(path, &record::page(&survey))?;
    }
    if let Some(failure) = survey.failed.into_values().next() {
        print(&shrink(failure, args.shrink));
        return Ok(ExitCode::FAILURE);
    }
    println!(
        "seeds {} to {}: every promise was kept ({:.1} s)",
        survey.seeds.start,
        survey.seeds.end.saturating_sub(1),
        survey.took.as_secs_f64()
    );
    for (what, count) in &survey.all.counts {
        println!("{count:>10}  {what}");
    }
    Ok(ExitCode::SUCCESS)
}

fn survey(seeds: Range<u64>, args: &SimArgs) -> Survey {
    let dropped: BTreeSet<String> = args.dropped.iter().cloned().collect();
    let begun = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new(Survey {
        seeds: seeds.clone(),
        hours: args.hours,
        ..Survey::default()
    });
    let one_after_the_other = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let result = attempt(seed, args.hours, dropped.clone());
            let mut found = found.lock().expect("nobody panics with it");
            match result {
                Ok(report) => found.all.add(&report),
                Err(failure) => {
                    println!("seed {seed} failed: {}", failure.why);
                    found.failed.insert(seed, *failure);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(one_after_the_other);
        }
    });
    let mut found = found.into_inner().expect("nobody panicked with it");
    found.took = begun.elapsed();
    found
}

fn print(failure: &Failure) {
    println!(
        "made small, seed {} says: {}\nwhat happened last:",
        failure.seed, failure.why
    );
    for line in &failure.story {
        println!("  {line}");
    }
    println!("again: {}", failure.command());
}
