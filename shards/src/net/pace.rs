//! How fast the node accepts connections (`max.connection.creation.rate`).
//!
//! Kafka has one thread that accepts: it counts a connection, and waits, one window at most, until
//! the rate is what it may be. Here every shard accepts: who comes while another waits is counted
//! when that one's time has come, and waits behind it. So the rate is the node's, whatever its shards.
//!
//! Source: Kafka `ConnectionQuotas.waitForConnectionSlot`, `recordAndGetThrottleTimeMs`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use crate::quotas::{Rate, Windows};

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    windows: Windows,
    /// Connections a second; `i32::MAX`: any number, and none is counted.
    limit: AtomicI32,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    accepted: Rate,
    /// When the last that waits is let in, nanoseconds of the shards' clock.
    last: u64,
}

impl Pace {
    pub(super) fn new(windows: Windows, limit: i32) -> Pace {
        Pace {
            windows,
            limit: AtomicI32::new(limit),
            line: Mutex::default(),
        }
    }

    /// So many a second from now on. Who waits already does so to its end.
    pub(super) fn set(&self, limit: i32) {
        if self.limit.swap(limit, Relaxed) != limit {
            self.line.lock().expect("no panic under it").last = 0;
        }
    }

    /// Counts a connection that has come; until when it has to wait, if it has to. Nanoseconds.
    pub(super) fn early(&self, now: u64) -> Option<u64> {
        let limit = self.limit.load(Relaxed);
        if limit == i32::MAX {
            return None;
        }
        let mut line = self.line.lock().expect("no panic under it");
        let turn = line.last.max(now);
        line.accepted.record(self.windows, 1.0, turn);
        let wait = line
            .accepted
            .wait(self.windows, f64::from(limit), 0.0, turn);
        let until = turn + wait.min(self.windows.size() as f64) as u64;
        if until > turn {
            line.last = until;
        }
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn let_in(pace: &Pace, waiting: usize, seconds: u64) -> usize {
        // So many shards wait at a time, each for one connection.
        let mut turns = vec![0; waiting];
        let mut count = 0;
        loop {
            let next = turns.iter_mut().min().expect("a shard");
            if *next > seconds * S {
                return count;
            }
            count += 1;
            *next = pace.early(*next).unwrap_or(*next);
        }
    }

    #[test]
    fn the_rate_is_the_same_for_one_shard_and_for_many() {
        // 20 a second over two whole windows and those under way.
        for waiting in [1, 8] {
            let pace = Pace::new(Windows::new(3, 1), 20);
            let count = let_in(&pace, waiting, 60);
            let most = 20 * (60 + 3) + waiting;
            assert!((20 * 59..=most).contains(&count), "{waiting}: {count}");
        }
    }

    #[test]
    fn nobody_waits_for_one_who_did_not() {
        let pace = Pace::new(Windows::new(3, 1), 20);
        assert_eq!(pace.early(2 * S), None);
        // Another shard, which looked at the clock a little earlier.
        assert_eq!(pace.early(2 * S - 1), None);
    }

    #[test]
    fn none_a_second_are_one_a_window_as_in_kafka() {
        let pace = Pace::new(Windows::new(3, 1), 0);
        let count = let_in(&pace, 4, 60);
        assert!((58..=66).contains(&count), "{count}");
    }

    #[test]
    fn without_a_limit_nobody_waits_and_a_new_one_holds_at_once() {
        let pace = Pace::new(Windows::new(2, 1), i32::MAX);
        assert!((0..1000).all(|_| pace.early(S).is_none()));
        pace.set(1);
        assert_eq!(pace.early(S), None);
        assert!(pace.early(S).is_some());
        pace.set(1000);
        assert_eq!(pace.early(S), None);
    }
}
