//! When the next small write starts: not before those who were just answered had a moment to send
//! their next records, so that one write takes what would have been several.
//!
//! A device's write costs the same for a page as for sixteen. Under a stream of small requests the
//! first answer to a completed write would start the next one, nearly empty, and all others would
//! wait for it. So after a small write the next is held until about as much is pending as was
//! outstanding then, for 100 µs at most after the completion. A write after a pause is not held.
//!
//! Absent on purpose: clocks and timers.

/// The longest hold after a completed write, nanoseconds.
const HOLD_NS: u64 = 100_000;
/// Larger writes are worth a submission of their own.
const SMALL_BYTES: u64 = 64 << 10;

/// See the module.
#[derive(Default, Debug)]
pub(super) struct Pace {
    /// When the last write completed, nanoseconds.
    ended: u64,
    /// Bytes that were outstanding then; 0: nothing is waited for.
    expected: u64,
}

impl Pace {
    /// A write of `bytes` completed when `pending` more had gathered.
    pub(super) fn wrote(&mut self, now: u64, bytes: u64, pending: u64) {
        self.ended = now;
        let outstanding = bytes.saturating_add(pending);
        self.expected = match outstanding < SMALL_BYTES {
            true => outstanding,
            false => 0,
        };
    }

    /// Until when the next write is held, if it is, with `pending` bytes to write.
    pub(super) fn hold(&self, now: u64, pending: u64) -> Option<u64> {
        let until = self.ended + HOLD_NS;
        (pending < self.expected - self.expected / 8 && now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_until_as_much_is_pending_or_time_is_up() {
        let mut pace = Pace::default();
        assert_eq!(pace.hold(5, 1), None);
        pace.wrote(1_000, 600, 200);
        assert_eq!(pace.hold(1_000, 200), Some(101_000));
        assert_eq!(pace.hold(100_999, 699), Some(101_000));
        assert_eq!(pace.hold(1_001, 700), None);
        assert_eq!(pace.hold(101_000, 1), None);
    }

    #[test]
    fn a_lone_request_at_a_time_is_never_held() {
        let mut pace = Pace::default();
        pace.wrote(1_000, 100, 0);
        assert_eq!(pace.hold(1_000, 100), None);
    }

    #[test]
    fn large_writes_hold_nothing() {
        let mut pace = Pace::default();
        pace.wrote(1_000, 1 << 20, 1 << 20);
        assert_eq!(pace.hold(1_000, 1), None);
    }
}
