//! The two tables: as text, as JSON with all that was kept, and as a page.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Terms;
use super::cell::{Cell, Finding, Kept, Table};
use super::notes::notes;
use super::pictures::pictures;
use super::row::{READ_COLUMNS, Row, WRITE_COLUMNS, rows};
use crate::drive::UNPROVEN;
use crate::floor::KnownFloors;
use crate::machine::Facts;
use crate::measurement::markdown;
use crate::report::grid::{Grid, Section, page};
use crate::report::save::write;

/// How it was asked for, and how long it took.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Took {
    /// Shorter windows and one round (`--quick`).
    pub(super) quick: bool,
    /// Wall clock of all runs that it took, seconds; 0 where that was not kept.
    pub(super) elapsed_s: f64,
    /// Whether these were several.
    pub(super) resumed: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Outcome {
    format: u32,
    /// UTC.
    written: String,
    machine: Facts,
    terms: Terms,
    #[serde(flatten)]
    took: Took,
    connections: usize,
    in_flight: usize,
    file_systems: BTreeMap<String, String>,
    /// Of this machine, measured before; none where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floors: Option<KnownFloors>,
    /// Cells that were asked for and are not there.
    missing: Vec<String>,
    cells: Vec<Kept>,
}

impl Outcome {
    pub(super) fn new(
        machine: Facts,
        terms: Terms,
        took: Took,
        (file_systems, cells): (BTreeMap<String, String>, Vec<Kept>),
        wanted: &[Cell],
    ) -> Self {
        let there = |cell: &&Cell| cells.iter().all(|kept| kept.cell != **cell);
        Self {
            format: 1,
            written: jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M")
                .to_string(),
            machine,
            terms,
            took,
            connections: super::CONNECTIONS,
            in_flight: super::IN_FLIGHT,
            file_systems,
            floors: None,
            missing: wanted.iter().filter(there).map(Cell::name).collect(),
            cells,
        }
    }

    /// Puts the newest known floors of its machine beside it, where it has none.
    pub(crate) fn put_floors(&mut self, dir: &Path) {
        if self.floors.is_none() {
            self.floors = KnownFloors::newest(dir, &self.machine);
        }
    }

    pub(super) fn failed(&self) -> Vec<String> {
        let failed = |kept: &&Kept| matches!(kept.finding, Finding::Failed { .. });
        self.cells
            .iter()
            .filter(failed)
            .map(|kept| kept.cell.name())
            .collect()
    }

    pub(super) fn show(&self) {
        println!("{}", self.markdown());
    }

