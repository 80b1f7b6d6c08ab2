//! During a run: threads, clock, window, intervals, and the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Target;
use super::ledger::Sent;
use super::meter::Step;
use super::prepare::Prepared;
use super::shared::{Clock, Shared, monotonic};
use super::worker::{self, Findings, Told};
use crate::drive::Partition;
use crate::load::Load;
use crate::machine::{Busy, CpuClock, reset_peak, resident};
use crate::measurement::{Cost, Memory};
use crate::report::{Interval, Percentiles};
use crate::window::{Baseline, Window};

/// All connections stand within this time.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// After a failure, what is on its way is waited for no longer.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What a run brought.
pub(crate) struct Conducted {
    pub(crate) started: jiff::Timestamp,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) produce_version: i16,
    pub(crate) fetch_version: i16,
    pub(crate) problems: Vec<String>,
    /// Of the window, as far as it came, seconds.
    pub(crate) seconds: f64,
    pub(crate) cpu: Option<MachineCost>,
    pub(crate) timeline: Vec<Interval>,
    /// Per producer: what it sent to each partition, in their order.
    pub(crate) sent: Vec<Vec<Sent>>,
    pub(crate) findings: Vec<Findings>,
}

/// CPU and memory within the window.
pub(crate) struct MachineCost {
    pub(crate) cost: Cost,
    pub(crate) softirq_s: f64,
    pub(crate) memory: Option<Memory>,
}

/// Runs the load that was prepared.
///
/// # Errors
/// When it cannot begin.
pub(crate) fn conduct(
    load: &Load,
    target: &Target,
    prepared: Prepared,
    watch: &mut dyn FnMut(&Interval),
) -> Result<Conducted> {
    let Prepared {
        partitions,
        produce_version,
        fetch_version,
        roles,
        contents,
    } = prepared;
    let started = jiff::Timestamp::now();
    let run = started.as_nanosecond() as u32 ^ std::process::id().rotate_left(16);
    let silence_max = target.silence_max;
    let shared = Shared::new(
        load.clone(),
        silence_max,
        run,
        produce_version,
        fetch_version,
    );
    let shared = Arc::new(shared);
    let clocks: Vec<CpuClock> = target
        .pids
        .iter()
        .copied()
        .map(CpuClock::of)
        .collect::<Result<_>>()?;
    let baseline = Baseline::watch(target.baseline)?;
    let (tell, told) = channel();
    let mut threads = Vec::new();
    for ((core, roles), contents) in target.driver_cores.iter().zip(roles).zip(contents) {
        let (core, shared, tell) = (*core, shared.clone(), tell.clone());
        let run = move || {
            let of = shared.clone();
            if let Err(error) = worker::run(core, roles, contents, shared, tell) {
                of.problem(format!("the driver on core {core}: {error:#}"));
            }
        };
        let thread = std::thread::Builder::new().name(format!("driver-{core}"));
        threads.push(thread.spawn(run)?);
    }
    drop(tell);
    let mut conductor = Conductor {
        load,
        target,
        shared,
        told,
        threads,
        clocks,
        watch,
        steps: BTreeMap::new(),
        timeline: Vec::new(),
        sums: Sums::new(load.consumer_sets),
        sent: vec![Vec::new(); load.producers],
        threads_produced: 0,
        findings: Vec::new(),
    };
    conductor.wait_until_ready()?;
    let (seconds, cpu) = conductor.pass_window(baseline);
    conductor.wait_until_done(&partitions);
    let Conductor {
        shared,
        timeline,
        sent,
        findings,
        threads,
        ..
    } = conductor;
    for thread in threads {
        if thread.join().is_err() {
            shared.problem("a driver thread panicked".to_owned());
        }
    }
    Ok(Conducted {
        started,
        partitions,
        produce_version,
        fetch_version,
        problems: shared.problems(),
        seconds,
        cpu,
        timeline,
        sent,
        findings,
    })
}

struct Conductor<'a> {
    load: &'a Load,
    target: &'a Target,
    shared: Arc<Shared>,
    told: Receiver<Told>,
    threads: Vec<JoinHandle<()>>,
    clocks: Vec<CpuClock>,
    watch: &'a mut dyn FnMut(&Interval),
    /// Intervals that not all threads have told yet, and how many have.
    steps: BTreeMap<u64, (usize, Step)>,
    timeline: Vec<Interval>,
    sums: Sums,
    sent: Vec<Vec<Sent>>,
    threads_produced: usize,
    findings: Vec<Findings>,
}

