//! The table, and what it was measured on.

use super::results::Results;
use crate::contest::Pinning;
use crate::floor::outcome::Floors;
use crate::floor::{Kind, Runtime};
use crate::machine::Facts;
use crate::measurement::{Measurement, markdown as table};
use crate::peers::{Compared, Holds, Missing, Report, columns, judged, times};
use crate::record::outcome::Outcome;
use crate::record::verdict::{Verdict, verdicts};
use crate::report::short;

/// The section, from the newest results. `plot`: its name, beside them.
pub(super) fn markdown(results: &Results, plot: &str) -> String {
    let record = &results.record.result;
    let mut rows: Vec<Vec<String>> = verdicts(record).iter().map(row).collect();
    if let Some(peers) = &results.peers {
        rows.extend(beside_peers(&peers.result).iter().map(Beside::row));
    }
    let columns = [
        "what", "Odradek", "beside", "ratio", "process", "goal", "reached",
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
        let of = source(&peers.name, &peers.result.started, &peers.result.machine);
        let warnings = peers.result.warnings();
        let warnings: String = warnings.iter().map(|one| format!(" **{one}**.")).collect();
        let read = read(&peers.result);
        text.push_str(&wrapped(&format!("{read} All of it: {of}.{warnings}")));
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
        format!("≤ {}", verdict.target()),
        verdict.reached().to_owned(),
    ]
}

/// A claim beside another server.
pub(super) struct Beside {
    pub(super) what: &'static str,
    pub(super) peer: String,
    pub(super) times_min: f64,
    pub(super) holds: Holds,
    /// In all surroundings.
    of: Vec<Result<Compared, Missing>>,
}

impl Beside {
    /// How many times better the node is where it is least so.
    pub(super) fn least(&self) -> Option<f64> {
        let times = self.of.iter().flatten().map(|one| one.advantage.times);
        times.min_by(f64::total_cmp)
    }

    fn row(&self) -> Vec<String> {
        let each = |shown: fn(&Result<Compared, Missing>) -> String| {
            let shown: Vec<String> = self.of.iter().map(shown).collect();
            shown.join(" / ")
        };
        let unit = self.of.iter().flatten().map(|one| one.unit).next();
        let unit = unit.map_or_else(String::new, |unit| format!(" {unit}"));
        let ours = each(|one| figure(one, |one| one.ours));
        let theirs = each(|one| figure(one, |one| one.theirs));
        vec![
            self.what.to_owned(),
            format!("{ours}{unit}"),
            format!("{}: {theirs}{unit}", self.peer),
            each(ratio),
            "-".to_owned(),
            format!("≥ {} ×", self.times_min),
            self.holds.name().to_owned(),
        ]
    }
}

fn figure(of: &Result<Compared, Missing>, which: fn(&Compared) -> f64) -> String {
    match of {
        Ok(one) => short(which(one)),
        Err(_) => "-".to_owned(),
    }
}

fn ratio(of: &Result<Compared, Missing>) -> String {
    match of {
        Ok(one) => {
            let rate = one.rate.iter().map(|rate| format!(" at {rate}"));
            format!(
                "{} ×{}",
                times(one.advantage.times),
                rate.collect::<String>()
            )
        }
        Err(missing) => missing.name().to_owned(),
    }
}

/// What is claimed, beside each other server.
pub(super) fn beside_peers(peers: &Report) -> Vec<Beside> {
    let columns = columns(peers);
    let judged = judged(peers);
    let mut rows = Vec::new();
    for (at, peer) in peers.contestants.iter().enumerate().skip(1) {
        for claim in &judged {
            let all = columns.iter().zip(&claim.of);
            let of = all.filter(|((column, ..), _)| *column == at);
            let of: Vec<_> = of.map(|(_, one)| one.clone()).collect();
            if of.iter().all(|one| *one == Err(Missing::NotAsked)) {
                continue;
            }
            rows.push(Beside {
                what: claim.claim,
                peer: peer.clone(),
                times_min: claim.times_min,
                holds: claim.holds_beside(&of),
                of,
            });
        }
    }
    rows
}

/// How to read what stands beside other servers.
fn read(peers: &Report) -> String {
    let pinnings: Vec<&str> = peers.pinnings().into_iter().map(Pinning::name).collect();
    format!(
        "Beside other servers: medians, and how many times better ours is, {} ({} rounds). A goal is \
         reached if every round reaches it, of three at least, and not if the medians miss it; all \
         else is within noise. Latencies stand at the highest rate that both held in every round.",
        pinnings.join(" / "),
        peers.rounds
    )
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
    use crate::peers::Advantage;

    fn compared(ours: f64, times: f64, rate: Option<&str>) -> Result<Compared, Missing> {
        Ok(Compared {
            ours,
            theirs: ours * times,
            unit: "ms",
            advantage: Advantage {
                times,
                interval: None,
                rounds: 3,
                by_round: Some((times, times)),
            },
            rate: rate.map(str::to_owned),
        })
    }

    #[test]
    fn a_claim_is_a_row_with_all_surroundings() {
        let mut beside = Beside {
            what: "p99.9",
            peer: "Apache Kafka".to_owned(),
            times_min: 10.0,
            holds: Holds::WithinNoise,
            of: vec![
                compared(2.5, 20.0, Some("10k/s")),
                compared(4.0, 8.0, Some("100k/s")),
            ],
        };
        let row = [
            "p99.9",
            "2.5 / 4 ms",
            "Apache Kafka: 50 / 32 ms",
            "20.0 × at 10k/s / 8.00 × at 100k/s",
            "-",
            "≥ 10 ×",
            "within noise",
        ];
        assert_eq!(beside.row(), row);
        assert_eq!(beside.least(), Some(8.0));
        beside.of = vec![Err(Missing::NoRateHeld), compared(1.0, 3.0, None)];
        let row = beside.row();
        assert_eq!(
            (row[1].as_str(), row[2].as_str()),
            ("- / 1 ms", "Apache Kafka: - / 3 ms")
        );
        assert_eq!(row[3], "no rate that both hold / 3.00 ×");
        beside.of = vec![Err(Missing::NoRateHeld)];
        assert_eq!((beside.row()[1].as_str(), beside.least()), ("-", None));
    }

    #[test]
    fn paragraphs_are_wrapped() {
        let text = wrapped(&"word ".repeat(50));
        assert!(text.lines().all(|line| line.len() <= 100));
        assert_eq!(text.split_whitespace().count(), 50);
    }
}
