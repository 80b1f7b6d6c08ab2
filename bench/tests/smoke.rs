//! The floors run, and what they report adds up.
//!
//! This test is its own `odradek`: a floor's server is a child process of the same binary, started
//! as `bench floor-server`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
enum Program {
    Bench(odradek_bench::cli::Args),
}

fn main() -> ExitCode {
    let as_program = std::env::args().nth(1).is_some_and(|word| word == "bench");
    if as_program {
        let Program::Bench(args) = Program::parse();
        return odradek_bench::cli::run(args);
    }
    ExitCode::SUCCESS
}
