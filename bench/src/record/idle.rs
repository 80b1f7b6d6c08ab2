//! What a node takes when nobody asks anything of it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::Stage;
use crate::machine::{CpuClock, resident};

/// RSS of an idle node is to be at most this.
pub(crate) const RSS_BYTES_MAX: u64 = 32 << 20;
/// Share of a core is to be below this.
pub(crate) const CORE_SHARE_MAX: f64 = 0.001;
/// Whether it was interrupted.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// A node without clients, watched for a while.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) seconds: f64,
    pub(crate) cpu_s: f64,
    pub(crate) rss_bytes: u64,
    pub(crate) rss_peak_bytes: u64,
}

impl Idle {
    pub(crate) fn core_share(&self) -> f64 {
        self.cpu_s / self.seconds
    }
}

/// # Errors
/// When it was interrupted, too: half of it says nothing.
pub(super) fn watch(stage: &Stage<'_>) -> Result<Idle> {
    let mut node = stage.start_node()?;
    let pid = *node.pids().first().context("a node has a process")?;
    let clock = CpuClock::of(pid)?;
    // What starting leaves to be done is not idleness.
    std::thread::sleep(Duration::from_secs(1));
    let (before, started) = (clock.read()?, Instant::now());
    let until = started + Duration::from_secs_f64(stage.args.idle_seconds);
    while Instant::now() < until {
        ensure!(
            !stage.interrupted(),
            "interrupted before anything was measured"
        );
        let left = until.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(LOOKS_EVERY));
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu_s = (clock.read()? - before).as_secs_f64();
    let memory = resident(pid)?;
    node.stop()?;
    Ok(Idle {
        seconds,
        cpu_s,
        rss_bytes: memory.now,
        rss_peak_bytes: memory.peak,
    })
}
