//! The floors run, and what they report adds up.
//!
//! This test is its own `odradek`: a floor's server is a child process of the same binary, started
//! as `bench floor-server`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Parser;
use serde_json::Value;

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
    floors_run();
    wrong_arguments_are_said_so();
    println!("smoke: ok");
    ExitCode::SUCCESS
}

fn bench() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.arg("bench");
    command
}

fn floors_run() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let saved = dir.path().join("floors.json");
    let seconds = 0.2;
    let status = bench()
        .args(["floor", "--seconds", &seconds.to_string()])
        .args(["--warmup-seconds", "0.1", "--baseline-seconds", "0.1"])
        .args([Path::new("--dir"), dir.path(), Path::new("--save"), &saved])
        .status()
        .expect("it starts");
    assert!(status.success(), "{status}");
    let saved = std::fs::read(&saved).expect("the result");
    let saved: Value = serde_json::from_slice(&saved).expect("JSON");
    let runs = saved["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), 7);
    for run in runs {
        let name = &run["name"];
        let cost = &run["cost"];
        let window = cost["seconds"].as_f64().expect("seconds");
        let process = cost["process_cpu_s"].as_f64().expect("CPU");
        assert!(run["bytes"].as_u64() > Some(1 << 20), "{name} moved bytes");
        assert!(window >= seconds, "{name}: a window of {window} s");
        // One pinned thread, and io_uring's workers on the same core.
        assert!(
            process > 0.0 && process <= window * 1.1,
            "{name}: {process} s of CPU"
        );
    }
    let echo = runs.last().expect("the echo");
    assert!(echo["requests"].as_u64() > Some(0));
    assert!(echo["latency"]["p50_ms"].as_f64() > Some(0.0));
    let left = std::fs::read_dir(dir.path())
        .expect("the directory")
        .count();
    assert_eq!(left, 1, "floors leave no files behind");
}

fn wrong_arguments_are_said_so() {
    let nobody = ["produce", "--bootstrap", "127.0.0.1:1"];
    let output = bench().args(nobody).output().expect("it starts");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("127.0.0.1:1"), "{message}");
}
