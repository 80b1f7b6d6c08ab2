//! The table of broken variants: which seed catches each, and in what words.

use std::ops::Range;
use std::process::ExitCode;

use anyhow::bail;
use odradek_engine::mutant::{self, Mutant};
use odradek_sim::mutants::hunt;

pub(super) fn run(seeds: Range<u64>) -> anyhow::Result<ExitCode> {
    if !mutant::POSSIBLE {
        bail!(
            "a release has no broken variants; run a build with debug assertions: \
             cargo run -- sim --mutants"
        );
    }
    let mut missed = 0;
    println!("{:<24} {:>6}  caught by", "variant", "seed");
    for mutant in Mutant::ALL {
        let found = hunt(mutant, seeds.clone());
        let name = format!("{mutant:?}");
        match found.failure {
            Some(failure) => {
                let why = failure.why.lines().next().unwrap_or_default();
                println!("{name:<24} {:>6}  {why}", failure.seed);
            }
            None => {
                missed += 1;
                println!("{name:<24} {:>6}  NOT CAUGHT by {} seeds", "-", found.tried);
            }
        }
    }
    Ok(match missed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
