//! A row of a table: all rounds of one cell.

use super::beside;
use super::cell::{Cell, Finding, Kept, Run, State, Table};
use crate::floor::KnownFloors;
use crate::report::Latencies;

pub(super) const WRITE_COLUMNS: [&str; 14] = [
    "file system",
    "strategy",
    "durability",
    "GB/s",
    "CPU s/GB, process",
    "CPU s/GB, machine",
    "CPU s/GB, floor",
    "CPU s/GB, driver",
    "CPU µs/request, driver",
    "p50 ms",
    "p99",
    "p99.9",
    "p99.99",
    "written/byte",
];

pub(super) const READ_COLUMNS: [&str; 16] = [
    "file system",
    "strategy",
    "data",
    "GB/s",
    "CPU s/GB, process",
    "CPU s/GB, machine",
    "CPU s/GB, floor",
    "CPU s/GB, driver",
    "CPU µs/request, driver",
    "p50 ms",
    "p99",
    "p99.9",
    "p99.99",
    "written/byte",
    "read/byte",
    "writer's p50 / p99 ms",
];

/// See the module.
pub(super) struct Row<'a> {
    pub(super) cell: &'a Cell,
    findings: Vec<&'a Finding>,
}

/// Rows of a table in the order of its cells.
pub(super) fn rows(kept: &[Kept], table: Table) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for one in kept.iter().filter(|one| one.cell.table == table) {
        let name = one.cell.row();
        match rows.iter_mut().find(|row| row.cell.row() == name) {
            Some(row) => row.findings.push(&one.finding),
            None => rows.push(Row {
                cell: &one.cell,
                findings: vec![&one.finding],
            }),
        }
    }
    rows
}

impl Row<'_> {
    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.findings.iter().filter_map(|finding| match finding {
            Finding::Measured(run) => Some(&**run),
            _ => None,
        })
    }

    /// Median over the rounds that have the figure.
    fn median(&self, figure: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        median(self.runs().filter_map(figure).collect())
    }

    pub(super) fn rate(&self) -> Option<f64> {
        self.median(|run| Some(run.measurement.gb_per_s()))
    }

    /// The driver's own CPU.
    fn driver(&self) -> [Option<f64>; 2] {
        [
            self.median(|run| Some(run.measurement.driver_s_per_gb())),
            self.median(|run| Some(run.measurement.driver_us_per_request())),
        ]
    }

    pub(super) fn process(&self) -> Option<f64> {
        self.median(|run| run.measurement.process_s_per_gb())
    }

    /// None where the machine was busy with something else.
    pub(super) fn machine(&self) -> Option<f64> {
        self.median(|run| {
            let quiet = run.measurement.machine_was_quiet();
            quiet.then(|| run.measurement.machine_s_per_gb())
        })
    }

    /// What its name says, in the table's words.
    pub(super) fn strategy(&self) -> String {
        match &self.cell.mode {
            Some(mode) => format!("{}, {mode}", self.cell.strategy),
            None => self.cell.strategy.clone(),
        }
    }

    /// Why there is no figure, and whether that is a failure.
    pub(super) fn remark(&self) -> Option<(&'static str, &str)> {
        if self.runs().next().is_some() {
            return None;
        }
        self.findings.first().and_then(|finding| match finding {
            Finding::Measured(_) => None,
            Finding::Unsupported { why } => Some(("unsupported", why.as_str())),
            Finding::NotThereYet { why } => Some(("not there yet", why.as_str())),
            Finding::NotApplicable { why } => Some(("not applicable", why.as_str())),
            Finding::Failed { why } => Some(("FAILED", why.as_str())),
        })
    }

    /// Whether some of what was to be read cold was read twice.
    pub(super) fn read_twice(&self) -> bool {
        self.runs()
            .any(|run| run.passes.is_some_and(|passes| passes > 1.0))
    }

    /// Whether there was too little for its last percentile: fewer than ten thousand requests.
    pub(super) fn few(&self) -> bool {
        self.runs().any(|run| run.latencies.count < 10_000)
    }

    /// All rounds together.
    pub(super) fn latencies(&self) -> Latencies {
        Latencies::sum(self.runs().map(|run| &run.latencies))
    }

    pub(super) fn texts(&self, known: Option<&KnownFloors>) -> Vec<String> {
        let show = |value: Option<f64>, digits: usize| {
            value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let ms = |quantile: f64| show(self.median(|run| run.latencies.ms(quantile)), 2);
        let mut texts = vec![
            self.cell.file_system.clone(),
            self.strategy(),
            self.cell.how.clone(),
        ];
        let columns = match self.cell.table {
            Table::Write => WRITE_COLUMNS.len(),
            Table::Read => READ_COLUMNS.len(),
        };
        if let Some((remark, _)) = self.remark() {
            texts.push(remark.to_owned());
            texts.resize(columns, "-".to_owned());
            return texts;
        }
        let mark = if self.read_twice() { " (1)" } else { "" };
        texts.push(show(self.rate(), 3) + mark);
        texts.push(show(self.process(), 3));
        texts.push(match self.machine() {
            None => "busy".to_owned(),
            machine => show(machine, 3),
        });
        texts.push(show(beside::per_gb(self.cell, known), 3));
        let [per_gb, per_request] = self.driver();
        texts.extend([show(per_gb, 3), show(per_request, 1)]);
        texts.extend([0.5, 0.99, 0.999, 0.9999].map(ms));
        texts.push(show(
            self.median(|run| Some(run.moved?.written_per_byte())),
            2,
        ));
        if self.cell.table == Table::Read {
            texts.push(show(self.median(|run| Some(run.moved?.read_per_byte())), 2));
            texts.push(match self.cell.state() {
                Some(State::Tail) => {
                    let of = |quantile| {
                        let ms = |writer: &Latencies| writer.ms(quantile);
                        show(self.median(|run| run.writer.as_ref().and_then(ms)), 2)
                    };
                    format!("{} / {}", of(0.5), of(0.99))
                }
                _ => "-".to_owned(),
            });
        }
        texts
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => None,
        1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
