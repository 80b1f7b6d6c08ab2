//! Whether a sleep should wait for several completions instead of the first.
//!
//! Under many small requests each completion would wake the shard by itself, and a wake costs more
//! than the work that it brings. So when sleeps follow each other closely, a few are tried that
//! wait a moment for more; if several completions come of it, that is kept up and asked again now
//! and then. If not (one client, one request at a time), it is not tried again for a long while.
//!
//! Absent on purpose: the ring.

/// Completions that end a sleep early.
pub(super) const WANTED: u32 = 8;
/// The moment that a sleep waits for more, microseconds (`min_wait_usec`, Linux 6.12).
pub(super) const MOMENT_US: u32 = 30;

/// Sleeps that are looked at together.
const WINDOW: u32 = 64;
/// Shorter than this on average, sleeps follow each other closely, nanoseconds.
const CLOSE_NS: u64 = 40_000;
/// Sleeps of a trial, and completions per sleep that make it a success.
const TRIAL: u32 = 16;
const WORTH: u32 = 3;
/// Windows that are let pass after a failed trial: doubled each time, up to this.
const PATIENCE_MAX: u32 = 1 << 14;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Coalesce {
    /// Sleeps left that wait for more.
    left: u32,
    /// Of the sleeps that wait for more: how many there were, and what they brought.
    waited: u32,
    brought: u32,
    /// Sleeps in this window, and when it began.
    sleeps: u32,
    since: u64,
    /// Windows still to be let pass, and how many the next failure costs.
    pass: u32,
    patience: u32,
    impossible: bool,
}

impl Coalesce {
    /// Whether the next sleep waits for more. `now`: monotonic time, nanoseconds.
    pub(super) fn next(&mut self, now: impl Fn() -> u64) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return true;
        }
        if self.impossible {
            return false;
        }
        self.sleeps += 1;
        if self.sleeps < WINDOW {
            return false;
        }
        let now = now();
        let close = now.saturating_sub(self.since) < u64::from(WINDOW) * CLOSE_NS;
        (self.sleeps, self.since) = (0, now);
        if close && self.pass > 0 {
            self.pass -= 1;
        } else if close {
            (self.waited, self.brought) = (0, 0);
            self.left = TRIAL;
        }
        false
    }

    /// A sleep that waited for more brought this many.
    pub(super) fn brought(&mut self, completions: u32) {
        self.waited += 1;
        self.brought += completions;
        if self.left > 0 {
            return;
        }
        if self.brought >= WORTH * self.waited {
            self.patience = 0;
            self.left = WINDOW;
        } else {
            self.patience = (self.patience * 2).clamp(16, PATIENCE_MAX);
            self.pass = self.patience;
        }
        (self.waited, self.brought) = (0, 0);
    }

    /// The kernel cannot do it.
    pub(super) fn impossible(&mut self) {
        (self.left, self.impossible) = (0, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs sleeps of `gap` nanoseconds that bring `brings` if they wait: how many waited.
    fn run(coalesce: &mut Coalesce, sleeps: u32, gap: u64, brings: u32) -> u32 {
        let mut waited = 0;
        for at in 0..u64::from(sleeps) {
            if coalesce.next(|| at * gap) {
                waited += 1;
                coalesce.brought(brings);
            }
        }
        waited
    }

    #[test]
    fn close_sleeps_that_bring_several_are_kept_up() {
        let waited = run(&mut Coalesce::default(), 10_000, 10_000, 4);
        assert!(waited > 9_000, "{waited}");
    }

    #[test]
    fn one_request_at_a_time_is_hardly_held_up() {
        let waited = run(&mut Coalesce::default(), 1_000_000, 10_000, 1);
        assert!((1..500).contains(&waited), "{waited}");
    }

    #[test]
    fn rare_sleeps_are_never_held_up() {
        assert_eq!(run(&mut Coalesce::default(), 10_000, 100_000, 8), 0);
    }

    #[test]
    fn what_the_kernel_cannot_do_is_not_tried_again() {
        let mut coalesce = Coalesce::default();
        coalesce.impossible();
        assert_eq!(run(&mut coalesce, 10_000, 1_000, 8), 0);
    }
}
