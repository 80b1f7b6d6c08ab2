//! What is claimed of the own node beside Apache Kafka, and whether this run bears it out.
//!
//! CPU is the whole machine's less idle and driver, never the process's.

use super::Report;
use super::figures::{Advantage, Line, Values};
use crate::contest::Pinning;
use crate::scenario::core::{ONE_RECORD, PRODUCE, PRODUCE_ALL, PRODUCE_FULL, RESIDENT, TAIL};
use crate::scenario::fixed_rates::{CACHED, RATES, WRITTEN, name as rate_name};
use crate::scenario::{Better, SUSTAINED, SUSTAINED_MIN};

/// A row: how many times better the own node is to be.
struct Claim {
    name: &'static str,
    times_min: f64,
    what: What,
}

enum What {
    /// A figure of `core`: what of ours, what of the other's, unit.
    Core(&'static str, &'static str, &'static str),
    /// Peak RSS, beside the smallest heap that holds the rate.
    Memory,
    /// p99.9 end to end at the highest rate that the other holds, of our load of this name.
    Latency(&'static str),
}

const CLAIMS: &[Claim] = &[
    claim(
        "produce acks=1: CPU per GB",
        5.0,
        What::Core(PRODUCE, PRODUCE, "s/GB"),
    ),
    claim(
        "produce acks=1, ours validating every record: CPU per GB",
        5.0,
        What::Core(PRODUCE_FULL, PRODUCE, "s/GB"),
    ),
    claim(
        "produce acks=all, ours surviving loss of power: CPU per GB",
        5.0,
        What::Core(PRODUCE_ALL, PRODUCE_ALL, "s/GB"),
    ),
    claim(
        "consume tail: CPU per GB",
        2.0,
        What::Core(TAIL, TAIL, "s/GB"),
    ),
    claim(
        "consume resident: CPU per GB",
        2.0,
        What::Core(RESIDENT, RESIDENT, "s/GB"),
    ),
    claim(
        "one-record batches: requests per CPU second",
        8.0,
        What::Core(ONE_RECORD, ONE_RECORD, "µs/request"),
    ),
    claim(
        "p99.9 end to end at the highest rate it holds",
        10.0,
        What::Latency(""),
    ),
    claim(
        "the same, ours acked when written",
        10.0,
        What::Latency(WRITTEN),
    ),
    claim(
        "the same, ours acked when in page cache",
        10.0,
        What::Latency(CACHED),
    ),
    claim("RSS at full ingest", 5.0, What::Memory),
];

const fn claim(name: &'static str, times_min: f64, what: What) -> Claim {
    Claim {
        name,
        times_min,
        what,
    }
}

/// A claim, judged.
pub(super) struct Judged {
    pub(super) claim: &'static str,
    pub(super) times_min: f64,
    /// Of each other contestant, in all surroundings: as [`columns`] names them.
    pub(super) of: Vec<Option<Advantage>>,
    /// Whether it holds of each; none where one is unknown.
    pub(super) holds: Option<bool>,
}

/// The other contestants in all surroundings that ran.
pub(super) fn columns(report: &Report) -> Vec<(usize, Pinning, String)> {
    let mut columns = Vec::new();
    for pinning in report.pinnings() {
        for (at, label) in report.contestants.iter().enumerate().skip(1) {
            columns.push((at, pinning, format!("{label}, {}", pinning.name())));
        }
    }
    columns
}

/// All claims of which something was measured.
pub(super) fn judged(report: &Report) -> Vec<Judged> {
    let columns = columns(report);
    let rows = CLAIMS.iter().map(|claim| {
        let one = |(at, pinning, _): &(usize, Pinning, String)| claim.of(report, *pinning, *at);
        let of: Vec<Option<Advantage>> = columns.iter().map(one).collect();
        let known: Option<Vec<f64>> = match claim.what {
            // Only the smallest heap that holds the rate counts.
            What::Memory => Some(of.iter().flatten().map(|one| one.times).collect()),
            _ => of.iter().map(|one| Some((*one)?.times)).collect(),
        };
        let holds = known.filter(|times| !times.is_empty());
        Judged {
            claim: claim.name,
            times_min: claim.times_min,
            holds: holds.map(|times| times.iter().all(|times| *times >= claim.times_min)),
            of,
        }
    });
    rows.filter(|row| row.of.iter().any(Option::is_some))
        .collect()
}

impl Claim {
    fn of(&self, report: &Report, pinning: Pinning, at: usize) -> Option<Advantage> {
        let core = report.lines("core", pinning);
        match self.what {
            What::Core(ours, other, unit) => {
                let figure = |load: &str, at: usize| {
                    values(&core, &format!("{load}: machine CPU"), unit, at)
                };
                Advantage::of(figure(ours, 0)?, figure(other, at)?, Better::Less)
            }
            What::Memory => {
                let rates =
                    |at| values(&core, &format!("{PRODUCE}: throughput"), "MB/s", at)?.median();
                let best = (1..report.contestants.len())
                    .filter_map(rates)
                    .fold(0.0, f64::max);
                let peak = |at| values(&core, &format!("{PRODUCE}: peak RSS"), "MiB", at);
                let holds = |at: usize| rates(at).is_some_and(|rate| rate >= 0.95 * best);
                let least = (1..report.contestants.len())
                    .filter(|at| holds(*at))
                    .filter_map(|at| Some((at, peak(at)?.median()?)))
                    .min_by(|one, other| one.1.total_cmp(&other.1));
                (least?.0 == at).then(|| Advantage::of(peak(0)?, peak(at)?, Better::Less))?
            }
            What::Latency(which) => {
                let lines = report.lines("fixed-rates", pinning);
                let held = |rate: &&f64| {
                    let name = format!("{}: {SUSTAINED}", rate_name(**rate));
                    let share = values(&lines, &name, "of intended", at);
                    share
                        .and_then(Values::median)
                        .is_some_and(|share| share >= SUSTAINED_MIN)
                };
                let rate = rate_name(*RATES.iter().rev().find(held)?);
                let figure = |load: String, at| {
                    values(&lines, &format!("{load}: end to end p99.9"), "ms", at)
                };
                let ours = figure(format!("{rate}{which}"), 0)?;
                Advantage::of(ours, figure(rate, at)?, Better::Less)
            }
        }
    }
}

fn values<'a>(lines: &'a [Line], name: &str, unit: &str, at: usize) -> Option<&'a Values> {
    let found = lines
        .iter()
        .find(|line| line.name == name && line.unit == unit)?;
    found.of.get(at).filter(|values| values.rounds() > 0)
}
