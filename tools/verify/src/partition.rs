//! A partition's segments in a row: do they make one log?
//!
//! Offsets go on without overlap and, where compaction cannot have taken some, without a gap; a
//! segment is named after its first offset; epochs do not fall, and are those of the epoch
//! checkpoint; every batch is whole.

use std::path::{Path, PathBuf};

use anyhow::Context;
use odradek_engine::log::compaction::OffsetCheckpoint;
use odradek_engine::log::epochs::Epochs;
use odradek_engine::record::{BatchInfo, OpenBatch, Rules};
use odradek_engine::types::{Epoch, Offset};

use crate::files::{Disk, Files};
use crate::index::IndexCheck;
use crate::segment::{Fault, Segment, Step, base_offset};

/// Topics that are compacted from the start.
const COMPACTED: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

/// How much is checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checks {
    /// Open every batch and check its records.
    pub records: bool,
    /// Compaction may have taken records.
    pub gaps_allowed: bool,
}

/// What was found in a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub segments: usize,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
    pub index_entries: usize,
    /// The first offset and the one after the last; none without batches.
    pub offsets: Option<(Offset, Offset)>,
    /// Zeros behind the last segment's last batch.
    pub padding: u64,
    /// The segments before the last that have zeros at their end, where Kafka expects none.
    pub padded: Vec<PathBuf>,
    pub faults: Vec<Fault>,
}

