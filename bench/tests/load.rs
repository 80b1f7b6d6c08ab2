//! The open-loop driver against a real node, and against servers that misbehave.
//!
//! This test is its own `odradek`: it starts itself as `bench load` and as `serve`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{Node, bench, json};
use odradek_bench::report::RunResult;

fn main() -> ExitCode {
    if let Some(code) = common::as_odradek() {
        return code;
    }
    a_load_is_measured_and_proven();
    every_shape_of_load_holds();
    runs_are_compared();
    servers_are_loaded_in_turn();
    a_rate_is_searched();
    nobody_listens();
    who_listens_speaks_something_else();
    who_listens_says_nothing_useful_and_hangs_up();
    a_server_that_answers_errors_is_quoted();
    a_node_that_is_killed_leaves_a_partial_result();
    an_interrupt_leaves_a_partial_result();
    a_result_that_cannot_be_kept_is_said_so_first();
    a_full_disk_leaves_no_half_result();
    too_few_cores_are_refused();
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

fn a_load_is_measured_and_proven() {
    let node = Node::start();
    let save = node.dir().join("result.json");
    let output = load(&node.bootstrap, &save)
        .args([
            "--rate",
            "5k",
            "--linger",
            "1ms",
            "--pid",
            &node.pid().to_string(),
        ])
        .args(["--data-dir".as_ref(), node.dir().as_os_str()])
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    let result = result(&save);
    assert!(result.complete && result.open_loop, "{:?}", result.problems);
    // 0.5 s at 5,000 a second, evenly.
    assert_eq!(result.window.intended, 2500);
    assert_eq!(result.totals.made, 3000);
    assert_eq!(result.totals.acked, 3000);
    assert_eq!(result.produce_ack.count, 2500);
    assert_eq!(result.end_to_end.count, 2500);
    assert!(result.validity.checked && result.validity.holds());
    assert_eq!(result.validity.consumed, 3000);
    // A message is consumed after it was intended, and never sooner than it took to make it.
    let p50 = result.end_to_end.at(0.5).expect("latencies");
    assert!(p50 > result.driver_lateness.at(0.01).expect("lateness"));
    let made: u64 = result.timeline.iter().map(|interval| interval.made).sum();
    assert_eq!(made, 3000, "the intervals add up");
    assert!(result.timeline.iter().any(|interval| interval.warmup));
    let cpu = result.cpu.expect("CPU");
    assert!(cpu.cost.process_cpu_s.expect("the process's") > 0.0);
    assert!(cpu.cost.driver_cpu_s > 0.0);
    assert!(cpu.memory.expect("memory").peak_bytes > 1 << 20);
    let page = std::fs::read_to_string(save.with_extension("html")).expect("the page");
    assert!(page.contains("</html>") && !page.contains("http://") && !page.contains("https://"));
}

/// Keys, sizes, codecs, many of each: nothing is lost, doubled or reordered.
fn every_shape_of_load_holds() {
    let node = Node::start();
    let lines = node.dir().join("lines");
    std::fs::write(&lines, "a line\nanother, longer line\n\n").expect("a file");
    let replay = format!("file:{}", lines.display());
    let shapes: [&[&str]; 6] = [
        &[
            "--poisson",
            "--keys",
            "zipf:1k",
            "--record-size",
            "28..3000",
        ],
        &[
            "--producers",
            "3",
            "--consumers",
            "2",
            "--consumer-sets",
            "2",
            "--idempotent",
        ],
        &[
            "--compression",
            "zstd",
            "--record-size",
            "lognormal:300:1:9000",
            "--linger",
            "0",
        ],
        &[
            "--acks",
            "0",
            "--partitioning",
            "round-robin",
            "--record-size",
            &replay,
        ],
        &[
            "--saturate",
            "--keys",
            "uniform:100",
            "--acks",
            "1",
            "--batch-size",
            "4KiB",
        ],
        &[
            "--reading",
            "after",
            "--record-size",
            "40000",
            "--rate",
            "500",
        ],
    ];
    for (at, shape) in shapes.into_iter().enumerate() {
        let save = node.dir().join(format!("shape-{at}.json"));
        let output = load(&node.bootstrap, &save)
            .args(["--topic", &format!("shape-{at}"), "--partitions", "4"])
            .args(
                if shape
                    .iter()
                    .any(|word| ["--rate", "--saturate"].contains(word))
                {
                    &[][..]
                } else {
                    &["--rate", "3k"]
                },
            )
            .args(shape)
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{shape:?}: {}", said(&output));
        let result = result(&save);
        let validity = &result.validity;
        assert!(
            validity.checked && validity.holds(),
            "{shape:?}: {validity:?}"
        );
        let sets = result.load.consumer_sets as u64;
        assert_eq!(validity.consumed, result.totals.made * sets, "{shape:?}");
        assert!(result.totals.made > 100, "{shape:?}: {:?}", result.totals);
        assert_eq!(result.server.partitions, 4);
    }
}

/// The floor is measured beside a run, and two labels are told apart.
fn runs_are_compared() {
    let node = Node::start();
    let mut results = Vec::new();
    for label in ["first", "second"] {
        let save = node.dir().join(format!("{label}.json"));
        let output = load(&node.bootstrap, &save)
            .args(["--rate", "1k", "--label", label])
            .args((label == "first").then_some("--floor"))
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{}", said(&output));
        results.push(save);
    }
    let floors = result(&results[0]).floors;
    assert_eq!(floors.len(), 3);
    assert!(floors.iter().all(|floor| floor.bytes > 0));
    let compared = bench().arg("compare").args(&results).output();
    let compared = compared.expect("it starts");
    let text = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(compared.status.success(), "{}", said(&compared));
    assert!(
        text.contains("| ack p99, ms") && text.contains("too few runs"),
        "{text}"
    );
    let same = [&results[0], &results[0]];
    let refused = bench()
        .arg("compare")
        .args(same)
        .output()
        .expect("it starts");
    assert!(!refused.status.success());
    assert!(said(&refused).contains("--b"), "{}", said(&refused));
}

/// `compare --against` runs both itself, and keeps what it ran.
fn servers_are_loaded_in_turn() {
    let (first, second) = (Node::start(), Node::start());
    let results = first.dir().join("results");
    let save = first.dir().join("comparison.json");
    let output = bench()
        .args(["compare", "--against", &first.bootstrap, &second.bootstrap])
        .args(["--labels", "one", "other", "--rounds", "2"])
        .args(["--pid-b", &second.pid().to_string()])
        .args([Path::new("--results"), &results, Path::new("--save"), &save])
        .args(["--rate", "2k", "--linger", "0", "--share-cores"])
        .args([
            "--baseline",
            "10ms",
            "--warmup",
            "50ms",
            "--duration",
            "300ms",
        ])
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", said(&output));
    let comparison = json(&save);
    assert_eq!(comparison["paired"], true);
    for (side, label) in [("a", "one"), ("b", "other")] {
        assert_eq!(comparison[side]["label"], label);
        assert_eq!(comparison[side]["runs"], 2);
    }
    let figures = comparison["figures"].as_array().expect("figures");
    let acked = figures.iter().find(|figure| figure["name"] == "acked");
    let interval = &acked.expect("what was acked")["ratio"];
    assert_eq!(interval.as_array().map(Vec::len), Some(3), "{interval}");
    // B's process is known, A's is not.
    assert!(figures.iter().all(|figure| figure["name"] != "process CPU"));
    let kept = std::fs::read_dir(&results).expect("results");
    let kept = kept.filter(|file| {
        let path = file.as_ref().expect("a file").path();
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
    assert!(kept.count() >= 2, "each side's runs are kept");
    let both = bench()
        .args([
            "compare",
            "--against",
            "127.0.0.1:1",
            "127.0.0.1:1",
            "x.json",
        ])
        .output()
        .expect("it starts");
    assert!(!both.status.success());
}

fn a_rate_is_searched() {
    let node = Node::start();
    let save = node.dir().join("search.json");
    let output = load(&node.bootstrap, &save)
        .args(["--search", "end-to-end.p50=2s", "--trial-seconds", "0.2"])
        .args(["--record-size", "100", "--linger", "0"])
        .output()
        .expect("it starts");
    // Whether the rate found holds in full, too, is the machine's affair; the trials are kept.
    let result = result(&save);
    let found = result.search.expect("a search");
    assert!(found.saturated_per_s > 100.0, "{}", said(&output));
    assert!(found.trials.len() > 1);
    assert_eq!(
        output.status.success(),
        found.rate.is_some() && result.complete
    );
}

fn nobody_listens() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let save = dir.path().join("result.json");
    let output = load("127.0.0.1:1", &save).output().expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("127.0.0.1:1"), "{}", said(&output));
    assert!(!save.exists(), "nothing was measured, nothing is kept");
}

/// A server that greets each connection with `words` and hangs up.
fn greeter(words: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(words);
        }
    });
    address
}