/// Since the beginning.
struct Sums {
    made: u64,
    acked: u64,
    consumed: Vec<u64>,
}

impl Sums {
    fn new(sets: usize) -> Self {
        Self {
            made: 0,
            acked: 0,
            consumed: vec![0; sets],
        }
    }
}

impl Conductor<'_> {
    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = monotonic() + READY_WITHIN.as_nanos() as u64;
        let mut ready = 0;
        while ready < self.threads.len() {
            match self.told.recv_timeout(Duration::from_millis(50)) {
                Ok(Told::Ready) => ready += 1,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.shared.stop(),
            }
            if monotonic() > deadline {
                let within = format!("the connections do not stand within {READY_WITHIN:?}");
                self.shared.problem(within);
            }
            if self.shared.stopped() {
                // The others end by themselves; nothing was measured.
                bail!("{}", self.shared.problems().join("; "));
            }
        }
        Ok(())
    }

    /// From the first message to the window's end, or to the run's. Returns the window's length
    /// and what it cost.
    fn pass_window(&mut self, baseline: Baseline) -> (f64, Option<MachineCost>) {
        let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
        let begin = monotonic() + 20_000_000;
        let open = begin + nanoseconds(self.load.warmup_s);
        let close = open + nanoseconds(self.load.window_s);
        let wall = jiff::Timestamp::now().as_nanosecond() as i64 - monotonic() as i64;
        let clock = Clock {
            begin,
            open,
            close,
            wall,
        };
        let _ = self.shared.clock.set(clock);
        self.listen_until(open);
        if self.shared.stopped() {
            return (0.0, None);
        }
        let peak_of_window = self.target.pids.iter().all(|pid| reset_peak(*pid));
        let opened = Busy::read().and_then(|busy| {
            let clocks = self.clocks.iter().copied();
            Ok((busy, Window::open(baseline, clocks)?))
        });
        self.listen_until(close);
        let end = monotonic().min(close);
        let cost = opened.and_then(|(busy, window)| {
            let cost = window.close()?;
            Ok(MachineCost {
                cost,
                softirq_s: Busy::read()?.since(&busy).softirq_s,
                memory: self.memory(peak_of_window)?,
            })
        });
        let cost = cost.map_err(|error| self.shared.problem(format!("CPU: {error:#}")));
        ((end - open) as f64 / 1e9, cost.ok())
    }

    fn memory(&self, peak_of_window: bool) -> Result<Option<Memory>> {
        let mut memory: Option<Memory> = None;
        for pid in &self.target.pids {
            let resident = resident(*pid)?;
            let sum = memory.get_or_insert(Memory {
                end_bytes: 0,
                peak_bytes: 0,
                peak_of_window,
            });
            sum.end_bytes += resident.now;
            sum.peak_bytes += resident.peak;
        }
        Ok(memory)
    }

    /// Listens to the threads until `at`, or until the run is stopped.
    fn listen_until(&mut self, at: u64) {
        loop {
            let now = monotonic();
            if now >= at || self.shared.stopped() {
                return;
            }
            self.listen(Duration::from_nanos(at - now).min(Duration::from_millis(20)));
            if self.target.interrupt.load(Ordering::Relaxed) {
                self.shared.problem("interrupted".to_owned());
            }
        }
    }

    fn listen(&mut self, wait: Duration) {
        match self.told.recv_timeout(wait) {
            Ok(Told::Ready) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Told::Step(number, step)) => self.step(number, &step),
            Ok(Told::Produced(all)) => {
                self.threads_produced += 1;
                for (number, sent) in all {
                    self.sent[number as usize] = sent;
                }
            }
            Ok(Told::Done(findings)) => self.findings.push(*findings),
            // Threads that ended without a word have told their problem.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(wait),
        }
    }

    /// Waits for answers, then for everything to be read.
    fn wait_until_done(&mut self, partitions: &[Partition]) {
        let drain = (self.load.drain_s * 1e9) as u64;
        self.shared.give_up_at(monotonic() + drain);
        let threads = self.threads.len();
        let mut told_made = false;
        while self.findings.len() < threads && !self.threads.iter().all(JoinHandle::is_finished) {
            self.listen(Duration::from_millis(20));
            if self.target.interrupt.load(Ordering::Relaxed) {
                self.shared.problem("interrupted".to_owned());
            }
            if self.shared.stopped() {
                let soon = monotonic() + LAST_ANSWERS.as_nanos() as u64;
                self.shared.give_up_at(soon);
            }
            if self.threads_produced == threads && !told_made {
                told_made = true;
                let _ = self
                    .shared
                    .produced
                    .set(self.made_per_partition(partitions));
                if !self.shared.stopped() && self.load.reads() {
                    self.shared.give_up_at(monotonic() + drain);
                }
            }
        }
        // What was told last.
        while let Ok(told) = self.told.try_recv() {
            match told {
                Told::Step(number, step) => self.step(number, &step),
                Told::Done(findings) => self.findings.push(*findings),
                Told::Ready | Told::Produced(_) => {}
            }
        }
        self.finish_steps();
    }

    /// Messages made, by partition index.
    fn made_per_partition(&self, partitions: &[Partition]) -> Vec<u64> {
        let most = partitions.iter().map(|one| one.index).max().unwrap_or(0);
        let mut made = vec![0; most as usize + 1];
        for sent in &self.sent {
            for (partition, sent) in partitions.iter().zip(sent) {
                made[partition.index as usize] += sent.made;
            }
        }
        made
    }

    /// Adds a thread's counts; an interval that all threads have told is shown.
    fn step(&mut self, number: u64, step: &Step) {
        let sets = self.load.consumer_sets;
        let (told, sum) = self
            .steps
            .entry(number)
            .or_insert_with(|| (0, Step::new(sets)));
        *told += 1;
        sum.add(step);
        if *told == self.threads.len() && number != u64::MAX {
            let whole = self.steps.remove(&number);
            if let Some((_, sum)) = whole {
                let end = (number + 1) as f64 * self.load.interval_s;
                self.show(end, self.load.interval_s, &sum);
            }
        }
    }

    /// What is left after the last whole interval.
    fn finish_steps(&mut self) {
        let mut rest = Step::new(self.load.consumer_sets);
        for (_, (_, step)) in std::mem::take(&mut self.steps) {
            rest.add(&step);
        }
        let begin = self.shared.clock.get().map_or(0, |clock| clock.begin);
        let end = monotonic().saturating_sub(begin) as f64 / 1e9;
        let last = self.timeline.last().map_or(0.0, |interval| interval.at_s);
        if end > last && rest.made + rest.acked + rest.consumed.iter().sum::<u64>() > 0 {
            self.show(end, end - last, &rest);
        }
    }

    fn show(&mut self, at_s: f64, seconds: f64, step: &Step) {
        let sums = &mut self.sums;
        sums.made += step.made;
        sums.acked += step.acked;
        for (sum, step) in sums.consumed.iter_mut().zip(&step.consumed) {
            *sum += step;
        }
        let slowest = sums.consumed.iter().copied().min().unwrap_or(0);
        let lag = match self.load.reads() {
            true => sums.acked.saturating_sub(slowest),
            false => 0,
        };
        let interval = Interval {
            at_s,
            seconds,
            warmup: at_s - seconds < self.load.warmup_s - 1e-9,
            made: step.made,
            acked: step.acked,
            acked_bytes: step.acked_bytes,
            consumed: step.consumed.iter().sum(),
            produce_ack: percentiles(&step.produce_ack),
            end_to_end: percentiles(&step.end_to_end),
            lag,
            unanswered: sums.made.saturating_sub(sums.acked),
        };
        (self.watch)(&interval);
        self.timeline.push(interval);
    }
}

fn percentiles(histogram: &hdrhistogram::Histogram<u64>) -> Option<Percentiles> {
    (!histogram.is_empty()).then(|| Percentiles {
        p50_ms: histogram.value_at_quantile(0.5) as f64 / 1e6,
        p99_ms: histogram.value_at_quantile(0.99) as f64 / 1e6,
        max_ms: histogram.max() as f64 / 1e6,
    })
}
