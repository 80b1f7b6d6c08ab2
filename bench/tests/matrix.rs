//! The I/O matrix, tiny: cells are measured and kept, a stopped run goes on, tables come out.
//!
//! This test is its own `odradek`: nodes are child processes of the same binary.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use common::{bench, interrupt, json};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Some(code) = common::as_odradek() {
        return code;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    a_stopped_run_keeps_what_it_has(dir.path());
    it_goes_on_and_writes_the_tables(dir.path());
    println!("matrix: ok");
    ExitCode::SUCCESS
}

fn matrix(dir: &Path) -> Command {
    let mut command = bench();
    command
        .args(["matrix", "--file-system", "here", "--rounds", "1"])
        .args(["--seconds", "0.2", "--warmup-seconds", "0.1"])
        .args(["--baseline-seconds", "0.1", "--quiet-seconds", "0"])
        .args(["--data-bytes", "25165824"])
        .args(["--only", "write-direct-", "--only", "read-sendfile-"])
        .args(["--only", "read-memory-cold", "--only", "read-auto-tail"])
        .arg("--dir")
        .arg(dir)
        .arg("--work")
        .arg(dir.join("work"))
        .arg("--results")
        .arg(dir.join("results"))
        .stdin(Stdio::null());
    command
}

/// Waits for its end, not for ever.
fn end(mut child: Child) -> bool {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.success();
        }
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the matrix does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn first_cell(dir: &Path) -> PathBuf {
    let kind = std::fs::read_dir(dir.join("work")).into_iter().flatten();
    let name = "write-direct-not-durable-";
    let found = kind
        .map(|entry| entry.expect("an entry").path())
        .find(|path| {
            path.file_name()
                .is_some_and(|file| file.to_string_lossy().starts_with(name))
        });
    found.unwrap_or_default()
}

fn a_stopped_run_keeps_what_it_has(dir: &Path) {
    let child = matrix(dir).spawn().expect("it starts");
    let started = Instant::now();
    while !first_cell(dir).exists() {
        assert!(started.elapsed() < PATIENCE, "no cell is kept");
        std::thread::sleep(Duration::from_millis(2));
    }
    interrupt(child.id());
    assert!(!end(child), "a stopped run does not pass for a whole one");
    assert!(first_cell(dir).exists());
}

fn it_goes_on_and_writes_the_tables(dir: &Path) {
    let kept = json(&first_cell(dir));
    let before = json(&dir.join("work/elapsed.json"));
    let before = before.as_f64().filter(|seconds| *seconds > 0.0);
    let before = before.expect("what it took so far");
    std::fs::remove_dir_all(dir.join("results")).expect("the partial tables");
    let child = matrix(dir).spawn().expect("it starts");
    assert!(end(child), "every cell is measured, or says why not");
    assert!(!first_cell(dir).exists(), "the next run starts anew");
    let files = std::fs::read_dir(dir.join("results")).expect("results");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let [html, tables, text] = files.as_slice() else {
        panic!("a page, its cells, its text: {files:?}");
    };
    let html = std::fs::read_to_string(html).expect("the page");
    assert!(html.contains("<h2>Write</h2>") && html.contains("<h2>Read</h2>"));
    let text = std::fs::read_to_string(text).expect("the text");
    assert!(text.contains("| written/byte |"), "{text}");
    let tables = json(tables);
    assert_eq!(tables["missing"], Value::Array(Vec::new()));
    // What the stopped run took counts, too.
    assert_eq!(
        (&tables["quick"], &tables["resumed"]),
        (&false.into(), &true.into())
    );
    assert!(tables["elapsed_s"].as_f64() > Some(before), "{before} s");
    for text in [&text, &html] {
        assert!(text.contains("Full run, ") && text.contains("in several parts"));
        assert!(text.contains("CPU µs/request, driver"));
    }
    let cells = tables["cells"].as_array().expect("cells");
    // Direct writes in four ways and three modes; sendfile of three, memory's one, auto's tail in
    // four modes.
    assert_eq!(cells.len(), 4 + 3 + 3 + 1 + 4);
    assert_eq!(cells[0], kept, "what was kept is not run again");
    for cell in cells {
        check(cell);
    }
}

fn check(cell: &Value) {
    let name = format!("{}", cell["cell"]);
    let finding = &cell["finding"];
    let run = &finding["measurement"];
    match finding["is"].as_str().expect("a kind") {
        "measured" => {}
        "not-applicable" => return assert_eq!(cell["cell"]["strategy"], "memory"),
        "not-there-yet" => return assert!(!cell["cell"]["mode"].is_null(), "{name}"),
        "unsupported" => {
            // A file system that is memory itself.
            assert_eq!(cell["cell"]["how"], "cold", "{finding}");
            return;
        }
        other => panic!("{name} {other}: {finding}"),
    }
    assert!(run["bytes"].as_u64() > Some(1 << 20), "{name}: {run}");
    assert!(run["cost"]["process_cpu_s"].as_f64() > Some(0.0), "{name}");
    assert!(finding["latencies"]["count"].as_u64() > Some(0), "{name}");
    let moved = &finding["moved"];
    let (how, device) = (&cell["cell"]["how"], moved["device_written"].as_u64());
    if cell["cell"]["table"] == "write" && !moved.is_null() {
        assert!(device >= moved["node"].as_u64(), "{name}: {moved}");
    }
    if how == "tail" {
        let writer = &finding["writer"]["count"];
        assert!(
            writer.as_u64() > Some(0),
            "{name}: somebody writes meanwhile"
        );
    }
    if how == "cold" && !moved.is_null() {
        let passes = finding["passes"].as_f64().expect("passes");
        let once = moved["node"].as_f64().expect("bytes") / passes.max(1.0);
        let read = moved["device_read"].as_f64().expect("bytes");
        assert!(
            read > once / 2.0,
            "{name}: cold ranges come from the disk: {finding}"
        );
    }
}