    fn sections(&self) -> [(Table, &'static str, &'static [&'static str]); 2] {
        [
            (Table::Write, "Write", &WRITE_COLUMNS),
            (Table::Read, "Read", &READ_COLUMNS),
        ]
    }

    fn markdown(&self) -> String {
        let mut text = format!("# I/O matrix, {} UTC\n\n", self.written);
        for line in self.about() {
            text.push_str(&format!("{line}\n\n"));
        }
        for (table, title, columns) in self.sections() {
            let rows = rows(&self.cells, table);
            if rows.is_empty() {
                continue;
            }
            let texts: Vec<Vec<String>> = self.texts(&rows);
            text.push_str(&format!("## {title}\n\n{}\n", markdown(columns, &texts)));
            for note in notes(&rows) {
                text.push_str(&format!("{note}\n\n"));
            }
        }
        text
    }

    fn texts(&self, rows: &[Row<'_>]) -> Vec<Vec<String>> {
        let known = self.floors.as_ref();
        rows.iter().map(|row| row.texts(known)).collect()
    }

    /// What holds for both tables.
    fn about(&self) -> Vec<String> {
        let Facts {
            cpu_model,
            cores,
            memory_gib,
            kernel,
            distribution,
            ..
        } = &self.machine;
        let terms = &self.terms;
        let commit = terms.commit.get(..10).unwrap_or("unknown");
        let modified = if terms.modified { ", with changes" } else { "" };
        let build = match self.machine.debug_assertions {
            true => ", built with debug assertions: not figures to keep",
            false => "",
        };
        let kind = if self.machine.hypervisor {
            "virtual"
        } else {
            "bare"
        };
        let mut about = vec![format!(
            "{cpu_model}, {cores} cores ({kind}), {memory_gib} GiB; Linux {kernel}, \
             {distribution}; commit {commit}{modified}{build}."
        )];
        about.extend(
            self.file_systems
                .iter()
                .map(|(name, what)| format!("{name}: {what}.")),
        );
        about.push(format!(
            "Closed loop: {} connection, {} requests of 1 MiB in flight, records of 1 KiB, one \
             partition; windows of {} s after {} s of warm-up, server on core {}, driver on core \
             {}. Latencies are those of a saturated server. CPU of the node's process, and of the \
             whole machine less its idle baseline and the driver; the machine's share of a loop \
             device's thread is in the second. Settings of the node beside a row's own: {}.",
            self.connections,
            self.in_flight,
            terms.seconds,
            terms.warmup_seconds,
            terms.server_core,
            terms.driver_core,
            match terms.settings.as_slice() {
                [] => "none".to_owned(),
                settings => settings.join(", "),
            }
        ));
        let Took {
            quick,
            elapsed_s,
            resumed,
        } = self.took;
        if elapsed_s > 0.0 {
            about.push(format!(
                "{} run, {:.1} minutes of wall clock{}.",
                if quick { "Quick (--quick)" } else { "Full" },
                elapsed_s / 60.0,
                if resumed { " in several parts" } else { "" }
            ));
        }
        about.push(
            "Not durable: acks=1 and no flush by the node. Durable: acks=all. written/byte: bytes \
             that the device wrote, until all of it was there, per byte that the node took (or \
             sent). Tail: the last written range, again and again, while a slow writer (16 KiB \
             every 10 ms, acks=all) goes on and one fetch in so many reads what it has just added; \
             `memory`, `auto` and `send-zc` send it from memory, the others out of its file. \
             Resident: closed segments in page cache. Cold: one pass over closed segments that no \
             cache held before."
                .to_owned(),
        );
        if !self.missing.is_empty() {
            about.push(format!(
                "PARTIAL: {} cells are not there: {}, ...",
                self.missing.len(),
                self.missing[..self.missing.len().min(3)].join(", ")
            ));
        }
        about.push(
            "Excluded: a network (loopback only), small records, TLS, compression.".to_owned(),
        );
        about.push(format!("Excluded, too: {UNPROVEN}."));
        about.push(match &self.floors {
            Some(floors) => format!(
                "Floor: the whole machine's CPU of the cheapest program that does what the row does, \
                 measured on {}: {}. What becomes durable, in whichever way, stands beside a direct \
                 write with DSYNC. Latencies: of one small request after the other.",
                floors.file_system(),
                floors.told()
            ),
            None => "No floors are drawn: there is no result of `odradek bench floor` of this CPU."
                .to_owned(),
        });
        about
    }

    pub(crate) fn html(&self) -> String {
        let mut sections = Vec::new();
        for (table, title, columns) in self.sections() {
            let rows = rows(&self.cells, table);
            if rows.is_empty() {
                continue;
            }
            sections.push(Section {
                title: title.to_owned(),
                pictures: pictures(&rows, self.floors.as_ref()),
                grid: Grid {
                    columns: columns.iter().map(|column| (*column).to_owned()).collect(),
                    rows: self.texts(&rows),
                },
                notes: notes(&rows),
            });
        }
        page(
            "I/O matrix",
            &format!("{} UTC", self.written),
            &self.about(),
            &sections,
        )
    }

    /// Writes JSON, markdown and page, named by date and commit. Returns the page's path.
    pub(super) fn write(&self, dir: &Path) -> Result<PathBuf> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let date = self.written.replace(':', "").replace(' ', "-");
        let commit = self.terms.commit.get(..10).unwrap_or("unknown");
        let partial = match self.missing.is_empty() && self.failed().is_empty() {
            true => "",
            false => "-partial",
        };
        let json = dir.join(format!("{date}-matrix-{commit}{partial}.json"));
        write(&json, &serde_json::to_vec_pretty(self)?)?;
        write(&json.with_extension("md"), self.markdown().as_bytes())?;
        let page = json.with_extension("html");
        write(&page, self.html().as_bytes())?;
        Ok(page)
    }
}
