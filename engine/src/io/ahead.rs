//! Zeros ahead of the tail, so that small writes meet blocks that are written already.
//!
//! A write that begins in a page that is on disk and ends in one that never was spans two extents
//! of the file: the file system takes its exclusive path, which the ring can only follow on a
//! worker thread, and converts an extent in its journal afterwards. Over written blocks the same
//! write goes straight to the device.
//!
//! Zeros are what an allocated file holds anyway, so a zero write that fails or is lost changes
//! nothing. A write of data waits for one that covers its place.
//!
//! Absent on purpose: I/O, other than the wait.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::ops::Range;
use std::task::{Poll, Waker};

use crate::bytes::page_ceil;

/// Larger writes are worth their extent.
const SMALL_BYTES: u64 = 64 << 10;
/// So many small writes in a row make a stream of them: a quiet partition gets no zeros.
const RUN_MIN: u32 = 8;
/// Smallest and largest write of zeros; each is twice the last.
const STEP_MIN: u64 = 64 << 10;
const STEP_MAX: u64 = 1 << 20;

/// See the module.
#[derive(Default)]
pub struct Ahead {
    /// Small writes since the last large one.
    run: Cell<u32>,
    /// Bytes of the last write of zeros.
    step: Cell<u64>,
    /// Where the zeros end, those in flight included.
    end: Cell<u64>,
    flying: Cell<Option<(u64, u64)>>,
    /// Who waits for what is in flight: the file's one writer, or whoever cuts it afterwards.
    waiting: RefCell<Option<Waker>>,
    off: Cell<bool>,
}

impl Ahead {
    /// Data goes to `[start, end)` of a file with `allocated` bytes: the range to fill with zeros
    /// now, if any, and if zeros `may` be written now. Whoever is given one says
    /// [`done`](Self::done) when it is written.
    pub fn next(&self, start: u64, end: u64, allocated: u64, may: bool) -> Option<Range<u64>> {
        if end - start >= SMALL_BYTES {
            self.run.set(0);
            return None;
        }
        self.run.set(self.run.get().saturating_add(1));
        if !may || self.run.get() < RUN_MIN || self.off.get() || self.flying.get().is_some() {
            return None;
        }
        let tail = page_ceil(end);
        let from = self.end.get().max(tail);
        if from - tail > self.step.get() / 2 {
            return None;
        }
        let step = (self.step.get() * 2).clamp(STEP_MIN, STEP_MAX);
        let to = (from + step).min(allocated);
        if to <= from {
            return None;
        }
        self.step.set(step);
        self.end.set(to);
        self.flying.set(Some((from, to)));
        Some(from..to)
    }

    /// The zeros are written, or could not be: then no more are tried in this file.
    pub fn done(&self, written: bool) {
        self.flying.set(None);
        self.off.set(self.off.get() || !written);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits until no zeros are in flight to `[start, end)`.
    pub async fn clear(&self, start: u64, end: u64) {
        poll_fn(|context| {
            let (from, to) = self.flying.get().unwrap_or_default();
            if from < page_ceil(end) && start < to {
                self.waiting.replace(Some(context.waker().clone()));
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: u64 = 4096;

    fn stream(ahead: &Ahead, from: u64, writes: u64, allocated: u64) -> Vec<Range<u64>> {
        (from..from + writes)
            .filter_map(|at| {
                let range = ahead.next(at * PAGES, at * PAGES + 100, allocated, true);
                if range.is_some() {
                    ahead.done(true);
                }
                range
            })
            .collect()
    }

    #[test]
    fn a_stream_of_small_writes_stays_within_zeros_that_meet() {
        let ahead = Ahead::default();
        assert!(stream(&ahead, 0, 7, 64 << 20).is_empty());
        let ranges = stream(&ahead, 7, 1000, 64 << 20);
        assert_eq!(ranges[0], 8 * PAGES..(8 * PAGES + STEP_MIN));
        assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
        assert!(
            ranges
                .iter()
                .all(|range| range.end - range.start <= STEP_MAX)
        );
        assert!(ranges.last().expect("zeros").end > 1007 * PAGES);
    }

    #[test]
    fn large_writes_and_the_files_end_stop_it() {
        let ahead = Ahead::default();
        assert!(stream(&ahead, 0, 100, 8 * PAGES).is_empty());
        let ahead = Ahead::default();
        assert_eq!(
            stream(&ahead, 0, 100, 20 * PAGES).last().unwrap().end,
            20 * PAGES
        );
        for at in 0..100u64 {
            let start = at * (1 << 20);
            assert!(
                ahead
                    .next(start, start + (1 << 20), u64::MAX, true)
                    .is_none()
            );
            assert!(ahead.next(start, start + 1, u64::MAX, true).is_none());
        }
    }

    #[test]
    fn a_stream_that_had_to_wait_gets_its_zeros_later() {
        let ahead = Ahead::default();
        let next = |at: u64, may| ahead.next(at * PAGES, at * PAGES + 100, 64 << 20, may);
        assert!((0..20).all(|at| next(at, false).is_none()));
        assert_eq!(next(20, true), Some(21 * PAGES..(21 * PAGES + STEP_MIN)));
    }

    #[test]
    fn one_at_a_time_and_none_after_a_failure() {
        let ahead = Ahead::default();
        assert!((0..7).all(|at| ahead.next(at, at + 1, 1 << 20, true).is_none()));
        assert!(ahead.next(7, 8, 1 << 20, true).is_some());
        assert!((0..1000).all(|at| {
            ahead
                .next(at * PAGES, at * PAGES + 1, 8 << 20, true)
                .is_none()
        }));
        ahead.done(false);
        assert!((0..1000).all(|at| {
            ahead
                .next(at * PAGES, at * PAGES + 1, 8 << 20, true)
                .is_none()
        }));
    }
}
