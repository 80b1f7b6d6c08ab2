//! The outcome as one self-contained page: the markdown's tables, and each figure drawn beside its
//! floor.

use super::contest::Contest;
use super::outcome::{ContestRuns, Outcome};
use super::page::{self, EXCLUDED};
use crate::cli::LEGEND;
use crate::floor::Kind;
use crate::measurement::Measurement;
use crate::report::grid::{Bars, Grid, paragraphs, picture, table};
use crate::report::html::{document, latency_chart, section};
use crate::report::plot::{Bar, Part, Series, bars, escape};
use crate::report::{Latencies, floors};

pub(crate) fn html(outcome: &Outcome) -> String {
    let title = format!("Node and floor, {}", outcome.started);
    let mut body = format!("<h1>{}</h1>\n", escape(&title));
    let about = [outcome.machine.line(), page::configuration(outcome)];
    body.push_str(&paragraphs(&about));
    for warning in page::warnings(outcome) {
        let warning = escape(&warning);
        body.push_str(&format!("<div class=\"bad\"><b>{warning}</b></div>\n"));
    }
    let (columns, rows) = page::ratios(outcome);
    let ratios = paragraphs(&[page::RATIOS.to_owned()]) + &grid(&columns, rows);
    body.push_str(&section("Ratios", &ratios));
    body.push_str(&section("CPU", &cpu(outcome)));
    body.push_str(&section("CPU split", &split(outcome)));
    body.push_str(&section("Rate", &rates(outcome)));
    body.push_str(&section("Latency by percentile", &latencies(outcome)));
    let (columns, rows) = page::runs(outcome);
    body.push_str(&section("Runs", &grid(&columns, rows)));
    let notes = [LEGEND.to_owned(), EXCLUDED.to_owned(), page::unproven()];
    body.push_str(&section("What the figures mean", &paragraphs(&notes)));
    document(&escape(&title), &body)
}

fn grid(columns: &[&str], rows: Vec<Vec<String>>) -> String {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    table(&Grid { columns, rows })
}

/// A contest's sides, floors first, with their names.
fn sides(runs: &ContestRuns) -> impl Iterator<Item = (&'static str, &[Measurement])> {
    let floors = runs.floors().map(|(kind, floor)| (kind.name(), floor));
    floors.chain([(runs.contest.name(), runs.node.as_slice())])
}

/// Medians of the process's and the whole machine's; the node under its floors.
fn cpu(outcome: &Outcome) -> String {
    let mut pictures = String::new();
    for (per_request, unit, title) in [
        (false, "CPU seconds per GB", "CPU per GB"),
        (true, "CPU microseconds per request", "CPU per request"),
    ] {
        let contests = outcome.contests.iter();
        let contests = contests.filter(|runs| runs.contest.per_request() == per_request);
        let mut all = Vec::new();
        for runs in contests.filter(|runs| runs.machine_was_quiet()) {
            for (name, side) in sides(runs) {
                let both = runs.process(side).zip(runs.machine(side));
                all.extend(
                    both.map(|(process, machine)| {
                        (name.to_owned(), process.median, machine.median)
                    }),
                );
            }
        }
        if !all.is_empty() {
            pictures.push_str(&picture(&Bars {
                title: format!("{title}: medians, each run under its floor"),
                unit,
                bars: all,
            }));
        }
    }
    match pictures.is_empty() {
        true => "<p>Not known: the machine was busy with something else.</p>".to_owned(),
        false => pictures,
    }
}

/// Cores within the windows, of all rounds together.
fn split(outcome: &Outcome) -> String {
    let mut all = Vec::new();
    for (name, side) in outcome.contests.iter().flat_map(sides) {
        let sum = |of: fn(&Measurement) -> f64| side.iter().map(of).sum::<f64>();
        let seconds = sum(|run| run.cost.seconds);
        if seconds == 0.0 {
            continue;
        }
        let process = sum(|run| run.cost.process_cpu_s.unwrap_or(0.0));
        let part = |name, class, value: f64| Part {
            name,
            class,
            value: value / seconds,
        };
        let rest = sum(|run| run.cost.machine_cpu_s) - process;
        all.push(Bar {
            name: name.to_owned(),
            parts: vec![
                part("server's process", "one", process),
                part("rest of the machine", "two", rest),
                part("driver", "quiet", sum(|run| run.cost.driver_cpu_s)),
                part("idle baseline", "idle", sum(|run| run.cost.idle_baseline_s)),
            ],
            floor: None,
        });
    }
    bars("CPU split", "cores within the windows", &all)
}

