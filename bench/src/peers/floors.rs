//! Floors beside the figures of contestants.

use super::Report;
use crate::contest::Pinning;
use crate::floor::Kind;
use crate::report::floors::{over_percentiles, same_bytes};
use crate::report::plot::Series;
use crate::report::{RunResult, median};

/// A floor's name and its figure.
pub(super) type Named = (String, f64);

const SAME_BYTES: &str = "floors, the same bytes";

impl Report {
    /// In words, for those who read the plots.
    pub(super) fn told_floors(&self) -> String {
        match &self.floors {
            Some(floors) => format!("floors drawn into the plots: {}", floors.told()),
            None => "no floors are drawn: there is no result of `odradek bench floor` of this CPU"
                .to_owned(),
        }
    }

    /// The machine's CPU per `unit` that floors took for what this load asks for.
    pub(super) fn cpu_floors(
        &self,
        scenario: &str,
        pinning: Pinning,
        load: &str,
        unit: &str,
    ) -> Vec<Named> {
        let Some(known) = &self.floors else {
            return Vec::new();
        };
        let cells = self.cells_of(scenario, pinning);
        let mut loops = cells.flat_map(|cell| &cell.findings.floors);
        if let Some(closed) = loops.find(|one| one.load == load) {
            let figure = |kind: &Kind| {
                let run = known.find(*kind)?;
                let value = match (unit, kind.is_stream()) {
                    ("s/GB", true) => run.machine_s_per_gb(),
                    ("µs/request", false) => run.machine_us_per_request(),
                    _ => return None,
                };
                Some((run.name.clone(), value))
            };
            return closed.kinds.iter().filter_map(figure).collect();
        }
        if unit != "s/GB" {
            return Vec::new();
        }
        let of = |run: &RunResult| {
            let (_, machine) = same_bytes(run, &known.beside(run))?;
            Some(machine / run.moved_gb())
        };
        let each: Vec<f64> = self
            .runs_of(scenario, pinning, load)
            .filter_map(of)
            .collect();
        let floor = median(&each).map(|value| (SAME_BYTES.to_owned(), value));
        floor.into_iter().collect()
    }

    /// What the cheapest programs took: of the load as the first contestant ran it.
    pub(super) fn latency_floors(
        &self,
        scenario: &str,
        pinning: Pinning,
        load: &str,
    ) -> Vec<Series> {
        let run = self.runs_of(scenario, pinning, load).next();
        let beside = self.floors.as_ref().zip(run);
        beside.map_or_else(Vec::new, |(known, run)| {
            over_percentiles(&known.beside(run))
        })
    }

    /// The same beside a closed loop: what any reply needs, and where acks wait for the disk, a
    /// durable write.
    pub(super) fn loop_latency_floors(
        &self,
        scenario: &str,
        pinning: Pinning,
        load: &str,
    ) -> Vec<Series> {
        let mut cells = self.cells_of(scenario, pinning);
        let durable = cells.any(|cell| {
            let mut loops = cell.findings.floors.iter();
            loops.any(|one| one.load == load && one.kinds.contains(&Kind::StoreDurable))
        });
        let disk = durable.then_some(Kind::DurableOver);
        let known = self.floors.iter().flat_map(|known| {
            let kinds = [Kind::PingPong].into_iter().chain(disk);
            kinds.filter_map(|kind| known.find(kind).cloned())
        });
        over_percentiles(&known.collect::<Vec<_>>())
    }

    /// Cores that the cheapest programs would have needed for the bytes of these runs' windows.
    pub(super) fn floor_cores<'a>(
        &self,
        runs: impl Iterator<Item = &'a RunResult>,
    ) -> Option<Named> {
        let known = self.floors.as_ref()?;
        let each = runs.filter_map(|run| {
            let (_, machine) = same_bytes(run, &known.beside(run))?;
            Some(machine / run.window.seconds)
        });
        let value = median(&each.collect::<Vec<f64>>())?;
        Some((SAME_BYTES.to_owned(), value))
    }

    /// A load's runs, of all contestants and rounds.
    fn runs_of<'a>(
        &'a self,
        scenario: &'a str,
        pinning: Pinning,
        load: &'a str,
    ) -> impl Iterator<Item = &'a RunResult> {
        self.cells_of(scenario, pinning).flat_map(move |cell| {
            let label = format!("{}: {load}", cell.label);
            let runs = cell.findings.runs.iter();
            runs.filter(move |run| run.label == label)
        })
    }
}
