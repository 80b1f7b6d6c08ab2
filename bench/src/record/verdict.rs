//! What came of each target: the same for the page and for the README.

use super::contest::Target;
use super::idle;
use super::least::{Least, least};
use super::outcome::{ContestRuns, Outcome, RSS_BYTES_MAX};
use super::summary::Spread;
use crate::floor::Kind;

/// A figure and the most it may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    /// Of the node: CPU counts the whole machine's, in the least of its runs. None where it is not
    /// known.
    pub(crate) node: Option<f64>,
    /// Of the floor, in the same unit; none where there is no floor.
    pub(crate) floor: Option<f64>,
    /// Node over floor, of the process's CPU.
    pub(crate) process_ratio: Option<f64>,
    /// Where the unit is one of CPU.
    pub(crate) cpu: Option<Cpu>,
    /// Of the ratio where the unit is one of CPU, else of the node's figure.
    pub(crate) most: f64,
    /// None where it cannot be told.
    pub(crate) reached: Option<bool>,
}

/// What is to be known of a verdict on CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cpu {
    /// The cheapest of its floors; none where none was measured.
    pub(crate) floor: Option<Kind>,
    /// Of how many runs of the node, and of that floor, figures are the least.
    pub(crate) runs: [usize; 2],
    /// Node over floor, of the medians of this contest's runs: only to be seen beside.
    pub(crate) median_ratio: Option<f64>,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// CPU seconds per GB.
    CpuPerGb,
    /// CPU microseconds per request.
    CpuPerRequest,
    Microseconds,
    Mib,
    /// Of a core.
    Percent,
}

impl Unit {
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Unit::CpuPerGb => format!("{value:.3} s/GB"),
            Unit::CpuPerRequest => format!("{value:.2} µs/request"),
            Unit::Microseconds => format!("{value:.1} µs"),
            Unit::Mib => format!("{value:.1} MiB"),
            Unit::Percent => format!("{value:.4} %"),
        }
    }

    /// Whether it is compared as a ratio to the floor.
    pub(crate) fn is_cpu(self) -> bool {
        matches!(self, Unit::CpuPerGb | Unit::CpuPerRequest)
    }
}

impl Verdict {
    /// Node over floor.
    pub(crate) fn ratio(&self) -> Option<f64> {
        Some(self.node? / self.floor?)
    }

    /// Of which floor the figure is; none where it is of several, or there is none.
    pub(crate) fn floor_name(&self) -> Option<&'static str> {
        Some(self.cpu?.floor?.name())
    }

    /// The target as text.
    pub(crate) fn target(&self) -> String {
        match self.unit.is_cpu() {
            true => format!("{}", self.most),
            false => self.unit.show(self.most),
        }
    }

    pub(crate) fn reached(&self) -> &'static str {
        match self.reached {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        }
    }
}

/// One for each target.
pub(crate) fn verdicts(outcome: &Outcome) -> Vec<Verdict> {
    let contests = outcome.contests.iter();
    let mut verdicts: Vec<Verdict> = contests.map(|runs| of_contest(outcome, runs)).collect();
    let mut bound = |what: &str, unit, node: f64, most, reached| {
        verdicts.push(Verdict {
            what: what.to_owned(),
            unit,
            node: Some(node),
            floor: None,
            process_ratio: None,
            cpu: None,
            most,
            reached: Some(reached),
        });
    };
    let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
    let peaks = outcome.contests.iter().filter_map(ContestRuns::rss_peak);
    if let Some(peak) = peaks.max() {
        let (most, within) = (mib(RSS_BYTES_MAX), peak <= RSS_BYTES_MAX);
        bound("RSS under load, peak", Unit::Mib, mib(peak), most, within);
    }
    if let Some(idle) = &outcome.idle {
        let (rss, most) = (idle.rss_bytes, idle::RSS_BYTES_MAX);
        bound("RSS, idle", Unit::Mib, mib(rss), mib(most), rss <= most);
        let (share, most) = (idle.core_share(), idle::CORE_SHARE_MAX);
        let what = format!("share of a core, idle for {:.0} s", idle.seconds);
        let percent = |share: f64| 100.0 * share;
        bound(
            &what,
            Unit::Percent,
            percent(share),
            percent(most),
            share < most,
        );
    }
    verdicts
}

fn of_contest(outcome: &Outcome, runs: &ContestRuns) -> Verdict {
    match runs.contest.target() {
        Target::Cpu(most) => of_cpu(outcome, runs, most),
        Target::P50(more) => of_latency(runs, more),
    }
}

/// Of node and floor the least: what else runs on the machine, and what it does to memory, only
/// adds, and to each run differently.
fn of_cpu(outcome: &Outcome, runs: &ContestRuns, most: f64) -> Verdict {
    let (per_request, idle) = (runs.contest.per_request(), outcome.idle_least());
    let node = least(runs.node.iter(), per_request, idle);
    let kinds = runs.contest.floors().iter();
    let floors = kinds.map(|kind| {
        let least = least(outcome.floor_runs(*kind), per_request, idle);
        (*kind, least)
    });
    let measured = floors.filter(|(_, floor)| floor.runs > 0);
    let floor = measured.min_by(|(_, a), (_, b)| a.order(b));
    let (kind, floor) = floor.map_or((None, Least::default()), |(kind, least)| {
        (Some(kind), least)
    });
    let machine_ratio = ratio(node.machine, floor.machine);
    let process_ratio = ratio(node.process, floor.process);
    let within = |ratio: Option<f64>| ratio.is_some_and(|ratio| ratio <= most);
    // Runs there were, but none that can be believed.
    let unknown = |of: &Least| of.runs > 0 && of.machine.is_none();
    let known = !unknown(&node) && !unknown(&floor);
    Verdict {
        what: runs.contest.name().to_owned(),
        unit: match per_request {
            true => Unit::CpuPerRequest,
            false => Unit::CpuPerGb,
        },
        node: node.machine,
        floor: floor.machine,
        process_ratio,
        cpu: Some(Cpu {
            floor: kind,
            runs: [node.runs, floor.runs],
            median_ratio: kind.and_then(|kind| median_ratio(runs, kind)),
        }),
        most,
        reached: known.then(|| within(machine_ratio) && within(process_ratio)),
    }
}

fn ratio(node: Option<f64>, floor: Option<f64>) -> Option<f64> {
    Some(node? / floor?)
}

/// Of the machine's CPU, this contest's own runs only.
fn median_ratio(runs: &ContestRuns, kind: Kind) -> Option<f64> {
    let (_, floor) = runs.floors().find(|(other, _)| *other == kind)?;
    let both = ratio(
        median(runs.machine(&runs.node)),
        median(runs.machine(floor)),
    );
    both.filter(|_| runs.machine_was_quiet())
}

/// Of node and floors the medians: a latency is as short by luck as it is long.
fn of_latency(runs: &ContestRuns, more: f64) -> Verdict {
    let node = median(runs.p50_us(&runs.node));
    let first = median(runs.p50_us(&runs.floor));
    let second = median(runs.p50_us(&runs.floor_beside));
    let floor = first.zip(second).map(|(first, second)| first + second);
    let most = floor.map_or(f64::NAN, |floor| floor + more);
    Verdict {
        what: runs.contest.name().to_owned(),
        unit: Unit::Microseconds,
        node,
        floor,
        process_ratio: None,
        cpu: None,
        most,
        reached: node.map(|node| node <= most).filter(|_| floor.is_some()),
    }
}

fn median(spread: Option<Spread>) -> Option<f64> {
    spread.map(|spread| spread.median)
}
