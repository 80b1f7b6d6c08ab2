//! A simulation that finds nothing may be one that cannot: each broken variant of the node is caught.

use odradek_engine::mutant::Mutant;
use odradek_sim::mutants::hunt;

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
