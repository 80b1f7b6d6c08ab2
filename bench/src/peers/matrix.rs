//! Which cells there are, and in which order they run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use super::{Report, Work};
use crate::contest::{Contestant, MemoryState, Place};
use crate::machine::Facts;
use crate::scenario::{Course, Scenario, run_cell};

/// All combinations are run.
pub(crate) struct Matrix {
    pub(crate) title: String,
    pub(crate) scenarios: Vec<&'static Scenario>,
    /// The first is the one that the others are compared with.
    pub(crate) contestants: Vec<Contestant>,
    /// One per pinning.
    pub(crate) places: Vec<Place>,
    pub(crate) rounds: usize,
    pub(crate) course: Course,
}

/// Runs what is not finished yet. What fails within a cell is told by the report.
///
/// # Errors
/// When a cell cannot be kept or read.
pub(crate) fn run(
    matrix: &Matrix,
    machine: Facts,
    work: Option<&Work>,
    interrupt: &Arc<AtomicBool>,
) -> Result<Report> {
    let mut report = Report::new(matrix, machine);
    let done = cells(matrix, work, interrupt, &mut report);
    for place in &matrix.places {
        MemoryState::leave(&place.parent);
    }
    done?;
    report.interrupted = interrupt.load(Ordering::Relaxed);
    Ok(report)
}

/// Contestants in the order of a round: every second begins with the last, so that being first, or
/// second, is nobody's advantage.
fn turns(contestants: usize, round: usize) -> Vec<usize> {
    let mut turns: Vec<usize> = (0..contestants).collect();
    if round.is_multiple_of(2) {
        turns.reverse();
    }
    turns
}

fn cells(
    matrix: &Matrix,
    work: Option<&Work>,
    interrupt: &Arc<AtomicBool>,
    report: &mut Report,
) -> Result<()> {
    for round in 1..=matrix.rounds {
        for scenario in &matrix.scenarios {
            for (surroundings, place) in matrix.places.iter().enumerate() {
                for at in turns(matrix.contestants.len(), round) {
                    let contestant = &matrix.contestants[at];
                    if interrupt.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    let name = format!("{}-{surroundings}-{at}-{round}", scenario.name);
                    if let Some(work) = work
                        && let Some(cell) = work.finished(&name)?
                    {
                        report.cells.push(cell);
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
                    if let Some(work) = work.filter(|_| cell.complete) {
                        work.keep(&name, &cell)?;
                    }
                    report.cells.push(cell);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::turns;

    #[test]
    fn rounds_begin_with_the_first_and_the_last_in_turn() {
        assert_eq!(turns(3, 1), [0, 1, 2]);
        assert_eq!(turns(3, 2), [2, 1, 0]);
        assert_eq!(turns(3, 3), [0, 1, 2]);
    }
}
