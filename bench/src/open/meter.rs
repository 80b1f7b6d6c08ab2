//! What one driver thread counts.
//!
//! Latencies are recorded twice: by their message's intended time into the window's histograms,
//! and by the clock into the present interval's.

use std::ops::Range;

use hdrhistogram::Histogram;

use super::times::Times;
use crate::report::WindowTotals;
use crate::report::histogram::empty;

/// Counts of one interval, of one thread.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) made: u64,
    pub(crate) acked: u64,
    pub(crate) acked_bytes: u64,
    /// By set of consumers.
    pub(crate) consumed: Vec<u64>,
    pub(crate) produce_ack: Histogram<u64>,
    pub(crate) end_to_end: Histogram<u64>,
}

impl Step {
    pub(crate) fn new(sets: usize) -> Self {
        Self {
            made: 0,
            acked: 0,
            acked_bytes: 0,
            consumed: vec![0; sets],
            produce_ack: empty(),
            end_to_end: empty(),
        }
    }

    pub(crate) fn add(&mut self, other: &Step) {
        self.made += other.made;
        self.acked += other.acked;
        self.acked_bytes += other.acked_bytes;
        for (mine, other) in self.consumed.iter_mut().zip(&other.consumed) {
            *mine += other;
        }
        self.produce_ack += &other.produce_ack;
        self.end_to_end += &other.end_to_end;
    }
}

/// See the module.
pub(crate) struct Meter {
    /// Nanoseconds of the monotonic clock.
    window: Range<u64>,
    pub(crate) step: Step,
    pub(crate) totals: WindowTotals,
    pub(crate) produce_ack: Histogram<u64>,
    pub(crate) end_to_end: Histogram<u64>,
    pub(crate) lateness: Histogram<u64>,
}

impl Meter {
    pub(crate) fn new(sets: usize) -> Self {
        Self {
            window: 0..0,
            step: Step::new(sets),
            totals: WindowTotals::default(),
            produce_ack: empty(),
            end_to_end: empty(),
            lateness: empty(),
        }
    }

    pub(crate) fn set_window(&mut self, window: Range<u64>) {
        self.window = window;
    }

    /// A message was made at `now`. `held_back`: the buffer was full at its time. A closed loop
    /// intends its messages when it makes them: it has no lateness to be told.
    #[inline]
    pub(crate) fn made(&mut self, now: u64, intended: u64, held_back: bool) {
        self.step.made += 1;
        if self.window.contains(&intended) {
            self.totals.intended += 1;
            if held_back {
                self.totals.held_back += 1;
            } else if now > intended {
                let late = now - intended;
                self.lateness.saturating_record(late);
            }
        }
    }

    /// A batch was answered at `now`; with acks=0 (`timed` false) it was sent.
    pub(crate) fn acked(&mut self, now: u64, times: &Times, bytes: usize, timed: bool) {
        let count = times.count();
        self.step.acked += count;
        self.step.acked_bytes += bytes as u64;
        if self.window.contains(&now) {
            self.totals.acked += count;
            self.totals.acked_bytes += bytes as u64;
        }
        if timed {
            for (intended, count) in times.runs() {
                let took = now.saturating_sub(intended).max(1);
                self.step.produce_ack.saturating_record_n(took, count);
                if self.window.contains(&intended) {
                    self.produce_ack.saturating_record_n(took, count);
                }
            }
        }
    }

    /// A produce request was answered (with acks=0: sent).
    pub(crate) fn produce_request(&mut self, now: u64) {
        self.totals.produce_requests += u64::from(self.window.contains(&now));
    }

    /// A fetch was answered.
    pub(crate) fn fetch_request(&mut self, now: u64) {
        self.totals.fetch_requests += u64::from(self.window.contains(&now));
    }

    /// A message came at `now`. `timed`: it was read while it was produced.
    #[inline]
    pub(crate) fn consumed(&mut self, now: u64, intended: u64, timed: bool) {
        if timed {
            let took = now.saturating_sub(intended).max(1);
            self.step.end_to_end.saturating_record(took);
            if self.window.contains(&intended) {
                self.end_to_end.saturating_record(took);
            }
        }
    }

    /// `count` messages in `bytes` of batches came to `set` at `now`.
    pub(crate) fn consumed_batches(&mut self, now: u64, set: usize, count: u64, bytes: usize) {
        self.step.consumed[set] += count;
        if self.window.contains(&now) {
            self.totals.consumed += count;
            self.totals.consumed_bytes += bytes as u64;
        }
    }

    /// The interval's counts; the next begins.
    pub(crate) fn take_step(&mut self) -> Step {
        let next = Step::new(self.step.consumed.len());
        std::mem::replace(&mut self.step, next)
    }
}
