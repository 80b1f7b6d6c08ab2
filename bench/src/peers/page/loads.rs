//! Each load's latencies, and how it went over time.

use super::super::Report;
use super::by_load::{Load, loops, runs};
use crate::contest::Pinning;
use crate::measurement::Measurement;
use crate::report::html::{Named, beside, latency_chart};
use crate::report::plot::{Series, escape};
use crate::report::{Latencies, RunResult};

/// Colours of contestants, in their order; further ones share the last.
const CLASSES: [&str; 4] = ["one", "two", "three", "quiet"];

pub(super) fn loads(report: &Report, scenario: &str, pinning: Pinning) -> String {
    let mut text = String::new();
    for load in loops(report, scenario, pinning) {
        let floors = report.loop_latency_floors(scenario, pinning, &load.name);
        let of = |run: &&Measurement| run.histogram().cloned();
        let x_name = "percentile of requests, closed loop: of a saturated server";
        let chart = percentiles(report, &load, x_name, of, floors);
        text.push_str(&headed(&load.name, &chart));
    }
    for load in runs(report, scenario, pinning) {
        let open = load.of.iter().flatten().all(|run| run.open_loop);
        let mut parts = String::new();
        if open {
            let floors = report.latency_floors(scenario, pinning, &load.name);
            let x_name = "percentile of messages, until consumed, all rounds";
            let of = |run: &&RunResult| match run.end_to_end.is_empty() {
                true => Some(run.produce_ack.clone()),
                false => Some(run.end_to_end.clone()),
            };
            parts = percentiles(report, &load, x_name, of, floors);
        }
        parts.push_str(&over_time(report, &load));
        let name = match open {
            true => load.name,
            false => format!(
                "{}: a closed loop, its latencies are of a saturated server",
                load.name
            ),
        };
        text.push_str(&headed(&name, &parts));
    }
    text
}

/// Nothing where there is nothing to be headed.
fn headed(name: &str, text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!("<h4>{}</h4>\n{text}", escape(name)),
    }
}

fn class(at: usize) -> &'static str {
    CLASSES[at.min(CLASSES.len() - 1)]
}

/// All rounds of each contestant together.
fn percentiles<T>(
    report: &Report,
    load: &Load<T>,
    x_name: &str,
    of: impl Fn(&T) -> Option<Latencies>,
    floors: Vec<Series>,
) -> String {
    let sums = load.of.iter().map(|runs| {
        let all: Vec<Latencies> = runs.iter().filter_map(&of).collect();
        Latencies::sum(&all)
    });
    let sums: Vec<Latencies> = sums.collect();
    let lines = sums.iter().zip(&report.contestants).enumerate();
    let lines = lines.map(|(at, (of, label))| (label.clone(), class(at), of));
    let lines: Vec<_> = lines.collect();
    latency_chart(&load.name, x_name, &lines, floors)
}

/// Of each contestant its middle run: several would hide each other.
fn over_time(report: &Report, load: &Load<&RunResult>) -> String {
    let (mut named, mut which): (Vec<Named<'_>>, _) = (Vec::new(), Vec::new());
    for (at, (label, runs)) in report.contestants.iter().zip(&load.of).enumerate() {
        let Some(middle) = runs.len().checked_sub(1).map(|last| last / 2) else {
            continue;
        };
        which.push(format!("{label}: run {} of {}", middle + 1, runs.len()));
        named.push((label.clone(), class(at), runs[middle]));
    }
    let floors = named.first().and_then(|(_, _, run)| {
        let known = report.floors.as_ref()?;
        Some(known.beside(run))
    });
    let charts = beside(&named, &floors.unwrap_or_default());
    match charts.is_empty() {
        true => String::new(),
        false => format!(
            "<p class=\"sub note\">Over time; {}</p>\n{charts}",
            escape(&which.join("; "))
        ),
    }
}
