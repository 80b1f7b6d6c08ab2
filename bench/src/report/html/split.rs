//! CPU of a window, by whom it was spent.

use super::super::plot::{Bar, Part};
use crate::measurement::Cost;

/// Seconds of each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Split {
    pub(crate) process: f64,
    /// Of the whole machine less idle and driver, the process's included.
    pub(crate) machine: f64,
    pub(crate) driver: f64,
    pub(crate) idle: f64,
}

impl Split {
    /// Where the machine's figure means nothing, the process stands for it.
    pub(crate) fn of(cost: &Cost) -> Self {
        let process = cost.process_cpu_s.unwrap_or(0.0);
        Self {
            process,
            machine: match cost.machine_was_quiet() {
                true => cost.machine_cpu_s,
                false => process,
            },
            driver: cost.driver_cpu_s,
            idle: cost.idle_baseline_s,
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.process += other.process;
        self.machine += other.machine;
        self.driver += other.driver;
        self.idle += other.idle;
    }

    /// Only what the server's side took: it is what floors are compared with.
    pub(crate) fn server(process: f64, machine: f64) -> Self {
        Self {
            process,
            machine,
            ..Self::default()
        }
    }

    /// Per `per`: seconds of a window, GB, requests.
    pub(crate) fn bar(self, name: &str, per: f64) -> Bar<'static> {
        let part = |name, class, value: f64| Part {
            name,
            class,
            value: value / per,
        };
        Bar {
            name: name.to_owned(),
            parts: vec![
                part("server's process", "one", self.process),
                part(
                    "rest of the machine: kernel workers, interrupts",
                    "two",
                    self.machine - self.process,
                ),
                part("driver", "quiet", self.driver),
                part("idle baseline", "idle", self.idle),
            ],
            floor: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_leaves_the_process() {
        let mut cost = Cost {
            seconds: 2.0,
            process_cpu_s: Some(0.5),
            machine_cpu_s: 0.8,
            machine_busy_s: 1.2,
            idle_baseline_s: 0.1,
            driver_cpu_s: 0.3,
            steal_s: 0.0,
        };
        let mut split = Split::of(&cost);
        assert!((split.bar("", 2.0).total() - 0.6).abs() < 1e-9, "{split:?}");
        cost.idle_baseline_s = 1.0;
        assert_eq!(Split::of(&cost).machine, 0.5);
        split.add(Split::server(0.5, 0.7));
        assert_eq!((split.process, split.machine), (1.0, 1.5));
    }
}
