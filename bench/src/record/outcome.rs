//! What a record run found, as it is kept.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::RecordArgs;
use super::contest::Contest;
use super::idle::Idle;
use super::summary::Spread;
use crate::cli::{SMALL_CONNECTIONS, SMALL_IN_FLIGHT, SMALL_RECORD_BYTES, echo_frames};
use crate::machine::Facts;
use crate::measurement::Measurement;

/// RSS under load is to be at most this.
pub(super) const RSS_BYTES_MAX: u64 = 256 << 20;

/// All runs of one contest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ContestRuns {
    pub(super) contest: Contest,
    pub(super) floor: Vec<Measurement>,
    pub(super) node: Vec<Measurement>,
    /// Why there are fewer runs than rounds.
    pub(super) failure: Option<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Configuration {
    pub(super) rounds: usize,
    pub(super) seconds: f64,
    pub(super) warmup_seconds: f64,
    pub(super) baseline_seconds: f64,
    pub(super) connections: usize,
    pub(super) in_flight: usize,
    pub(super) record_bytes: usize,
    pub(super) request_bytes_max: usize,
    pub(super) small_connections: usize,
    pub(super) small_in_flight: usize,
    pub(super) small_record_bytes: usize,
    pub(super) echo_request_bytes: usize,
    pub(super) echo_reply_bytes: usize,
    pub(super) server_core: usize,
    pub(super) driver_core: usize,
    /// Of the node, beside one shard.
    pub(super) settings: Vec<String>,
}

/// The whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) started: String,
    pub(super) machine: Facts,
    pub(super) configuration: Configuration,
    pub(super) idle: Option<Idle>,
    pub(super) contests: Vec<ContestRuns>,
}

impl ContestRuns {
    pub(super) fn new(contest: Contest) -> Self {
        Self {
            contest,
            floor: Vec::new(),
            node: Vec::new(),
            failure: None,
        }
    }

    /// CPU per GB (seconds) or per request (microseconds) of the whole machine.
    pub(super) fn machine(&self, runs: &[Measurement]) -> Option<Spread> {
        let figure = match self.contest.per_request() {
            true => Measurement::machine_us_per_request,
            false => Measurement::machine_s_per_gb,
        };
        Spread::of(runs.iter().map(figure))
    }

    /// The same of the server's process.
    pub(super) fn process(&self, runs: &[Measurement]) -> Option<Spread> {
        let figure = match self.contest.per_request() {
            true => Measurement::process_us_per_request,
            false => Measurement::process_s_per_gb,
        };
        Spread::of(runs.iter().filter_map(figure))
    }

    /// GB or requests per second.
    pub(super) fn rate(&self, runs: &[Measurement]) -> Option<Spread> {
        let figure = match self.contest.per_request() {
            true => Measurement::requests_per_s,
            false => Measurement::gb_per_s,
        };
        Spread::of(runs.iter().map(figure))
    }

    /// Peak RSS of the node's runs, bytes.
    pub(super) fn rss_peak(&self) -> Option<u64> {
        let peaks = self.node.iter().filter_map(|run| run.memory.as_ref());
        peaks.map(|memory| memory.peak_bytes).max()
    }
}

impl Outcome {
    pub(super) fn new(
        started: jiff::Timestamp,
        machine: Facts,
        args: &RecordArgs,
        idle: Option<Idle>,
        contests: Vec<ContestRuns>,
    ) -> Self {
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
            server_core: args.cores.server_core,
            driver_core: args.cores.driver_core,
            settings: args.settings.clone(),
        };
        Self {
            started: started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            machine,
            configuration,
            idle,
            contests,
        }
    }

    /// Writes the runs as JSON and the page as markdown, both named by date and commit. Returns
    /// the page's path.
    pub(super) fn write(&self, dir: &Path, page: &str) -> Result<PathBuf> {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let date = self
            .started
            .replace(" UTC", "")
            .replace(':', "")
            .replace(' ', "-");
        let commit = self.machine.commit.get(..10).unwrap_or("unknown");
        let json = dir.join(format!("{date}-{commit}.json"));
        let markdown = json.with_extension("md");
        std::fs::write(&json, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", json.display()))?;
        std::fs::write(&markdown, page)?;
        Ok(markdown)
    }
}
