//! What a matrix found, as it is kept.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Matrix;
use crate::machine::Facts;
use crate::measurement::markdown;
use crate::report::save;
use crate::scenario::Cell;

/// Of the JSON; raised when a field changes its meaning.
const FORMAT: u32 = 1;

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) title: String,
    /// UTC, to the minute.
    pub(crate) started: String,
    pub(crate) machine: Facts,
    pub(crate) quick: bool,
    pub(crate) scale: f64,
    pub(crate) rounds: usize,
    /// Labels, in the order in which they alternate; ratios are of the others to the first.
    pub(crate) contestants: Vec<String>,
    /// It was ended from outside: cells are missing.
    pub(crate) interrupted: bool,
    /// In the order in which they ran.
    pub(crate) cells: Vec<Cell>,
}

impl Report {
    pub(super) fn new(matrix: &Matrix, machine: Facts) -> Self {
        let started = jiff::Timestamp::now();
        let labels = matrix.contestants.iter();
        Self {
            format: FORMAT,
            title: matrix.title.clone(),
            started: started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            machine,
            quick: matrix.course.quick,
            scale: matrix.course.scale,
            rounds: matrix.rounds,
            contestants: labels.map(|one| one.label()).collect(),
            interrupted: false,
            cells: Vec::new(),
        }
    }

    /// Whether every cell ran to its end.
    pub(crate) fn complete(&self) -> bool {
        !self.interrupted && self.cells.iter().all(|cell| cell.complete)
    }

    /// Why it is partial.
    pub(crate) fn problems(&self) -> Vec<String> {
        let interrupted = self.interrupted.then(|| "interrupted".to_owned());
        let of_cells = self.cells.iter().flat_map(|cell| {
            let name = |problem| format!("{}, {}: {problem}", cell.scenario, cell.label);
            cell.problems.iter().map(name)
        });
        interrupted.into_iter().chain(of_cells).collect()
    }

    /// Prints all figures.
    pub(crate) fn show(&self) {
        let mut rows = Vec::new();
        for cell in &self.cells {
            for figure in &cell.findings.figures {
                rows.push(vec![
                    cell.scenario.clone(),
                    cell.label.clone(),
                    figure.name.clone(),
                    format!("{:.3}", figure.value),
                    figure.unit.clone(),
                ]);
            }
        }
        let columns = ["scenario", "of", "figure", "value", "unit"];
        println!("{}", markdown(&columns, &rows));
        for cell in &self.cells {
            let findings = &cell.findings;
            for note in findings.skipped.iter().chain(&findings.notes) {
                println!("{}, {}: {note}", cell.scenario, cell.label);
            }
        }
        for problem in self.problems() {
            println!("PARTIAL: {problem}");
        }
    }

    /// Writes it into `dir`, named by date and commit. Returns the JSON's path.
    pub(crate) fn keep(&self, dir: &Path, kind: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let date = self.started.replace(" UTC", "").replace(':', "");
        let commit = self.machine.commit.get(..10).unwrap_or("unknown");
        let name = format!("{kind}-{}-{commit}.json", date.replace(' ', "-"));
        let path = dir.join(name);
        save::write(&path, &serde_json::to_vec(self)?)?;
        Ok(path)
    }
}