/// The partitions in a directory: itself, if there are segments in it, else its children that have
/// some, by name. Those that are being deleted are left out.
///
/// # Errors
/// The directory's.
pub fn partitions(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !segments(directory)?.is_empty() {
        return Ok(vec![directory.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in list(&Disk, directory)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let aside = ["-delete", "-future", "-stray"];
        let kept = !aside.iter().any(|ending| name.ends_with(ending));
        if kept && entry.is_dir() && !segments(&entry)?.is_empty() {
            found.push(entry);
        }
    }
    Ok(found)
}

/// The segments in a directory, by offset.
///
/// # Errors
/// The directory's.
pub fn segments(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    segments_in(&Disk, directory)
}

fn segments_in(files: &dyn Files, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = list(files, directory)?;
    found
        .retain(|path| path.extension().is_some_and(|e| e == "log") && base_offset(path).is_some());
    Ok(found)
}

fn list(files: &dyn Files, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = files.list(directory);
    listed.with_context(|| format!("cannot list {}", directory.display()))
}

/// Walks all segments of a partition. After a fault in one it goes on with the next.
///
/// # Errors
/// Files that cannot be read; what is wrong in them is in the report.
pub fn verify_partition(directory: &Path, checks: Checks) -> anyhow::Result<Report> {
    verify_partition_in(&Disk, directory, checks)
}

/// The same of files that are elsewhere.
///
/// # Errors
/// As [`verify_partition`].
pub fn verify_partition_in(
    files: &dyn Files,
    directory: &Path,
    checks: Checks,
) -> anyhow::Result<Report> {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let (topic, index) = name.rsplit_once('-').unwrap_or((&*name, ""));
    let mut walk = Walk {
        files,
        gaps_allowed: checks.gaps_allowed || COMPACTED.contains(&topic),
        gaps: gaps(files, directory, topic, index.parse().unwrap_or(-1))?,
        records: checks.records,
        next: None,
        epoch: Epoch::NONE,
        told: Epochs::default(),
        report: Report::default(),
        scratch: Vec::new(),
    };
    walk.read_epochs(&directory.join("leader-epoch-checkpoint"))?;
    let paths = segments_in(files, directory)?;
    for (index, path) in paths.iter().enumerate() {
        walk.segment(path, index + 1 == paths.len())?;
    }
    Ok(walk.report)
}

/// The offset before which compaction may have taken some, by the node's own word.
fn gaps(files: &dyn Files, directory: &Path, topic: &str, index: i32) -> anyhow::Result<Offset> {
    let bytes = read(files, &directory.join(OffsetCheckpoint::GAPS))?;
    let told = bytes.and_then(|bytes| OffsetCheckpoint::parse(&bytes, topic, index));
    Ok(told.unwrap_or(Offset(0)))
}

fn read(files: &dyn Files, path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let read = files.read(path);
    read.with_context(|| format!("cannot read {}", path.display()))
}

struct Walk<'a> {
    files: &'a dyn Files,
    gaps_allowed: bool,
    /// Before this they may be, too.
    gaps: Offset,
    records: bool,
    /// The offset that must come next; none at the start and behind a fault.
    next: Option<Offset>,
    epoch: Epoch,
    /// Which epoch wrote what, by the checkpoint; empty without one.
    told: Epochs,
    report: Report,
    scratch: Vec<u8>,
}

impl Walk<'_> {
    fn read_epochs(&mut self, path: &Path) -> anyhow::Result<()> {
        let Some(bytes) = read(self.files, path)? else {
            return Ok(());
        };
        match Epochs::from_checkpoint(&bytes) {
            Ok(epochs) => self.told = epochs,
            Err(error) => self.fault(Fault {
                path: path.to_owned(),
                position: 0,
                reason: error.to_string(),
            }),
        }
        Ok(())
    }

    fn segment(&mut self, path: &Path, last: bool) -> anyhow::Result<()> {
        let mut segment = Segment::open_in(self.files, path)?;
        let base = segment.base_offset();
        self.report.segments += 1;
        self.report.bytes += segment.length();
        if let Some(fault) = self.begins(path, base) {
            self.fault(fault);
        }
        self.next = Some(base);
        let mut index = match IndexCheck::open(self.files, path, base) {
            Ok(index) => Some(index),
            Err(fault) => {
                self.fault(fault);
                None
            }
        };
        self.report.index_entries += index.as_ref().map_or(0, IndexCheck::entries);
        let mut end = 0;
        loop {
            match segment.step()? {
                Step::Batch {
                    position,
                    info,
                    bytes,
                } => {
                    if let Some(reason) = self.batch(&info, bytes) {
                        let path = path.to_owned();
                        self.fault(Fault {
                            path,
                            position,
                            reason,
                        });
                    }
                    let fault = index
                        .as_mut()
                        .and_then(|check| check.batch(position, &info));
                    if let Some(fault) = fault {
                        self.fault(fault);
                        index = None;
                    }
                    end = position + info.size as u64;
                }
                Step::End { padding } => {
                    if let Some(fault) = index.and_then(|check| check.end(end)) {
                        self.fault(fault);
                    }
                    if last {
                        self.report.padding = padding;
                    } else if padding > 0 {
                        self.report.padded.push(path.to_owned());
                    }
                    return Ok(());
                }
                Step::Fault { fault, goes_on } => {
                    self.fault(fault);
                    self.next = None;
                    // What it points to may be the batch that is damaged.
                    index = None;
                    if !goes_on {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn begins(&self, path: &Path, base: Offset) -> Option<Fault> {
        let next = self.next?;
        let gap = self.gaps_allowed || base <= self.gaps;
        let fits = base == next || (gap && base > next);
        (!fits).then(|| Fault {
            path: path.to_owned(),
            position: 0,
            reason: format!("the segment begins at offset {base}, but {next} is next"),
        })
    }

    /// What is wrong with the batch in its place.
    fn batch(&mut self, info: &BatchInfo, bytes: &[u8]) -> Option<String> {
        let base = info.base_offset;
        let next = self.next.unwrap_or(base);
        let gap = self.gaps_allowed || info.next_offset() <= self.gaps;
        let mut wrong = None;
        if base < next || (base > next && !gap) {
            wrong = Some(format!(
                "the batch's base offset is {base}, but {next} is next"
            ));
        } else if info.leader_epoch < self.epoch {
            let (epoch, before) = (info.leader_epoch, self.epoch);
            wrong = Some(format!("the epoch falls from {before} to {epoch}"));
        } else if let Some(told) = self
            .told
            .epoch_for(base)
            .filter(|told| *told != info.leader_epoch)
        {
            let epoch = info.leader_epoch;
            wrong = Some(format!(
                "its epoch is {epoch}, and {told} in the epoch checkpoint"
            ));
        } else if self.records {
            wrong = OpenBatch::open(bytes, *info, &mut self.scratch)
                .and_then(|batch| batch.check(&Rules::LOG, false))
                .err()
                .map(|error| error.to_string());
        }
        self.next = Some(info.next_offset());
        self.epoch = self.epoch.max(info.leader_epoch);
        let report = &mut self.report;
        report.batches += 1;
        report.records += info.record_count as u64;
        let first = report.offsets.map_or(base, |(first, _)| first);
        report.offsets = Some((first, info.next_offset()));
        wrong
    }

    fn fault(&mut self, fault: Fault) {
        self.report.faults.push(fault);
    }
}
