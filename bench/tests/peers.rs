//! Scenarios and peers run, go on where they were stopped, and say what went wrong.
//!
//! This test is its own `odradek`. With Apache Kafka's jars (`tools/compat/setup`) it starts one;
//! without them it says so.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use common::disk::SmallDisk;
use common::{Node, bench, interrupt, json, skip, when};
use serde_json::Value;

fn main() -> ExitCode {
    if let Some(code) = common::as_odradek() {
        return code;
    }
    scenarios_are_listed();
    the_own_node_is_asked();
    nobody_listens();
    who_listens_speaks_something_else();
    a_server_that_dies_half_way_leaves_a_partial_result();
    a_full_disk_leaves_a_partial_result();
    a_full_disk_of_one_leaves_the_others_figures();
    a_stopped_run_goes_on();
    what_is_missing_is_said_so();
    beside_apache_kafka();
    println!("peers: ok");
    ExitCode::SUCCESS
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

/// Quick, with its results in `dir`.
fn quick(command: &str, dir: &Path) -> Command {
    let mut bench = bench();
    bench.args([command, "--quick", "--dir"]).args([
        dir,
        Path::new("--results"),
        &dir.join("results"),
    ]);
    bench
}

/// Neither quick nor long: figures of a moment.
fn short(command: &str, dir: &Path) -> Command {
    let mut bench = bench();
    bench
        .args([command, "--scale", "0.03", "--quiet-seconds", "0", "--dir"])
        .args([dir, Path::new("--results"), &dir.join("results")]);
    bench
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The only result of this kind of file.
fn result(dir: &Path, extension: &str) -> PathBuf {
    let files = std::fs::read_dir(dir.join("results")).expect("results");
    let files = files.map(|file| file.expect("a file").path());
    let mut files = files.filter(|path| path.extension().is_some_and(|one| one == extension));
    let file = files.next().expect(extension);
    assert!(files.next().is_none(), "two of {extension}");
    file
}

fn figure<'a>(cell: &'a Value, name: &str, unit: &str) -> &'a Value {
    let figures = cell["findings"]["figures"].as_array().expect("figures");
    let found = figures
        .iter()
        .find(|one| one["name"] == name && one["unit"] == unit);
    found.unwrap_or_else(|| panic!("no {name}, {unit} in {figures:#?}"))
}

fn scenarios_are_listed() {
    let output = bench()
        .args(["scenario", "--list"])
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success());
    for name in ["core: ", "linkedin: ", "fixed-rates: ", "durable-acks: "] {
        assert!(text.contains(name), "{text}");
    }
}

fn the_own_node_is_asked() {
    let dir = dir();
    let output = quick("scenario", dir.path())
        .args(["core", "1", "fixed-rates", "durable-acks"])
        .args(["hot-partition", "one-address", "live-moves"])
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    let report = json(&result(dir.path(), "json"));
    assert_eq!(report["quick"], true);
    let cells = report["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 7);
    for cell in cells {
        assert_eq!(cell["complete"], true, "{}", cell["problems"]);
        assert!(cell["findings"]["started"][0]["seconds"].as_f64() > Some(0.0));
    }
    let page = std::fs::read_to_string(result(dir.path(), "html")).expect("the page");
    assert!(
        page.contains("no floors are drawn"),
        "there are none of this build"
    );
    let core = &cells[0];
    for (name, unit) in [
        ("produce acks=1", "s/GB"),
        ("consume tail", "µs/request"),
        ("one-record batches", "µs/request"),
    ] {
        let driver = &figure(core, &format!("{name}: driver CPU"), unit)["value"];
        assert!(driver.as_f64() > Some(0.0), "{name}: {driver}");
    }
    let loops = core["findings"]["measurements"]
        .as_array()
        .expect("closed loops");
    for one in loops {
        // A busy machine may answer none within a window this short; then nothing is kept.
        let kept = &one["latency"]["histogram"]["count"];
        let kept = kept.as_u64().unwrap_or(0);
        assert_eq!(Some(kept), one["requests"].as_u64(), "{}", one["name"]);
    }
    let produced = &figure(core, "produce acks=1: throughput", "MB/s")["value"];
    assert!(produced.as_f64() > Some(0.0));
    let again = &figure(core, "restart after kill", "s")["value"];
    assert!(again.as_f64() > Some(0.0));
    // Settings reached the node that they were meant for.
    let started = core["findings"]["started"].as_array().expect("starts");
    assert!(
        started[1]["settings"]
            .to_string()
            .contains("record.validation=full")
    );
    let rates = &cells[2];
    figure(rates, "1k/s: end to end p99.9", "ms");
    let interruption = "the move under load: longest wait for an ack";
    figure(&cells[4], interruption, "ms");
    figure(&cells[5], "one address, produce acks=1: throughput", "MB/s");
    let one = "one address, acks=all: process CPU per GB, of each shard a broker's (goal: 1.25)";
    figure(&cells[5], one, "×");
    for acks in ["acks=1", "acks=all"] {
        let which = "longest time without an ack around a move, worst (goal: 50)";
        let held = &figure(&cells[6], &format!("produce {acks}: {which}"), "ms")["value"];
        assert!(held.as_f64() > Some(0.0));
    }
    let histogram = &rates["findings"]["runs"][0]["end_to_end"]["hdr_v2_deflate"];
    assert!(histogram.as_str().is_some_and(|text| text.len() > 50));
    let page = std::fs::read_to_string(result(dir.path(), "html")).expect("the page");
    assert!(page.contains("QUICK RUN") && page.contains("</html>"));
    assert!(!page.contains("http://") && !page.contains("https://"));
    let left = std::fs::read_dir(dir.path())
        .expect("the directory")
        .count();
    assert_eq!(left, 1, "only results are left");
}

fn nobody_listens() {
    let dir = dir();
    let output = quick("scenario", dir.path())
        .args(["fixed-rates", "--brokers", "127.0.0.1:1"])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    assert!(
        said(&output).contains("cannot connect to 127.0.0.1:1"),
        "{}",
        said(&output)
    );
    let report = json(&result(dir.path(), "json"));
    assert_eq!(report["cells"][0]["complete"], false);
    assert_eq!(
        report["cells"][0]["findings"]["figures"],
        Value::Array(Vec::new())
    );
}

fn who_listens_speaks_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let dir = dir();
    let output = quick("scenario", dir.path())
        .args(["core", "--brokers", &address])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    assert!(
        said(&output).contains("does not answer as a Kafka broker"),
        "{}",
        said(&output)
    );
}

