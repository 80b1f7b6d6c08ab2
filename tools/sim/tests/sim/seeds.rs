//! Whole nodes, by the seed.

use std::collections::BTreeSet;

use odradek_engine::mutant::Mutant;
use odradek_sim::Report;
use odradek_sim::mutants::hunt;
use odradek_sim::shrink::{attempt, shrink};

/// Runs by which a failure is made smaller.
const TRIES: u32 = 60;

/// What a hundred seeds are to have seen, whichever they are.
const SEEN: [&str; 22] = [
    "Cut",
    "Kill",
    "Stop",
    "StopThenCut",
    "clock jump",
    "commits",
    "corruption",
    "cut socket",
    "damage noticed by a client",
    "damage noticed by recovery",
    "disk full",
    "failed durable write",
    "failed flush",
    "failed read",
    "failed write",
    "moves",
    "records deleted",
    "settings changed",
    "short transfer",
    "slow disk",
    "stalled socket",
    "topics deleted",
];

fn run(seed: u64) -> Report {
    match attempt(seed, 0.0, BTreeSet::new()) {
        Ok(report) => report,
        Err(failure) => {
            let small = shrink(*failure.clone(), TRIES);
            panic!(
                "seed {seed} failed: {}\nmade small: {}\n{}\nagain: {}",
                failure.why,
                small.why,
                small.story.join("\n"),
                small.command()
            )
        }
    }
}

fn saw_everything(all: &Report) {
    for what in ["records acknowledged", "records consumed"] {
        assert!(all.counts[what] > 1_000, "{what}: {:?}", all.counts);
    }
    for what in SEEN {
        let count = all.counts.get(what).copied().unwrap_or(0);
        assert!(count > 0, "no {what} in {:?}", all.counts);
    }
}

#[test]
fn all_seeds() {
    if let Ok(end) = std::env::var("ODRADEK_SIM_SEEDS") {
        let end = end.parse().expect("ODRADEK_SIM_SEEDS is a number");
        let (mut failed, mut all) = (Vec::new(), Report::default());
        for seed in 0..end {
            match attempt(seed, 0.0, BTreeSet::new()) {
                Ok(report) => all.add(&report),
                Err(failure) => failed.push(format!("seed {seed}: {}", failure.why)),
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
        saw_everything(&all);
    }
}

/// Broken variants of the node are found by so many seeds.
const HUNT: u64 = 60;

#[test]
fn every_broken_variant_is_caught() {
    if std::env::var("ODRADEK_SIM_SEEDS").is_err() {
        return;
    }
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        let found = hunt(mutant, 0..HUNT);
        match found.failure {
            Some(failure) => println!("{mutant:?}: seed {}: {}", failure.seed, failure.why),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn one_seed() {
    if let Ok(seed) = std::env::var("ODRADEK_SIM_SEED") {
        run(seed.parse().expect("ODRADEK_SIM_SEED is a number"));
    }
}
