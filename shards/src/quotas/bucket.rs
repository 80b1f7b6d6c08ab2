//! Tokens that come back steadily: changes of metadata are paid with them.
//!
//! Source: Kafka `TokenBucket`, `StrictControllerMutationQuota`, `PermissiveControllerMutationQuota`.

use super::rate::Windows;

/// Full at first. Holds at most what comes in all windows together.
#[derive(Debug, Default)]
pub struct Bucket {
    /// Tokens, and when they were counted, nanoseconds; below zero it is overdrawn.
    held: Option<(f64, u64)>,
    /// Tokens a second when it was last used.
    limit: f64,
}

impl Bucket {
    fn refill(&mut self, windows: Windows, limit: f64, now: u64) -> f64 {
        let most = limit * (windows.span() as f64 / 1e9);
        let tokens = match self.held {
            None => most,
            Some((tokens, then)) => {
                let came = limit * (now.saturating_sub(then) as f64 / 1e9);
                most.min(tokens + came)
            }
        };
        self.held = Some((tokens, now));
        self.limit = limit;
        tokens
    }

    /// How long it is overdrawn at `limit` tokens a second, nanoseconds.
    pub fn overdrawn(&mut self, windows: Windows, limit: f64, now: u64) -> f64 {
        let tokens = self.refill(windows, limit, now);
        match tokens < 0.0 {
            true => -tokens / limit * 1e9,
            false => 0.0,
        }
    }

    /// Takes tokens, however few there are.
    pub fn take(&mut self, windows: Windows, limit: f64, tokens: f64, now: u64) {
        let left = self.refill(windows, limit, now) - tokens;
        self.held = Some((left, now));
    }

    /// Whether it is full again: as good as new.
    pub fn full(&mut self, windows: Windows, now: u64) -> bool {
        let limit = self.limit;
        self.refill(windows, limit, now) >= limit * (windows.span() as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_burst_is_free_and_what_is_overdrawn_takes_its_time() {
        // KIP-599's example: 5 a second over 100 windows.
        let windows = Windows::new(50, 2);
        let (mut bucket, limit) = (Bucket::default(), 5.0);
        assert_eq!(bucket.overdrawn(windows, limit, 7 * S), 0.0);
        bucket.take(windows, limit, 560.0, 7 * S);
        assert_eq!(bucket.overdrawn(windows, limit, 7 * S), 12e9);
        assert_eq!(bucket.overdrawn(windows, limit, 13 * S), 6e9);
        assert_eq!(bucket.overdrawn(windows, limit, 19 * S), 0.0);
        assert!(!bucket.full(windows, 118 * S));
        assert!(bucket.full(windows, 119 * S));
        // No more than the burst is ever kept.
        bucket.take(windows, limit, 500.0, 10_000 * S);
        assert_eq!(bucket.overdrawn(windows, limit, 10_000 * S), 0.0);
        bucket.take(windows, limit, 5.0, 10_000 * S);
        assert_eq!(bucket.overdrawn(windows, limit, 10_000 * S), 1e9);
    }
}
