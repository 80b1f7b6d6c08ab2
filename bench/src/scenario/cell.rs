//! One scenario run on one contestant, as it is kept.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Course, Findings, Scenario, Stage};
use crate::contest::{Contestant, MemoryState, Pinning, Place};
use crate::machine::free_bytes;
use crate::report::save;

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) scenario: String,
    pub(crate) label: String,
    pub(crate) contestant: Contestant,
    pub(crate) pinning: Pinning,
    pub(crate) memory: MemoryState,
    /// From 1.
    pub(crate) round: usize,
    /// UTC, to the second.
    pub(crate) started: String,
    pub(crate) seconds: f64,
    /// False: it ended early; its findings are those until then.
    pub(crate) complete: bool,
    /// Why it is partial.
    pub(crate) problems: Vec<String>,
    pub(crate) findings: Findings,
}

/// Runs a scenario. What fails makes the cell partial.
pub(crate) fn run(
    scenario: &Scenario,
    contestant: &Contestant,
    place: &Place,
    course: Course,
    round: usize,
    interrupt: &Arc<AtomicBool>,
) -> Cell {
    let started = jiff::Timestamp::now();
    let began = Instant::now();
    let mut stage = Stage {
        contestant,
        place,
        course,
        findings: Findings::default(),
        interrupt: interrupt.clone(),
    };
    let done = (scenario.run)(&mut stage);
    let problems: Vec<String> = done
        .err()
        .iter()
        .map(|error| format!("{error:#}{}", full_disk(&place.parent)))
        .collect();
    for problem in &problems {
        eprintln!("  {} is partial: {problem}", scenario.name);
    }
    Cell {
        scenario: scenario.name.to_owned(),
        label: contestant.label(),
        contestant: contestant.clone(),
        pinning: place.pinning,
        memory: place.memory,
        round,
        started: started.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        seconds: began.elapsed().as_secs_f64(),
        complete: problems.is_empty(),
        problems,
        findings: stage.findings,
    }
}

/// What a server's error may not say.
fn full_disk(dir: &Path) -> String {
    const FREE_BYTES_MIN: u64 = 64 << 20;
    match free_bytes(dir) {
        Ok(free) if free < FREE_BYTES_MIN => {
            let mib = free >> 20;
            format!(
                " (the disk is full: {mib} MiB are free for {})",
                dir.display()
            )
        }
        _ => String::new(),
    }
}

impl Cell {
    pub(crate) fn keep(&self, path: &Path) -> Result<()> {
        save::write(path, &serde_json::to_vec(self)?)
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
    }
}
