//! Every scenario runs to its end on a node, and names what it is to find.
//!
//! Tiny: the figures mean nothing. This test is its own `odradek`: the nodes are child processes of
//! the same binary.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Output};

use common::{Node, bench, json};
use serde_json::Value;

fn main() -> ExitCode {
    if let Some(code) = common::as_odradek() {
        return code;
    }
    scenarios_name_what_they_find();
    somebody_elses_server_is_asked_what_it_can_be_asked();
    what_is_not_there_yet_is_said_so();
    nonsense_is_refused_by_name();
    println!("scenarios: ok");
    ExitCode::SUCCESS
}

/// Parts of figures' names that a scenario must have, whatever the machine allows.
const FIGURES: &[(&str, &[&str])] = &[
    (
        "many-producers",
        &[
            "1 shards: connections",
            "4 shards: connections",
            "1 shards: produce requests",
            "4 shards, 1 KiB batches: throughput",
            "1 shards, 500/s: acked",
        ],
    ),
    (
        "past-retention",
        &[
            "deleted at the end",
            "on disk at the end, of the limit",
            "the whole run: ack p99",
        ],
    ),
    (
        "backfill",
        &[
            "the tail alone: end to end p99",
            "the tail beside a backfill: end to end p99",
            "the tail's end to end p99 beside a backfill, of that alone",
            "backfill",
        ],
    ),
    (
        "many-partitions",
        &[
            "create",
            "idle: RSS",
            "idle: kernel slab",
            "a first record in each",
            "produce across all: acked",
            "produce across all, scraped ten times a second: ack p99, of that unscraped",
            "produce across all, scraped ten times a second: a page, longest",
            "clean start, inodes cached",
            "start after a kill",
        ],
    ),
    (
        "idle-consumers",
        &[
            "idle connections: RSS",
            "idle connections: kernel slab",
            "idle connections: all of it",
            "idle consumers: process CPU",
            "idle consumers: RSS",
            "churn: connections",
            "RSS left when all are gone",
        ],
    ),
    (
        "hot-partition",
        &[
            "even: end to end p99",
            "one hot: end to end p99",
            "the hot partition's share",
        ],
    ),
    (
        "compaction",
        &[
            "1 KiB: rate",
            "1 KiB: left",
            "100 bytes: rate",
            "100 bytes: peak RSS",
            "the tail alone: end to end p99 of the middle second",
            "the tail's p99 of the middle second beside a compaction",
        ],
    ),
    (
        "overload",
        &[
            "asked for what it can do: throughput",
            "asked for ten times as much: throughput",
            "asked for ten times as much: of its rate",
            "before the flood: ack p99",
        ],
    ),
    (
        "transactions",
        &[
            "idempotent: process CPU, of plain's",
            "transactional: process CPU, of plain's",
            "EndTxn p50",
            "the next transaction is ready: p50, of 3 durable writes and 1 ms",
        ],
    ),
    (
        "group-load",
        &[
            "a record for each key: until all answer",
            "stopped: records a second and shard",
            "killed: records a second and shard",
        ],
    ),
];

