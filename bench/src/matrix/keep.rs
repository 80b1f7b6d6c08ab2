//! Cells that are done, one file each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Terms;
use super::cell::{Cell, Finding, Kept};
use crate::report::save::write;

/// A directory of cells of the same terms.
pub(super) struct Keep {
    dir: PathBuf,
    terms: Terms,
}

/// Beside the cells: what was measured on.
const NOTES: &str = "file-systems.json";
/// And the seconds that it took so far.
const ELAPSED: &str = "elapsed.json";

impl Keep {
    pub(super) fn new(dir: &Path, terms: &Terms) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self {
            dir: dir.to_owned(),
            terms: terms.clone(),
        })
    }

    fn path(&self, cell: &Cell) -> PathBuf {
        self.dir.join(format!("{}.json", cell.name()))
    }

    /// The cell, if it was kept under these terms.
    fn get(&self, cell: &Cell) -> Option<Kept> {
        let bytes = std::fs::read(self.path(cell)).ok()?;
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        (kept.terms == self.terms && kept.cell == *cell).then_some(kept)
    }

    /// Whether it need not be run.
    pub(super) fn has(&self, cell: &Cell) -> bool {
        let kept = self.get(cell);
        kept.is_some_and(|kept| !matches!(kept.finding, Finding::Failed { .. }))
    }

    pub(super) fn put(&self, kept: &Kept) -> Result<()> {
        write(&self.path(&kept.cell), &serde_json::to_vec_pretty(kept)?)
    }

    /// What is kept of these cells, in their order.
    pub(super) fn all(&self, cells: &[Cell]) -> Result<Vec<Kept>> {
        Ok(cells.iter().filter_map(|cell| self.get(cell)).collect())
    }

    /// Remembers what was measured on: name, description.
    pub(super) fn note(&self, told: &[(String, String)]) -> Result<()> {
        let mut notes = self.notes()?;
        notes.extend(told.iter().cloned());
        write(&self.dir.join(NOTES), &serde_json::to_vec_pretty(&notes)?)
    }

    pub(super) fn notes(&self) -> Result<BTreeMap<String, String>> {
        match std::fs::read(self.dir.join(NOTES)) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(_) => Ok(BTreeMap::new()),
        }
    }

    /// Seconds that all runs took until now, those that were stopped included.
    pub(super) fn elapsed(&self) -> f64 {
        let kept = std::fs::read(self.dir.join(ELAPSED)).ok();
        let kept = kept.and_then(|bytes| serde_json::from_slice::<f64>(&bytes).ok());
        kept.filter(|seconds| seconds.is_finite()).unwrap_or(0.0)
    }

    pub(super) fn set_elapsed(&self, seconds: f64) -> Result<()> {
        write(&self.dir.join(ELAPSED), &serde_json::to_vec(&seconds)?)
    }

    /// The tables are whole: the next run starts anew.
    pub(super) fn drop_all(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.dir)?.flatten() {
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                std::fs::remove_file(path)?;
            }
        }
        // Somebody's own directory stays.
        let _ = std::fs::remove_dir(&self.dir);
        Ok(())
    }
}
