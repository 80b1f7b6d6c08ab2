//! What is to be said of a table's rows, below it.

use std::collections::BTreeMap;

use super::modes::MODES;
use super::row::Row;
use crate::cli::BUSY;

pub(super) fn notes(rows: &[Row<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, note) in MODES.iter().map(|mode| (mode.name, mode.note)) {
        if rows
            .iter()
            .any(|row| row.cell.mode.as_deref() == Some(name))
        {
            notes.push(format!("{name}: {note}."));
        }
    }
    if rows.iter().any(Row::read_twice) {
        notes.push(
            "(1) Faster than expected: the end of the window read again what its start had read."
                .to_owned(),
        );
    }
    let busy = |row: &Row<'_>| row.process().is_some() && row.machine().is_none();
    if rows.iter().any(busy) {
        notes.push(format!("busy: {BUSY}."));
    }
    if rows.iter().any(Row::few) {
        notes.push(
            "Where a window held fewer than 10,000 requests, p99.99 is its slowest one.".to_owned(),
        );
    }
    let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        if let Some((remark, why)) = row.remark() {
            let why = format!("{remark}: {why}");
            said.entry(why).or_default().push(row.cell.row());
        }
    }
    notes.extend(
        said.into_iter()
            .map(|(why, cells)| format!("{why} ({})", cells.join(", "))),
    );
    notes
}
