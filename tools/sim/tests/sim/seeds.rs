//! Whole nodes, by the seed.

use std::collections::BTreeSet;

use odradek_sim::Report;
use odradek_sim::shrink::{attempt, shrink};

/// As many as take two minutes.
const SEEDS: u64 = 250;
/// Runs by which a failure is made smaller.
const TRIES: u32 = 60;

/// What these seeds are to have seen, whichever they are.
const SEEN: [&str; 43] = [
    "Cut",
    "Kill",
    "Stop",
    "StopThenCut",
    "blocks that were never written",
    "clock jump",
    "commits",
    "cut socket",
    "damage noticed by a client",
    "damage noticed by log verify",
    "damage noticed by recovery",
    "disk full",
    "ends of transactions found out",
    "failed durable write",
    "failed flush",
    "failed read",
    "failed write",
    "flipped bits",
    "kills during a compaction",
    "kills during a deletion",
    "kills during a roll",
    "kills during an exchange of segments",
    "kills during recovery",
    "members left",
    "misdirected blocks",
    "moves",
    "offsets in transactions",
    "producers fenced",
    "records compacted",
    "records deleted",
    "records of transactions compacted",
    "records of transactions read",
    "settings changed",
    "shares told to members",
    "short transfer",
    "slow disk",
    "stale blocks",
    "stalled socket",
    "stops cut off",
    "topics deleted",
    "transactions aborted",
    "transactions committed",
    "transactions out of time",
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

#[test]
fn every_promise_is_kept_and_everything_was_tried() {
    let mut all = Report::default();
    for seed in 0..SEEDS {
        all.add(&run(seed));
    }
    for what in ["records acknowledged", "records consumed"] {
        assert!(all.counts[what] > 1_000, "{what}: {:?}", all.counts);
    }
    for what in SEEN {
        let count = all.counts.get(what).copied().unwrap_or(0);
        assert!(count > 0, "no {what} in {:?}", all.counts);
    }
}

#[test]
fn the_same_seed_does_the_same() {
    assert_eq!(run(3), run(3));
    assert_ne!(run(3).hash, run(4).hash);
}
