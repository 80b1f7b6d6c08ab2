//! A simulation that finds nothing may be one that cannot: each broken variant of the node is caught.

use odradek_engine::mutant::Mutant;
use odradek_sim::mutants::{Catch, hunt};

/// By so many seeds, at most. All but one are caught by a few; a move that does not flush shows only if
/// the power goes right after it.
const HUNT: u64 = 200;

/// What the hunt finds, for readers.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/mutants.md");
const INTRODUCTION: &str = "# Broken variants

Deliberately broken variants of the node (`engine/src/mutant.rs`), and what caught each: the first
simulated seed that fails with it and not without, and what the oracle, or the node, said then. Made by
`ODRADEK_WRITE_TABLES=1 cargo test -p odradek-sim --test sim mutants`; the test hunts them all each time,
and compares the names. Which seed it is may change with any change of the node's order of I/O.

| variant | seed | what it was caught by |
|---|---:|---|
";

/// A row of the table.
fn row(found: &Catch) -> Option<String> {
    let failure = found.failure.as_ref()?;
    let why = failure
        .why
        .lines()
        .next()
        .unwrap_or_default()
        .replace('|', "\\|");
    Some(format!(
        "| {:?} | {} | {why} |\n",
        found.mutant, failure.seed
    ))
}

/// The variants that a table names.
fn names(table: &str) -> Vec<String> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let names = rows.filter_map(|row| row.split(" |").next());
    names
        .filter(|name| *name != "variant")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_broken_variant_is_caught() {
    let (mut missed, mut table) = (Vec::new(), INTRODUCTION.to_owned());
    for mutant in Mutant::ALL {
        let found = hunt(mutant, 0..HUNT);
        match row(&found) {
            Some(row) => table.push_str(&row),
            None => missed.push(mutant),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
    if std::env::var_os("ODRADEK_WRITE_TABLES").is_some() {
        std::fs::write(TABLE, &table).expect("written");
    }
    let kept = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(
        names(&table),
        names(&kept),
        "make it again: ODRADEK_WRITE_TABLES=1 cargo test -p odradek-sim --test sim mutants"
    );
}
