//! What is claimed of the own node beside Apache Kafka, and whether this run bears it out.
//!
//! CPU is the whole machine's less idle and driver, never the process's.

use super::Report;
use super::figures::{Advantage, Line, Values};
use super::judged::{Compared, Judged, Missing};
use crate::contest::Pinning;
use crate::report::RunResult;
use crate::scenario::core::{ONE_RECORD, PRODUCE, PRODUCE_ALL, PRODUCE_FULL, RESIDENT, TAIL};
use crate::scenario::fixed_rates::{CACHED, RATES, UNLINGERED, WRITTEN, name as rate_name};
use crate::scenario::{Better, Cell};

const CORE: &str = "core";
const FIXED_RATES: &str = "fixed-rates";

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
    /// p99.9 end to end at the highest rate that both hold, of loads with this behind the rate, and of
    /// ours with that behind it, too.
    Latency(&'static str, &'static str),
}

const CLAIMS: &[Claim] = &[
    claim(
        "produce acks=1: CPU per GB",
        5.0,
        What::Core(PRODUCE, PRODUCE, "s/GB"),
    ),
    claim(
        "produce acks=1, ours validating: CPU per GB",
        5.0,
        What::Core(PRODUCE_FULL, PRODUCE, "s/GB"),
    ),
    claim(
        "produce acks=all, ours durable: CPU per GB",
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
        "p99.9 end to end at the highest rate both hold",
        10.0,
        What::Latency("", ""),
    ),
    claim(
        "the same, ours acked when written",
        10.0,
        What::Latency("", WRITTEN),
    ),
    claim(
        "the same, ours acked when in page cache",
        10.0,
        What::Latency("", CACHED),
    ),
    claim(
        "p99.9 without linger at the highest rate both hold",
        10.0,
        What::Latency(UNLINGERED, ""),
    ),
    claim(
        "without linger, ours acked when written",
        10.0,
        What::Latency(UNLINGERED, WRITTEN),
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

/// The other contestants in all surroundings that ran.
pub(crate) fn columns(report: &Report) -> Vec<(usize, Pinning, String)> {
    let mut columns = Vec::new();
    for pinning in report.pinnings() {
        for (at, label) in report.contestants.iter().enumerate().skip(1) {
            columns.push((at, pinning, format!("{label}, {}", pinning.name())));
        }
    }
    columns
}

/// All claims of which something was measured.
pub(crate) fn judged(report: &Report) -> Vec<Judged> {
    let columns = columns(report);
    let rows = CLAIMS.iter().map(|claim| {
        let one = |(at, pinning, _): &(usize, Pinning, String)| claim.of(report, *pinning, *at);
        Judged {
            claim: claim.name,
            times_min: claim.times_min,
            of: columns.iter().map(one).collect(),
        }
    });
    let said = |one: &Result<Compared, Missing>| matches!(one, Ok(_) | Err(Missing::NoRateHeld));
    rows.filter(|row| row.of.iter().any(said)).collect()
}

/// Whether claims are made of what it found.
pub(super) fn claims(cell: &Cell) -> bool {
    [CORE, FIXED_RATES].contains(&cell.scenario.as_str())
}

/// Scenarios and surroundings of the claims that were asked, whatever came of it.
pub(crate) fn asked(report: &Report) -> usize {
    let ran = |scenario| {
        let pinnings = report.pinnings().into_iter();
        pinnings.filter(move |pinning| report.cells_of(scenario, *pinning).next().is_some())
    };
    ran(CORE).chain(ran(FIXED_RATES)).count()
}

impl Claim {
    fn of(&self, report: &Report, pinning: Pinning, at: usize) -> Result<Compared, Missing> {
        let core = report.lines(CORE, pinning);
        match self.what {
            What::Core(ours, other, unit) => {
                let figure = |load: &str, at: usize| {
                    values(&core, &format!("{load}: machine CPU"), unit, at)
                };
                compared(figure(ours, 0), figure(other, at), unit)
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
                match least {
                    // Only the smallest heap that holds the rate counts.
                    Some((least, _)) if least != at => Err(Missing::NotAsked),
                    _ => compared(peak(0), peak(at), "MiB"),
                }
            }
            What::Latency(linger, which) => {
                let loads = RATES.iter().rev().map(|rate| {
                    let theirs = format!("{}{linger}", rate_name(*rate));
                    (format!("{theirs}{which}"), theirs)
                });
                let ran = |load: &str, at| !held(report, pinning, at, load).is_empty();
                let mut loads = loads
                    .filter(|(ours, theirs)| ran(ours, 0) && ran(theirs, at))
                    .peekable();
                if loads.peek().is_none() {
                    return Err(Missing::Unmeasured);
                }
                let all = |load: &str, at| held(report, pinning, at, load).iter().all(|held| *held);
                let (ours, theirs) = loads
                    .find(|(ours, theirs)| all(ours, 0) && all(theirs, at))
                    .ok_or(Missing::NoRateHeld)?;
                let lines = report.lines(FIXED_RATES, pinning);
                let figure =
                    |load: &str, at| values(&lines, &format!("{load}: end to end p99.9"), "ms", at);
                let compared = compared(figure(&ours, 0), figure(&theirs, at), "ms")?;
                Ok(Compared {
                    rate: Some(theirs),
                    ..compared
                })
            }
        }
    }
}

fn compared(
    ours: Option<&Values>,
    theirs: Option<&Values>,
    unit: &'static str,
) -> Result<Compared, Missing> {
    let both = ours.zip(theirs).and_then(|(ours, theirs)| {
        Some(Compared {
            ours: ours.median()?,
            theirs: theirs.median()?,
            unit,
            advantage: Advantage::of(ours, theirs, Better::Less)?,
            rate: None,
        })
    });
    both.ok_or(Missing::Unmeasured)
}

/// Whether a contestant held a load's rate, of each of its rounds; empty where it never ran.
fn held(report: &Report, pinning: Pinning, at: usize, load: &str) -> Vec<bool> {
    let contestant = &report.contestants[at];
    let label = format!("{contestant}: {load}");
    let cells = report.cells_of(FIXED_RATES, pinning);
    let runs: Vec<Option<&RunResult>> = cells
        .filter(|cell| cell.label == *contestant)
        .map(|cell| cell.findings.runs.iter().find(|run| run.label == label))
        .collect();
    if runs.iter().all(Option::is_none) {
        return Vec::new();
    }
    // A round without it did not hold it.
    let held = |run: Option<&RunResult>| run.is_some_and(|run| run.complete && run.sustained());
    runs.into_iter().map(held).collect()
}

fn values<'a>(lines: &'a [Line], name: &str, unit: &str, at: usize) -> Option<&'a Values> {
    let found = lines
        .iter()
        .find(|line| line.name == name && line.unit == unit)?;
    found.of.get(at).filter(|values| values.rounds() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contest::{Contestant, MemoryState};
    use crate::peers::judged::Holds;
    use crate::report::WindowTotals;
    use crate::scenario::Findings;

    /// Of a contestant in a round: at 10k, 50k and 100k/s the share that was acked and what was held
    /// back of 100,000 messages, and p99.9.
    fn cell(label: &str, round: usize, of: [(f64, u64); 3], ms: f64) -> Cell {
        let mut findings = Findings::default();
        for (rate, (share, held_back)) in RATES.iter().zip(of) {
            let load = rate_name(*rate);
            findings.figure(&format!("{load}: end to end p99.9"), "ms", Better::Less, ms);
            let mut run = RunResult::blank();
            run.label = format!("{label}: {load}");
            run.complete = true;
            run.window = WindowTotals {
                intended: 100_000,
                acked: (share * 100_000.0) as u64,
                held_back,
                ..WindowTotals::default()
            };
            findings.runs.push(run);
        }
        Cell {
            scenario: FIXED_RATES.to_owned(),
            label: label.to_owned(),
            contestant: Contestant::at("a:1").expect("an address"),
            pinning: Pinning::Pinned,
            memory: MemoryState::AsFound,
            round,
            started: String::new(),
            seconds: 1.0,
            complete: true,
            problems: Vec::new(),
            findings,
        }
    }

    /// Ours held all in the rounds before; so did the other.
    fn report(ours: [(f64, u64); 3], theirs: [(f64, u64); 3]) -> Report {
        let well = [(1.0, 0); 3];
        Report {
            rounds: 3,
            contestants: vec!["A".to_owned(), "B".to_owned()],
            cells: vec![
                cell("A", 1, well, 1.0),
                cell("B", 1, well, 11.0),
                cell("A", 2, well, 1.0),
                cell("B", 2, well, 12.0),
                cell("A", 3, ours, 1.0),
                cell("B", 3, theirs, 13.0),
            ],
            ..Report::default()
        }
    }

    fn latency(report: &Report) -> Judged {
        let mut judged = judged(report);
        // What is ours under other names was not measured.
        assert_eq!(judged.len(), 1);
        judged.remove(0)
    }

    #[test]
    fn latencies_are_compared_at_the_highest_rate_that_both_held_in_every_round() {
        let well = [(1.0, 0); 3];
        for (ours, theirs, rate) in [
            (well, well, "100k/s"),
            (well, [(1.0, 0), (1.01, 0), (1.25, 0)], "50k/s"),
            (well, [(1.0, 0), (1.0, 0), (1.0, 1000)], "50k/s"),
            ([(1.0, 0), (0.95, 0), (1.0, 0)], well, "100k/s"),
            (
                [(1.0, 0), (1.0, 0), (0.95, 0)],
                [(1.0, 0), (0.9, 0), (1.0, 0)],
                "10k/s",
            ),
        ] {
            let judged = latency(&report(ours, theirs));
            let of = judged.of[0].as_ref().expect("compared");
            assert_eq!(of.rate.as_deref(), Some(rate));
            assert_eq!((of.ours, of.theirs, of.advantage.times), (1.0, 12.0, 12.0));
            assert_eq!(judged.holds(), Holds::Yes);
            assert!(
                of.show()
                    .starts_with(&format!("at {rate}: 12.0 (3 rounds: 11.0 .. 13.0;"))
            );
        }
    }

    #[test]
    fn no_rate_that_both_hold_is_no_figure() {
        let judged = latency(&report([(1.0, 0); 3], [(1.02, 0), (1.1, 0), (1.2, 0)]));
        assert_eq!(judged.of[0], Err(Missing::NoRateHeld));
        assert_eq!(judged.holds(), Holds::Unknown);
        // A round in which a load did not come to its end is none that held it.
        let mut report = report([(1.0, 0); 3], [(1.0, 0); 3]);
        report.cells[5].findings.runs.truncate(2);
        let judged = latency(&report);
        let rate = judged.of[0].as_ref().expect("compared").rate.clone();
        assert_eq!(rate.as_deref(), Some("50k/s"));
    }
}