fn who_listens_speaks_something_else() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let save = dir.path().join("result.json");
    let address = greeter(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let output = load(&address, &save).output().expect("it starts");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains(&address) && said.contains("Kafka broker"),
        "{said}"
    );
}

fn who_listens_says_nothing_useful_and_hangs_up() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let save = dir.path().join("result.json");
    for words in [
        &b""[..],
        b"\0\0\0\x02ab",
        b"\0\0\0\x08\xff\xff\xff\xff\0\0\0\0",
    ] {
        let address = greeter(words);
        let output = load(&address, &save).output().expect("it starts");
        assert!(!output.status.success(), "{words:?}");
        let said = said(&output);
        assert!(
            said.contains(&address) && said.contains("Kafka broker"),
            "{said}"
        );
    }
}

fn a_server_that_answers_errors_is_quoted() {
    let node = Node::start();
    let save = node.dir().join("result.json");
    // Before the run.
    let output = load(&node.bootstrap, &save)
        .args(["--topic", "ill", "--topic-config", "retention.ms=soon"])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("retention.ms"), "{}", said(&output));
    assert!(!save.exists(), "nothing was measured, nothing is kept");
    // During it.
    let output = load(&node.bootstrap, &save)
        .args([
            "--topic",
            "narrow",
            "--topic-config",
            "max.message.bytes=300",
        ])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let result = result(&save);
    assert!(!result.complete && result.totals.acked == 0);
    assert_eq!(result.totals.failed, result.totals.made);
    let problems = result.problems.join("; ");
    assert!(
        problems.contains("MESSAGE_TOO_LARGE") && problems.contains("partition 0"),
        "{problems}"
    );
    assert!(result.validity.holds(), "{:?}", result.validity);
}

