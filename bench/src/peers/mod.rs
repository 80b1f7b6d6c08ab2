//! The same scenarios on several contestants, in turn, in one run.
//!
//! Contestants alternate within each round, and every second round goes backwards, so that what
//! drifts (a disk filling up, a neighbour) drifts over all of them. Each cell (scenario,
//! surroundings, contestant, round) is kept as soon as it is finished; a run that was stopped goes on
//! where it ended.
//!
//! Absent on purpose: a verdict over all; the claims stand with their figures in `headline`.

mod figures;
mod floors;
mod headline;
mod judged;
mod markdown;
mod matrix;
mod page;
mod report;
mod work;

#[cfg(test)]
pub(crate) use figures::Advantage;
pub(crate) use figures::times;
pub(crate) use headline::{asked, columns, judged};
pub(crate) use judged::{Compared, Holds, Missing};
pub(crate) use matrix::{Matrix, run as run_matrix};
pub(crate) use report::Report;
pub(crate) use work::Work;
