//! Whether `odradek log verify` names the place where a segment was damaged.

use std::path::Path;

use odradek_engine::types::Offset;
use odradek_verify::{Checks, Fault, Segment, Step, base_offset, verify_partition_in};

use crate::damage::{Damage, Tree};

/// What is said of damage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A fault at or before it, or where the log would have to go on behind it.
    Named(String),
    /// No record is touched: it lies behind the last batch.
    Harmless,
    /// What is there is what was there at an earlier time: the same log, with an earlier end.
    Shorter,
    /// Kafka's format cannot tell: of a compacted log, whose offsets may be missing, or of another
    /// log's batch that fits where it lies.
    Excepted,
    /// Nothing, and it should be.
    Silent,
}

/// Judges damage to a segment; see the module.
pub fn verify(before: &Tree, damage: &Damage, compacted: bool) -> Verdict {
    let was = &before[&damage.path];
    let Some(first) = damage.first(was) else {
        return Verdict::Harmless;
    };
    let path = Path::new(&damage.path);
    let directory = path.parent().expect("inside a directory");
    let base = base_offset(path).expect("a segment");
    let after = damage.done_to(before);
    let is = &after[&damage.path];
    let known = faults(before, directory);
    let segments = after.keys().map(Path::new);
    let later = segments
        .filter(|other| other.parent() == Some(directory) && other.extension() == path.extension());
    let following = later
        .filter_map(base_offset)
        .filter(|other| *other > base)
        .min();
    let names = |fault: &&Fault| match base_offset(&fault.path) {
        // The epochs'.
        None => !known.contains(fault),
        Some(of) if fault.path.extension() == path.extension() => {
            let after_it = Some(of) == following && fault.position == 0;
            (of, fault.position) <= (base, first as u64) || after_it
        }
        Some(of) => of <= base && !known.contains(fault),
    };
    let faults = faults(&after, directory);
    if let Some(fault) = faults.iter().find(names) {
        return Verdict::Named(fault.to_string());
    }
    let (end_before, end) = (batches(before, path), batches(&after, path));
    let whole = |end: &(usize, bool)| end.1;
    if first >= end_before.0 {
        return Verdict::Harmless;
    }
    if whole(&end) && is[..end.0] == was[..end.0] {
        return Verdict::Shorter;
    }
    let fits = end.0 > first;
    match damage.foreign && fits || compacted {
        true => Verdict::Excepted,
        false => Verdict::Silent,
    }
}

/// Whether the batch that holds the first byte that is changed is a right one by itself: nothing of
/// the log tells that it is another's, or that its offset is.
pub fn could_be_right(before: &Tree, damage: &Damage) -> bool {
    let Some(first) = damage.first(&before[&damage.path]) else {
        return true;
    };
    let after = damage.done_to(before);
    batches(&after, Path::new(&damage.path)).0 > first
}

fn faults(files: &Tree, directory: &Path) -> Vec<Fault> {
    let checks = Checks::default();
    let report = verify_partition_in(files, directory, checks).expect("the files are there");
    report.faults
}

/// Where a segment's batches end, and whether nothing but zeros is behind them.
fn batches(files: &Tree, path: &Path) -> (usize, bool) {
    let mut segment = Segment::open_in(files, path).expect("the file is there");
    let mut end = 0;
    loop {
        match segment.step().expect("the file is there") {
            Step::Batch { position, info, .. } => end = position as usize + info.size,
            Step::End { .. } => return (end, true),
            Step::Fault { .. } => return (end, false),
        }
    }
}

/// Whether what the node said at a start names this partition at or before a place: a segment, and a
/// byte of it.
pub fn names(said: &str, partition: &str, base: Offset, first: u64) -> bool {
    let number = |behind: &str| {
        let rest = said.split(behind).nth(1)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    };
    if !said.contains(&format!("partition={partition}: ")) {
        return false;
    }
    match (number("of segment "), number(", position ")) {
        (Some(segment), Some(position)) => (segment as i64, position) <= (base.0, first),
        // It tells of the offset at which the log ends.
        _ => said.contains("offset"),
    }
}
