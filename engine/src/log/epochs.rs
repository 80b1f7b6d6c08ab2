//! Which leader epoch wrote which offsets.
//!
//! One entry per epoch that has written: the epoch and its first offset. Both rise from entry to
//! entry, always; an assignment that contradicts earlier entries removes them, because the newer
//! leader is right.
//!
//! The file `leader-epoch-checkpoint` is text: a line `0` (version), a line with the number of
//! entries, then `epoch offset` lines. The last of these ends in blanks that are a checksum of all
//! before them: Kafka passes over them, and what Kafka wrote has none.
//!
//! Absent on purpose: a bound on entries. One is added per change of leader that is followed by a
//! write, and retention takes them away from the front.
//!
//! Source: Kafka `LeaderEpochFileCache`, `LeaderEpochCheckpointFile`, KIP-101, KIP-279.

use std::fmt::Write as _;

use thiserror::Error;

use crate::types::{Epoch, Offset};

/// An epoch and the offset of the first record that its leader wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEntry {
    pub epoch: Epoch,
    pub start_offset: Offset,
}

/// The answer to "where does this epoch end?".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEnd {
    /// The largest known epoch that is not above the one asked for; [`Epoch::NONE`] when unknown.
    pub epoch: Epoch,
    /// The offset after that epoch's last record; [`Offset::NONE`] when unknown.
    pub end_offset: Offset,
}

impl EpochEnd {
    pub const UNKNOWN: Self = Self {
        epoch: Epoch::NONE,
        end_offset: Offset::NONE,
    };
}

/// Why a checkpoint file cannot be used. It can be rebuilt from the log.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum EpochsError {
    #[error("the leader epoch checkpoint is not text")]
    NotText,
    #[error("unknown leader epoch checkpoint version {version:?}")]
    Version { version: String },
    #[error("line {line} of the leader epoch checkpoint is malformed")]
    Malformed { line: usize },
    #[error("the leader epoch checkpoint states {stated} entries and has {found}")]
    Count { stated: usize, found: usize },
    #[error("line {line} of the leader epoch checkpoint does not rise")]
    Order { line: usize },
    #[error("the leader epoch checkpoint is not what was written: its checksum is another")]
    Checksum,
}

/// The leader epochs of one partition's log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Epochs {
    entries: Vec<EpochEntry>,
}

impl Epochs {
    const VERSION: &'static str = "0";

    pub fn new() -> Self {
        Self::default()
    }

    /// In rising order.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    /// Notes that `epoch` writes from `start_offset` on. An epoch keeps the lowest start that it
    /// was given. `true` when that changed anything: the checkpoint must be written before an
    /// append at this epoch is durable.
    ///
    /// # Panics
    /// On a negative epoch or offset: a broken invariant.
    pub fn assign(&mut self, epoch: Epoch, start_offset: Offset) -> bool {
        assert!(
            epoch.0 >= 0 && start_offset.0 >= 0,
            "negative leader epoch entry"
        );
        let known =
            |latest: EpochEntry| latest.epoch == epoch && latest.start_offset <= start_offset;
        if self.latest().is_some_and(known) {
            return false;
        }
        while let Some(last) = self.entries.last()
            && (last.epoch >= epoch || last.start_offset >= start_offset)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        true
    }

    /// Where `epoch` ends, for OffsetForLeaderEpoch and for truncation.
    ///
    /// The latest epoch ends at the log end. An epoch below all known ones ends where those begin,
    /// and answers as itself. One above all known ones is unknown.
    pub fn end_offset_for(&self, epoch: Epoch, log_end_offset: Offset) -> EpochEnd {
        if epoch == Epoch::NONE {
            return EpochEnd::UNKNOWN;
        }
        if self.latest().is_some_and(|latest| latest.epoch == epoch) {
            let end_offset = log_end_offset;
            return EpochEnd { epoch, end_offset };
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        match self.entries.get(higher) {
            None => EpochEnd::UNKNOWN,
            Some(next) => EpochEnd {
                epoch: match higher.checked_sub(1) {
                    None => epoch,
                    Some(floor) => self.entries[floor].epoch,
                },
                end_offset: next.start_offset,
            },
        }
    }

    /// The epoch that wrote `offset`; `None` below the first known one.
    pub fn epoch_for(&self, offset: Offset) -> Option<Epoch> {
        let after = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        Some(self.entries[after.checked_sub(1)?].epoch)
    }

    /// The log now ends at `end_offset`: epochs that begin there or later have written nothing.
    /// `true` when that changed anything.
    pub fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        let kept = self
            .entries
            .partition_point(|entry| entry.start_offset < end_offset);
        let changed = kept < self.entries.len();
        self.entries.truncate(kept);
        changed
    }

