//! Which cells there are, and in which order they run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use super::Report;
use crate::contest::{Contestant, Place};
use crate::machine::Facts;
use crate::scenario::{Cell, Course, Scenario, run_cell};

/// All combinations are run.
pub(crate) struct Matrix {
    pub(crate) title: String,
    pub(crate) scenarios: Vec<&'static Scenario>,
    pub(crate) contestants: Vec<Contestant>,
    /// One per pinning.
    pub(crate) places: Vec<Place>,
    pub(crate) rounds: usize,
    pub(crate) course: Course,
}

/// Runs what is not finished yet. `work` is where finished cells are kept, if they are.
///
/// # Errors
/// When nothing can be said of the machine, or a cell cannot be kept. What fails within a cell is
/// told by the report.
pub(crate) fn run(
    matrix: &Matrix,
    work: Option<&Path>,
    interrupt: &Arc<AtomicBool>,
) -> Result<Report> {
    let parent = matrix.places.first().map(|place| place.parent.clone());
    let facts = Facts::gather(&parent.unwrap_or_else(std::env::temp_dir))?;
    let mut report = Report::new(matrix, facts);
    for round in 1..=matrix.rounds {
        for scenario in &matrix.scenarios {
            for place in &matrix.places {
                for (at, contestant) in matrix.contestants.iter().enumerate() {
                    if interrupt.load(Ordering::Relaxed) {
                        report.interrupted = true;
                        return Ok(report);
                    }
                    let name = format!(
                        "{}-{}-{at}-{round}.json",
                        scenario.name,
                        serde_json::to_value(place.pinning)?
                            .as_str()
                            .unwrap_or_default()
                    );
                    let kept: Option<PathBuf> = work.map(|work| work.join(name));
                    if let Some(kept) = kept.as_deref().filter(|kept| kept.exists()) {
                        report.cells.push(Cell::read(kept)?);
                        continue;
                    }
                    eprintln!(
                        "round {round} of {}: {}, {}, {}",
                        matrix.rounds,
                        scenario.name,
                        contestant.label(),
                        place.pinning.name()
                    );
                    let course = matrix.course;
                    let cell = run_cell(scenario, contestant, place, course, round, interrupt);
                    if let Some(kept) = kept.filter(|_| cell.complete) {
                        cell.keep(&kept)?;
                    }
                    report.cells.push(cell);
                }
            }
        }
    }
    Ok(report)
}
