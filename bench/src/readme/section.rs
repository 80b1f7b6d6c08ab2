//! The table, and what it was measured on.

use super::results::{Cell, Peers, Results};
use crate::floor::outcome::Floors;
use crate::floor::{Kind, Runtime};
use crate::machine::Facts;
use crate::measurement::{Measurement, markdown as table};
use crate::record::Spread;
use crate::record::outcome::Outcome;
use crate::record::verdict::{Verdict, verdicts};

/// Rows beside other servers, at most, of each kind of figure.
const PEER_ROWS_MAX: usize = 3;

/// The section, from the newest results. `plot`: its name, beside them.
pub(super) fn markdown(results: &Results, plot: &str) -> String {
    let record = &results.record.result;
    let mut rows: Vec<Vec<String>> = verdicts(record).iter().map(row).collect();
    if let Some(peers) = &results.peers {
        rows.extend(beside_peers(&peers.result).iter().map(Beside::row));
    }
    let columns = [
        "what", "Odradek", "beside", "ratio", "process", "at most", "reached",
    ];
    let mut text = format!(
        "![Odradek beside the floors](bench/results/{plot})\n\n{}\n",
        table(&columns, &rows)
    );
    text.push_str(&wrapped(&format!(
        "Ratios are of CPU time, of the whole machine less what is idle and the driver's, and of \
         the server's process; where the unit is another, of that. Floors are the cheapest \
         programs that move the same bytes, measured in turn with the node ({}). CPU of both is \
         the least of {}, because what else runs on the machine only adds.",
        source(&results.record.name, &record.started, &record.machine),
        least_of(record)
    )));
    if let Some(floors) = &results.floors {
        let runtimes = runtimes(&floors.result);
        let of = source(&floors.name, &floors.result.started, &floors.result.machine);
        text.push_str(&wrapped(&format!(
            "What a runtime costs: {runtimes} ({of})."
        )));
    }
    if let Some(peers) = &results.peers {
        let Peers {
            started, machine, ..
        } = &peers.result;
        let of = source(&peers.name, started, machine);
        text.push_str(&wrapped(&format!("Beside other servers: {of}.")));
    }
    text.push_str(&wrapped(&format!("{}.", record.machine.brief())));
    text
}

/// How many runs of the node and, as several rows have the same floor, of that.
fn least_of(record: &Outcome) -> String {
    let all = verdicts(record)
        .into_iter()
        .filter_map(|verdict| verdict.cpu);
    let runs: Vec<[usize; 2]> = all.map(|cpu| cpu.runs).collect();
    let [node, floor] = [0, 1].map(|side| {
        let counts = || runs.iter().map(|runs| runs[side]);
        match (counts().min(), counts().max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
            (least, _) => least.unwrap_or(0).to_string(),
        }
    });
    format!("{node} runs of the node and {floor} of the floor")
}

/// Date, commit and where the whole is.
fn source(name: &str, started: &str, machine: &Facts) -> String {
    let commit = machine.commit.get(..10).unwrap_or("unknown");
    let changed = if machine.modified {
        ", with changes"
    } else {
        ""
    };
    format!("[{started}, commit {commit}{changed}](bench/results/{name}.json)")
}

fn row(verdict: &Verdict) -> Vec<String> {
    let none = || "-".to_owned();
    let figure = |value: Option<f64>| value.map_or_else(none, |value| verdict.unit.show(value));
    let ratio = |value: Option<f64>| value.map_or_else(none, |value| format!("{value:.2}"));
    vec![
        verdict.what.clone(),
        figure(verdict.node),
        verdict.floor.map_or_else(none, |floor| {
            let show = verdict.unit.show(floor);
            match verdict.floor_name() {
                Some(name) => format!("{name}, {show}"),
                None => format!("floor: {show}"),
            }
        }),
        ratio(verdict.ratio()),
        ratio(verdict.process_ratio),
        verdict.target(),
        verdict.reached().to_owned(),
    ]
}

/// A figure of this node and of another server.
pub(super) struct Beside {
    pub(super) what: String,
    pub(super) unit: String,
    pub(super) node: f64,
    pub(super) peer: f64,
    pub(super) peer_name: String,
}

impl Beside {
    pub(super) fn ratio(&self) -> f64 {
        self.node / self.peer
    }

    fn row(&self) -> Vec<String> {
        let show = |value: f64| format!("{} {}", crate::report::short(value), self.unit);
        let none = || "-".to_owned();
        vec![
            self.what.clone(),
            show(self.node),
            format!("{}: {}", self.peer_name, show(self.peer)),
            format!("{:.2}", self.ratio()),
            none(),
            none(),
            none(),
        ]
    }
}

