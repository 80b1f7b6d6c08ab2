//! What was kept of each load, by contestant.

use super::super::Report;
use crate::contest::Pinning;
use crate::measurement::Measurement;
use crate::report::RunResult;
use crate::scenario::Cell;

/// Of one load.
pub(super) struct Load<T> {
    pub(super) name: String,
    /// By contestant in their order, then in the order in which they ran.
    pub(super) of: Vec<Vec<T>>,
}

/// Loads that were driven message by message, in the order in which they first ran.
pub(super) fn runs<'a>(
    report: &'a Report,
    scenario: &'a str,
    pinning: Pinning,
) -> Vec<Load<&'a RunResult>> {
    gather(report, scenario, pinning, |cell| {
        let prefix = format!("{}: ", cell.label);
        let runs = cell.findings.runs.iter();
        let named = runs.map(|run| {
            let name = run.label.strip_prefix(&prefix);
            (name.unwrap_or(&run.label), run)
        });
        named.collect()
    })
}

/// Closed loops of one batch.
pub(super) fn loops<'a>(
    report: &'a Report,
    scenario: &'a str,
    pinning: Pinning,
) -> Vec<Load<&'a Measurement>> {
    gather(report, scenario, pinning, |cell| {
        let loops = cell.findings.measurements.iter();
        loops.map(|run| (run.name.as_str(), run)).collect()
    })
}

fn gather<'a, T>(
    report: &'a Report,
    scenario: &'a str,
    pinning: Pinning,
    of: impl Fn(&'a Cell) -> Vec<(&'a str, T)>,
) -> Vec<Load<T>> {
    let mut loads: Vec<Load<T>> = Vec::new();
    for cell in report.cells_of(scenario, pinning) {
        let labels = &mut report.contestants.iter();
        let Some(at) = labels.position(|one| *one == cell.label) else {
            continue;
        };
        for (name, one) in of(cell) {
            let load = match loads.iter().position(|load| load.name == name) {
                Some(found) => &mut loads[found],
                None => {
                    loads.push(Load {
                        name: name.to_owned(),
                        of: report.contestants.iter().map(|_| Vec::new()).collect(),
                    });
                    loads.last_mut().expect("just pushed")
                }
            };
            load.of[at].push(one);
        }
    }
    loads
}
