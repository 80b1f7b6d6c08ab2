//! Entries on their way back into segments: gathered by partition, runs that meet joined.
//!
//! Absent on purpose: I/O, and whether the bytes are the log: recovery decides that afterwards.

use std::collections::BTreeMap;

use super::Entry;
use crate::log::state_file::Key;
use crate::types::{Epoch, Offset};

/// Bytes to put at a position of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    pub segment: Offset,
    pub pos: u64,
    pub bytes: Vec<u8>,
}

/// Why an entry is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is of leader epoch {epoch}, and one before it of {before}")]
pub struct StaleEpoch {
    epoch: i32,
    before: i32,
}

/// See the module.
#[derive(Default)]
pub struct Redo {
    runs: BTreeMap<Key, Vec<Run>>,
    /// Leader epoch and end of each partition's last entry.
    ends: BTreeMap<Key, (Epoch, Offset)>,
    bytes: usize,
}

impl Redo {
    /// Takes an entry; they come in the order of their frames.
    ///
    /// # Errors
    /// Its leader epoch falls: it is not taken.
    pub fn add(&mut self, entry: &Entry, bytes: &[u8]) -> Result<(), StaleEpoch> {
        let end = self
            .ends
            .entry(entry.key)
            .or_insert((entry.epoch, entry.next));
        if entry.epoch < end.0 {
            return Err(StaleEpoch {
                epoch: entry.epoch.0,
                before: end.0.0,
            });
        }
        *end = (entry.epoch, entry.next.max(end.1));
        let runs = self.runs.entry(entry.key).or_default();
        let meets = |last: &&mut Run| {
            last.segment == entry.segment && last.pos + last.bytes.len() as u64 == entry.position.0
        };
        match runs.last_mut().filter(meets) {
            Some(last) => last.bytes.extend_from_slice(bytes),
            None => runs.push(Run {
                segment: entry.segment,
                pos: entry.position.0,
                bytes: bytes.to_vec(),
            }),
        }
        self.bytes += bytes.len();
        Ok(())
    }

    /// Bytes gathered since the last [`take`](Self::take).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was gathered since the last time; to be put in place in this order.
    pub fn take(&mut self) -> BTreeMap<Key, Vec<Run>> {
        self.bytes = 0;
        std::mem::take(&mut self.runs)
    }

    /// Up to which offset the journal vouches for each partition.
    pub fn ends(&self) -> impl Iterator<Item = (&Key, Offset)> {
        self.ends.iter().map(|(key, (_, end))| (key, *end))
    }
}
