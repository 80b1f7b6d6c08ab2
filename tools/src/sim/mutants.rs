//! The table of broken variants: which seed catches each, and in what words.

use std::fmt::Write;
use std::ops::Range;
use std::process::ExitCode;

use anyhow::bail;
use odradek_engine::mutant::{self, Mutant};
use odradek_sim::mutants::{Catch, hunt};

use super::{SimArgs, record};

pub(super) fn run(seeds: Range<u64>, args: &SimArgs) -> anyhow::Result<ExitCode> {
    if !mutant::POSSIBLE {
        bail!(
            "a release has no broken variants; run a build with debug assertions: \
             cargo run -- sim --mutants"
        );
    }
    println!("{:<24} {:>6}  caught by", "variant", "seed");
    let mut all = Vec::new();
    for &mutant in Mutant::ALL {
        let found = hunt(mutant, seeds.clone());
        let (name, seed, words) = (format!("{mutant:?}"), seed(&found), words(&found));
        println!("{name:<24} {seed:>6}  {words}");
        all.push(found);
    }
    if let Some(path) = &args.record {
        record::write(path, &page(&seeds, &all))?;
    }
    Ok(match all.iter().all(|found| found.failure.is_some()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn seed(found: &Catch) -> String {
    let failure = found.failure.as_ref();
    failure.map_or("-".into(), |failure| failure.seed.to_string())
}

fn words(found: &Catch) -> String {
    match &found.failure {
        Some(failure) => failure.why.lines().next().unwrap_or_default().to_owned(),
        None => format!("NOT CAUGHT by {} seeds", found.tried),
    }
}

fn page(seeds: &Range<u64>, all: &[Catch]) -> String {
    let (first, count) = (seeds.start, seeds.end - seeds.start);
    let caught = all.iter().filter(|found| found.failure.is_some()).count();
    let mut page = format!(
        "# Deliberately broken variants of the node\n\n\
         Made by `odradek sim --mutants --seed {first} --seeds {count} --record`, {}.\n\n\
         Each is one condition at one place ([mutant.rs](../../engine/src/mutant.rs)), broken while \
         the simulator runs one seed after the other, until one fails that does not fail \
         otherwise. Of {} variants {caught} were caught; the simulation's test \
         `every_broken_variant_is_caught` asks for all.\n\n\
         | switch | what it breaks | seed | seeds tried | caught by |\n|---|---|---:|---:|---|\n",
        record::made(),
        all.len(),
    );
    for found in all {
        let (mutant, tried) = (found.mutant, found.tried);
        let (breaks, seed) = (mutant.breaks(), seed(found));
        let words = words(found).replace('|', "\\|");
        writeln!(
            page,
            "| {mutant:?} | {breaks} | {seed} | {tried} | {words} |"
        )
        .expect("text");
    }
    page
}
