//! Floors, driver and record run, and what they report adds up.
//!
//! This test is its own `odradek`: floors and nodes are child processes of the same binary,
//! started as `bench floor-server` and `serve`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use std::path::Path;
use std::process::{Command, ExitCode};

use common::{Node, bench, interrupt, json, on_one_core, when};
use serde_json::Value;

fn main() -> ExitCode {
    if let Some(code) = common::as_odradek() {
        return code;
    }
    let floors = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    floors_run(floors.path());
    scenarios_stand_beside_them(floors.path());
    loads_stand_beside_them(floors.path());
    a_node_is_recorded();
    too_few_cores_are_refused();
    a_core_that_is_shared_on_purpose_is_named();
    what_is_interrupted_is_partial();
    what_fails_is_partial();
    wrong_arguments_are_said_so();
    println!("smoke: ok");
    ExitCode::SUCCESS
}

fn floors_run(dir: &Path) {
    let results = dir.join("results");
    let seconds = 0.1;
    let status = bench()
        .args(["floor", "all", "--seconds", &seconds.to_string()])
        .args(["--warmup-seconds", "0.05", "--baseline-seconds", "0.02"])
        .args([Path::new("--dir"), dir])
        .args([Path::new("--results"), &results])
        .status()
        .expect("it starts");
    assert!(status.success(), "{status}");
    let saved = saved(&results);
    kept_small_and_drawn(
        &saved,
        &["recv + crc + direct write", "64 B ping-pong: percentile"],
    );
    let saved = common::json(&saved);
    let floors = saved["floors"].as_array().expect("floors");
    assert_eq!(floors.len(), 17 * 3);
    let mut measured = 0;
    for floor in floors {
        let name = format!("{} on {}", floor["kind"], floor["runtime"]);
        assert!(floor["failure"].is_null(), "{name}: {}", floor["failure"]);
        let Some(run) = floor["runs"].get(0) else {
            assert!(floor["lacks"].is_string(), "{name} was not run");
            continue;
        };
        measured += 1;
        let cost = &run["cost"];
        let window = cost["seconds"].as_f64().expect("seconds");
        let process = cost["process_cpu_s"].as_f64().expect("CPU");
        assert!(run["bytes"].as_u64() > Some(0), "{name} moved nothing");
        // From its first to its last operation: what was under way at the end may be left out.
        assert!(window >= seconds / 2.0, "{name}: a window of {window} s");
        // Pinned threads, and io_uring's workers on the same core.
        assert!(
            process > 0.0 && process <= window * 1.2,
            "{name}: {process} s of CPU in {window} s"
        );
        let is_small = ["durable-over", "durable-new", "ping-pong", "echo"]
            .contains(&floor["kind"].as_str().expect("a kind"));
        assert_eq!(run["requests"].as_u64() > Some(0), is_small, "{name}");
        assert_eq!(
            run["latency"]["p50_ms"].as_f64() > Some(0.0),
            is_small,
            "{name}"
        );
        assert_eq!(
            run["latency"]["histogram"]["count"] == run["requests"],
            is_small,
            "{name}: every latency is kept"
        );
    }
    assert_eq!(measured, 17 * 3 - 4, "what each runtime lacks is known");
    let left = std::fs::read_dir(dir).expect("the directory").count();
    assert_eq!(left, 1, "floors leave no files behind");
}

/// The plots of a scenario's page have the floors that were measured here, and say which.
fn scenarios_stand_beside_them(dir: &Path) {
    let (floors, results) = (dir.join("results"), dir.join("scenarios"));
    let status = bench()
        .args(["scenario", "durable-acks", "--quick", "--dir"])
        .args([dir, Path::new("--floors"), &floors])
        .args([Path::new("--results"), &results])
        .status()
        .expect("it starts");
    assert!(status.success(), "{status}");
    let page = std::fs::read_to_string(saved(&results).with_extension("html")).expect("the page");
    let name = saved(&floors);
    let name = name.file_name().and_then(|name| name.to_str());
    let told = format!("floors drawn into the plots: {}", name.expect("a name"));
    assert!(page.contains(&told), "{page}");
    let plots: String = page.split("<svg").skip(1).collect();
    // Of a latency floor nothing but itself is needed.
    for line in ["floor: ping-pong", "floor: + durable write"] {
        assert!(plots.contains(line), "no {line}: {page}");
    }
}

