//! What was used per second, over sliding windows.
//!
//! Source: Kafka `Rate`, `SampledStat`, `QuotaUtils.throttleTime`.

use std::collections::VecDeque;

/// Windows that one sum is kept in, at most: more of them in the settings become longer ones.
const WINDOWS_MAX: u32 = 64;

/// How far back a rate reaches, and how finely it forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    count: u32,
    /// Of one, nanoseconds.
    size: u64,
}

impl Windows {
    /// `count` windows of `seconds` each, at least one of one.
    pub fn new(count: i32, seconds: i32) -> Windows {
        let (count, seconds) = (count.max(1).unsigned_abs(), seconds.max(1).unsigned_abs());
        let seconds = u64::from(count) * u64::from(seconds);
        let span = seconds.saturating_mul(1_000_000_000);
        let kept = count.min(WINDOWS_MAX);
        Windows {
            count: kept,
            size: span / u64::from(kept),
        }
    }

    /// All of them together, nanoseconds.
    pub fn span(self) -> u64 {
        u64::from(self.count) * self.size
    }

    /// One of them, nanoseconds.
    pub fn size(self) -> u64 {
        self.size
    }

    /// The whole windows before the one that is under way, seconds: what is used in less time than
    /// that counts as used in that time.
    pub fn least_seconds(self) -> f64 {
        (u64::from(self.count - 1) * self.size) as f64 / 1e9
    }
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: u64,
    last: u64,
    sum: f64,
}

/// The usage of one client. Times are nanoseconds of any clock that does not go back.
#[derive(Debug, Default)]
pub struct Rate {
    /// In order of time; at most one more than are counted.
    windows: VecDeque<Window>,
}

impl Rate {
    /// So much was used.
    pub fn record(&mut self, windows: Windows, used: f64, now: u64) {
        self.forget(windows, now);
        match self.windows.back_mut() {
            Some(last) if now.saturating_sub(last.start) < windows.size => {
                last.sum += used;
                last.last = now;
            }
            _ => self.windows.push_back(Window {
                start: now,
                last: now,
                sum: used,
            }),
        }
    }

    fn forget(&mut self, windows: Windows, now: u64) {
        while let Some(first) = self.windows.front()
            && now.saturating_sub(first.last) >= windows.span()
        {
            self.windows.pop_front();
        }
    }

    /// Whether nothing was used for as long as the windows reach.
    pub fn idle(&mut self, windows: Windows, now: u64) -> bool {
        self.forget(windows, now);
        self.windows.is_empty()
    }

    /// How long, in nanoseconds, until the rate is `limit` per second again if `more` is used now and
    /// nothing after it; 0 if it does not exceed that.
    pub fn wait(&mut self, windows: Windows, limit: f64, more: f64, now: u64) -> f64 {
        self.forget(windows, now);
        let used: f64 = self.windows.iter().map(|window| window.sum).sum::<f64>() + more;
        let start = self.windows.front().map_or(now, |first| first.start);
        let mut span = now.saturating_sub(start);
        // As if whole windows but one had passed, or more.
        let whole = span / windows.size;
        let least = u64::from(windows.count - 1);
        span = span.saturating_add(least.saturating_sub(whole) * windows.size);
        let span = span.max(1_000_000) as f64;
        let rate = used / (span / 1e9);
        match rate > limit {
            true => (rate - limit) / limit * span,
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;
    const MS: u64 = 1_000_000;

    #[test]
    fn a_burst_is_waited_for_as_kafka_has_it() {
        let windows = Windows::new(11, 1);
        let mut rate = Rate::default();
        // 500 a second over 10 whole windows: 5000 are free.
        rate.record(windows, 5000.0, 0);
        assert_eq!(rate.wait(windows, 500.0, 0.0, 0), 0.0);
        rate.record(windows, 600.0, 500 * MS);
        // 5600 in 10.5 s are 533.3 a second: (533.3 - 500) / 500 * 10.5 s = 0.7 s.
        let wait = rate.wait(windows, 500.0, 0.0, 500 * MS);
        assert!((wait - 0.7e9).abs() < 1e3, "{wait}");
        // Where a window ends less time counts, so it is told to wait again; 5600 take 11.2 s in all.
        assert!(rate.wait(windows, 500.0, 0.0, 11_100 * MS) > 0.0);
        assert!(rate.wait(windows, 500.0, 0.0, 11_200 * MS) < 1.0);
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let windows = Windows::new(2, 1);
        let mut rate = Rate::default();
        rate.record(windows, 1e9, 5 * S);
        assert!(!rate.idle(windows, 5 * S + 1999 * MS));
        assert!(rate.wait(windows, 1.0, 0.0, 6 * S) > 0.0);
        assert!(rate.idle(windows, 7 * S));
        assert_eq!(rate.wait(windows, 1.0, 0.0, 7 * S), 0.0);
    }

    #[test]
    fn settings_bound_the_memory_not_the_span() {
        let windows = Windows::new(i32::MAX, i32::MAX);
        assert!(windows.count <= WINDOWS_MAX);
        assert!(windows.span() > u64::MAX / 8);
        let many = Windows::new(1000, 1);
        assert!(many.span().abs_diff(1000 * S) < 1000);
        let least = Windows::new(0, -1);
        assert_eq!((least.count, least.size), (1, S));
        assert_eq!(least.least_seconds(), 0.0);
    }

    proptest! {
        /// Who waits whenever it is told to has, in all windows, what it may, and its last use.
        #[test]
        fn a_client_that_waits_gets_what_it_may(
            uses in prop::collection::vec((1f64..50_000.0, 0u64..3 * S), 1..200),
            count in 1i32..20,
            limit in 1_000f64..20_000.0,
        ) {
            let windows = Windows::new(count, 1);
            let (mut rate, mut now, mut largest) = (Rate::default(), 0u64, 0f64);
            for (used, pause) in uses {
                now += pause;
                loop {
                    match rate.wait(windows, limit, 0.0, now) {
                        0.0 => break,
                        wait => now += wait as u64 + MS,
                    }
                }
                rate.record(windows, used, now);
                largest = largest.max(used);
                let sum: f64 = rate.windows.iter().map(|window| window.sum).sum();
                let span = (windows.span() + windows.size()) as f64 / 1e9;
                prop_assert!(sum <= limit * span + largest, "{sum} at {now}");
                prop_assert!(rate.windows.len() <= windows.count as usize + 1);
            }
        }
    }
}
