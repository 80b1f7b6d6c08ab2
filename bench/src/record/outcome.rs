//! What a record run found, as it is kept.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Stage;
use super::contest::Contest;
use super::idle::Idle;
use super::summary::Spread;
use crate::cli::{SMALL_CONNECTIONS, SMALL_IN_FLIGHT, SMALL_RECORD_BYTES, echo_frames};
use crate::contest::MemoryState;
use crate::floor::Kind;
use crate::machine::Facts;
use crate::measurement::Measurement;
use crate::report::save;

/// RSS under load is to be at most this.
pub(crate) const RSS_BYTES_MAX: u64 = 256 << 20;

/// All runs of one contest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContestRuns {
    pub(crate) contest: Contest,
    pub(crate) floor: Vec<Measurement>,
    /// Of the second floor, where there are two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) floor_beside: Vec<Measurement>,
    pub(crate) node: Vec<Measurement>,
    /// Why there are fewer runs than rounds.
    pub(crate) failure: Option<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) warmup_seconds: f64,
    pub(crate) baseline_seconds: f64,
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) record_bytes: usize,
    pub(crate) request_bytes_max: usize,
    pub(crate) small_connections: usize,
    pub(crate) small_in_flight: usize,
    pub(crate) small_record_bytes: usize,
    pub(crate) echo_request_bytes: usize,
    pub(crate) echo_reply_bytes: usize,
    pub(crate) server_core: usize,
    pub(crate) driver_core: usize,
    /// Of the node, beside one shard.
    pub(crate) settings: Vec<String>,
    /// The machine's, before each run.
    #[serde(default)]
    pub(crate) memory: MemoryState,
}

/// The whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) started: String,
    pub(crate) machine: Facts,
    pub(crate) configuration: Configuration,
    pub(crate) idle: Option<Idle>,
    pub(crate) contests: Vec<ContestRuns>,
    /// It was ended before all rounds were over.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) interrupted: bool,
}

impl ContestRuns {
    pub(crate) fn new(contest: Contest) -> Self {
        Self {
            contest,
            floor: Vec::new(),
            floor_beside: Vec::new(),
            node: Vec::new(),
            failure: None,
        }
    }

    /// CPU per GB (seconds) or per request (microseconds) of the whole machine.
    pub(crate) fn machine(&self, runs: &[Measurement]) -> Option<Spread> {
        let figure = match self.contest.per_request() {
            true => Measurement::machine_us_per_request,
            false => Measurement::machine_s_per_gb,
        };
        Spread::of(runs.iter().map(figure))
    }

    /// The same of the server's process.
    pub(crate) fn process(&self, runs: &[Measurement]) -> Option<Spread> {
        let figure = match self.contest.per_request() {
            true => Measurement::process_us_per_request,
            false => Measurement::process_s_per_gb,
        };
        Spread::of(runs.iter().filter_map(figure))
    }

    /// GB or requests per second.
    pub(crate) fn rate(&self, runs: &[Measurement]) -> Option<Spread> {
        let figure = match self.contest.per_request() {
            true => Measurement::requests_per_s,
            false => Measurement::gb_per_s,
        };
        Spread::of(runs.iter().map(figure))
    }

    /// Microseconds within which half of the requests were answered.
    pub(crate) fn p50_us(&self, runs: &[Measurement]) -> Option<Spread> {
        Spread::of(
            runs.iter()
                .filter_map(|run| Some(run.latency.as_ref()?.p50_ms * 1e3)),
        )
    }

    /// Its floors, each with its runs here.
    pub(crate) fn floors(&self) -> impl Iterator<Item = (Kind, &[Measurement])> {
        let runs = [&self.floor, &self.floor_beside].map(Vec::as_slice);
        self.contest.floors().iter().copied().zip(runs)
    }

    /// Whether the machine's figures of all runs can be believed.
    pub(crate) fn machine_was_quiet(&self) -> bool {
        self.all().all(Measurement::machine_was_quiet)
    }

    /// Whether anything was measured.
    pub(super) fn any(&self) -> bool {
        self.all().next().is_some()
    }