/// So do single loads, closed loops and others: each is kept with its page.
fn loads_stand_beside_them(dir: &Path) {
    let node = Node::start();
    let floors = dir.join("results");
    let time = ["--seconds", "0.3", "--warmup-seconds", "0.1"];
    let loops = [&time[..], &["--baseline-seconds", "0.1", "--bootstrap"]].concat();
    let time = ["--duration", "500ms", "--warmup", "200ms", "--rate", "1k"];
    let rate = [&time[..], &["--baseline", "100ms", "--brokers"]].concat();
    for (command, arguments) in [("produce", &loops), ("consume", &loops), ("load", &rate)] {
        let kept = dir.join(command);
        std::fs::create_dir(&kept).expect("a directory");
        let keep = match command {
            "load" => "--results",
            _ => "--save",
        };
        let status = bench()
            .arg(command)
            .args(arguments)
            .args([&node.bootstrap, keep])
            .args([&kept, Path::new("--floors"), &floors])
            .status()
            .expect("it starts");
        assert!(status.success(), "{command}: {status}");
        let result = saved(&kept);
        kept_small_and_drawn(&result, &["floor: ping-pong", "CPU split"]);
        let page = std::fs::read_to_string(result.with_extension("html")).expect("the page");
        assert!(
            page.contains("Floors drawn into the plots: floors-"),
            "{command}: {page}"
        );
        let excluded = page.contains("send the same batch again");
        assert_eq!(excluded, command != "load", "{command}");
    }
    for command in ["produce", "consume", "load"] {
        std::fs::remove_dir_all(dir.join(command)).expect("what was kept");
    }
}

/// The one result in JSON.
fn saved(results: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(results).expect("results");
    let mut files = files.map(|file| file.expect("a file").path());
    let found = files.find(|path| path.extension().is_some_and(|name| name == "json"));
    found.expect("a result")
}

/// A result is small enough for the repository, and its page has plots in which these stand.
fn kept_small_and_drawn(json: &Path, names: &[&str]) {
    let page = std::fs::read_to_string(json.with_extension("html")).expect("the page");
    assert!(!page.contains("<script") && !page.contains("http"));
    let plots: String = page.split("<svg").skip(1).collect();
    for name in names {
        assert!(plots.contains(name), "no {name} in {page}");
    }
    for path in [json, &json.with_extension("html")] {
        let bytes = std::fs::metadata(path).expect("a file").len();
        assert!(bytes < 1 << 20, "{}: {bytes} bytes", path.display());
    }
}

fn a_node_is_recorded() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let results = dir.path().join("results");
    let status = bench()
        .args([
            "record",
            "--rounds",
            "1",
            "--seconds",
            "0.2",
            "--warmup-seconds",
            "0.1",
        ])
        .args([
            "--baseline-seconds",
            "0.1",
            "--idle-seconds",
            "0.2",
            "--quiet-seconds",
            "0",
        ])
        .args([
            Path::new("--dir"),
            dir.path(),
            Path::new("--results"),
            &results,
        ])
        .status()
        .expect("it starts");
    assert!(status.success(), "{status}");
    let files = std::fs::read_dir(&results).expect("results");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let [_, json, page] = files.as_slice() else {
        panic!("a page, its runs, its text: {files:?}");
    };
    kept_small_and_drawn(
        json,
        &[
            "floor: send from memory",
            "consume resident",
            "floor: + durable write",
        ],
    );
    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.contains("| consume resident"), "{page}");
    let saved = std::fs::read(json).expect("the runs");
    let saved: Value = serde_json::from_slice(&saved).expect("JSON");
    let contests = saved["contests"].as_array().expect("contests");
    assert_eq!(contests.len(), 8);
    for contest in contests {
        let name = &contest["contest"];
        assert!(
            contest["failure"].is_null(),
            "{name}: {}",
            contest["failure"]
        );
        let node = &contest["node"][0];
        assert!(node["requests"].as_u64() > Some(0), "{name}");
        assert!(
            node["memory"]["peak_bytes"].as_u64() > Some(1 << 20),
            "{name}"
        );
        assert_eq!(
            node["latency"]["histogram"]["count"], node["requests"],
            "{name}: every latency is kept"
        );
    }
}