/// A run under way: it has shown its first interval.
fn under_way(duration: &str, node: &Node, save: &Path) -> (Child, JoinHandle<String>) {
    let mut child = load_for(duration, &node.bootstrap, save)
        .args(["--rate", "2k"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("its messages")).lines();
    let shown = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("acked")));
    assert!(shown.is_some(), "it ended before it had begun");
    // So that it is never blocked by a full pipe.
    let rest = std::thread::spawn(move || {
        let lines: Vec<String> = lines.map_while(Result::ok).collect();
        lines.join("\n")
    });
    (child, rest)
}

fn ends(mut child: Child) -> std::process::ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn a_node_that_is_killed_leaves_a_partial_result() {
    let mut node = Node::start();
    let save = node.dir().join("result.json");
    let (child, _) = under_way("60s", &node, &save);
    node.kill();
    let status = ends(child);
    assert!(!status.success());
    let result = result(&save);
    assert!(!result.complete);
    let problems = result.problems.join("; ");
    assert!(
        problems.contains("closed the connection") || problems.contains("reset"),
        "{problems}"
    );
    assert!(result.totals.acked > 0, "what was measured is kept");
    assert!(result.window.seconds < 60.0);
    let page = std::fs::read_to_string(save.with_extension("html")).expect("the page");
    assert!(
        page.contains("PARTIAL") || page.contains("Partial"),
        "the page says so"
    );
}

fn an_interrupt_leaves_a_partial_result() {
    let node = Node::start();
    let save = node.dir().join("result.json");
    let (child, _) = under_way("60s", &node, &save);
    common::interrupt(child.id());
    assert!(!ends(child).success());
    let result = result(&save);
    assert!(!result.complete);
    assert!(
        result.problems.contains(&"interrupted".to_owned()),
        "{:?}",
        result.problems
    );
    assert!(result.validity.holds(), "{:?}", result.validity);
}

fn a_result_that_cannot_be_kept_is_said_so_first() {
    let output = load("127.0.0.1:1", Path::new("/proc/no/result.json"))
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("/proc/no"), "{}", said(&output));
    // The place goes away during the run, as a disk fills up.
    let node = Node::start();
    let place = node.dir().join("place");
    let save = place.join("result.json");
    let (child, messages) = under_way("500ms", &node, &save);
    std::fs::remove_dir(&place).expect("an empty directory");
    assert!(!ends(child).success());
    let messages = messages.join().expect("its messages");
    assert!(messages.contains("cannot write"), "{messages}");
    assert!(!save.exists());
}

/// The kernel takes no more than a few bytes of any file, as on a disk that is full.
fn a_full_disk_leaves_no_half_result() {
    use std::os::unix::process::CommandExt;

    use nix::sys::resource::{Resource, setrlimit};
    use nix::sys::signal::{SigHandler, Signal, signal};

    let node = Node::start();
    let place = node.dir().join("full");
    let save = place.join("result.json");
    let mut command = load(&node.bootstrap, &save);
    let limit = || {
        setrlimit(Resource::RLIMIT_FSIZE, 4096, 4096)?;
        // SAFETY: no handler is installed; ignoring is inherited by the program.
        unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
        Ok(())
    };
    // SAFETY: between fork and exec only two system calls are made.
    unsafe { command.pre_exec(limit) };
    let output = command.output().expect("it starts");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("cannot write") && said.contains("result.json"),
        "{said}"
    );
    let summary = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(summary.contains("validity        holds"), "{summary}");
    let left = std::fs::read_dir(&place).expect("the place").count();
    assert_eq!(left, 0, "no half result");
}

fn too_few_cores_are_refused() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let save = dir.path().join("result.json");
    let output = load("127.0.0.1:1", &save)
        .args(["--driver-cores", "5000"])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    assert!(said(&output).contains("core 5000"), "{}", said(&output));
    // All cores for the driver leave none to the server.
    let this = nix::unistd::Pid::from_raw(0);
    let allowed = nix::sched::sched_getaffinity(this).expect("cores");
    let cores = (0..nix::sched::CpuSet::count()).filter(|core| allowed.is_set(*core) == Ok(true));
    let cores: Vec<String> = cores.map(|core| core.to_string()).collect();
    let output = bench()
        .args(["load", "--brokers", "127.0.0.1:1", "--save"])
        .arg(&save)
        .args(["--driver-cores", &cores.join(",")])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let said = said(&output);
    assert!(
        said.contains("too few cores") && said.contains("--share-cores"),
        "{said}"
    );
}
