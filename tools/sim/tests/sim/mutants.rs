//! A simulation that finds nothing may be one that cannot: each broken variant of the node is caught.

use std::collections::BTreeSet;

use odradek_engine::mutant::{self, Mutant};
use odradek_sim::mutants::hunt;
use odradek_sim::shrink::{attempt, shrink};

/// By so many seeds, at most, if the one that did it last does not any more. Most are caught by a few; a
/// recovery that keeps silent shows only where the last of a log was damaged behind its checkpoint.
const HUNT: u64 = 400;
const TABLE: &str = include_str!("../../mutants.md");

/// A variant's row in the table up to the seed, which follows.
fn row(mutant: Mutant) -> String {
    format!("\n| {mutant:?} | {} | ", mutant.breaks())
}

/// The seed that caught it when the table was made.
fn last_seed(mutant: Mutant) -> Option<u64> {
    let (_, rest) = TABLE.split_once(&row(mutant))?;
    rest.split_once(' ')?.0.parse().ok()
}

#[test]
fn every_broken_variant_is_caught() {
    let mut missed = Vec::new();
    for &mutant in Mutant::ALL {
        let again = last_seed(mutant).map(|seed| hunt(mutant, seed..seed + 1));
        let again = again.and_then(|found| found.failure);
        match again.or_else(|| hunt(mutant, 0..HUNT).failure) {
            Some(failure) => println!("{mutant:?}: seed {}: {}", failure.seed, failure.why),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn what_catches_one_is_made_small_and_still_catches_it() {
    let mutant = Mutant::AckBeforeDurable;
    let found = hunt(mutant, 0..HUNT).failure.expect("it is caught");
    mutant::set(Some(mutant));
    let small = shrink(found.clone(), 30);
    let again = attempt(small.seed, small.hours, small.dropped.clone());
    mutant::set(None);
    assert!(found.dropped.is_empty() && !small.dropped.is_empty());
    let again = again.expect_err("what is left fails again");
    assert_eq!((&again.why, &again.story), (&small.why, &small.story));
    let without = attempt(small.seed, small.hours, small.dropped);
    assert!(without.is_ok(), "it catches what was broken, and no more");
    let whole = attempt(found.seed, found.hours, BTreeSet::new());
    assert!(whole.is_ok());
}

#[test]
fn the_table_names_every_variant() {
    for mutant in Mutant::ALL {
        assert!(
            last_seed(*mutant).is_some(),
            "{mutant:?}: odradek sim --mutants --record makes it"
        );
    }
}
