//! What a matrix found, as it is kept.
//!
//! The JSON holds everything: each cell (one scenario on one contestant in one round) with its
//! figures by name and unit, its open loops with their raw histograms and intervals
//! ([`RunResult`](crate::report::RunResult)), its closed loops, the contestants' settings and flags,
//! the state of memory before each start, and why what is partial is so. Ratios and claims are
//! computed from it, never kept. To quote: `cells[].findings.figures[]` by `name` and `unit`, the
//! median over `cells[].round` of equal `scenario`, `pinning` and `label`; only where
//! `cells[].complete` and not `quick`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Matrix, markdown, page};
use crate::contest::MemoryNow;
use crate::drive::UNPROVEN;
use crate::floor::KnownFloors;
use crate::machine::Facts;
use crate::record::Spread;
use crate::report::save;
use crate::scenario::Cell;

/// Of the JSON; raised when a field changes its meaning.
const FORMAT: u32 = 1;

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) title: String,
    /// UTC, to the minute.
    pub(crate) started: String,
    pub(crate) machine: Facts,
    /// To see that it works: its figures mean nothing.
    pub(crate) quick: bool,
    pub(crate) scale: f64,
    pub(crate) rounds: usize,
    /// Labels, in the order of the first round; ratios are of the others to the first.
    pub(crate) contestants: Vec<String>,
    /// Cores, memory, and who alternates.
    pub(crate) surroundings: Vec<String>,
    /// Of this machine, measured before; none where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) floors: Option<KnownFloors>,
    /// It was ended from outside: cells are missing.
    pub(crate) interrupted: bool,
    /// In the order in which they ran.
    pub(crate) cells: Vec<Cell>,
}

impl Report {
    pub(super) fn new(matrix: &Matrix, machine: Facts) -> Self {
        let started = jiff::Timestamp::now();
        let labels = matrix.contestants.iter();
        let surroundings = matrix.places.iter().map(|place| {
            format!(
                "{}: server on cores {:?}, driver on core {}; memory {}",
                place.pinning.name(),
                place.cores(),
                place.driver_core,
                place.memory.name()
            )
        });
        Self {
            format: FORMAT,
            title: matrix.title.clone(),
            started: started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            machine,
            quick: matrix.course.quick,
            scale: matrix.course.scale,
            rounds: matrix.rounds,
            contestants: labels.map(|one| one.label()).collect(),
            surroundings: surroundings.collect(),
            floors: None,
            interrupted: false,
            cells: Vec::new(),
        }
    }

    /// Whether every cell ran to its end.
    pub(crate) fn complete(&self) -> bool {
        self.problems().is_empty()
    }

    /// Why it is partial.
    pub(crate) fn problems(&self) -> Vec<String> {
        let interrupted = self
            .interrupted
            .then(|| "interrupted: cells are missing".to_owned());
        let of_cells = self.cells.iter().flat_map(|cell| {
            let name = move |problem: &String| {
                let (scenario, label, round) = (&cell.scenario, &cell.label, cell.round);
                format!("{scenario}, {label}, round {round}: {problem}")
            };
            cell.problems.iter().map(name)
        });
        interrupted.into_iter().chain(of_cells).collect()
    }

