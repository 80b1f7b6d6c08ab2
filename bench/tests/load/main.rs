//! The open-loop driver against a real node, and against servers that misbehave.
//!
//! This test is its own `odradek`: it starts itself as `bench load` and as `serve`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod bad;
#[path = "../common/mod.rs"]
mod common;
mod good;

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use common::{bench, json};
use odradek_bench::report::RunResult;

fn main() -> ExitCode {
    if let Some(code) = common::as_odradek() {
        return code;
    }
    good::a_load_is_measured_and_proven();
    good::every_shape_of_load_holds();
    good::runs_are_compared();
    good::servers_are_loaded_in_turn();
    good::a_rate_is_searched();
    bad::nobody_listens();
    bad::who_listens_speaks_something_else();
    bad::who_listens_says_nothing_useful_and_hangs_up();
    bad::a_server_that_answers_errors_is_quoted();
    bad::a_node_that_is_killed_leaves_a_partial_result();
    bad::a_servers_disk_that_fills_up_leaves_a_partial_result();
    bad::a_server_that_falls_silent_leaves_a_partial_result();
    bad::an_interrupt_leaves_a_partial_result();
    bad::a_result_that_cannot_be_kept_is_said_so_first();
    bad::a_full_disk_leaves_no_half_result();
    bad::too_few_cores_are_refused();
    println!("load: ok");
    ExitCode::SUCCESS
}

/// `bench load` at this node, for a moment.
fn load(node: &str, save: &Path) -> Command {
    load_for("500ms", node, save)
}

fn load_for(duration: &str, node: &str, save: &Path) -> Command {
    let mut command = bench();
    command
        .args(["load", "--brokers", node, "--save"])
        .arg(save)
        .args([
            "--baseline",
            "10ms",
            "--warmup",
            "100ms",
            "--duration",
            duration,
        ])
        .args(["--interval", "100ms", "--share-cores"]);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn result(path: &Path) -> RunResult {
    serde_json::from_value(json(path)).expect("a result")
}