fn rates(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (per_request, unit) in [(false, "GB/s"), (true, "requests/s")] {
        let mut all = Vec::new();
        let contests = outcome.contests.iter();
        for runs in contests.filter(|runs| runs.contest.per_request() == per_request) {
            for (name, side) in sides(runs) {
                let (part, class) = match name == runs.contest.name() {
                    true => ("node", "one"),
                    false => ("floor", "floor"),
                };
                all.extend(runs.rate(side).map(|rate| Bar {
                    name: name.to_owned(),
                    parts: vec![Part {
                        name: part,
                        class,
                        value: rate.median,
                    }],
                    floor: None,
                }));
            }
        }
        if !all.is_empty() {
            text.push_str(&bars(unit, unit, &all));
        }
    }
    text
}

/// All rounds together, and the floors' beside them: a stream has no replies, its contest stands
/// beside the ping-pong (and the durable write) where this run measured one.
fn latencies(outcome: &Outcome) -> String {
    let together =
        |side: &[Measurement]| Latencies::sum(side.iter().filter_map(Measurement::histogram));
    let mut text = String::new();
    for runs in &outcome.contests {
        let node = together(&runs.node);
        let own: Vec<(&str, Latencies)> = sides(runs)
            .filter(|(name, _)| *name != runs.contest.name())
            .map(|(name, side)| (name, together(side)))
            .filter(|(_, of)| !of.is_empty())
            .collect();
        let mut lines = vec![(runs.contest.name().to_owned(), "one", &node)];
        let floors = own.iter();
        lines.extend(floors.map(|(name, of)| ((*name).to_owned(), "floor", of)));
        let beside = match lines.len() {
            1 => borrowed(outcome, runs.contest),
            _ => Vec::new(),
        };
        let name = runs.contest.name();
        let x_name = format!("{name}: percentile of requests, closed loop");
        text.push_str(&latency_chart(name, &x_name, &lines, beside));
    }
    match text.is_empty() {
        true => "<p>No latencies were kept.</p>".to_owned(),
        false => text,
    }
}

/// Of the contest that measures latencies.
fn borrowed(outcome: &Outcome, contest: Contest) -> Vec<Series> {
    let mut contests = outcome.contests.iter();
    let Some(runs) = contests.find(|runs| runs.contest == Contest::DurableLatency) else {
        return Vec::new();
    };
    let durable = contest.floors().contains(&Kind::StoreDurable);
    let beside = runs.floor_beside.first().filter(|_| durable);
    let floors = runs.floor.first().into_iter().chain(beside);
    let floors: Vec<Measurement> = floors.cloned().collect();
    floors::over_percentiles(&floors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::test_runs::{run, took};

    #[test]
    fn each_contest_is_drawn_beside_its_floor() {
        let mut produce = ContestRuns::new(Contest::ProduceAll);
        produce.floor = vec![run(0.5, 0.0)];
        produce.node = vec![Measurement {
            latency: took(2.0)[0].latency.clone(),
            ..run(0.75, 0.0)
        }];
        let mut latency = ContestRuns::new(Contest::DurableLatency);
        (latency.floor, latency.floor_beside) = (took(0.03), took(0.08));
        latency.node = took(0.14);
        latency.floor[0].name = Kind::PingPong.name().to_owned();
        latency.floor_beside[0].name = Kind::DurableOver.name().to_owned();
        let outcome = Outcome {
            contests: vec![produce, latency],
            ..Outcome::default()
        };
        let page = html(&outcome);
        let chart = |name: &str| {
            let begin = format!("aria-label=\"{name}\"");
            let at = page.find(&begin).unwrap_or_else(|| panic!("no {name}"));
            &page[at..at + page[at..].find("</svg>").expect("its end")]
        };
        let cpu = chart("CPU per GB: medians, each run under its floor");
        let both = [Kind::StoreDurable.name(), "produce acks=all, durable"];
        assert!(both.iter().all(|name| cpu.contains(name)), "{cpu}");
        assert!(cpu.contains("0.75") && cpu.contains("0.5"), "{cpu}");
        // A stream has no replies: it stands beside the sum of what a durable ack needs.
        let acks = chart("produce acks=all, durable");
        assert!(acks.contains("floor: + durable write"), "{acks}");
        let durable = chart("durable p50, one at a time");
        assert!(durable.contains(Kind::PingPong.name()), "{durable}");
        assert!(
            !page.contains("<script") && !page.contains("http"),
            "self-contained"
        );
    }
}