/// Medians over the rounds of the figures that say most: throughput, latency until a message is
/// read, CPU of the machine; each of the first scenarios that have it for both.
pub(super) fn beside_peers(peers: &Peers) -> Vec<Beside> {
    let kinds = [
        (": throughput", "messages/s"),
        (": end to end p99", "ms"),
        (": machine CPU", "s/GB"),
    ];
    let Some(first) = peers.cells.first() else {
        return Vec::new();
    };
    let cells: Vec<&Cell> = peers
        .cells
        .iter()
        .filter(|cell| cell.complete && cell.pinning == first.pinning)
        .collect();
    let is_node = |label: &str| label.starts_with("Odradek");
    let node = cells.iter().find(|cell| is_node(&cell.label));
    let peer = cells.iter().find(|cell| cell.label.contains("Kafka"));
    let (Some(node), Some(peer)) = (node, peer) else {
        return Vec::new();
    };
    let median = |scenario: &str, label: &str, name: &str, unit: &str| {
        let figures = cells
            .iter()
            .filter(|cell| cell.scenario == scenario && cell.label == label)
            .flat_map(|cell| &cell.findings.figures)
            .filter(|figure| figure.name == name && figure.unit == unit);
        Some(Spread::of(figures.map(|figure| figure.value))?.median)
    };
    let mut rows: Vec<Beside> = Vec::new();
    for (suffix, unit) in kinds {
        let mut seen: Vec<&str> = Vec::new();
        for cell in cells.iter().filter(|cell| cell.label == node.label) {
            let mut figures = cell.findings.figures.iter();
            let figure = figures.find(|one| one.name.ends_with(suffix) && one.unit == unit);
            let Some(figure) = figure.filter(|_| !seen.contains(&cell.scenario.as_str())) else {
                continue;
            };
            let of = |label: &str| median(&cell.scenario, label, &figure.name, unit);
            let (Some(ours), Some(theirs)) = (of(&node.label), of(&peer.label)) else {
                continue;
            };
            seen.push(&cell.scenario);
            rows.push(Beside {
                what: format!("{}, {}", cell.scenario, figure.name),
                unit: unit.to_owned(),
                node: ours,
                peer: theirs,
                peer_name: peer.label.clone(),
            });
            if seen.len() == PEER_ROWS_MAX {
                break;
            }
        }
    }
    rows
}

/// What waiting for sockets and disks takes on each runtime.
fn runtimes(floors: &Floors) -> String {
    let one = |runtime: Runtime| {
        let find = |kind| floors.find(kind, runtime);
        let us = |run: &Measurement| Some(run.latency.as_ref()?.p50_ms * 1e3);
        let ping = find(Kind::PingPong)?.median(us)?;
        let process = find(Kind::Echo)?.median(Measurement::process_us_per_request)?;
        let store = find(Kind::Store)?.median(Measurement::process_s_per_gb)?;
        Some(format!(
            "{} {ping:.0} µs, {process:.2} µs and {store:.2} s/GB",
            runtime.name()
        ))
    };
    let all = [Runtime::Ring, Runtime::Epoll, Runtime::Glommio];
    let all: Vec<String> = all.into_iter().filter_map(one).collect();
    format!(
        "a 64 B ping-pong's p50, process CPU per small frame echoed, and per GB received, checked \
         and written direct: {}",
        all.join("; ")
    )
}

/// A paragraph of lines of at most 100 characters, and an empty line.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 100 {
            lines.push_str(&line);
            lines.push('\n');
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    format!("{lines}{line}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_stand_beside_in_medians() {
        let cell = |label: &str, scenario: &str, value: f64| {
            let figure = |name: &str, unit: &str, value: f64| serde_json::json!({ "name": name, "unit": unit, "better": "less", "value": value });
            serde_json::json!({
                "scenario": scenario, "label": label, "pinning": "pinned", "complete": true,
                "findings": { "figures": [
                    figure("50k/s: ack p99", "ms", 1.0),
                    figure("50k/s: end to end p99", "ms", value),
                ] },
            })
        };
        let peers = serde_json::json!({
            "started": "2026-01-01 00:00 UTC", "machine": Facts::default(),
            "cells": [
                cell("Odradek", "fixed-rates", 1.0), cell("Apache Kafka 4.3.1", "fixed-rates", 8.0),
                cell("Odradek", "fixed-rates", 3.0), cell("Apache Kafka 4.3.1", "fixed-rates", 8.0),
                cell("Odradek", "fixed-rates", 2.0), cell("Odradek", "alone", 2.0),
            ],
        });
        let peers: Peers = serde_json::from_value(peers).expect("as it is kept");
        let rows = beside_peers(&peers);
        assert_eq!(rows.len(), 1);
        let row = rows[0].row();
        let shown = ["2 ms", "Apache Kafka 4.3.1: 8 ms", "0.25"];
        assert_eq!(row[0], "fixed-rates, 50k/s: end to end p99");
        assert_eq!(row[1..4], shown);
    }

    #[test]
    fn paragraphs_are_wrapped() {
        let text = wrapped(&"word ".repeat(50));
        assert!(text.lines().all(|line| line.len() <= 100));
        assert_eq!(text.split_whitespace().count(), 50);
    }
}
