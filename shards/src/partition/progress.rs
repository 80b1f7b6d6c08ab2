//! A partition's line of progress.
//!
//! appended ≥ written ≥ durable; visible is the least of the marks that the policy names. Each
//! mark only moves forward, over a contiguous prefix. An ack is a wait for one of them.
//!
//! *durable* advances over bytes written with DSYNC, and over bytes whose write had completed
//! when a flush was submitted that has since completed.
//!
//! A journal brings both marks further than the segments' files have them: what it covers is durable,
//! and is in the files later. What counts of the files alone is told apart: *in file* and *stored*.
//!
//! Absent on purpose: I/O, clocks, wire error codes.

use std::collections::VecDeque;

use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::Offset;

/// A point on the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mark {
    /// Survives a killed process.
    Written,
    /// What consumers may see, and `acks=all` waits for.
    Visible,
}

/// See the module.
#[derive(Debug)]
pub struct Progress {
    /// In the segments' files.
    written: Offset,
    /// The same, durably.
    durable: Offset,
    /// In the journal, or durable in the files: everything before it.
    journaled: Offset,
    /// Whether *visible* asks for *durable*, or only for *written*.
    durable_policy: bool,
    /// Written and not yet durable: ends of ranges, and whether DSYNC wrote them.
    ranges: VecDeque<(Offset, bool)>,
    /// A part of the batch at *written* was written without DSYNC: the write that completes the
    /// batch does not make that part durable.
    torn: bool,
}

impl Progress {
    /// Everything before `next` is durable.
    pub fn new(next: Offset, durable_policy: bool) -> Self {
        Progress {
            written: next,
            durable: next,
            journaled: next,
            durable_policy,
            ranges: VecDeque::new(),
            torn: false,
        }
    }

    /// Survives a killed process up to here.
    pub fn written(&self) -> Offset {
        self.written.max(self.journaled)
    }

    /// Survives power loss up to here.
    pub fn durable(&self) -> Offset {
        self.durable.max(self.journaled)
    }

    /// Written to the segments' files up to here.
    pub fn in_file(&self) -> Offset {
        self.written
    }

    /// Durable in the segments' files up to here.
    pub fn stored(&self) -> Offset {
        self.durable
    }

    /// The high watermark.
    pub fn visible(&self) -> Offset {
        if self.durable_policy {
            self.durable()
        } else {
            self.written()
        }
    }

    /// Where a mark stands.
    pub fn at(&self, mark: Mark) -> Offset {
        match mark {
            Mark::Written => self.written(),
            Mark::Visible => self.visible(),
        }
    }

    /// Every batch up to `offset` is written, and perhaps a part of the next one; what is new since
    /// the last call was all written with DSYNC, or not.
    pub fn wrote(&mut self, offset: Offset, durable: bool) {
        if offset <= self.written {
            self.torn |= !durable;
            return;
        }
        let durable = durable && !std::mem::take(&mut self.torn);
        self.written = offset;
        match self.ranges.back_mut() {
            Some((end, kind)) if *kind == durable => *end = offset,
            _ => self.ranges.push_back((offset, durable)),
        }
        self.settle();
    }

    /// A flush completed that had been submitted when everything up to `offset` was written.
    pub fn flushed(&mut self, offset: Offset) {
        if offset > self.durable {
            assert!(
                offset <= self.written,
                "a flush covers only what is written"
            );
            self.durable = offset;
        }
        self.settle();
    }

    /// The journal holds everything before `offset` that is not stored, and holds it durably.
    pub fn journaled(&mut self, offset: Offset) {
        self.journaled = self.journaled.max(offset);
    }

    /// Gives back memory that waits for more than there is.
    pub(super) fn shrink(&mut self) {
        self.ranges.shrink_to_fit();
    }

    fn settle(&mut self) {
        while let Some(&(end, durable)) = self.ranges.front() {
            if end > self.durable {
                if !durable && !mutant::is(Mutant::DurableOverGap) {
                    break;
                }
                self.durable = end;
            }
            self.ranges.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durable_moves_over_dsync_prefixes_only() {
        let mut progress = Progress::new(Offset(0), true);
        progress.wrote(Offset(5), true);
        assert_eq!(progress.visible(), Offset(5));
        progress.wrote(Offset(7), false);
        progress.wrote(Offset(9), true);
        assert_eq!(
            (progress.written(), progress.visible()),
            (Offset(9), Offset(5))
        );
        progress.flushed(Offset(7));
        assert_eq!(progress.durable(), Offset(9));
    }

    #[test]
    fn a_batch_is_durable_only_if_all_of_its_writes_were() {
        let mut progress = Progress::new(Offset(0), true);
        progress.wrote(Offset(5), true);
        // The first part of the batch at 5 without DSYNC, the second with it.
        progress.wrote(Offset(5), false);
        progress.wrote(Offset(6), true);
        assert_eq!(
            (progress.written(), progress.durable()),
            (Offset(6), Offset(5))
        );
        // A flush from before the second part covers nothing of use here.
        progress.flushed(Offset(5));
        assert_eq!(progress.durable(), Offset(5));
        progress.flushed(Offset(6));
        assert_eq!(progress.durable(), Offset(6));
        progress.wrote(Offset(6), true);
        progress.wrote(Offset(7), true);
        assert_eq!(progress.durable(), Offset(7));
    }

    #[test]
    fn a_part_beyond_whole_batches_is_covered_by_their_flush() {
        let mut progress = Progress::new(Offset(0), true);
        // One batch and a part of the next without DSYNC, the rest with it.
        progress.wrote(Offset(1), false);
        progress.wrote(Offset(2), true);
        assert_eq!(progress.durable(), Offset(0));
        progress.flushed(Offset(1));
        assert_eq!(progress.durable(), Offset(2));
    }

    #[test]
    fn without_the_durable_policy_written_is_visible() {
        let mut progress = Progress::new(Offset(3), false);
        progress.wrote(Offset(4), false);
        assert_eq!(progress.visible(), Offset(4));
        assert_eq!(progress.durable(), Offset(3));
    }

    #[test]
    fn what_the_journal_covers_is_durable_before_it_is_in_the_files() {
        let mut progress = Progress::new(Offset(0), true);
        progress.wrote(Offset(2), false);
        progress.journaled(Offset(5));
        assert_eq!(
            (progress.written(), progress.durable()),
            (Offset(5), Offset(5))
        );
        assert_eq!(
            (progress.in_file(), progress.stored()),
            (Offset(2), Offset(0))
        );
        progress.journaled(Offset(4));
        assert_eq!(progress.visible(), Offset(5));
        // The files go on where they were: what is durable behind what is not stores nothing.
        progress.wrote(Offset(7), true);
        assert_eq!(
            (progress.written(), progress.durable()),
            (Offset(7), Offset(5))
        );
        assert_eq!(progress.stored(), Offset(0));
        progress.flushed(Offset(2));
        assert_eq!(
            (progress.stored(), progress.durable()),
            (Offset(7), Offset(7))
        );
    }

    #[test]
    fn a_late_flush_moves_nothing_back() {
        let mut progress = Progress::new(Offset(0), true);
        progress.wrote(Offset(4), false);
        progress.flushed(Offset(4));
        progress.wrote(Offset(6), false);
        progress.flushed(Offset(2));
        assert_eq!(progress.durable(), Offset(4));
    }
}
