//! Notices a task that keeps the shard for too long.

use std::cell::Cell;

use crate::io::Io;

/// One poll of a task may take this long before it is reported, nanoseconds.
const STALL: u64 = 100_000_000;

/// Counts and reports long polls, at most one line a second.
#[derive(Default)]
pub(super) struct Detector {
    reported_at: Cell<u64>,
    unreported: Cell<u64>,
    polls: Cell<u32>,
}

impl Detector {
    /// Runs one poll. The clock is read on every 64th only: a stall that repeats is found, and
    /// the hot path pays nothing for it.
    pub(super) fn watch(&self, io: &Io, poll: impl FnOnce()) {
        let polls = self.polls.get().wrapping_add(1);
        self.polls.set(polls);
        if !polls.is_multiple_of(64) {
            return poll();
        }
        let before = io.clock();
        poll();
        let took = io.clock().saturating_sub(before);
        if took > STALL {
            self.unreported.set(self.unreported.get() + 1);
            if before.saturating_sub(self.reported_at.get()) > 1_000_000_000 {
                tracing::warn!(
                    milliseconds = took / 1_000_000,
                    times = self.unreported.take(),
                    "a task kept its shard busy"
                );
                self.reported_at.set(before);
            }
        }
    }
}
