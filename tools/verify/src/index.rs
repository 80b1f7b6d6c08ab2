//! Offset and time indexes: their entries, and whether they lead to where they should.
//!
//! Checked is what a lookup relies on. An offset entry's position is the start of a batch that
//! does not begin beyond the entry's offset, so that a scan from there finds the offset. Before a
//! time entry's offset no batch has a later time than the entry, so that nothing is skipped.
//!
//! Source: Kafka `OffsetIndex`, `TimeIndex`. Files that are being written end with zeros.

use std::path::{Path, PathBuf};

use anyhow::Context;
use odradek_engine::record::BatchInfo;
use odradek_engine::types::{Offset, Timestamp};

use crate::files::Files;
use crate::segment::Fault;

/// An entry of a `.index` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetEntry {
    pub offset: Offset,
    pub position: u64,
}

/// An entry of a `.timeindex` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeEntry {
    pub timestamp: Timestamp,
    pub offset: Offset,
}

const OFFSET_ENTRY_BYTES: usize = 8;
const TIME_ENTRY_BYTES: usize = 12;

/// The entries of a `.index` file, without the zeros at its end.
///
/// # Errors
/// The file's; a length that no entries add up to.
pub fn offset_entries(
    files: &dyn Files,
    path: &Path,
    base: Offset,
) -> anyhow::Result<Vec<OffsetEntry>> {
    let bytes = read(files, path)?;
    let entries = entries::<OFFSET_ENTRY_BYTES>(path, &bytes)?;
    let entry = |bytes: &[u8; OFFSET_ENTRY_BYTES]| {
        let [o0, o1, o2, o3, p0, p1, p2, p3] = *bytes;
        OffsetEntry {
            offset: relative(base, [o0, o1, o2, o3]),
            position: u64::from(u32::from_be_bytes([p0, p1, p2, p3])),
        }
    };
    Ok(entries.iter().map(entry).collect())
}

/// The entries of a `.timeindex` file, without the zeros at its end.
///
/// # Errors
/// As [`offset_entries`].
pub fn time_entries(
    files: &dyn Files,
    path: &Path,
    base: Offset,
) -> anyhow::Result<Vec<TimeEntry>> {
    let bytes = read(files, path)?;
    let entries = entries::<TIME_ENTRY_BYTES>(path, &bytes)?;
    let entry = |bytes: &[u8; TIME_ENTRY_BYTES]| {
        let (time, offset) = bytes.split_at(8);
        TimeEntry {
            timestamp: Timestamp(i64::from_be_bytes(time.try_into().expect("8 bytes"))),
            offset: relative(base, offset.try_into().expect("4 bytes")),
        }
    };
    Ok(entries.iter().map(entry).collect())
}

fn relative(base: Offset, bytes: [u8; 4]) -> Offset {
    Offset(base.0.saturating_add(i64::from(u32::from_be_bytes(bytes))))
}

fn read(files: &dyn Files, path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let read = files.read(path).with_context(cannot)?;
    read.with_context(|| format!("{} is not there", path.display()))
}

fn entries<'a, const N: usize>(path: &Path, bytes: &'a [u8]) -> anyhow::Result<&'a [[u8; N]]> {
    let (entries, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        anyhow::bail!(
            "{}: {} bytes are no multiple of an entry's {N}",
            path.display(),
            bytes.len()
        );
    }
    let used = entries.iter().rposition(|entry| *entry != [0; N]);
    Ok(&entries[..used.map_or(0, |last| last + 1)])
}

/// Checks the indexes of one segment while its batches pass by.
pub struct IndexCheck {
    index_path: PathBuf,
    offsets: Vec<OffsetEntry>,
    offsets_passed: usize,
    time_path: PathBuf,
    times: Vec<TimeEntry>,
    times_passed: usize,
    latest: Timestamp,
}

impl IndexCheck {
    /// For the segment at `log`; indexes that are missing are not checked.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn open(files: &dyn Files, log: &Path, base: Offset) -> Result<Self, Fault> {
        let index_path = log.with_extension("index");
        let time_path = log.with_extension("timeindex");
        Ok(Self {
            offsets: existing(files, &index_path, base, offset_entries)?,
            index_path,
            offsets_passed: 0,
            times: existing(files, &time_path, base, time_entries)?,
            time_path,
            times_passed: 0,
            latest: Timestamp::NONE,
        })
    }

    /// Entries of both indexes.
    pub fn entries(&self) -> usize {
        self.offsets.len() + self.times.len()
    }

    /// The next batch of the segment.
    pub fn batch(&mut self, position: u64, info: &BatchInfo) -> Option<Fault> {
        let end = position + info.size as u64;
        while let Some(&entry) = self.offsets.get(self.offsets_passed) {
            if entry.position >= end {
                break;
            }
            if entry.position != position {
                let at = entry.position;
                return self.offset_fault(format!("it points to byte {at}, inside a batch"));
            }
            if entry.offset < info.base_offset {
                let (offset, base) = (entry.offset, info.base_offset);
                return self.offset_fault(format!(
                    "it is for offset {offset}, but the batch at byte {position} begins at {base}"
                ));
            }
            self.offsets_passed += 1;
        }
        while let Some(&entry) = self.times.get(self.times_passed) {
            if entry.offset > info.last_offset() {
                break;
            }
            if self.latest > entry.timestamp {
                let (latest, offset, time) = (self.latest, entry.offset, entry.timestamp);
                return self.time_fault(format!(
                    "it has time {time} for offset {offset}, before which there is time {latest}"
                ));
            }
            self.times_passed += 1;
        }
        self.latest = self.latest.max(info.max_timestamp);
        None
    }

    /// After the last batch, which ended at `position`.
    pub fn end(&self, position: u64) -> Option<Fault> {
        if let Some(entry) = self.offsets.get(self.offsets_passed) {
            let at = entry.position;
            return self.offset_fault(format!(
                "it points to byte {at}, but the segment ends at {position}"
            ));
        }
        let entry = self.times.get(self.times_passed)?;
        let offset = entry.offset;
        self.time_fault(format!("it points to offset {offset}, which is not there"))
    }

    fn offset_fault(&self, reason: String) -> Option<Fault> {
        Some(Fault {
            path: self.index_path.clone(),
            position: (self.offsets_passed * OFFSET_ENTRY_BYTES) as u64,
            reason,
        })
    }

    fn time_fault(&self, reason: String) -> Option<Fault> {
        Some(Fault {
            path: self.time_path.clone(),
            position: (self.times_passed * TIME_ENTRY_BYTES) as u64,
            reason,
        })
    }
}

/// The entries of an index; none if it is not there.
fn existing<T>(
    files: &dyn Files,
    path: &Path,
    base: Offset,
    read: fn(&dyn Files, &Path, Offset) -> anyhow::Result<Vec<T>>,
) -> Result<Vec<T>, Fault> {
    if let Ok(None) = files.read(path) {
        return Ok(Vec::new());
    }
    read(files, path, base).map_err(|error| Fault {
        path: path.to_owned(),
        position: 0,
        reason: format!("{error:#}"),
    })
}
