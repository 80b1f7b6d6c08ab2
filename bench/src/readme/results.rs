//! Which results the README is made from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;

use crate::floor::outcome::{Floors, PREFIX as FLOORS};
use crate::peers::{Report, asked};
use crate::record::outcome::Outcome;
use crate::report::save::PARTIAL;

/// Begins the names of what `odradek bench peers` keeps.
const PEERS: &str = "peers-";

/// A result and the name of its page, without the directory.
pub(super) struct Found<T> {
    pub(super) name: String,
    pub(super) result: T,
}

/// The newest of each kind.
pub(super) struct Results {
    pub(super) record: Found<Outcome>,
    pub(super) floors: Option<Found<Floors>>,
    pub(super) peers: Option<Found<Report>>,
}

impl Results {
    /// Of `dir`. A record that measured fewer contests than another gives way to it, and a comparison
    /// that asked less of what is claimed; what was built with debug assertions, or only tried
    /// quickly, does not count.
    ///
    /// # Errors
    /// When there is no record.
    pub(super) fn newest(dir: &Path) -> Result<Self> {
        let names = names(dir)?;
        let kind = |prefix: &str| -> Vec<&PathBuf> {
            let of = |path: &&PathBuf| name(path).starts_with(prefix);
            names.iter().filter(of).collect()
        };
        let records = names
            .iter()
            .filter(|path| name(path).starts_with(|c: char| c.is_ascii_digit()))
            .filter_map(|path| read::<Outcome>(path))
            .filter(|found| !found.result.machine.debug_assertions);
        let measured = |found: &Found<Outcome>| {
            let contests = found.result.contests.iter();
            contests.filter(|runs| !runs.node.is_empty()).count()
        };
        Ok(Self {
            // Of equals the last: the newest.
            record: records.max_by_key(measured).with_context(|| {
                let dir = dir.display();
                format!("no result of `odradek bench record` in {dir}")
            })?,
            floors: kind(FLOORS)
                .into_iter()
                .filter_map(|path| read::<Floors>(path))
                .filter(|found| !found.result.machine.debug_assertions)
                .max_by_key(|found| {
                    let floors = found.result.floors.iter();
                    floors.filter(|floor| !floor.runs.is_empty()).count()
                }),
            peers: kind(PEERS)
                .into_iter()
                .filter_map(|path| read::<Report>(path))
                .filter(|found| !found.result.machine.debug_assertions && !found.result.quick)
                .max_by_key(|found| asked(&found.result)),
        })
    }
}

/// Whole results below `dir`, oldest first: their names begin, after their kind, with their dates.
fn names(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
            && !name(&path).ends_with(PARTIAL)
        {
            names.push(path);
        }
    }
    names.sort();
    Ok(names)
}

fn name(path: &Path) -> &str {
    path.file_stem()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

/// None where it is a result of another kind.
fn read<T: DeserializeOwned>(path: &Path) -> Option<Found<T>> {
    let bytes = std::fs::read(path).ok()?;
    Some(Found {
        name: name(path).to_owned(),
        result: serde_json::from_slice(&bytes).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_comparison_that_is_kept_can_be_read_and_shown() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        let names = names(&dir).expect("results");
        let kept: Vec<_> = names
            .iter()
            .filter(|path| name(path).starts_with(PEERS))
            .collect();
        assert!(!kept.is_empty());
        for path in kept {
            let report = Report::read(path).expect("a report");
            assert!(report.markdown().contains("\n## "), "{}", path.display());
        }
    }

    #[test]
    fn partial_results_do_not_count() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["2026-01-01-0000-a", "2026-01-02-0000-b-partial"] {
            let path = dir.path().join(format!("{name}.json"));
            let outcome = serde_json::to_vec(&Outcome::default()).expect("JSON");
            std::fs::write(path, outcome).expect("a file");
        }
        let found = Results::newest(dir.path()).expect("a whole one");
        assert_eq!(found.record.name, "2026-01-01-0000-a");
    }
}
