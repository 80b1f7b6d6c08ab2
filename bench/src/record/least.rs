//! The least that a program took in any of its runs.

use std::cmp::Ordering;

use crate::measurement::Measurement;

/// CPU per GB (seconds) or per request (microseconds).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Least {
    pub(super) runs: usize,
    /// Of the whole machine; none where no run's can be believed.
    pub(super) machine: Option<f64>,
    /// Of the server's process.
    pub(super) process: Option<f64>,
}

impl Least {
    /// The cheapest first; last those of which the machine's figure is not known.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let cost = |of: &Self| of.machine.or(of.process).unwrap_or(f64::INFINITY);
        let unknown = |of: &Self| of.machine.is_none();
        let by_cost = cost(self).total_cmp(&cost(other));
        unknown(self).cmp(&unknown(other)).then(by_cost)
    }
}

/// Of the machine's CPU `idle` is taken off, in cores: the least that ran before any run. What ran
/// before one and was over when it began would make that one look cheaper.
pub(super) fn least<'a>(
    runs: impl Iterator<Item = &'a Measurement>,
    per_request: bool,
    idle: f64,
) -> Least {
    let mut all = Least::default();
    for run in runs {
        let share = |cpu_s: f64| match per_request {
            true => cpu_s * 1e6 / run.requests as f64,
            false => cpu_s * 1e9 / run.bytes as f64,
        };
        let less = |least: Option<f64>, cpu_s: Option<f64>| {
            let shares = least.into_iter().chain(cpu_s.map(share));
            shares.filter(|one| one.is_finite()).reduce(f64::min)
        };
        let cost = &run.cost;
        let machine = cost.machine_cpu_s + cost.idle_baseline_s - idle * cost.seconds;
        let believed = run.machine_was_quiet().then_some(machine);
        all = Least {
            runs: all.runs + 1,
            machine: less(all.machine, believed),
            process: less(all.process, cost.process_cpu_s),
        };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::test_runs::run;

    #[test]
    fn runs_on_a_busy_machine_do_not_count() {
        let runs = [run(0.3, 0.0), run(0.1, 0.5), run(0.2, 0.0)];
        let found = least(runs.iter(), false, 0.0);
        assert_eq!((found.runs, found.machine), (3, Some(0.2)));
        assert_eq!(found.process, Some(0.1));
        assert_eq!(least(runs[1..2].iter(), false, 0.0).machine, None);
    }

    /// The second took no less: more ran before it.
    #[test]
    fn a_busy_moment_before_a_run_does_not_make_it_cheaper() {
        let runs = [run(0.2, 0.01), run(0.19, 0.08)];
        let machine = least(runs.iter(), false, 0.01).machine;
        assert!((machine.expect("quiet runs") - 0.2).abs() < 1e-9);
    }

    #[test]
    fn what_moved_nothing_has_no_share() {
        let mut still = run(0.2, 0.0);
        (still.bytes, still.cost.process_cpu_s) = (0, Some(0.0));
        assert_eq!(least([&still].into_iter(), false, 0.0).machine, None);
        assert_eq!(least([&still].into_iter(), false, 0.0).process, None);
    }
}
