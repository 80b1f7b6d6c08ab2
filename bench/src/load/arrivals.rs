//! When messages are to be sent.

use rand_distr::{Distribution, Exp};
use serde::{Deserialize, Serialize};

use super::random::{Random, random};

/// How messages arrive, all producers together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Arrivals {
    /// Open loop, evenly spaced; messages per second.
    Constant { rate: f64 },
    /// Open loop, independent of each other (exponential gaps); messages per second on average.
    Poisson { rate: f64 },
    /// Closed loop: as fast as the server answers. Its latencies are those of a saturated server
    /// and hide what a stall would have delayed.
    Saturate,
}

impl Arrivals {
    /// Messages per second that are asked for; none in a closed loop.
    pub fn rate(self) -> Option<f64> {
        match self {
            Arrivals::Constant { rate } | Arrivals::Poisson { rate } => Some(rate),
            Arrivals::Saturate => None,
        }
    }

    /// The same at another rate; a closed loop becomes constant.
    #[must_use]
    pub fn at_rate(self, rate: f64) -> Self {
        match self {
            Arrivals::Poisson { .. } => Arrivals::Poisson { rate },
            _ => Arrivals::Constant { rate },
        }
    }

    pub fn is_open(self) -> bool {
        self.rate().is_some()
    }
}

/// One producer's intended send times, nanoseconds from the run's beginning, never falling.
pub struct Timetable {
    /// Where the next message stands.
    next: f64,
    /// Between two messages, or its average.
    gap: f64,
    poisson: Option<(Exp<f64>, Random)>,
}

impl Timetable {
    /// Of `producer`, one of `producers` that share the rate evenly. None in a closed loop, which
    /// has no times.
    ///
    /// # Panics
    /// When the rate is not above 0: loads are checked before they run.
    pub fn new(arrivals: Arrivals, producer: usize, producers: usize, seed: u64) -> Option<Self> {
        let rate = arrivals.rate()?;
        let gap = 1e9 * producers as f64 / rate;
        let poisson = matches!(arrivals, Arrivals::Poisson { .. }).then(|| {
            let gaps = Exp::new(1.0 / gap).expect("a rate above 0");
            (gaps, random(seed, producer, 1))
        });
        let mut table = Self {
            // Constant producers take turns rather than send at the same moment.
            next: gap * producer as f64 / producers as f64,
            gap,
            poisson,
        };
        if table.poisson.is_some() {
            table.next = 0.0;
            table.advance();
        }
        Some(table)
    }

    /// The next message's time.
    #[inline]
    pub fn next(&self) -> u64 {
        self.next as u64
    }

    /// On to the one after it.
    #[inline]
    pub fn advance(&mut self) {
        self.next += match &mut self.poisson {
            Some((gaps, random)) => gaps.sample(random),
            None => self.gap,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(arrivals: Arrivals, producer: usize, producers: usize, count: usize) -> Vec<u64> {
        let mut table = Timetable::new(arrivals, producer, producers, 5).unwrap();
        (0..count)
            .map(|_| {
                let at = table.next();
                table.advance();
                at
            })
            .collect()
    }

    #[test]
    fn constant_producers_take_turns() {
        let arrivals = Arrivals::Constant { rate: 1000.0 };
        assert_eq!(times(arrivals, 0, 2, 3), [0, 2_000_000, 4_000_000]);
        assert_eq!(times(arrivals, 1, 2, 3), [1_000_000, 3_000_000, 5_000_000]);
    }

    #[test]
    fn constant_rates_do_not_drift() {
        let arrivals = Arrivals::Constant { rate: 3_000_000.0 };
        let last = *times(arrivals, 0, 1, 3_000_001).last().unwrap();
        assert!(last.abs_diff(1_000_000_000) < 100, "{last}");
    }

    #[test]
    fn poisson_has_the_rate_and_the_spread() {
        let arrivals = Arrivals::Poisson { rate: 100_000.0 };
        let all = times(arrivals, 1, 2, 100_000);
        assert!(all.is_sorted());
        assert_eq!(all, times(arrivals, 1, 2, 100_000));
        assert_ne!(all, times(arrivals, 0, 2, 100_000));
        // 50,000 a second: two seconds, within five standard deviations of 0.3 % each.
        let last = *all.last().unwrap() as f64;
        assert!((last / 2e9 - 1.0).abs() < 0.016, "{last}");
        // Exponential gaps: a share of 1/e is longer than the average.
        let long = all
            .windows(2)
            .filter(|two| two[1] - two[0] > 20_000)
            .count();
        assert!((long as f64 / 1e5 - 0.3679).abs() < 0.01, "{long}");
    }

    #[test]
    fn a_closed_loop_has_no_times() {
        assert!(Timetable::new(Arrivals::Saturate, 0, 1, 0).is_none());
    }
}