fn a_server_that_dies_half_way_leaves_a_partial_result() {
    let (dir, mut node) = (dir(), Node::start());
    let mut command = short("scenario", dir.path());
    command.args(["fixed-rates", "--brokers", &node.bootstrap]);
    let (whole, said) = when(command, ": 50k/s ...", |_| node.kill());
    assert!(!whole && said.contains("partial"), "{said}");
    let file = result(dir.path(), "json");
    assert!(
        file.to_string_lossy().contains("-partial"),
        "{}",
        file.display()
    );
    let cell = &json(&file)["cells"][0];
    assert_eq!(cell["complete"], false);
    assert!(
        cell["problems"][0]
            .as_str()
            .is_some_and(|one| one.contains("50k/s"))
    );
    // What came before is kept; what did not end has no figure.
    figure(cell, "10k/s: end to end p50", "ms");
    assert!(!cell["findings"]["figures"].to_string().contains("50k/s"));
    let page = std::fs::read_to_string(result(dir.path(), "md")).expect("the page");
    assert!(page.contains("PARTIAL RESULT"), "{page}");
}

/// On the small disk, with segments that it has room for.
fn on_disk(command: &str, disk: &SmallDisk, dir: &Path) -> Command {
    let mut bench = bench();
    bench
        .args([command, "--set", "log.segment.bytes=1048576", "--dir"])
        .args([disk.path(), Path::new("--results"), &dir.join("results")]);
    bench
}

fn a_full_disk_leaves_a_partial_result() {
    let (dir, Some(disk)) = (dir(), SmallDisk::new(256)) else {
        return;
    };
    let mut command = on_disk("scenario", &disk, dir.path());
    command.args(["fixed-rates", "--scale", "0.03", "--quiet-seconds", "0"]);
    let (whole, said) = when(command, ": 50k/s ...", |_| disk.fill(1 << 20));
    assert!(!whole && said.contains("the result is partial"), "{said}");
    let file = result(dir.path(), "json");
    assert!(
        file.to_string_lossy().contains("-partial"),
        "{}",
        file.display()
    );
    let cell = &json(&file)["cells"][0];
    assert_eq!(cell["complete"], false);
    let problem = cell["problems"][0].as_str().expect("a problem");
    let told = format!("MiB are free for {}", disk.path().display());
    assert!(
        problem.contains("50k/s")
            && problem.contains("the disk is full")
            && problem.contains(&told),
        "{problem}"
    );
    figure(cell, "10k/s: end to end p50", "ms");
    assert!(!cell["findings"]["figures"].to_string().contains("50k/s"));
    let page = std::fs::read_to_string(result(dir.path(), "md")).expect("the page");
    assert!(page.contains("PARTIAL RESULT"), "{page}");
}

fn a_full_disk_of_one_leaves_the_others_figures() {
    let (dir, Some(disk)) = (dir(), SmallDisk::new(256)) else {
        return;
    };
    let node = Node::start();
    let work = dir.path().join("work");
    let mut command = on_disk("peers", &disk, dir.path());
    command
        .args(["--quick", "--no-kafka", "--pinning", "pinned"])
        .args(["--scenarios", "fixed-rates", "--rounds", "1"])
        .args(["--address", &node.bootstrap])
        .args([Path::new("--work"), &work]);
    let (whole, said) = when(command, "1k/s, acked when written ...", |_| {
        disk.fill(64 << 10)
    });
    assert!(
        !whole && said.contains("the same command goes on"),
        "{said}"
    );
    let report = json(&result(dir.path(), "json"));
    let cells = report["cells"].as_array().expect("cells");
    let [own, other] = cells.as_slice() else {
        panic!("two contestants: {cells:?}");
    };
    assert_eq!(
        (&own["complete"], &other["complete"]),
        (&false.into(), &true.into())
    );
    let problem = own["problems"][0].as_str().expect("a problem");
    assert!(problem.contains("the disk is full"), "{problem}");
    for cell in cells {
        figure(cell, "1k/s: end to end p50", "ms");
    }
    let page = std::fs::read_to_string(result(dir.path(), "md")).expect("the page");
    assert!(page.contains("PARTIAL RESULT"), "{page}");
    assert!(work.exists(), "what was finished is kept");
}

