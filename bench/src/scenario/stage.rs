//! What a scenario has to work with: servers, loads, and a place for what it finds.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::findings::{Better, Findings, Started};
use crate::contest::{Contestant, Place, Server, Variant};
use crate::drive::{Partition, Plan, TopicSpec};
use crate::load::Load;
use crate::machine::{CpuClock, wait_until_calm, wait_until_quiet};
use crate::measurement::Cost;
use crate::open::{self, Target};
use crate::report::{Interval, RunResult, text};
use crate::window::{Baseline, Window};

/// Seconds between lines of progress.
const PROGRESS_S: u64 = 5;
/// How long a disk is waited for.
const CALM_WITHIN_S: f64 = 60.0;

/// How long, how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    /// To see that it works: its figures mean nothing.
    pub(crate) quick: bool,
    /// Of all durations.
    pub(crate) scale: f64,
}

/// See the module.
pub(crate) struct Stage<'a> {
    pub(crate) contestant: &'a Contestant,
    pub(crate) place: &'a Place,
    pub(crate) course: Course,
    pub(crate) findings: Findings,
    pub(crate) interrupt: Arc<AtomicBool>,
}

impl Stage<'_> {
    /// `full` seconds, as long as this run has; a quick one takes a fraction.
    pub(crate) fn seconds(&self, full: f64) -> f64 {
        match self.course.quick {
            true => (0.03 * full).clamp(0.4, 1.0),
            false => full * self.course.scale,
        }
    }

    /// `full`, or `quick` in a quick run: of counts, rates and sizes.
    pub(crate) fn amount<T>(&self, full: T, quick: T) -> T {
        match self.course.quick {
            true => quick,
            false => full,
        }
    }

    /// `full`, times the run's scale, or `quick` in a quick run: of what takes time by its number.
    pub(crate) fn scaled(&self, full: u64, quick: u64) -> u64 {
        match self.course.quick {
            true => quick,
            false => ((full as f64 * self.course.scale) as u64).max(1),
        }
    }

    /// Starts the contestant as `variant` has it, fresh, in the stated surroundings. It is stopped
    /// when its handle is dropped.
    pub(crate) fn start(&mut self, variant: &Variant) -> Result<Server> {
        self.check_interrupt()?;
        let server = Server::start(self.contestant, variant, self.place)?;
        self.findings.started.push(Started {
            seconds: server.started_in().map(|took| took.as_secs_f64()),
            settings: server.settings().to_vec(),
            memory_before: server.memory_before(),
            warmed_by: String::new(),
        });
        Ok(server)
    }

    /// A load with the run's durations, on a topic of its own: the rest is to be filled in.
    pub(crate) fn new_load(&self, topic: &str) -> Load {
        Load {
            topic: self.topic_name(topic),
            warmup_s: self.seconds(8.0),
            window_s: self.seconds(10.0),
            interval_s: self.amount(1.0, 0.1),
            ..Load::default()
        }
    }

    /// On somebody else's server a topic of this name may stand from an earlier run: it gets one
    /// of its own.
    pub(crate) fn topic_name(&self, topic: &str) -> String {
        match self.contestant.is_ours_to_start() {
            true => topic.to_owned(),
            false => format!("{topic}-{}", jiff::Timestamp::now().as_millisecond()),
        }
    }

    /// Creates a topic and waits for its leaders.
    pub(crate) fn topic(
        &self,
        server: &Server,
        name: &str,
        partitions: i32,
        configs: &[(&str, String)],
    ) -> Result<Vec<Partition>> {
        let configs = configs.iter();
        server.admin()?.topic(&TopicSpec {
            name: name.to_owned(),
            partitions,
            configs: configs
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        })
    }

    /// Runs a load and keeps its result and its figures, named after `name`.
    ///
    /// # Errors
    /// When it cannot begin, or is partial (after it was kept as such), or what was read is not
    /// what was written.
    pub(crate) fn load(&mut self, name: &str, server: &Server, load: &Load) -> Result<RunResult> {
        let result = self.quiet_load(name, server, load)?;
        self.findings.run(name, &result);
        let memory = result.cpu.as_ref().and_then(|cpu| cpu.memory.as_ref());
        self.memory(name, server, memory.map(|memory| memory.peak_bytes));
        Ok(result)
    }

    /// The same without figures: for loads whose figures the scenario names itself.
    pub(crate) fn quiet_load(
        &mut self,
        name: &str,
        server: &Server,
        load: &Load,
    ) -> Result<RunResult> {
        let result = self.open_loop(name, server, load)?;
        let (problems, validity) = (result.problems.join("; "), result.validity.clone());
        let blame = self.blame(name, server);
        self.findings.runs.push(result.clone());
        ensure!(result.complete, "{blame}: partial: {problems}");
        ensure!(validity.holds(), "{name}: {}", validity.verdict());
        Ok(result)
    }

    /// The same, whatever comes of it; nothing is kept.
    pub(super) fn open_loop(&self, name: &str, server: &Server, load: &Load) -> Result<RunResult> {
        self.check_interrupt()?;
        eprintln!("  {}: {name} ...", server.label());
        wait_until_quiet(self.place.quiet_seconds)?;
        let tell = &mut |interval: &Interval| {
            if !self.course.quick && (interval.at_s.round() as u64).is_multiple_of(PROGRESS_S) {
                eprintln!("    {}", text::progress(interval));
            }
        };
        let result = open::run(load, &self.target(name, server), tell);
        result.with_context(|| self.blame(name, server))
    }

    /// The load, and the server's end where that is why it failed.
    pub(super) fn blame(&self, name: &str, server: &Server) -> String {
        match server.epitaph() {
            None => name.to_owned(),
            Some(epitaph) => format!("{name} ({epitaph})"),
        }
    }

    /// What [`open::run`] is to load.
    pub(crate) fn target(&self, name: &str, server: &Server) -> Target {
        let mut target = Target::new(server.brokers(), self.place.driver_core);
        target.label = format!("{}: {name}", server.label());
        target.settings = server.settings().to_vec();
        target.pids = server.pids().to_vec();
        target.share_cores = self.course.quick || server.pids().is_empty();
        target.data_dir = self.data_dir(server);
        target.baseline = self.baseline();
        target.interrupt = self.interrupt.clone();
        target
    }

    fn baseline(&self) -> Duration {
        Duration::from_secs_f64(self.amount(1.5, 0.05))
    }

    /// Of a closed loop ([`crate::drive`]).
    pub(crate) fn plan(&self, connections: usize, in_flight: usize) -> Plan {
        Plan {
            connections,
            in_flight,
            baseline: self.baseline(),
            warmup: Duration::from_secs_f64(self.seconds(8.0)),
            time: Duration::from_secs_f64(self.seconds(8.0)),
        }
    }

    /// Watches the machine when nothing is asked of it. The server may be up: what it does
    /// unasked is then not counted.
    pub(crate) fn watch_idle(&self) -> Result<Baseline> {
        Baseline::watch(self.baseline())
    }

    /// Does something and counts what it cost, of the server's processes and of the machine.
    pub(crate) fn cost<T>(
        &self,
        baseline: Baseline,
        server: &Server,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Cost)> {
        let clocks = server.pids().iter().map(|pid| CpuClock::of(*pid));
        let window = Window::open(baseline, clocks.collect::<Result<Vec<_>>>()?)?;
        let done = work()?;
        Ok((done, window.close()?))
    }

    /// Names the memory that the server had at most (`peak_bytes` resident) and the page cache that
    /// its files use now, where it is known.
    pub(crate) fn memory(&mut self, name: &str, server: &Server, peak_bytes: Option<u64>) {
        let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
        let usage = server.usage().ok();
        let cached = usage.and_then(|usage| usage.page_cache_bytes);
        let mut figure = |what: &str, better, bytes: Option<u64>| {
            if let Some(bytes) = bytes {
                self.figure(&format!("{name}: {what}"), "MiB", better, mib(bytes));
            }
        };
        figure("peak RSS", Better::Less, peak_bytes);
        figure("page cache", Better::Neither, cached);
        let both = peak_bytes.zip(cached).map(|(peak, cached)| peak + cached);
        figure("peak RSS and page cache", Better::Less, both);
    }

    /// Names a figure.
    pub(crate) fn figure(&mut self, name: &str, unit: &str, better: Better, value: f64) {
        self.findings.figure(name, unit, better, value);
    }

    /// Says what is left out of this run, and why.
    pub(crate) fn skip(&mut self, what: &str) {
        eprintln!("  left out: {what}");
        self.findings.skipped.push(what.to_owned());
    }

    /// Brings the machine back to where a load may begin, as long as nothing runs that one is to be
    /// beside: memory as full as at the start, and the disk done with what was written before. It has a
    /// minute at most, and if that was too short the findings note it.
    pub(crate) fn settle(&mut self, server: &Server) -> Result<()> {
        self.check_interrupt()?;
        self.place.fill_again()?;
        let seconds = self.amount(CALM_WITHIN_S, 0.0);
        if !wait_until_calm(&self.data_dir(server), seconds)? {
            let note =
                format!("the disk was not calm after {seconds} s: what follows may be its own");
            self.findings.notes.push(note);
        }
        Ok(())
    }

    /// Where the server's data lies; where it would if it is not known.
    fn data_dir(&self, server: &Server) -> PathBuf {
        server.data_dir().unwrap_or(self.place.parent.clone())
    }

    /// Sleeps, unless it is interrupted.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.check_interrupt()?;
            std::thread::sleep(Duration::from_millis(20).min(until - Instant::now()));
        }
        Ok(())
    }

    /// # Errors
    /// When the run was interrupted.
    pub(crate) fn check_interrupt(&self) -> Result<()> {
        check(&self.interrupt)
    }
}

/// # Errors
/// When the run was interrupted.
pub(super) fn check(interrupt: &AtomicBool) -> Result<()> {
    if interrupt.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}
