//! Counters of one shard.
//!
//! A request's time ends when its answer is ready to be sent: waits for marks and for records, and
//! for earlier answers of its connection, are in it; a peer that is slow to take the answer is not.
//! Where an answer comes in a later pass than its request, the passes' own times are the clock.

use std::cell::Cell;

/// API keys that are counted: Kafka's are below.
const KEYS: usize = 128;

/// The upper bound of the first bucket is 2 to this power, nanoseconds: 16 µs.
const FIRST_POWER: u32 = 14;
/// Buckets with an upper bound, each twice the one before: the last is 17 s.
const BOUNDED: usize = 21;

/// A request that was taken.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its API.
    pub key: i16,
    /// When, nanoseconds of the shard's clock.
    pub at: u64,
}

/// How many took how long.
#[derive(Debug)]
pub struct Times {
    buckets: [Cell<u64>; BOUNDED + 1],
    sum: Cell<u64>,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            buckets: [const { Cell::new(0) }; BOUNDED + 1],
            sum: Cell::new(0),
        }
    }
}

/// The bucket of so many nanoseconds: the first whose bound is not less.
fn bucket(nanoseconds: u64) -> usize {
    let power = u64::BITS - nanoseconds.saturating_sub(1).leading_zeros();
    (power.saturating_sub(FIRST_POWER) as usize).min(BOUNDED)
}

impl Times {
    /// One more, of so many nanoseconds.
    #[inline]
    pub fn add(&self, nanoseconds: u64) {
        bump(&self.buckets[bucket(nanoseconds)], 1);
        bump(&self.sum, nanoseconds);
    }

    fn copy(&self) -> TimesCounts {
        TimesCounts {
            buckets: self.buckets.iter().map(Cell::get).collect(),
            sum_ns: self.sum.get(),
        }
    }
}

/// A copy of [`Times`].
#[derive(Clone, Debug, PartialEq)]
pub struct TimesCounts {
    /// Per bucket, not cumulative; the last has no upper bound.
    buckets: Vec<u64>,
    sum_ns: u64,
}

impl TimesCounts {
    /// Upper bounds in seconds, with how many took that long or less; the last bound is infinite.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut count = 0;
        self.buckets.iter().enumerate().map(move |(index, added)| {
            count += added;
            let bound = match index {
                BOUNDED => f64::INFINITY,
                _ => (1u64 << (FIRST_POWER as usize + index)) as f64 / 1e9,
            };
            (bound, count)
        })
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All of them together.
    pub fn seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }
}

#[derive(Debug, Default)]
struct Api {
    requests: Cell<u64>,
    request_bytes: Cell<u64>,
    response_bytes: Cell<u64>,
    times: Times,
}

/// A copy of what was counted of one API.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiCounts {
    /// Kafka's key.
    pub key: i16,
    /// Taken.
    pub requests: u64,
    /// With their lengths.
    pub request_bytes: u64,
    /// With their lengths, file ranges included.
    pub response_bytes: u64,
    /// Of those whose answer was ready, or that want none.
    pub times: TimesCounts,
}

/// See the module.
#[derive(Debug)]
pub struct Meter {
    apis: Box<[Api]>,
    /// Bytes of requests held; see `memory.request.bytes`.
    pub request_memory: Cell<usize>,
    /// Connections now.
    pub connections: Cell<u64>,
    /// Since the start.
    pub accepted: Cell<u64>,
    /// Closed at once: `max.connections.per.ip` and its overrides.
    pub refused: Cell<u64>,
    /// Times at which accepting had to wait: `max.connections`, `max.connection.creation.rate`, or no
    /// file descriptor.
    pub accept_waits: Cell<u64>,
    /// Closed after `connections.max.idle.ms`.
    pub idle_closed: Cell<u64>,
    /// Closed for what they sent.
    pub fault_closed: Cell<u64>,
    /// Clients told to wait, by [`QUOTAS`]: how often, and for how many milliseconds in all.
    throttled: [(Cell<u64>, Cell<u64>); QUOTAS.len()],
}

