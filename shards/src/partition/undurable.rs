//! Bytes that are written and not durable yet, and since when: what `acks=1` has acknowledged and a
//! loss of power would take.
//!
//! Writes that follow each other closely count as one, of the first one's time: a few entries,
//! however much is written before a flush.

use std::collections::VecDeque;

use odradek_engine::types::Offset;

use super::Progress;

/// Writes within this time are one entry, nanoseconds.
const TOGETHER_NS: u64 = 10_000_000;

struct Entry {
    end: Offset,
    bytes: u64,
    since: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Undurable {
    entries: VecDeque<Entry>,
    /// Of writes that have completed and that the written mark has not passed.
    landed: u64,
}

impl Undurable {
    /// A write has completed that brought so many bytes.
    pub(super) fn landed(&mut self, bytes: u64) {
        self.landed += bytes;
    }

    /// The marks stand here at `now`, nanoseconds.
    pub(super) fn settle(&mut self, progress: &Progress, now: u64) {
        let (written, durable) = (progress.written(), progress.durable());
        if durable >= written {
            self.entries.clear();
            self.landed = 0;
            return;
        }
        let known = self.entries.back().map_or(durable, |entry| entry.end);
        if known < written {
            let bytes = std::mem::take(&mut self.landed);
            match self.entries.back_mut() {
                Some(last) if now.saturating_sub(last.since) < TOGETHER_NS => {
                    (last.end, last.bytes) = (written, last.bytes + bytes);
                }
                _ => self.entries.push_back(Entry {
                    end: written,
                    bytes,
                    since: now,
                }),
            }
        }
        while self.entries.front().is_some_and(|it| it.end <= durable) {
            self.entries.pop_front();
        }
    }

    /// Gives back memory that waits for more than there is.
    pub(super) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    /// How many there are.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }

    /// When the oldest was written, nanoseconds.
    pub(super) fn since(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_flushed_goes_and_what_came_meanwhile_keeps_its_time() {
        let mut progress = Progress::new(Offset(0), true);
        let mut undurable = Undurable::default();
        let write = |undurable: &mut Undurable, progress: &mut Progress, to, durable, now| {
            undurable.landed(100);
            progress.wrote(Offset(to), durable);
            undurable.settle(progress, now);
        };
        write(&mut undurable, &mut progress, 1, true, 5);
        assert_eq!((undurable.bytes(), undurable.since()), (0, None));
        write(&mut undurable, &mut progress, 2, false, 10);
        write(&mut undurable, &mut progress, 3, false, 20);
        assert_eq!((undurable.bytes(), undurable.since()), (200, Some(10)));
        let later = 10 + TOGETHER_NS;
        write(&mut undurable, &mut progress, 4, true, later);
        assert_eq!((undurable.bytes(), undurable.since()), (300, Some(10)));
        progress.flushed(Offset(2));
        undurable.settle(&progress, later + 1);
        assert_eq!((undurable.bytes(), undurable.since()), (300, Some(10)));
        progress.flushed(Offset(3));
        undurable.settle(&progress, later + 1);
        assert_eq!((undurable.bytes(), undurable.since()), (0, None));
    }

    #[test]
    fn a_write_behind_a_gap_counts_when_the_gap_is_closed() {
        let progress = Progress::new(Offset(0), true);
        let mut undurable = Undurable::default();
        undurable.landed(7);
        undurable.settle(&progress, 1);
        assert_eq!(undurable.bytes(), 0);
    }
}
