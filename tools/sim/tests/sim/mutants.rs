//! A simulation that finds nothing may be one that cannot: each broken variant of the node is caught.

use std::collections::BTreeSet;

use odradek_engine::mutant::{self, Mutant};
use odradek_sim::mutants::hunt;
use odradek_sim::shrink::{attempt, shrink};

/// By so many seeds, at most. All but one are caught by a few; a move that does not flush shows only if
/// the power goes right after it.
const HUNT: u64 = 200;

#[test]
fn every_broken_variant_is_caught() {
    let mut missed = Vec::new();
    for &mutant in Mutant::ALL {
        let found = hunt(mutant, 0..HUNT);
        match found.failure {
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
    let table = include_str!("../../mutants.md");
    for mutant in Mutant::ALL {
        let row = format!("\n| {mutant:?} | {} |", mutant.breaks());
        assert!(
            table.contains(&row),
            "{mutant:?}: odradek sim --mutants --record makes it"
        );
    }
}