    fn all(&self) -> impl Iterator<Item = &Measurement> {
        let floors = self.floor.iter().chain(&self.floor_beside);
        floors.chain(&self.node)
    }

    /// Peak RSS of the node's runs, bytes.
    pub(crate) fn rss_peak(&self) -> Option<u64> {
        let peaks = self.node.iter().filter_map(|run| run.memory.as_ref());
        peaks.map(|memory| memory.peak_bytes).max()
    }
}

impl Outcome {
    pub(super) fn new(
        started: jiff::Timestamp,
        machine: Facts,
        stage: &Stage<'_>,
        idle: Option<Idle>,
        contests: Vec<ContestRuns>,
    ) -> Self {
        let args = stage.args;
        let echo = echo_frames(SMALL_RECORD_BYTES).ok();
        let configuration = Configuration {
            rounds: args.rounds,
            seconds: args.timing.seconds,
            warmup_seconds: args.timing.warmup_seconds,
            baseline_seconds: args.timing.baseline_seconds,
            connections: args.connections,
            in_flight: args.in_flight,
            record_bytes: args.record_size,
            request_bytes_max: args.request_size,
            small_connections: SMALL_CONNECTIONS,
            small_in_flight: SMALL_IN_FLIGHT,
            small_record_bytes: SMALL_RECORD_BYTES,
            echo_request_bytes: echo.as_ref().map_or(0, |frames| frames.request_bytes),
            echo_reply_bytes: echo.as_ref().map_or(0, |frames| frames.reply_bytes),
            server_core: stage.cores.server,
            driver_core: stage.cores.driver,
            settings: args.settings.clone(),
            memory: args.memory,
        };
        Self {
            started: started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            machine,
            configuration,
            idle,
            contests,
            interrupted: stage.interrupted(),
        }
    }

    /// Why it is partial; empty where it is not.
    pub(crate) fn problems(&self) -> Vec<String> {
        let failed = self.contests.iter().filter_map(|runs| {
            let (name, done) = (runs.contest.name(), runs.node.len());
            let failure = runs.failure.as_ref()?;
            Some(format!("{name} failed after {done} rounds: {failure}"))
        });
        let interrupted = self.interrupted.then(|| "interrupted".to_owned());
        interrupted.into_iter().chain(failed).collect()
    }

    /// Every run of a floor, in whatever contest: it is the same program with the same bytes in the
    /// same pieces, whatever the node beside it is asked.
    pub(crate) fn floor_runs(&self, kind: Kind) -> impl Iterator<Item = &Measurement> {
        let floors = self.contests.iter().flat_map(ContestRuns::floors);
        let same = floors.filter(move |(other, _)| *other == kind);
        same.flat_map(|(_, runs)| runs)
    }

    /// The least that the machine did before any run, cores.
    pub(crate) fn idle_least(&self) -> f64 {
        let runs = self.contests.iter().flat_map(ContestRuns::all);
        let idle = runs.map(|run| run.cost.idle_baseline_s / run.cost.seconds);
        idle.fold(f64::INFINITY, f64::min)
    }

    /// With its latencies to fewer significant digits.
    fn coarse(&self, digits: u8) -> Self {
        let mut outcome = self.clone();
        for runs in &mut outcome.contests {
            for side in [&mut runs.floor, &mut runs.floor_beside, &mut runs.node] {
                for run in side {
                    *run = run.coarse(digits);
                }
            }
        }
        outcome
    }

    /// Writes the runs as JSON, and what was made of them as page and markdown, named by date and
    /// commit. Returns the markdown's path.
    pub(crate) fn write(&self, dir: &Path, html: &str, markdown: &str) -> Result<PathBuf> {
        let json = save::bounded(|digits| {
            let text = serde_json::to_string_pretty(&self.coarse(digits))? + "\n";
            Ok(text.into_bytes())
        })?;
        let faces = save::Faces {
            partial: !self.problems().is_empty(),
            json: &json,
            html,
            markdown,
        };
        save::dated(dir, "", &self.started, &self.machine.commit, &faces)
    }
}