fn a_stopped_run_goes_on() {
    let (dir, node) = (dir(), Node::start());
    let work = dir.path().join("work");
    let peers = |rounds: &str| {
        let mut command = quick("peers", dir.path());
        command
            .args([
                "--no-kafka",
                "--pinning",
                "pinned",
                "--scenarios",
                "fixed-rates",
            ])
            .args(["--rounds", rounds, "--address"])
            .arg(format!("{}@{}", node.bootstrap, node.pid()))
            .args([Path::new("--work"), &work]);
        command
    };
    let other = format!("fixed-rates, {},", node.bootstrap);
    let (whole, said) = when(peers("1"), &other, |child| interrupt(child.id()));
    assert!(!whole && said.contains("interrupted"), "{said}");
    std::fs::remove_dir_all(dir.path().join("results")).expect("the partial result");
    let refused = peers("2").output().expect("it starts");
    assert!(!refused.status.success());
    assert!(
        self::said(&refused).contains("asked for otherwise"),
        "{}",
        self::said(&refused)
    );
    let output = peers("1").output().expect("it starts");
    assert!(output.status.success(), "{}", self::said(&output));
    let said = self::said(&output);
    assert!(
        !said.contains("fixed-rates, Odradek,") && said.contains(&other),
        "{said}"
    );
    let report = json(&result(dir.path(), "json"));
    let cells = report["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 2);
    assert!(cells.iter().all(|cell| cell["complete"] == true));
    assert!(!work.exists(), "what is finished needs no work directory");
}

fn what_is_missing_is_said_so() {
    let dir = dir();
    let refused = |args: &[&str], word: &str| {
        let output = quick("peers", dir.path())
            .args(args)
            .output()
            .expect("it starts");
        assert!(!output.status.success());
        assert!(said(&output).contains(word), "{}", said(&output));
    };
    let nowhere = dir.path().join("nowhere");
    refused(&["--kafka-jars", &nowhere.to_string_lossy()], "nowhere");
    let empty = dir.path().to_string_lossy().into_owned();
    refused(&["--kafka-jars", &empty], "tools/compat/setup");
    refused(&["--no-kafka"], "nobody to compare with");
    refused(&["--no-kafka", "--address", "nonsense"], "is not host:port");
    refused(
        &["--no-kafka", "--address", "a:1", "--driver-core", "5000"],
        "5000",
    );
    refused(
        &["--no-kafka", "--address", "a:1", "--scenarios", "nonsense"],
        "no scenario",
    );
    let mut command = bench();
    command.args([
        "peers",
        "--quick",
        "--no-kafka",
        "--address",
        "a:1",
        "--results",
        "/proc",
    ]);
    let output = command.output().expect("it starts");
    assert!(!output.status.success());
    assert!(
        said(&output).contains("cannot write into /proc"),
        "{}",
        said(&output)
    );
}

fn beside_apache_kafka() {
    let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/compat/.cache/jars");
    if !jars.is_dir() {
        return skip("Apache Kafka's jars (tools/compat/setup)");
    }
    let dir = dir();
    let output = quick("peers", dir.path())
        .args([
            "--scenarios",
            "core,fixed-rates",
            "--rounds",
            "1",
            "--pinning",
            "unpinned",
        ])
        .args([Path::new("--kafka-jars"), &jars])
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    let report = json(&result(dir.path(), "json"));
    let cells = report["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 4);
    let kafka = &cells[1];
    assert!(
        kafka["label"]
            .as_str()
            .is_some_and(|label| label.starts_with("Apache Kafka 4."))
    );
    let settings = kafka["findings"]["started"][0]["settings"].to_string();
    assert!(
        settings.contains("-Xmx1g") && settings.contains("num.io.threads=8"),
        "{settings}"
    );
    for unit in ["MB/s", "requests/s"] {
        figure(kafka, "one-record batches: throughput", unit);
    }
    let page = std::fs::read_to_string(result(dir.path(), "md")).expect("the page");
    assert!(page.contains("RSS at full ingest"), "{page}");
    let shown = bench()
        .args(["peers", "--show"])
        .arg(result(dir.path(), "json"))
        .output();
    let shown = String::from_utf8_lossy(&shown.expect("it starts").stdout).into_owned();
    assert_eq!(shown.trim(), page.trim(), "what is kept is the whole");
}
