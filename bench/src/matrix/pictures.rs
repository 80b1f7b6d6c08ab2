//! The rows of a table as plots: their CPU, and their latencies by percentile.

use super::beside;
use super::row::Row;
use crate::floor::KnownFloors;
use crate::report::Latencies;
use crate::report::html::{Split, latency_chart};
use crate::report::plot::{Bar, bars, escape};

/// Colours of strategies in their order.
const CLASSES: [&str; 7] = ["one", "two", "three", "four", "five", "six", "quiet"];

pub(super) fn pictures(rows: &[Row<'_>], known: Option<&KnownFloors>) -> String {
    cpu(rows, known) + &percentiles(rows, known)
}

/// CPU per GB, one picture for each file system, the floor marked in each bar.
fn cpu(rows: &[Row<'_>], known: Option<&KnownFloors>) -> String {
    const UNIT: &str = "CPU seconds per GB";
    let mut pictures: Vec<(String, Vec<Bar<'_>>)> = Vec::new();
    for row in rows {
        let (Some(process), Some(machine)) = (row.process(), row.machine()) else {
            continue;
        };
        let title = format!("{UNIT}, {}", row.cell.file_system);
        let name = format!("{}, {}", row.strategy(), row.cell.how);
        let mut bar = Split::server(process, machine).bar(&name, 1.0);
        bar.floor = beside::per_gb(row.cell, known);
        match pictures.iter_mut().find(|(other, _)| *other == title) {
            Some((_, all)) => all.push(bar),
            None => pictures.push((title, vec![bar])),
        }
    }
    let shown = pictures.iter().map(|(title, all)| {
        let title = escape(title);
        format!("<h3>{title}</h3>\n{}", bars(&title, UNIT, all))
    });
    shown.collect()
}

/// What stands in one plot: strategies beside each other, or ways to set the node up.
struct Group<'a> {
    title: String,
    rows: Vec<&'a Row<'a>>,
}

fn groups<'a>(rows: &'a [Row<'a>]) -> Vec<Group<'a>> {
    let of = |row: &Row<'_>| format!("{}, {}", row.cell.file_system, row.cell.how);
    let mut all: Vec<(String, &Row<'_>)> = Vec::new();
    for row in rows.iter().filter(|row| row.cell.mode.is_none()) {
        all.push((of(row), row));
    }
    // A mode stands beside the plain row of its strategy.
    for moded in rows.iter().filter(|row| row.cell.mode.is_some()) {
        let strategy = &moded.cell.strategy;
        let title = format!("{}, {strategy}: the node set up otherwise", of(moded));
        let plain = |row: &&Row<'_>| {
            let cell = row.cell;
            cell.mode.is_none() && cell.strategy == *strategy && of(row) == of(moded)
        };
        if all.iter().all(|(other, _)| *other != title) {
            all.extend(rows.iter().find(plain).map(|row| (title.clone(), row)));
        }
        all.push((title, moded));
    }
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (title, row) in all {
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group {
                title,
                rows: vec![row],
            }),
        }
    }
    groups
}

/// All rounds of each row together.
fn percentiles(rows: &[Row<'_>], known: Option<&KnownFloors>) -> String {
    let mut text = String::new();
    for group in groups(rows) {
        let of: Vec<Latencies> = group.rows.iter().map(|row| row.latencies()).collect();
        let lines = group.rows.iter().zip(&of).enumerate();
        let lines = lines.map(|(at, (row, of))| {
            let class = CLASSES[at.min(CLASSES.len() - 1)];
            (row.strategy(), class, of)
        });
        let lines: Vec<_> = lines.collect();
        let floors = beside::latencies(group.rows[0].cell, known);
        let x_name = "percentile of requests, closed loop: of a saturated server";
        let chart = latency_chart(&group.title, x_name, &lines, floors);
        if !chart.is_empty() {
            let title = escape(&group.title);
            text.push_str(&format!("<h4>{title}</h4>\n{chart}"));
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("<h3>Latency by percentile</h3>\n{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::cell::{Finding, Kept, Run, Table, all};
    use crate::matrix::row::rows;
    use crate::matrix::test_terms;
    use crate::measurement::{Cost, Measurement};

    fn measured(name: &str, machine_cpu_s: f64) -> Measurement {
        Measurement {
            name: name.to_owned(),
            bytes: 1_000_000_000,
            requests: 100,
            cost: Cost {
                seconds: 1.0,
                process_cpu_s: Some(machine_cpu_s / 2.0),
                machine_cpu_s,
                machine_busy_s: machine_cpu_s,
                idle_baseline_s: 0.0,
                driver_cpu_s: 0.1,
                steal_s: 0.0,
            },
            latency: None,
            memory: None,
        }
    }

    #[test]
    fn cells_are_drawn_beside_their_floors() {
        let kept = |cell| {
            let run = Run {
                measurement: measured("a cell", 0.4),
                latencies: Latencies {
                    count: 100,
                    mean_ns: 2e6,
                    max_ns: 3_000_000,
                    values: vec![(2_000_000, 99), (3_000_000, 1)],
                },
                moved: None,
                writer: None,
                passes: None,
                settings: Vec::new(),
            };
            Kept::new(&cell, &test_terms(), Finding::Measured(Box::new(run)))
        };
        let kept: Vec<Kept> = all("ext4", true, 1).into_iter().map(kept).collect();
        let rows = rows(&kept, Table::Write);
        let known = KnownFloors {
            runs: vec![measured("floor: recv + crc + direct write, DSYNC", 0.3)],
            ..KnownFloors::default()
        };
        let text = pictures(&rows, Some(&known));
        let durable = rows.iter().filter(|row| row.cell.how != "not-durable");
        let marks = text.matches(", floor 0.3</text>").count();
        assert_eq!(marks, durable.count());
        // One for each durability, one of the ways to set the node up.
        assert_eq!(text.matches("<h4>").count(), 4 + 1, "{text}");
        let moded = text.split("<h4>").last().expect("the last plot");
        assert_eq!(moded.matches("polyline").count(), 1 + 3, "{moded}");
        let without = pictures(&rows, None);
        assert!(!without.contains("floor"), "{without}");
    }
}