/// For a moment, with results in `dir`.
fn tiny(command: &str, dir: &Path) -> Command {
    let mut bench = bench();
    bench
        .args([command, "--seconds", "0.1", "--warmup-seconds", "0.05"])
        .args(["--baseline-seconds", "0.02"]);
    if ["floor", "record"].contains(&command) {
        let results = dir.join("results");
        bench.args([Path::new("--dir"), dir, Path::new("--results"), &results]);
    }
    if command == "record" {
        bench.args(["--quiet-seconds", "0", "--idle-seconds", "0"]);
    }
    bench
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

fn too_few_cores_are_refused() {
    let dir = dir();
    for command in ["record", "floor", "produce", "consume", "matrix"] {
        let mut refused = tiny(command, dir.path());
        match command {
            "produce" | "consume" => refused.args(["--bootstrap", "127.0.0.1:1"]),
            "matrix" => refused.args([Path::new("--dir"), dir.path()]),
            _ => &mut refused,
        };
        let core = on_one_core(&mut refused);
        let output = refused.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{command}: {said}");
        let how = format!("--driver-core {core}");
        let told = said.contains("too few cores") && said.contains(&how);
        assert!(told, "{command}: {said}");
    }
    let left = std::fs::read_dir(dir.path()).expect("the directory");
    assert_eq!(left.count(), 0, "nothing was measured, nothing is kept");
}

fn a_core_that_is_shared_on_purpose_is_named() {
    let dir = dir();
    let mut command = tiny("floor", dir.path());
    let core = on_one_core(&mut command).to_string();
    command.args(["ping-pong", "--runtime", "epoll"]);
    command.args(["--server-core", &core, "--driver-core", &core]);
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let told = format!("driver and server share core {core}");
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(page.contains(&told), "{page}");
    let kept = saved(&dir.path().join("results")).with_extension("html");
    let kept = std::fs::read_to_string(kept).expect("the page");
    assert!(kept.contains(&told), "{kept}");
}

/// The only result, which says that it is not whole.
fn partial(dir: &Path) -> Value {
    let path = saved(&dir.join("results"));
    let name = path.file_stem().and_then(|name| name.to_str());
    assert!(
        name.is_some_and(|name| name.ends_with("-partial")),
        "{name:?}"
    );
    for extension in ["html", "md"] {
        let page = std::fs::read_to_string(path.with_extension(extension)).expect("a page");
        assert!(page.contains("PARTIAL RESULT: "), "{page}");
    }
    json(&path)
}

fn what_is_interrupted_is_partial() {
    let runs = |side: &Value| side.as_array().map_or(0, Vec::len);
    let floor = dir();
    let mut command = tiny("floor", floor.path());
    command.args(["ping-pong", "--runtime", "epoll", "--rounds", "50"]);
    let (whole, said) = when(command, "round 2: ", |child| interrupt(child.id()));
    assert!(!whole && said.contains("partial: interrupted"), "{said}");
    let kept = partial(floor.path());
    let measured = runs(&kept["floors"][0]["runs"]);
    assert!((1..50).contains(&measured), "{measured}");
    assert!(kept["floors"][0]["failure"].is_null());
    let record = dir();
    let mut command = tiny("record", record.path());
    command.args(["one-record", "--rounds", "50"]);
    let (whole, said) = when(command, "round 2: ", |child| interrupt(child.id()));
    assert!(!whole && said.contains("partial: interrupted"), "{said}");
    let kept = partial(record.path());
    let contest = &kept["contests"][0];
    assert!((1..50).contains(&runs(&contest["node"])), "{contest}");
    assert!(contest["failure"].is_null());
}

/// What was measured before is kept.
fn what_fails_is_partial() {
    let dir = dir();
    let mut command = tiny("record", dir.path());
    command.args([
        "one-record",
        "--rounds",
        "2",
        "--set",
        "log.segment.bytes=nonsense",
    ]);
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("the result is partial"),
        "{said}"
    );
    let kept = partial(dir.path());
    let contest = &kept["contests"][0];
    let failure = contest["failure"].as_str().expect("why");
    assert!(failure.contains("log.segment.bytes"), "{failure}");
    assert_eq!(contest["floor"].as_array().map(Vec::len), Some(1));
}

fn wrong_arguments_are_said_so() {
    let nobody = ["produce", "--bootstrap", "127.0.0.1:1"];
    let output = bench().args(nobody).output().expect("it starts");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("127.0.0.1:1"), "{message}");
}
