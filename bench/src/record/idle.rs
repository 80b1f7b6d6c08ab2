//! What a node takes when nobody asks anything of it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::RecordArgs;
use crate::machine::{CpuClock, resident};

/// RSS of an idle node is to be at most this.
pub(crate) const RSS_BYTES_MAX: u64 = 32 << 20;
/// Share of a core is to be below this.
pub(crate) const CORE_SHARE_MAX: f64 = 0.001;

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

pub(super) fn watch(parent: &Path, args: &RecordArgs) -> Result<Idle> {
    let mut node = super::start_node(parent, args)?;
    let pid = *node.pids().first().context("a node has a process")?;
    let clock = CpuClock::of(pid)?;
    // What starting leaves to be done is not idleness.
    std::thread::sleep(Duration::from_secs(1));
    let (before, started) = (clock.read()?, Instant::now());
    std::thread::sleep(Duration::from_secs_f64(args.idle_seconds));
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
