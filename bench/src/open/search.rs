//! The highest rate that holds a bound.
//!
//! A closed-loop trial says how much the server takes at most; then rates below are tried, each
//! halving the interval between the highest that held and the lowest that did not, until they
//! are near. The rate that held is then run in full; if it does not hold in full, the next lower
//! step is.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::Target;
use crate::load::{Arrivals, Load, Reading, duration_of};
use crate::report::{Interval, RunResult};

/// Rates nearer than this are the same.
const NEAR: f64 = 1.05;
const TRIALS_MAX: usize = 12;
/// A rate that did not hold in full is lowered by this.
const STEP_DOWN: f64 = 0.93;
const FULL_RUNS_MAX: usize = 4;

/// A share of messages must not take longer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Until a consumer has it; else until the ack.
    pub end_to_end: bool,
    /// 0 to 1.
    pub quantile: f64,
    pub ms: f64,
}

impl FromStr for Bound {
    type Err = String;

    /// `p99=10ms`, `p99.9=5ms`, `end-to-end.p99=20ms`.
    fn from_str(text: &str) -> Result<Self, String> {
        let ill = || format!("{text:?} is not a bound such as p99=10ms or end-to-end.p99=20ms");
        let (what, time) = text.split_once('=').ok_or_else(ill)?;
        let (end_to_end, what) = match what.strip_prefix("end-to-end.") {
            Some(rest) => (true, rest),
            None => (false, what),
        };
        let percent: f64 = what
            .strip_prefix('p')
            .and_then(|number| number.parse().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .ok_or_else(ill)?;
        Ok(Self {
            end_to_end,
            quantile: percent / 100.0,
            ms: duration_of(time)?.as_secs_f64() * 1e3,
        })
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.end_to_end { "end-to-end " } else { "" };
        write!(f, "{what}p{} ≤ {} ms", self.quantile * 100.0, self.ms)
    }
}

impl Bound {
    /// What the run reached, milliseconds.
    pub fn reached(&self, result: &RunResult) -> Option<f64> {
        let latencies = match self.end_to_end {
            true => &result.end_to_end,
            false => &result.produce_ack,
        };
        latencies.ms(self.quantile)
    }

    /// Whether the run held it, kept up with its messages and is whole.
    pub fn held(&self, result: &RunResult) -> bool {
        let within = self.reached(result).is_some_and(|ms| ms <= self.ms);
        within && result.sustained() && result.complete
    }
}

/// A rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Messages per second.
    pub rate: f64,
    pub seconds: f64,
    pub acked_per_s: f64,
    /// Of the bound's quantile.
    pub ms: Option<f64>,
    pub held: bool,
}

/// What was searched and found; the result it stands in is that of the rate found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    pub bound: Bound,
    /// What a closed loop reached, messages per second.
    pub saturated_per_s: f64,
    /// None: no rate that was tried held the bound in full.
    pub rate: Option<f64>,
    pub trials: Vec<Trial>,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    pub bound: Bound,
    /// Of a trial's window, seconds.
    pub trial_s: f64,
}

