//! The cheapest program that does what a cell does.

use super::cell::{Cell, NOT_DURABLE, State, Table};
use crate::floor::{Kind, KnownFloors};
use crate::report::floors::over_percentiles;
use crate::report::plot::Series;

/// Which it is. What becomes durable, in whichever way, stands beside a direct write that is
/// durable when it completes.
pub(super) fn kind(cell: &Cell) -> Kind {
    let strategy = cell.strategy.as_str();
    match (cell.table, cell.state()) {
        (Table::Write, _) if cell.how != NOT_DURABLE => Kind::StoreDurable,
        (Table::Write, _) if strategy.starts_with("buffered") => Kind::StoreBuffered,
        (Table::Write, _) => Kind::Store,
        (Table::Read, Some(State::Cold)) => Kind::Cold,
        (Table::Read, state) => match (strategy, state) {
            ("auto" | "memory", Some(State::Tail)) => Kind::Send,
            ("send-zc", Some(State::Tail)) => Kind::SendZc,
            ("auto" | "sendfile", _) => Kind::Sendfile,
            ("splice", _) => Kind::Splice,
            ("direct", _) => Kind::Cold,
            _ => Kind::ReadSend,
        },
    }
}

/// Its CPU seconds per GB, of the whole machine.
pub(super) fn per_gb(cell: &Cell, known: Option<&KnownFloors>) -> Option<f64> {
    Some(known?.find(kind(cell))?.machine_s_per_gb())
}

/// What a reply takes at least: a round trip and, where it waits for the disk, a durable write.
pub(super) fn latencies(cell: &Cell, known: Option<&KnownFloors>) -> Vec<Series> {
    let durable = cell.table == Table::Write && cell.how != NOT_DURABLE;
    let disk = durable.then_some(Kind::DurableOver);
    let kinds = [Kind::PingPong].into_iter().chain(disk);
    let found = kinds.filter_map(|kind| known?.find(kind).cloned());
    over_percentiles(&found.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::cell::all;

    #[test]
    fn each_cell_stands_beside_what_does_the_same() {
        let cells = all("ext4", true, 1);
        let of = |row: &str| {
            let cell = cells.iter().find(|cell| cell.row() == row);
            kind(cell.unwrap_or_else(|| panic!("no {row}")))
        };
        for (row, wanted) in [
            ("write-buffered-not-durable-ext4", Kind::StoreBuffered),
            ("write-direct-not-durable-ext4", Kind::Store),
            ("write-buffered-fdatasync-ext4", Kind::StoreDurable),
            ("write-direct-dsync-ext4-node-mode", Kind::StoreDurable),
            ("read-auto-tail-ext4", Kind::Send),
            ("read-auto-resident-ext4", Kind::Sendfile),
            ("read-auto-cold-ext4", Kind::Cold),
            ("read-send-zc-tail-ext4", Kind::SendZc),
            ("read-send-zc-resident-ext4", Kind::ReadSend),
            ("read-splice-resident-ext4", Kind::Splice),
        ] {
            assert_eq!(of(row), wanted, "{row}");
        }
        let reads = cells.iter().filter(|cell| cell.table == Table::Read);
        assert!(reads.map(kind).all(|kind| kind != Kind::Store));
        assert_eq!(per_gb(&cells[0], None), None);
        assert!(latencies(&cells[0], None).is_empty());
    }
}
