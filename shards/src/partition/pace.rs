//! How fast a shard's cleanings may read and write.
//!
//! Source: Kafka `Throttler`, `log.cleaner.io.max.bytes.per.second`.

use std::cell::Cell;
use std::time::Duration;

use odradek_engine::io::Io;

/// So long somebody who waits goes without asking whether to go on.
const PAUSE: Duration = Duration::from_millis(100);
const SECOND_NS: f64 = 1e9;

/// See the module.
pub struct Pace {
    bytes_per_second: Cell<f64>,
    /// When what was spent so far is made up for, nanoseconds.
    even_at: Cell<u64>,
}

impl Pace {
    /// Without a limit.
    pub fn new() -> Pace {
        Pace {
            bytes_per_second: Cell::new(f64::MAX),
            even_at: Cell::new(0),
        }
    }

    /// From now on at most so many bytes a second, above 0.
    pub fn limit(&self, bytes_per_second: f64) {
        self.bytes_per_second.set(bytes_per_second.max(1.0));
    }

    /// So many bytes were read or written: waits until that is within the limit, while `go_on`.
    pub(super) async fn spend(&self, io: &Io, bytes: u64, go_on: impl Fn() -> bool) {
        let worth_ns = bytes as f64 / self.bytes_per_second.get() * SECOND_NS;
        let from = self.even_at.get().max(io.now());
        let even_at = from.saturating_add(worth_ns as u64);
        self.even_at.set(even_at);
        while io.now() < even_at && go_on() {
            let left = Duration::from_nanos(even_at - io.now());
            io.sleep(left.min(PAUSE)).await;
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}