impl Search {
    /// Searches. `tell` is told each step in words, `watch` the intervals of the full runs.
    ///
    /// # Errors
    /// As [`run`](super::run), and when the bound is on something that the load does not measure.
    pub fn run(
        &self,
        load: &Load,
        target: &Target,
        tell: &mut dyn FnMut(&str),
        watch: &mut dyn FnMut(&Interval),
    ) -> Result<RunResult> {
        if self.bound.end_to_end && load.reading != Reading::Live {
            bail!("{}: nobody reads while it is produced", self.bound);
        }
        if !self.bound.end_to_end && load.acks == crate::load::Acks::None {
            bail!("{}: with acks=0 there are no acks to wait for", self.bound);
        }
        let mut trials = Vec::new();
        let short = |rate: Option<f64>| Load {
            arrivals: match rate {
                Some(rate) => load.arrivals.at_rate(rate),
                None => Arrivals::Saturate,
            },
            warmup_s: (self.trial_s / 3.0).min(load.warmup_s),
            window_s: self.trial_s,
            ..load.clone()
        };
        let quick = Target {
            baseline: Duration::from_millis(10),
            ..target.clone()
        };
        let saturated = super::run(&short(None), &quick, &mut |_| {})?;
        if !saturated.complete {
            return Ok(saturated);
        }
        let saturated_per_s = saturated.acked_per_s();
        tell(&format!("saturated (closed loop): {saturated_per_s:.0}/s"));
        let mut bracket = Bracket::new(saturated_per_s);
        while let Some(rate) = bracket.next() {
            let result = super::run(&short(Some(rate)), &quick, &mut |_| {})?;
            if target.interrupt.load(std::sync::atomic::Ordering::Relaxed) {
                return Ok(result);
            }
            let trial = self.trial(rate, &result);
            tell(&line(&trial));
            bracket.took(rate, trial.held);
            trials.push(trial);
        }
        let mut rate = bracket.held.unwrap_or(bracket.failed);
        for attempt in 1.. {
            tell(&format!("in full: {rate:.0}/s"));
            let load = Load {
                arrivals: load.arrivals.at_rate(rate),
                ..load.clone()
            };
            let mut result = super::run(&load, target, watch)?;
            let trial = self.trial(rate, &result);
            tell(&line(&trial));
            let held = trial.held;
            trials.push(trial);
            if held || attempt == FULL_RUNS_MAX || !result.complete {
                let rate = held.then_some(rate);
                if rate.is_none() {
                    let none = format!("no rate that was tried in full holds {}", self.bound);
                    result.problems.push(none);
                    result.complete = false;
                }
                result.search = Some(Found {
                    bound: self.bound,
                    saturated_per_s,
                    rate,
                    trials,
                });
                return Ok(result);
            }
            rate *= STEP_DOWN;
        }
        unreachable!("the attempts are bounded")
    }

    fn trial(&self, rate: f64, result: &RunResult) -> Trial {
        Trial {
            rate,
            seconds: result.window.seconds,
            acked_per_s: match result.window.seconds > 0.0 {
                true => result.acked_per_s(),
                false => 0.0,
            },
            ms: self.bound.reached(result),
            held: self.bound.held(result),
        }
    }
}

fn line(trial: &Trial) -> String {
    let held = if trial.held { "holds" } else { "does not hold" };
    let ms = trial.ms.map_or("-".to_owned(), |ms| format!("{ms:.2}"));
    format!("{:.0}/s: {ms} ms, {held}", trial.rate)
}

/// Where the highest rate lies.
struct Bracket {
    held: Option<f64>,
    /// The lowest that did not hold, or what cannot be reached.
    failed: f64,
    trials: usize,
}

impl Bracket {
    /// Below `most`: a little above what saturates, a rate cannot be sustained.
    fn new(most: f64) -> Self {
        Self {
            held: None,
            failed: most * NEAR,
            trials: 0,
        }
    }

    /// The next rate to try; none when it is found.
    fn next(&self) -> Option<f64> {
        if self.trials == TRIALS_MAX {
            return None;
        }
        match self.held {
            None => (self.failed > 1.0).then_some(self.failed / 2.0),
            Some(held) if self.failed / held > NEAR => Some((held * self.failed).sqrt()),
            Some(_) => None,
        }
    }

    fn took(&mut self, rate: f64, held: bool) {
        self.trials += 1;
        if held {
            self.held = Some(rate);
        } else {
            self.failed = rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read() {
        let bound: Bound = "p99.9=5ms".parse().unwrap();
        assert!((bound.quantile - 0.999).abs() < 1e-12 && bound.ms == 5.0);
        assert!("end-to-end.p50=1s".parse::<Bound>().unwrap().end_to_end);
        for text in ["", "p99", "99=1ms", "p101=1ms", "p99=soon"] {
            assert!(text.parse::<Bound>().is_err(), "{text}");
        }
    }

    fn found(saturated: f64, limit: f64) -> (Option<f64>, usize) {
        let mut bracket = Bracket::new(saturated);
        while let Some(rate) = bracket.next() {
            bracket.took(rate, rate <= limit);
        }
        (bracket.held, bracket.trials)
    }

    #[test]
    fn the_bracket_closes_on_the_limit() {
        for limit in [990_000.0, 700_000.0, 312_345.0, 20_000.0] {
            let (held, trials) = found(1e6, limit);
            let held = held.expect("a rate that holds");
            assert!(
                held <= limit && held * NEAR * NEAR > limit,
                "{limit}: {held}"
            );
            assert!(trials <= TRIALS_MAX);
        }
        assert_eq!(found(1e6, 0.0).0, None);
    }
}
