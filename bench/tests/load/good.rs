//! Loads that run to their end.

use std::path::Path;

use crate::common::{Node, bench, json};
use crate::{load, result, said};

pub fn a_load_is_measured_and_proven() {
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
pub fn every_shape_of_load_holds() {
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
pub fn runs_are_compared() {
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
    assert_eq!(floors.len(), 4);
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
pub fn servers_are_loaded_in_turn() {
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

pub fn a_rate_is_searched() {
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
