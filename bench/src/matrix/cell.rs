//! One cell: which there are, and what one finds.

use odradek_engine::io::strategy::read::ReadStrategy;
use odradek_engine::io::strategy::write::{Durability, WriteStrategy};
use serde::{Deserialize, Serialize};

use super::Terms;
use super::disk::Moved;
use super::modes::MODES;
use crate::measurement::Measurement;
use crate::report::Latencies;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Table {
    Write,
    Read,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Table::Write => "write",
            Table::Read => "read",
        }
    }
}

/// Nobody waits for the disk.
pub(super) const NOT_DURABLE: &str = "not-durable";

/// Where what is read lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Written last: in the tail's memory, while somebody goes on writing behind it.
    Tail,
    /// In page cache, in closed segments.
    Resident,
    /// On disk alone.
    Cold,
}

impl State {
    pub(super) const ALL: [State; 3] = [State::Tail, State::Resident, State::Cold];

    pub(super) fn name(self) -> &'static str {
        match self {
            State::Tail => "tail",
            State::Resident => "resident",
            State::Cold => "cold",
        }
    }
}

/// What a cell is, in words that name its file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) table: Table,
    /// A value of `log.write.strategy` or `log.read.strategy`.
    pub(super) strategy: String,
    /// Of writes: [`NOT_DURABLE`], or a value of `log.durable.method`. Of reads: a [`State`].
    pub(super) how: String,
    pub(super) file_system: String,
    /// The node set up otherwise: a name of [`MODES`].
    pub(super) mode: Option<String>,
    /// From 1 on.
    pub(super) round: usize,
}

impl Cell {
    /// All but the round.
    pub(super) fn row(&self) -> String {
        let Cell {
            strategy,
            how,
            file_system,
            ..
        } = self;
        let mode = self.mode.as_deref();
        let mode = mode.map_or(String::new(), |mode| format!("-{mode}"));
        format!("{}-{strategy}-{how}-{file_system}{mode}", self.table.name())
    }

    pub(super) fn name(&self) -> String {
        format!("{}.{}", self.row(), self.round)
    }

    pub(super) fn state(&self) -> Option<State> {
        State::ALL
            .into_iter()
            .find(|state| state.name() == self.how)
    }

    pub(super) fn read_strategy(&self) -> Option<ReadStrategy> {
        ReadStrategy::from_name(&self.strategy)
    }

    /// Why it would show nothing, if so.
    pub(super) fn not_applicable(&self) -> Option<&'static str> {
        let strategy = self.read_strategy().filter(|_| self.table == Table::Read)?;
        let outside = self.state() != Some(State::Tail);
        (outside && !strategy.uses_files())
            .then_some("what memory does not hold has to be read first: that is the row `read`")
    }
}

/// All cells on one file system. `modes`: with those of the node set up otherwise.
pub(super) fn all(file_system: &str, modes: bool, rounds: usize) -> Vec<Cell> {
    let mut cells = Vec::new();
    for round in 1..=rounds {
        let mut cell = |table, strategy: &str, how: &str, mode: Option<&str>| {
            cells.push(Cell {
                table,
                strategy: strategy.to_owned(),
                how: how.to_owned(),
                file_system: file_system.to_owned(),
                mode: mode.map(str::to_owned),
                round,
            });
        };
        for strategy in WriteStrategy::NAMES {
            cell(Table::Write, strategy, NOT_DURABLE, None);
            let methods = Durability::ALL
                .iter()
                .filter(|one| **one != Durability::Auto);
            for method in methods {
                cell(Table::Write, strategy, method.name(), None);
            }
        }
        for mode in MODES.iter().filter(|_| modes) {
            let (write, method) = (WriteStrategy::Direct.name(), Durability::Dsync.name());
            cell(Table::Write, write, method, Some(mode.name));
        }
        for strategy in ReadStrategy::NAMES {
            for state in State::ALL {
                cell(Table::Read, strategy, state.name(), None);
            }
        }
        for mode in MODES.iter().filter(|_| modes) {
            let (read, state) = (ReadStrategy::Auto.name(), State::Tail.name());
            cell(Table::Read, read, state, Some(mode.name));
        }
    }
    cells
}