    /// What must be read before any figure.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.quick {
            warnings
                .push("QUICK RUN: it shows that everything works, its figures mean nothing".into());
        }
        if self.machine.debug_assertions {
            warnings.push("Built with debug assertions: not figures to keep".into());
        }
        let problems = self.problems();
        if !problems.is_empty() {
            warnings.push(format!("PARTIAL RESULT: {}", problems.join("; ")));
        }
        let claimed = self
            .cells
            .iter()
            .filter(|cell| super::headline::claims(cell));
        let mut starts = claimed.flat_map(|cell| &cell.findings.started).peekable();
        if starts.peek().is_some() && starts.all(|started| started.warmed_by.is_empty()) {
            warnings.push(
                "Servers were not warmed up: what a JVM did first was measured while it was still \
                 being compiled"
                    .into(),
            );
        }
        warnings
    }

    /// How it was run, a line each.
    pub(super) fn how(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{} rounds, contestants alternating: {}{}; durations × {}",
            self.rounds,
            self.contestants.join(", "),
            self.turned(),
            self.scale
        )];
        lines.extend(self.surroundings.iter().cloned());
        lines.extend(self.settings());
        lines.extend(self.warmed());
        lines.push(self.told_floors());
        lines.push(
            "the idle baseline is watched with the server up: what it does unasked is not counted"
                .to_owned(),
        );
        lines.push(
            "what the kernel writes back after a window is not counted in it: page cache that is \
             dirty then was cheap"
                .to_owned(),
        );
        lines.push(
            "excluded: a network (loopback only), TLS, compression, replication, other clients \
             than this driver"
                .to_owned(),
        );
        lines.push(format!("excluded: {UNPROVEN}"));
        lines
    }

    /// Whether the second round began with another contestant than the first.
    fn turned(&self) -> &'static str {
        let first = |round| self.cells.iter().find(|cell| cell.round == round);
        match (first(1), first(2)) {
            (Some(one), Some(two)) if one.label != two.label => ", every second round backwards",
            _ => "",
        }
    }

    /// What servers did before they were measured, each once.
    fn warmed(&self) -> BTreeSet<String> {
        let each = self.cells.iter().flat_map(|cell| {
            let starts = cell.findings.started.iter();
            let warmed = starts.filter(|started| !started.warmed_by.is_empty());
            warmed.map(|started| {
                format!(
                    "unmeasured, before the first load of a start and whatever the scale ({}): {}",
                    cell.scenario, started.warmed_by
                )
            })
        });
        each.collect()
    }

    /// Settings of each contestant, as it was started first, and the memory that it found.
    fn settings(&self) -> Vec<String> {
        let of = |label: &String| {
            let mut cells = self.cells.iter().filter(|cell| cell.label == *label);
            let started = cells.find_map(|cell| cell.findings.started.first());
            let settings = started.map(|started| started.settings.join(" "));
            let settings = settings.filter(|text| !text.is_empty());
            format!(
                "{label}: {}; before its starts {}",
                settings.unwrap_or("settings not known".to_owned()),
                self.memory_before(label)
            )
        };
        self.contestants.iter().map(of).collect()
    }

    fn memory_before(&self, label: &str) -> String {
        let cells = self.cells.iter().filter(|cell| cell.label == label);
        let starts = cells.flat_map(|cell| &cell.findings.started);
        let found: Vec<MemoryNow> = starts.map(|started| started.memory_before).collect();
        let span = |of: fn(&MemoryNow) -> u64| {
            let gib = found
                .iter()
                .map(|memory| of(memory) as f64 / (1u64 << 30) as f64);
            let spread = Spread::of(gib);
            spread.map_or("-".to_owned(), |spread| spread.show(1))
        };
        let (free, cached) = (span(|one| one.free_bytes), span(|one| one.cached_bytes));
        format!("{free} GiB of memory were free, {cached} GiB page cache")
    }

    /// What is to be known of a scenario's figures, each once.
    pub(super) fn notes(&self, scenario: &str) -> BTreeSet<String> {
        let cells = self.cells.iter().filter(|cell| cell.scenario == scenario);
        let notes = cells.flat_map(|cell| {
            let skipped = cell
                .findings
                .skipped
                .iter()
                .map(|what| format!("left out: {what}"));
            let all = skipped.chain(cell.findings.notes.iter().cloned());
            all.map(|note| format!("{}, {}: {note}", cell.label, cell.pinning.name()))
        });
        notes.collect()
    }

    pub(crate) fn page(&self) -> String {
        page::page(self)
    }

    pub(crate) fn markdown(&self) -> String {
        markdown::markdown(self)
    }

    /// A kept one.
    ///
    /// # Errors
    /// When it cannot be read, or is no such report.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{}: no report", path.display()))
    }

    /// As it is kept: latencies to so many significant digits, the driver's own lateness to one.
    fn coarse(&self, digits: u8) -> Self {
        let mut report = self.clone();
        for findings in report.cells.iter_mut().map(|cell| &mut cell.findings) {
            for run in &mut findings.runs {
                run.produce_ack = run.produce_ack.coarse(digits);
                run.end_to_end = run.end_to_end.coarse(digits);
                run.driver_lateness = run.driver_lateness.coarse(1);
            }
            for run in &mut findings.measurements {
                *run = run.coarse(digits);
            }
        }
        report
    }

    /// Writes JSON, page and markdown into `dir`, named by kind, date and commit. Returns the
    /// JSON's path.
    ///
    /// # Errors
    /// When one cannot be written whole.
    pub(crate) fn keep(&self, dir: &Path, kind: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let date = self.started.replace(" UTC", "").replace(':', "");
        let commit = self.machine.commit.get(..10).unwrap_or("unknown");
        let part = if self.complete() { "" } else { "-partial" };
        let name = format!("{kind}-{}-{commit}{part}.json", date.replace(' ', "-"));
        let path = dir.join(name);
        let json = save::bounded(|digits| Ok(serde_json::to_vec(&self.coarse(digits))?))?;
        save::write(&path, &json)?;
        save::write(&path.with_extension("html"), self.page().as_bytes())?;
        save::write(&path.with_extension("md"), self.markdown().as_bytes())?;
        Ok(path)
    }
}
