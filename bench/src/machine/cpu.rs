//! CPU time: of a process, and of the whole machine.
//!
//! A process is asked by its CPU clock (nanoseconds, all its threads, io_uring's workers
//! included). The machine is asked by what was *not* spent: the kernel counts user and system
//! time by sampling ticks, but idle time by the clock, interrupts that end it excluded.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// Pins this thread, and what it starts from now on, to one core.
pub(crate) fn pin(core: usize) -> Result<()> {
    // Who asks later what is allowed means without this.
    let _ = allowed_cores();
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot pin to core {core}"))
}

/// The `nth` core that this process may run on; the last one where there are fewer.
pub(crate) fn allowed_core(nth: usize) -> usize {
    let allowed = allowed_cores();
    let core = allowed.get(nth).or(allowed.last());
    core.copied().unwrap_or(0)
}

/// The cores that this process might run on when it first asked: before it pinned its threads.
pub(crate) fn allowed_cores() -> Vec<usize> {
    static ALLOWED: OnceLock<Vec<usize>> = OnceLock::new();
    let ask = || cores_of(Pid::from_raw(0)).unwrap_or_default();
    ALLOWED.get_or_init(ask).clone()
}

/// The cores that any thread of another process may run on.
pub(crate) fn cores_of_process(pid: u32) -> Result<Vec<usize>> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("no process {pid}: is it running?"))?;
    let mut cores = Vec::new();
    for task in tasks {
        let name = task?.file_name();
        let thread: i32 = name.to_string_lossy().parse().context("a thread's id")?;
        // A thread may end while its siblings are looked at.
        cores.extend(cores_of(Pid::from_raw(thread)).unwrap_or_default());
    }
    cores.sort_unstable();
    cores.dedup();
    Ok(cores)
}

fn cores_of(thread: Pid) -> Result<Vec<usize>> {
    let set = sched_getaffinity(thread)?;
    let allowed = (0..CpuSet::count()).filter(|core| set.is_set(*core) == Ok(true));
    Ok(allowed.collect())
}

/// The CPU clock of a process.
#[derive(Clone, Copy)]
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let clock = clock_getcpuclockid(Pid::from_raw(pid as i32))
            .with_context(|| format!("no CPU clock of process {pid}: is it running?"))?;
        Ok(Self(clock))
    }

    pub(crate) fn own() -> Self {
        Self(ClockId::CLOCK_PROCESS_CPUTIME_ID)
    }

    pub(crate) fn read(self) -> Result<Duration> {
        let time = self.0.now().context("the measured process has ended")?;
        Ok(time.into())
    }
}

/// The machine's CPU time at one moment.
#[derive(Clone, Copy)]
pub(crate) struct Busy {
    at: Instant,
    cores: u32,
    /// Idle, waiting for I/O, or stolen by the host, all cores, seconds.
    away_s: f64,
    steal_s: f64,
    softirq_s: f64,
}

/// What all cores did between two moments, seconds.
#[derive(Clone, Copy)]
pub(crate) struct BusyBetween {
    pub(crate) busy_s: f64,
    /// Taken by the host; not in `busy_s`.
    pub(crate) steal_s: f64,
    /// Soft interrupts, as sampled; a part of `busy_s`.
    pub(crate) softirq_s: f64,
}

impl Busy {
    pub(crate) fn read() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
        let at = Instant::now();
        let cores = text
            .lines()
            .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
            .count() as u32;
        let ticks: Vec<u64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .map_while(|field| field.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal: proc_stat(5), in USER_HZ.
        let &[_, _, _, idle, iowait, _, softirq, steal, ..] = ticks.as_slice() else {
            anyhow::bail!("/proc/stat has an unknown form");
        };
        let seconds = |ticks: u64| ticks as f64 / 100.0;
        Ok(Self {
            at,
            cores,
            away_s: seconds(idle + iowait + steal),
            steal_s: seconds(steal),
            softirq_s: seconds(softirq),
        })
    }

    pub(crate) fn since(&self, earlier: &Busy) -> BusyBetween {
        let all = (self.at - earlier.at).as_secs_f64() * f64::from(self.cores);
        BusyBetween {
            busy_s: (all - (self.away_s - earlier.away_s)).max(0.0),
            steal_s: self.steal_s - earlier.steal_s,
            softirq_s: self.softirq_s - earlier.softirq_s,
        }
    }
}
