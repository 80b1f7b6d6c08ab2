//! What came of each target: the same for the page and for the README.

use super::contest::Target;
use super::idle;
use super::outcome::{ContestRuns, Outcome, RSS_BYTES_MAX};
use super::summary::Spread;

/// A figure and the most it may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    /// Of the node: CPU counts the whole machine's. None where it is not known.
    pub(crate) node: Option<f64>,
    /// Of the floor, in the same unit; none where there is no floor.
    pub(crate) floor: Option<f64>,
    /// Node over floor, of the process's CPU.
    pub(crate) process_ratio: Option<f64>,
    /// Of the ratio where the unit is one of CPU, else of the node's figure.
    pub(crate) most: f64,
    /// None where it cannot be told.
    pub(crate) reached: Option<bool>,
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
    let mut verdicts: Vec<Verdict> = outcome.contests.iter().map(of_contest).collect();
    let mut bound = |what: &str, unit, node: f64, most, reached| {
        verdicts.push(Verdict {
            what: what.to_owned(),
            unit,
            node: Some(node),
            floor: None,
            process_ratio: None,
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

fn of_contest(runs: &ContestRuns) -> Verdict {
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let what = runs.contest.name().to_owned();
    match runs.contest.target() {
        Target::Cpu(most) => {
            let quiet = runs.machine_was_quiet();
            let known = |value: Option<f64>| value.filter(|_| quiet);
            let node = known(median(runs.machine(&runs.node)));
            let floor = known(median(runs.machine(&runs.floor)));
            let ratio = |node: Option<f64>, floor: Option<f64>| Some(node? / floor?);
            let process_ratio = ratio(
                median(runs.process(&runs.node)),
                median(runs.process(&runs.floor)),
            );
            let unit = match runs.contest.per_request() {
                true => Unit::CpuPerRequest,
                false => Unit::CpuPerGb,
            };
            let all = [ratio(node, floor), process_ratio];
            let within = all
                .iter()
                .all(|ratio| ratio.is_some_and(|ratio| ratio <= most));
            Verdict {
                what,
                unit,
                node,
                floor,
                process_ratio,
                most,
                reached: quiet.then_some(within),
            }
        }
        Target::P50(more) => {
            let node = median(runs.p50_us(&runs.node));
            let first = median(runs.p50_us(&runs.floor));
            let second = median(runs.p50_us(&runs.floor_beside));
            let floor = first.zip(second).map(|(first, second)| first + second);
            let most = floor.map_or(f64::NAN, |floor| floor + more);
            Verdict {
                what,
                unit: Unit::Microseconds,
                node,
                floor,
                process_ratio: None,
                most,
                reached: node.map(|node| node <= most).filter(|_| floor.is_some()),
            }
        }
    }
}
