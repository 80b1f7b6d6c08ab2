//! Whether a claim holds, and how that is told.
//!
//! Three rounds give an interval so wide that next to nothing lies outside it; so a claim holds when
//! every round bears it out, and the interval is only told.

use super::figures::{Advantage, ROUNDS_MIN};

/// How to read the table of claims.
pub(super) const READ: &str = "\
How many times better the own node is: ratios of medians (of the rounds' ratios the least and the \
greatest, and their 95 % interval). CPU is the whole machine's less idle baseline and driver. A claim \
holds if every round reaches it, of three at least, and does not if the medians miss it; all else is \
within noise. Latencies are compared at the highest rate that both held in every round: 99 to 101 % of \
the messages intended within the window were acked in it, and next to none held back.";

/// A claim, judged.
pub(crate) struct Judged {
    pub(crate) claim: &'static str,
    pub(crate) times_min: f64,
    /// Beside each other contestant, in all surroundings: as [`columns`](super::headline::columns) names them.
    pub(crate) of: Vec<Result<Compared, Missing>>,
}

/// Both figures of a claim.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compared {
    /// Medians.
    pub(crate) ours: f64,
    pub(crate) theirs: f64,
    pub(crate) unit: &'static str,
    pub(crate) advantage: Advantage,
    /// The rate at which they were compared, where there are several.
    pub(crate) rate: Option<String>,
}

impl Compared {
    pub(super) fn show(&self) -> String {
        let advantage = self.advantage.show_rounds();
        match &self.rate {
            Some(rate) => format!("at {rate}: {advantage}"),
            None => advantage,
        }
    }
}

/// Why there is no comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    Unmeasured,
    NoRateHeld,
    /// Another contestant is the one to compare with.
    NotAsked,
}

impl Missing {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Missing::Unmeasured | Missing::NotAsked => "-",
            Missing::NoRateHeld => "no rate that both hold",
        }
    }
}

/// A cell of the table of claims.
pub(super) fn shown(of: &Result<Compared, Missing>) -> String {
    match of {
        Ok(compared) => compared.show(),
        Err(missing) => missing.name().to_owned(),
    }
}

/// Whether a claim holds. Of several the least counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holds {
    /// The medians' ratio misses it.
    No,
    Unknown,
    /// A round misses it, or there are too few.
    WithinNoise,
    /// Every round reaches it.
    Yes,
}

impl Holds {
    fn of(advantage: &Advantage, times_min: f64) -> Self {
        let least = advantage.by_round.map(|(least, _)| least);
        match least {
            _ if advantage.times < times_min => Holds::No,
            Some(least) if least >= times_min && advantage.rounds >= ROUNDS_MIN => Holds::Yes,
            _ => Holds::WithinNoise,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Holds::No => "no",
            Holds::Unknown => "unknown",
            Holds::WithinNoise => "within noise",
            Holds::Yes => "yes",
        }
    }
}

impl Judged {
    /// Beside all.
    pub(crate) fn holds(&self) -> Holds {
        self.holds_beside(&self.of)
    }

    /// Beside some of them.
    pub(crate) fn holds_beside<'a>(
        &self,
        of: impl IntoIterator<Item = &'a Result<Compared, Missing>>,
    ) -> Holds {
        let each = of.into_iter().filter_map(|one| match one {
            Ok(one) => Some(Holds::of(&one.advantage, self.times_min)),
            Err(Missing::NotAsked) => None,
            Err(Missing::Unmeasured | Missing::NoRateHeld) => Some(Holds::Unknown),
        });
        each.min().unwrap_or(Holds::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(times: f64, rounds: usize, by_round: Option<(f64, f64)>) -> Compared {
        Compared {
            ours: 1.0,
            theirs: times,
            unit: "s/GB",
            advantage: Advantage {
                times,
                interval: Some((0.0, 1e9)),
                rounds,
                by_round,
            },
            rate: None,
        }
    }

    fn judged(of: Vec<Result<Compared, Missing>>) -> Judged {
        Judged {
            claim: "a claim",
            times_min: 5.0,
            of,
        }
    }

    #[test]
    fn a_claim_holds_if_every_round_of_three_does() {
        for (times, rounds, by_round, holds) in [
            (9.0, 3, Some((5.0, 12.0)), Holds::Yes),
            (9.0, 3, Some((4.9, 12.0)), Holds::WithinNoise),
            (9.0, 2, Some((8.0, 12.0)), Holds::WithinNoise),
            (9.0, 0, None, Holds::WithinNoise),
            (4.9, 3, Some((4.0, 12.0)), Holds::No),
            (4.9, 1, Some((4.9, 4.9)), Holds::No),
        ] {
            let judged = judged(vec![Ok(compared(times, rounds, by_round))]);
            assert_eq!(judged.holds(), holds, "{times} {rounds} {by_round:?}");
        }
    }

    #[test]
    fn of_several_the_least_counts() {
        let yes = || Ok(compared(9.0, 3, Some((8.0, 10.0))));
        let noise = || Ok(compared(9.0, 3, Some((1.0, 10.0))));
        let no = || Ok(compared(4.0, 3, Some((3.0, 10.0))));
        assert_eq!(judged(vec![yes(), yes()]).holds(), Holds::Yes);
        assert_eq!(judged(vec![yes(), noise()]).holds(), Holds::WithinNoise);
        let unknown = judged(vec![yes(), noise(), Err(Missing::NoRateHeld)]);
        assert_eq!(unknown.holds(), Holds::Unknown);
        assert_eq!(unknown.holds_beside(&unknown.of[..1]), Holds::Yes);
        assert_eq!(
            judged(vec![no(), Err(Missing::Unmeasured)]).holds(),
            Holds::No
        );
        // Who is not the one to compare with does not count.
        assert_eq!(
            judged(vec![yes(), Err(Missing::NotAsked)]).holds(),
            Holds::Yes
        );
        assert_eq!(judged(vec![Err(Missing::NotAsked)]).holds(), Holds::Unknown);
    }
}
