//! Fewer intervals than were measured: a page stays small however long the run was.

use std::borrow::Cow;

use super::super::{Interval, Percentiles};

/// Of a line, at most.
const INTERVALS_MAX: usize = 240;

/// As they are where there are few; else so many of them in one: counts add up, of what waited and
/// of latencies the worst is taken.
pub(super) fn thin(timeline: &[Interval]) -> Cow<'_, [Interval]> {
    let each = timeline.len().div_ceil(INTERVALS_MAX);
    match each {
        0 | 1 => Cow::Borrowed(timeline),
        _ => Cow::Owned(timeline.chunks(each).map(together).collect()),
    }
}

fn together(some: &[Interval]) -> Interval {
    let mut sum = Interval::default();
    for one in some {
        sum.at_s = one.at_s;
        sum.seconds += one.seconds;
        sum.warmup = one.warmup;
        sum.made += one.made;
        sum.acked += one.acked;
        sum.acked_bytes += one.acked_bytes;
        sum.consumed += one.consumed;
        sum.produce_ack = worse(sum.produce_ack, one.produce_ack);
        sum.end_to_end = worse(sum.end_to_end, one.end_to_end);
        sum.lag = sum.lag.max(one.lag);
        sum.unanswered = sum.unanswered.max(one.unanswered);
    }
    sum
}

fn worse(one: Option<Percentiles>, two: Option<Percentiles>) -> Option<Percentiles> {
    let (Some(a), Some(b)) = (one, two) else {
        return one.or(two);
    };
    Some(Percentiles {
        p50_ms: a.p50_ms.max(b.p50_ms),
        p99_ms: a.p99_ms.max(b.p99_ms),
        max_ms: a.max_ms.max(b.max_ms),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(count: usize) -> Vec<Interval> {
        let interval = |at: usize| Interval {
            at_s: at as f64,
            seconds: 1.0,
            acked: 10,
            lag: at as u64 % 7,
            end_to_end: at.is_multiple_of(2).then_some(Percentiles {
                p99_ms: at as f64,
                ..Percentiles::default()
            }),
            ..Interval::default()
        };
        (1..=count).map(interval).collect()
    }

    #[test]
    fn a_long_run_is_drawn_by_few_intervals() {
        let short = timeline(INTERVALS_MAX);
        assert_eq!(thin(&short), Cow::Borrowed(short.as_slice()));
        let long = timeline(3601);
        let few = thin(&long);
        assert!(few.len() <= INTERVALS_MAX && few.len() > INTERVALS_MAX / 2);
        let acked: u64 = few.iter().map(|one| one.acked).sum();
        assert_eq!(acked, 36_010, "nothing is left out");
        let seconds: f64 = few.iter().map(|one| one.seconds).sum();
        assert_eq!(seconds, 3601.0);
        assert_eq!(few.last().map(|one| one.at_s), Some(3601.0));
        let worst = few.iter().filter_map(|one| one.end_to_end);
        assert_eq!(worst.map(|one| one.p99_ms).fold(0.0, f64::max), 3600.0);
        let lags: Vec<u64> = few.iter().map(|one| one.lag).collect();
        assert!(
            lags[..few.len() - 1].iter().all(|lag| *lag == 6),
            "{lags:?}"
        );
    }
}
