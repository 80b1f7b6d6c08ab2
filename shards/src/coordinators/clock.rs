//! The time by which coordinators decide: the wall clock's, which is set back now and then, but
//! this one goes on then at its pace. Whoever waits for a time waits no longer for that.
//!
//! Source: Kafka `SystemTimer`, whose times come from `System.nanoTime`.

use std::cell::Cell;

use odradek_engine::io::Io;

const MS_NS: u64 = 1_000_000;

/// See the module. Milliseconds since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct SteadyClock {
    /// The shard's clock, nanoseconds, and what this one said then.
    since: Cell<Option<(u64, i64)>>,
}

impl SteadyClock {
    /// Never behind the wall clock, and never less than before.
    pub fn now_ms(&self, io: &Io) -> i64 {
        self.at(io.now(), io.wall_clock())
    }

    fn at(&self, now_ns: u64, wall_ms: i64) -> i64 {
        let steady = self.since.get().map(|(then_ns, then_ms)| {
            let passed = now_ns.saturating_sub(then_ns) / MS_NS;
            then_ms.saturating_add(passed as i64)
        });
        match steady {
            Some(steady) if steady >= wall_ms => steady,
            _ => {
                self.since.set(Some((now_ns, wall_ms)));
                wall_ms
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_wall_clock_and_goes_on_when_that_is_set_back() {
        let clock = SteadyClock::default();
        assert_eq!(clock.at(0, 1_000), 1_000);
        assert_eq!(clock.at(5 * MS_NS, 1_005), 1_005);
        // An hour forwards.
        assert_eq!(clock.at(6 * MS_NS, 3_601_006), 3_601_006);
        // A day back: as if nothing had happened, however often it is asked.
        for quarter in 0..400 {
            let passed = quarter * MS_NS / 4;
            let told = clock.at(6 * MS_NS + passed, 17);
            assert_eq!(told, 3_601_006 + (quarter / 4) as i64);
        }
        // It has caught up.
        assert_eq!(clock.at(200 * MS_NS, 9_000_000), 9_000_000);
    }
}
