//! Where finished cells are kept while a run goes on, so that a stopped one can go on.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::Matrix;
use crate::machine::Facts;
use crate::report::save;
use crate::scenario::Cell;

const PLAN: &str = "plan.json";

/// A directory of one run's finished cells.
pub(crate) struct Work {
    dir: PathBuf,
}

impl Work {
    /// Opens or makes it.
    ///
    /// # Errors
    /// When it holds cells of a run that was asked for otherwise, or of another commit.
    pub(crate) fn open(dir: &Path, matrix: &Matrix, machine: &Facts) -> Result<Self> {
        #[derive(Serialize)]
        struct Plan<'a> {
            scenarios: Vec<&'a str>,
            contestants: &'a [crate::contest::Contestant],
            surroundings: Vec<String>,
            rounds: usize,
            quick: bool,
            scale: f64,
            commit: &'a str,
        }
        let surroundings = matrix.places.iter().map(|place| {
            format!(
                "{}, memory {}, server on {:?}, driver on {}",
                place.pinning.name(),
                place.memory.name(),
                place.cores(),
                place.driver_core
            )
        });
        let plan = Plan {
            scenarios: matrix.scenarios.iter().map(|one| one.name).collect(),
            contestants: &matrix.contestants,
            surroundings: surroundings.collect(),
            rounds: matrix.rounds,
            quick: matrix.course.quick,
            scale: matrix.course.scale,
            commit: &machine.commit,
        };
        let plan = serde_json::to_vec_pretty(&plan)?;
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let path = dir.join(PLAN);
        match std::fs::read(&path) {
            Ok(kept) => ensure!(
                kept == plan,
                "{} holds a run that was asked for otherwise or is of another commit ({PLAN} says \
                 how): finish that one, remove the directory, or name another with --work",
                dir.display()
            ),
            Err(_) => save::write(&path, &plan)?,
        }
        Ok(Self {
            dir: dir.to_owned(),
        })
    }

    /// A finished cell.
    pub(super) fn finished(&self, name: &str) -> Result<Option<Cell>> {
        let path = self.path(name);
        path.exists().then(|| Cell::read(&path)).transpose()
    }

    pub(super) fn keep(&self, name: &str, cell: &Cell) -> Result<()> {
        cell.keep(&self.path(name))
    }

    /// After the report was written.
    pub(crate) fn remove(self) -> Result<()> {
        let dir = self.dir;
        std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name).with_extension("json")
    }
}