    /// The log now starts at `start_offset`: the epoch that holds it begins there, earlier ones
    /// are forgotten. `true` when that changed anything.
    pub fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let after = self
            .entries
            .partition_point(|entry| entry.start_offset <= start_offset);
        let Some(holder) = after.checked_sub(1) else {
            return false;
        };
        if holder == 0 && self.entries[0].start_offset == start_offset {
            return false;
        }
        self.entries.drain(..holder);
        self.entries[0].start_offset = start_offset;
        true
    }

    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The content of `leader-epoch-checkpoint`.
    pub fn to_checkpoint(&self) -> String {
        let mut text = format!("{}\n{}", Self::VERSION, self.entries.len());
        for entry in &self.entries {
            write!(text, "\n{} {}", entry.epoch, entry.start_offset).expect("writing to memory");
        }
        // Behind the number of entries Kafka takes no blanks.
        if !self.entries.is_empty() {
            let checksum = blanks(&text);
            text.push_str(&checksum);
        }
        text.push('\n');
        text
    }

    /// Reads the content of `leader-epoch-checkpoint`.
    ///
    /// # Errors
    /// [`EpochsError`], for whatever is not such a file.
    pub fn from_checkpoint(bytes: &[u8]) -> Result<Self, EpochsError> {
        let text = str::from_utf8(bytes).map_err(|_| EpochsError::NotText)?;
        let (body, end) = text.split_at(text.trim_ascii_end().len());
        let checksum = end.trim_end_matches(['\r', '\n']);
        if !checksum.is_empty() && checksum != blanks(body) {
            return Err(EpochsError::Checksum);
        }
        let mut lines = (1..).zip(text.lines());
        match lines.next() {
            Some((_, Self::VERSION)) => {}
            other => {
                let version = other.map_or("", |(_, line)| line);
                let version = version.chars().take(20).collect();
                return Err(EpochsError::Version { version });
            }
        }
        let stated = match lines.next() {
            Some((line, count)) => count.parse().or(Err(EpochsError::Malformed { line }))?,
            None => return Err(EpochsError::Malformed { line: 2 }),
        };
        let mut entries: Vec<EpochEntry> = Vec::new();
        for (line, text) in lines {
            let entry = parse_entry(text).ok_or(EpochsError::Malformed { line })?;
            if entries.last().is_some_and(|last| {
                last.epoch >= entry.epoch || last.start_offset >= entry.start_offset
            }) {
                return Err(EpochsError::Order { line });
            }
            entries.push(entry);
        }
        if entries.len() != stated {
            let found = entries.len();
            return Err(EpochsError::Count { stated, found });
        }
        Ok(Self { entries })
    }
}

/// A text's CRC32C in blanks: a tab for each bit that is set, a space for the others.
fn blanks(text: &str) -> String {
    let checksum = crc32c::crc32c(text.as_bytes());
    let blank = |bit| if checksum >> bit & 1 == 1 { '\t' } else { ' ' };
    (0..u32::BITS).map(blank).collect()
}

