//! The production shard on a simulated machine: lives that end by a stop, a kill or a power cut,
//! clients that speak Kafka's protocol, and an oracle that knows what was promised.
//!
//! A failure names its seed; `ODRADEK_SIM_SEED=<seed>` runs that seed alone,
//! `ODRADEK_SIM_SEEDS=<n>` the seeds from 50 to n besides. `odradek sim` runs several shards, with
//! more faults.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod beside;
mod clean_start;
mod compaction;
mod durable;
mod journal;
mod left_behind;
mod moves;
mod oracle;
mod plan;
mod tail;
mod verify;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use odradek_sim::{client, state_file};

/// Runs one seed; says how to run it again if it fails.
fn run(seed: u64) -> u64 {
    match catch_unwind(AssertUnwindSafe(|| world::run(seed))) {
        Ok(hash) => hash,
        Err(panic) => {
            eprintln!(
                "seed {seed} failed; run it again: \
                 ODRADEK_SIM_SEED={seed} cargo test -p odradek-shards --test sim one_seed"
            );
            resume_unwind(panic)
        }
    }
}

fn range(seeds: std::ops::Range<u64>) {
    if asked().is_none() {
        seeds.for_each(|seed| {
            run(seed);
        });
    }
}

fn asked() -> Option<u64> {
    let seed = std::env::var("ODRADEK_SIM_SEED").ok()?;
    Some(seed.parse().expect("ODRADEK_SIM_SEED is a number"))
}

#[test]
fn seeds_0_to_49() {
    range(0..50);
}

#[test]
fn more_seeds() {
    if let Ok(end) = std::env::var("ODRADEK_SIM_SEEDS") {
        range(50..end.parse().expect("ODRADEK_SIM_SEEDS is a number"));
    }
}

#[test]
fn one_seed() {
    if let Some(seed) = asked() {
        run(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 14, 15] {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
    assert_ne!(run(3), run(14));
}
