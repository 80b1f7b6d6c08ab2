//! A window of measurement: clocks read at both ends, the difference is the cost.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::machine::{Busy, CpuClock};
use crate::measurement::Cost;

/// What the machine does when nothing is asked of it, cores.
#[derive(Clone, Copy)]
pub(crate) struct Baseline(f64);

impl Baseline {
    /// Watches the machine for `time`, this process asleep.
    pub(crate) fn watch(time: Duration) -> Result<Self> {
        let driver = CpuClock::own();
        let (before, own_before, started) = (Busy::read()?, driver.read()?, Instant::now());
        std::thread::sleep(time);
        let between = Busy::read()?.since(&before);
        let own = (driver.read()? - own_before).as_secs_f64();
        let seconds = started.elapsed().as_secs_f64();
        Ok(Self(((between.busy_s - own) / seconds).max(0.0)))
    }
}

/// An open window.
pub(crate) struct Window {
    baseline: Baseline,
    processes: Vec<(CpuClock, Duration)>,
    started: Instant,
    driver_before: Duration,
    machine_before: Busy,
}

impl Window {
    /// Opens a window on the server's processes (none: only the machine and this driver are
    /// measured).
    pub(crate) fn open(
        baseline: Baseline,
        processes: impl IntoIterator<Item = CpuClock>,
    ) -> Result<Self> {
        let read = |clock: CpuClock| Ok((clock, clock.read()?));
        Ok(Self {
            baseline,
            processes: processes.into_iter().map(read).collect::<Result<_>>()?,
            driver_before: CpuClock::own().read()?,
            machine_before: Busy::read()?,
            started: Instant::now(),
        })
    }

    /// Time since it was opened.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn close(self) -> Result<Cost> {
        let seconds = self.started.elapsed().as_secs_f64();
        let machine = Busy::read()?.since(&self.machine_before);
        let driver = CpuClock::own().read()? - self.driver_before;
        let mut process = None;
        for (clock, before) in self.processes {
            *process.get_or_insert(0.0) += (clock.read()? - before).as_secs_f64();
        }
        let driver_cpu_s = driver.as_secs_f64();
        let idle_baseline_s = self.baseline.0 * seconds;
        Ok(Cost {
            seconds,
            process_cpu_s: process,
            machine_cpu_s: machine.busy_s - idle_baseline_s - driver_cpu_s,
            machine_busy_s: machine.busy_s,
            idle_baseline_s,
            driver_cpu_s,
            steal_s: machine.steal_s,
        })
    }
}
