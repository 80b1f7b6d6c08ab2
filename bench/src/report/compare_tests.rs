//! Which differences are told from noise.

use super::*;

/// A run at `minute` whose p99 is `ms`.
fn run(label: &str, minute: usize, ms: f64) -> RunResult {
    let mut run = RunResult::blank();
    run.label = label.to_owned();
    run.started = format!("2026-01-01 00:{minute:02}:00");
    run.complete = true;
    run.window.seconds = 1.0;
    run.window.acked = 1000;
    run.produce_ack.count = 1;
    run.produce_ack.max_ns = u64::MAX;
    run.produce_ack.values = vec![((ms * 1e6) as u64, 1)];
    run
}

fn verdict(comparison: &Comparison, name: &str) -> Verdict {
    let found = comparison.figures.iter().find(|figure| figure.name == name);
    found.expect(name).verdict
}

#[test]
fn alternating_runs_are_paired_and_told_apart() {
    let a: Vec<_> = (0..5).map(|i| run("old", 2 * i, 10.0 + i as f64)).collect();
    let b: Vec<_> = (0..5)
        .map(|i| run("new", 2 * i + 1, 8.0 + 0.8 * i as f64))
        .collect();
    let comparison = compare(&a, &b, 0.95).unwrap();
    assert!(comparison.paired);
    assert_eq!(verdict(&comparison, "ack p99"), Verdict::Better);
    assert_eq!(verdict(&comparison, "acked"), Verdict::WithinNoise);
    assert!(comparison.text().contains("B is better"));
    // One after the other: the same spread hides the same difference.
    let later: Vec<_> = (0..5)
        .map(|i| run("new", 20 + i, 9.0 + 0.9 * i as f64))
        .collect();
    let comparison = compare(&a, &later, 0.95).unwrap();
    assert!(!comparison.paired);
    assert_eq!(verdict(&comparison, "ack p99"), Verdict::WithinNoise);
}

#[test]
fn partial_runs_do_not_count() {
    let whole = run("a", 0, 1.0);
    let mut partial = run("b", 1, 1.0);
    partial.complete = false;
    let error = compare(std::slice::from_ref(&whole), &[partial.clone()], 0.95).unwrap_err();
    assert!(
        error.to_string().contains("no whole run of \"b\""),
        "{error}"
    );
    let comparison = compare(
        std::slice::from_ref(&whole),
        &[partial, whole.clone()],
        0.95,
    )
    .unwrap();
    assert_eq!(comparison.b.runs, 1);
    assert_eq!(verdict(&comparison, "ack p99"), Verdict::TooFewRuns);
    assert!(comparison.notes[0].contains("1 partial runs of b"));
}

#[test]
fn pairs_with_a_partial_run_do_not_count() {
    let mut pairs: Vec<_> = (0..4)
        .map(|i| {
            (
                run("a", 0, 10.0 + f64::from(i)),
                run("b", 0, 8.0 + 0.8 * f64::from(i)),
            )
        })
        .collect();
    pairs[1].0.complete = false;
    let comparison = compare_pairs(&pairs, 0.95).unwrap();
    assert_eq!(
        (comparison.paired, comparison.a.runs, comparison.b.runs),
        (true, 3, 3)
    );
    assert_eq!(verdict(&comparison, "ack p99"), Verdict::Better);
    assert!(
        comparison.notes[0].contains("1 pairs"),
        "{:?}",
        comparison.notes
    );
    assert!(compare_pairs(&pairs[1..2], 0.95).is_err());
}

#[test]
fn unlike_loads_are_said_so() {
    let mut other = run("b", 1, 1.0);
    other.load.producers = 7;
    other.load.topic = "elsewhere".to_owned();
    let comparison = compare(&[run("a", 0, 1.0)], &[other], 0.95).unwrap();
    assert_eq!(comparison.notes, ["the loads differ in producers"]);
}