/// What a cell found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub(super) enum Finding {
    Measured(Box<Run>),
    /// The file system, or the system, refuses it.
    Unsupported {
        why: String,
    },
    /// The node does not have it yet.
    NotThereYet {
        why: String,
    },
    /// It would show what another cell shows.
    NotApplicable {
        why: String,
    },
    /// Tried again by the next run.
    Failed {
        why: String,
    },
}

/// One run of the node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) measurement: Measurement,
    /// Of the requests of a saturated closed loop.
    pub(super) latencies: Latencies,
    /// Between the device and the node, from before the run until all of it was on disk.
    pub(super) moved: Option<Moved>,
    /// Of reads of a tail: of the writer's requests meanwhile.
    pub(super) writer: Option<Latencies>,
    /// How often a cold range was read: what is above 1 was not cold.
    pub(super) passes: Option<f64>,
    /// Of the node.
    pub(super) settings: Vec<String>,
}

/// A kept result does not tell where on this machine the data was.
fn without_paths(why: &str) -> String {
    let words = why.split(' ').map(|word| match word.starts_with('/') {
        true => "the data directory",
        false => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Finding {
    /// A start that failed says by its words what that means.
    pub(super) fn of_failure(error: &anyhow::Error, cell: &Cell) -> Self {
        // A node that ended says why in its last line.
        let why = format!("{error:#}");
        let why = without_paths(why.rsplit(" | ").next().unwrap_or_default());
        let refusals = [
            "refuses writes of log.write.strategy",
            super::cache::NEVER_COLD,
        ];
        if refusals.iter().any(|refusal| why.contains(refusal)) {
            return Finding::Unsupported { why };
        }
        let modes = MODES
            .iter()
            .filter(|mode| cell.mode.as_deref() == Some(mode.name));
        match modes
            .flat_map(|mode| mode.settings)
            .any(|(name, _)| why.contains(name))
        {
            true => Finding::NotThereYet { why },
            false => Finding::Failed { why },
        }
    }

    pub(super) fn in_short(&self) -> String {
        match self {
            Finding::Measured(run) => {
                let run = &run.measurement;
                format!(
                    "{:.2} GB/s, {:.3} s/GB",
                    run.gb_per_s(),
                    run.machine_s_per_gb()
                )
            }
            Finding::Unsupported { .. } => "unsupported".to_owned(),
            Finding::NotThereYet { .. } => "not there yet".to_owned(),
            Finding::NotApplicable { .. } => "not applicable".to_owned(),
            Finding::Failed { why } => format!("FAILED: {why}"),
        }
    }
}

/// A cell as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) cell: Cell,
    pub(super) terms: Terms,
    /// UTC.
    pub(super) when: String,
    pub(super) finding: Finding,
}

impl Kept {
    pub(super) fn new(cell: &Cell, terms: &Terms, finding: Finding) -> Self {
        Kept {
            cell: cell.clone(),
            terms: terms.clone(),
            when: jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string(),
            finding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_of_the_engine_has_its_cells() {
        let cells = all("ext4", true, 2);
        let of = |table, strategy: &str| {
            let cells = cells.iter().filter(|cell| cell.mode.is_none());
            cells
                .filter(|cell| cell.table == table && cell.strategy == strategy)
                .count()
        };
        for strategy in WriteStrategy::NAMES {
            assert_eq!(of(Table::Write, strategy), 2 * Durability::ALL.len());
        }
        for strategy in ReadStrategy::NAMES {
            assert_eq!(of(Table::Read, strategy), 2 * 3);
        }
        let mut names: Vec<String> = cells.iter().map(Cell::name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), cells.len(), "each has a name of its own");
    }

    #[test]
    fn a_refusal_names_no_path() {
        let why = "the file system of /tmp/x/data refuses writes";
        let told = "the file system of the data directory refuses writes";
        assert_eq!(without_paths(why), told);
    }
}