fn scenarios_name_what_they_find() {
    let names: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let (report, output) = run(dir.path(), &names, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let cells = report["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), FIGURES.len());
    for (cell, (name, wanted)) in cells.iter().zip(FIGURES) {
        assert_eq!(cell["scenario"], *name);
        assert_eq!(cell["complete"], true, "{name}: {}", cell["problems"]);
        let figures = cell["findings"]["figures"].as_array().expect("figures");
        for part in *wanted {
            let found = figures.iter().find(|figure| {
                let figure = figure["name"].as_str().expect("a name");
                figure.starts_with(part)
            });
            let names: Vec<&Value> = figures.iter().map(|figure| &figure["name"]).collect();
            let found = found.unwrap_or_else(|| panic!("{name}: no {part:?} among {names:?}"));
            assert!(found["value"].is_number(), "{name}: {found}");
            assert!(found["unit"].as_str().is_some_and(|unit| !unit.is_empty()));
        }
    }
    let figure = |scenario: &str, name: &str| -> f64 {
        let cell = cells.iter().find(|cell| cell["scenario"] == scenario);
        let figures = cell.expect(scenario)["findings"]["figures"].as_array();
        let mut figures = figures.expect("figures").iter();
        let found = figures.find(|figure| figure["name"] == name);
        found.expect(name)["value"].as_f64().expect("a number")
    };
    // Five producers and a consumer, each connected to every shard.
    assert_eq!(figure("many-producers", "1 shards: connections"), 6.0);
    assert_eq!(figure("many-producers", "4 shards: connections"), 24.0);
    // Where its memory could be limited, the limit in force is told.
    let backfill = cells.iter().find(|cell| cell["scenario"] == "backfill");
    let backfill = &backfill.expect("backfill")["findings"];
    let limited = backfill["skipped"] == Value::Array(Vec::new());
    let settings = backfill["started"][0]["settings"].to_string();
    assert_eq!(settings.contains("\"memory.max=1073741824\""), limited);
    // Several times the limit was written.
    assert!(figure("past-retention", "deleted at the end") > 0.0);
    assert!(figure("backfill", "backfill") > 0.0);
    assert!(figure("idle-consumers", "churn: connections") > 1.0);
    let share = figure("hot-partition", "the hot partition's share");
    assert!((20.0..60.0).contains(&share), "{share}");
    // Of 500 keys in megabytes little is left, but for the segment that is not closed.
    assert!(figure("compaction", "1 KiB: left") < 1.0);
    let left = std::fs::read_dir(dir.path().join("data")).expect("the directory");
    assert_eq!(left.count(), 0, "scenarios leave nothing behind");
}

/// What needs a server that is started here is left out, and said so.
fn somebody_elses_server_is_asked_what_it_can_be_asked() {
    let node = Node::start();
    let address = format!("{}@{}", node.bootstrap, node.pid());
    let names = ["many-partitions", "idle-consumers"];
    let (report, output) = run(node.dir(), &names, &["--brokers", &address]);
    assert!(output.status.success(), "{}", said(&output));
    let skipped = &report["cells"][0]["findings"]["skipped"];
    let skipped = skipped.as_array().expect("what was left out");
    assert!(
        skipped.iter().any(|one| one
            .as_str()
            .is_some_and(|one| one.contains("was not started here"))),
        "{skipped:?}"
    );
}

/// A scenario that cannot be run yet is listed, and says why; no figure comes of it.
fn what_is_not_there_yet_is_said_so() {
    let listed = bench().args(["scenario", "--list"]).output();
    let listed = String::from_utf8(listed.expect("it starts").stdout).expect("text");
    assert!(listed.contains("tls: ") && listed.contains("not there yet"));
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let (report, output) = run(dir.path(), &["tls"], &[]);
    assert!(output.status.success(), "{}", said(&output));
    let findings = &report["cells"][0]["findings"];
    assert_eq!(findings["figures"], Value::Array(Vec::new()));
    let skipped = findings["skipped"][0].as_str().expect("why");
    assert!(skipped.contains("TLS and SASL"), "{skipped}");
    assert!(said(&output).contains(skipped), "{}", said(&output));
}

fn nonsense_is_refused_by_name() {
    let output = bench()
        .args(["scenario", "nonsense"])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("\"nonsense\"") && said.contains("many-producers"),
        "{said}"
    );
}

/// Runs scenarios quickly; what was kept, and what was said.
fn run(dir: &Path, names: &[&str], more: &[&str]) -> (Value, Output) {
    let (data, results) = (dir.join("data"), dir.join("results"));
    std::fs::create_dir_all(&data).expect("a directory");
    let output = bench()
        .arg("scenario")
        .args(names)
        .args(["--quick", "--pinning", "unpinned"])
        .args([Path::new("--dir"), &data, Path::new("--results"), &results])
        .args(more)
        .output()
        .expect("it starts");
    let kept: Vec<PathBuf> = std::fs::read_dir(&results)
        .unwrap_or_else(|_| panic!("{}", said(&output)))
        .map(|file| file.expect("a file").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    (json(&kept[0]), output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
