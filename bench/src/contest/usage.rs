//! What a server takes, now.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::machine::{CpuClock, page_cache_of, resident};

/// Of all processes of a server together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Since it started: all threads, io_uring's workers included (the process's CPU clock).
    pub(crate) cpu_s: f64,
    pub(crate) rss_bytes: u64,
    /// The highest since it started, or since [`super::Server::reset_peak`].
    pub(crate) rss_peak_bytes: u64,
    /// Page cache that holds files of its data directory; none where that cannot be asked
    /// (cachestat(2), Linux 6.5).
    pub(crate) page_cache_bytes: Option<u64>,
}

pub(super) fn usage(pids: &[u32], data: Option<&Path>) -> Result<Usage> {
    let mut sum = Usage {
        page_cache_bytes: data.and_then(page_cache_of),
        ..Usage::default()
    };
    for pid in pids {
        let memory = resident(*pid)?;
        sum.cpu_s += CpuClock::of(*pid)?.read()?.as_secs_f64();
        sum.rss_bytes += memory.now;
        sum.rss_peak_bytes += memory.peak;
    }
    Ok(sum)
}