impl Default for Meter {
    fn default() -> Self {
        Meter {
            apis: (0..KEYS).map(|_| Api::default()).collect(),
            request_memory: Cell::new(0),
            connections: Cell::new(0),
            accepted: Cell::new(0),
            refused: Cell::new(0),
            accept_waits: Cell::new(0),
            idle_closed: Cell::new(0),
            fault_closed: Cell::new(0),
            throttled: Default::default(),
        }
    }
}

/// What quotas limit, as Kafka names its metrics (`QuotaType`).
pub const QUOTAS: [&str; 5] = [
    "produce",
    "fetch",
    "request",
    "connection",
    "controller-mutation",
];

/// Adds to a counter.
#[inline]
pub fn bump(counter: &Cell<u64>, by: u64) {
    counter.set(counter.get().wrapping_add(by));
}

impl Meter {
    #[inline]
    fn api(&self, key: i16) -> Option<&Api> {
        self.apis.get(usize::from(key as u16))
    }

    /// A request was taken; `request` is what follows its length.
    #[inline]
    pub fn taken(&self, request: &[u8], at: u64) -> Taken {
        let key = request.first_chunk().map_or(-1, |k| i16::from_be_bytes(*k));
        if let Some(api) = self.api(key) {
            bump(&api.requests, 1);
            bump(&api.request_bytes, request.len() as u64 + 4);
        }
        Taken { key, at }
    }

    /// Its answer of so many bytes is ready; 0 where it wants none.
    #[inline]
    pub fn answered(&self, taken: Taken, bytes: u64, now: u64) {
        if let Some(api) = self.api(taken.key) {
            bump(&api.response_bytes, bytes);
            api.times.add(now.saturating_sub(taken.at));
        }
    }

    /// A client was told to wait so many milliseconds; `quota`: its number in [`QUOTAS`].
    pub fn throttled(&self, quota: usize, ms: u32) {
        let (times, sum) = &self.throttled[quota];
        bump(times, 1);
        bump(sum, u64::from(ms));
    }

    /// How often clients were told to wait, and for how many milliseconds in all, by [`QUOTAS`].
    pub fn throttles(&self) -> [(u64, u64); QUOTAS.len()] {
        let copy = |(times, sum): &(Cell<u64>, Cell<u64>)| (times.get(), sum.get());
        std::array::from_fn(|quota| copy(&self.throttled[quota]))
    }

    /// A copy of the APIs of which anything was asked.
    pub fn apis(&self) -> Vec<ApiCounts> {
        let asked = self.apis.iter().enumerate();
        let asked = asked.filter(|(_, api)| api.requests.get() > 0);
        asked
            .map(|(key, api)| ApiCounts {
                key: key as i16,
                requests: api.requests.get(),
                request_bytes: api.request_bytes.get(),
                response_bytes: api.response_bytes.get(),
                times: api.times.copy(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_its_bound_says() {
        for nanoseconds in [0, 1, 16_384, 16_385, 32_768, 32_769, 1 << 34, u64::MAX] {
            let times = Times::default();
            times.add(nanoseconds);
            let counts = times.copy();
            for (bound, count) in counts.cumulative() {
                let within = nanoseconds as f64 / 1e9 <= bound;
                assert_eq!(count == 1, within, "{nanoseconds} ns, bound {bound}");
            }
            assert_eq!(counts.count(), 1);
        }
    }

    #[test]
    fn requests_are_counted_by_their_key_and_others_do_no_harm() {
        let meter = Meter::default();
        let taken = meter.taken(&[0, 3, 0, 9], 1000);
        meter.answered(taken, 50, 3000);
        for stranger in [&[][..], &[0], &[0x7f, 0xff], &[0xff, 0xff, 0]] {
            let taken = meter.taken(stranger, 0);
            meter.answered(taken, 1, 1);
        }
        let apis = meter.apis();
        assert_eq!(apis.len(), 1);
        let Taken { key, at } = taken;
        assert_eq!((key, at, apis[0].key), (3, 1000, 3));
        let bytes = (apis[0].request_bytes, apis[0].response_bytes);
        assert_eq!((apis[0].requests, bytes), (1, (8, 50)));
        assert_eq!(apis[0].times.seconds(), 2e-6);
    }
}
