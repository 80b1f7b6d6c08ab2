//! How fast work in the background may read and write: cleanings, copies into other log directories.
//!
//! Source: Kafka `Throttler`, `log.cleaner.io.max.bytes.per.second`; `ReplicationQuotaManager`,
//! `replica.alter.log.dirs.io.max.bytes.per.second`.

use std::cell::Cell;
use std::time::Duration;

use odradek_engine::io::Io;

/// So long somebody who waits goes without asking whether to go on, and how fast.
const PAUSE: Duration = Duration::from_millis(100);
const SECOND_NS: f64 = 1e9;

/// See the module.
pub struct Pace {
    bytes_per_second: Cell<f64>,
    /// Bytes that were spent and not made up for,
    owed: Cell<f64>,
    /// when that was reckoned, nanoseconds.
    at: Cell<u64>,
}

impl Pace {
    /// Without a limit.
    pub fn new() -> Pace {
        Pace {
            bytes_per_second: Cell::new(f64::MAX),
            owed: Cell::new(0.0),
            at: Cell::new(0),
        }
    }

    /// From now on at most so many bytes a second, above 0; what is owed is made up for at that rate,
    /// too.
    pub fn limit(&self, bytes_per_second: f64) {
        self.bytes_per_second.set(bytes_per_second.max(1.0));
    }

    /// Whether somebody asked for a limit.
    pub(super) fn is_limited(&self) -> bool {
        self.bytes_per_second.get() < i64::MAX as f64
    }

    /// So many bytes were read or written: waits until that is within the limit, while `go_on`, which
    /// may set another one.
    pub(super) async fn spend(&self, io: &Io, bytes: u64, go_on: impl Fn() -> bool) {
        self.owe(io.now(), bytes);
        loop {
            let left = self.left(io.now());
            if left == Duration::ZERO || !go_on() {
                return;
            }
            io.sleep(left.min(PAUSE)).await;
        }
    }

    /// `now`: nanoseconds.
    fn owe(&self, now: u64, bytes: u64) {
        self.left(now);
        self.owed.set(self.owed.get() + bytes as f64);
    }

    /// How long it takes yet to make up for what was spent.
    fn left(&self, now: u64) -> Duration {
        let rate = self.bytes_per_second.get();
        let passed = now.saturating_sub(self.at.replace(now)) as f64;
        let owed = (self.owed.get() - passed / SECOND_NS * rate).max(0.0);
        let left = Duration::from_nanos((owed / rate * SECOND_NS) as u64);
        // What takes no time is made up for, whatever the rate becomes.
        let owed = if left == Duration::ZERO { 0.0 } else { owed };
        self.owed.set(owed);
        left
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn bytes_take_their_time_by_the_rate_of_the_moment() {
        let pace = Pace::new();
        pace.owe(5, 1 << 40);
        assert_eq!(pace.left(5), Duration::ZERO, "without a limit");
        pace.limit(1000.0);
        pace.owe(SECOND, 4000);
        pace.owe(SECOND, 1000);
        assert_eq!(pace.left(SECOND), Duration::from_secs(5));
        assert_eq!(pace.left(2 * SECOND), Duration::from_secs(4));
        pace.limit(500.0);
        assert_eq!(pace.left(2 * SECOND), Duration::from_secs(8));
        pace.limit(4000.0);
        assert_eq!(pace.left(2 * SECOND), Duration::from_secs(1));
        assert_eq!(pace.left(9 * SECOND), Duration::ZERO);
        // Time without work is not saved up.
        pace.owe(20 * SECOND, 4000);
        assert_eq!(pace.left(20 * SECOND), Duration::from_secs(1));
        // Nothing a second: next to nothing.
        pace.limit(0.0);
        assert_eq!(pace.left(20 * SECOND), Duration::from_secs(4000));
    }
}