fn parse_entry(text: &str) -> Option<EpochEntry> {
    let mut words = text.split_ascii_whitespace();
    let epoch: i32 = words.next()?.parse().ok()?;
    let start_offset: i64 = words.next()?.parse().ok()?;
    let valid = epoch >= 0 && start_offset >= 0 && words.next().is_none();
    valid.then_some(EpochEntry {
        epoch: Epoch(epoch),
        start_offset: Offset(start_offset),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        let mut epochs = Epochs::new();
        for &(epoch, start) in entries {
            assert!(epochs.assign(Epoch(epoch), Offset(start)));
        }
        epochs
    }

    fn pairs(epochs: &Epochs) -> Vec<(i32, i64)> {
        let pair = |entry: &EpochEntry| (entry.epoch.0, entry.start_offset.0);
        epochs.entries().iter().map(pair).collect()
    }

    #[test]
    fn an_epoch_is_assigned_once() {
        let mut epochs = epochs(&[(2, 6), (5, 9)]);
        assert!(!epochs.assign(Epoch(5), Offset(9)));
        assert!(!epochs.assign(Epoch(5), Offset(20)));
        assert_eq!(pairs(&epochs), [(2, 6), (5, 9)]);
        assert!(epochs.assign(Epoch(5), Offset(8)));
        assert_eq!(pairs(&epochs), [(2, 6), (5, 8)]);
    }

    #[test]
    fn a_new_entry_removes_what_contradicts_it() {
        let mut lower_offset = epochs(&[(2, 6), (3, 8), (4, 10)]);
        assert!(lower_offset.assign(Epoch(5), Offset(8)));
        assert_eq!(pairs(&lower_offset), [(2, 6), (5, 8)]);
        let mut lower_epoch = epochs(&[(2, 6), (3, 8), (4, 10)]);
        assert!(lower_epoch.assign(Epoch(3), Offset(12)));
        assert_eq!(pairs(&lower_epoch), [(2, 6), (3, 12)]);
    }

    #[test]
    fn ends_as_kafka_answers_them() {
        let known = epochs(&[(2, 6), (5, 9), (7, 20)]);
        let end = |epoch| {
            let end = known.end_offset_for(Epoch(epoch), Offset(30));
            (end.epoch.0, end.end_offset.0)
        };
        assert_eq!(end(-1), (-1, -1));
        assert_eq!(end(1), (1, 6));
        assert_eq!(end(2), (2, 9));
        assert_eq!(end(4), (2, 9));
        assert_eq!(end(5), (5, 20));
        assert_eq!(end(7), (7, 30));
        assert_eq!(end(8), (-1, -1));
        let none = Epochs::new().end_offset_for(Epoch(0), Offset(30));
        assert_eq!(none, EpochEnd::UNKNOWN);
    }

    #[test]
    fn offsets_belong_to_the_last_epoch_that_began() {
        let known = epochs(&[(2, 6), (5, 9)]);
        let of = |offset| known.epoch_for(Offset(offset)).map(|epoch| epoch.0);
        assert_eq!(
            [of(5), of(6), of(8), of(9), of(99)],
            [None, Some(2), Some(2), Some(5), Some(5)]
        );
    }

    #[test]
    fn truncation_from_both_ends() {
        let full = epochs(&[(2, 6), (5, 9), (7, 20)]);
        let end = |offset| {
            let mut cut = full.clone();
            let changed = cut.truncate_from_end(Offset(offset));
            (changed, pairs(&cut))
        };
        assert_eq!(end(21), (false, vec![(2, 6), (5, 9), (7, 20)]));
        assert_eq!(end(20), (true, vec![(2, 6), (5, 9)]));
        assert_eq!(end(0), (true, vec![]));
        let start = |offset| {
            let mut cut = full.clone();
            let changed = cut.truncate_from_start(Offset(offset));
            (changed, pairs(&cut))
        };
        assert_eq!(start(5), (false, vec![(2, 6), (5, 9), (7, 20)]));
        assert_eq!(start(6), (false, vec![(2, 6), (5, 9), (7, 20)]));
        assert_eq!(start(8), (true, vec![(2, 8), (5, 9), (7, 20)]));
        assert_eq!(start(9), (true, vec![(5, 9), (7, 20)]));
        assert_eq!(start(50), (true, vec![(7, 50)]));
    }

    #[test]
    fn the_checkpoint_is_kafkas() {
        let known = epochs(&[(0, 0), (3, 1234)]);
        let text = known.to_checkpoint();
        assert_eq!(text.trim_ascii_end(), "0\n2\n0 0\n3 1234");
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Epochs::from_checkpoint(&flipped).is_err(), "bit {bit}");
        }
        assert_eq!(Epochs::from_checkpoint(b"0\n2\n0 0\n3 1234\n"), Ok(known));
        assert_eq!(Epochs::from_checkpoint(b"0\n0\n"), Ok(Epochs::new()));
    }

    #[test]
    fn other_files_are_refused() {
        let error = |text: &str| Epochs::from_checkpoint(text.as_bytes()).unwrap_err();
        let version = |version: &str| EpochsError::Version {
            version: version.into(),
        };
        assert_eq!(error(""), version(""));
        assert_eq!(error("1\n0\n"), version("1"));
        assert_eq!(error("0\n"), EpochsError::Malformed { line: 2 });
        assert_eq!(error("0\n-1\n"), EpochsError::Malformed { line: 2 });
        for line in ["x", "1", "1 2 3", "-1 2", "1 -2", "", "99999999999 0"] {
            let text = format!("0\n1\n{line}\n");
            assert_eq!(error(&text), EpochsError::Malformed { line: 3 });
        }
        assert_eq!(
            error("0\n2\n1 1\n"),
            EpochsError::Count {
                stated: 2,
                found: 1
            }
        );
        let huge = error("0\n4000000000\n1 1\n");
        assert_eq!(
            huge,
            EpochsError::Count {
                stated: 4_000_000_000,
                found: 1
            }
        );
        assert_eq!(error("0\n2\n1 5\n1 9\n"), EpochsError::Order { line: 4 });
        assert_eq!(error("0\n2\n1 5\n2 5\n"), EpochsError::Order { line: 4 });
        assert_eq!(Epochs::from_checkpoint(&[0xff]), Err(EpochsError::NotText));
    }

    proptest! {
        #[test]
        fn entries_always_rise_and_round_trip(
            assignments: Vec<(u8, u8)>,
            cuts: (u8, u8),
        ) {
            let mut epochs = Epochs::new();
            for (epoch, start) in assignments {
                epochs.assign(Epoch(epoch.into()), Offset(start.into()));
            }
            epochs.truncate_from_start(Offset(cuts.0.into()));
            epochs.truncate_from_end(Offset(cuts.1.into()));
            let rises = |pair: &[EpochEntry]| {
                pair[0].epoch < pair[1].epoch && pair[0].start_offset < pair[1].start_offset
            };
            prop_assert!(epochs.entries().windows(2).all(rises));
            let text = epochs.to_checkpoint();
            prop_assert_eq!(Epochs::from_checkpoint(text.as_bytes()), Ok(epochs));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "0\n[0-9]\n[-0-9 \n]{0,20}") {
            let _ = Epochs::from_checkpoint(&bytes);
            let _ = Epochs::from_checkpoint(text.as_bytes());
        }
    }
}
