//! The state of the machine's memory before a run.
//!
//! On a virtual machine whose free pages return to its host, the first touch of a page can cost
//! ten times a copy into it. Who runs first on free memory pays for who comes second; so each run
//! begins in a stated state.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MemoryState {
    /// Page cache dropped: memory is free and mostly the host's. Needs root.
    Fresh,
    /// Page cache filled with clean pages until almost nothing is free: new pages are recycled
    /// ones, as on a log node that has run for a while.
    Seasoned,
    /// As the last run left it.
    AsFound,
}

/// Bytes, as the kernel counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemoryNow {
    pub(crate) total_bytes: u64,
    pub(crate) free_bytes: u64,
    pub(crate) available_bytes: u64,
    pub(crate) cached_bytes: u64,
}

impl MemoryNow {
    /// Source: proc_meminfo(5).
    pub(crate) fn read() -> Result<Self> {
        let text = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
        let of = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or(0) * 1024
        };
        Ok(Self {
            total_bytes: of("MemTotal:"),
            free_bytes: of("MemFree:"),
            available_bytes: of("MemAvailable:"),
            cached_bytes: of("Cached:"),
        })
    }
}

impl MemoryState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            MemoryState::Fresh => "fresh: page cache dropped",
            MemoryState::Seasoned => "seasoned: page cache full of clean pages",
            MemoryState::AsFound => "as found",
        }
    }

    /// Brings it about; the filling goes through a file in `parent`, which is removed by the
    /// caller with the directory.
    pub(crate) fn bring_about(self, parent: &Path) -> Result<MemoryNow> {
        match self {
            MemoryState::AsFound => {}
            MemoryState::Fresh => {
                nix::unistd::sync();
                std::fs::write("/proc/sys/vm/drop_caches", "3").context(
                    "--memory fresh drops the page cache, which needs root (drop_caches); \
                     --memory seasoned does not",
                )?;
            }
            MemoryState::Seasoned => fill(parent)?,
        }
        MemoryNow::read()
    }
}

/// Free memory of a seasoned machine is at most this share of all.
const FREE_SHARE_MAX: f64 = 0.03;

/// Reads a file that is one hole until its pages have taken what was free. Nothing is written.
fn fill(parent: &Path) -> Result<()> {
    nix::unistd::sync();
    let memory = MemoryNow::read()?;
    let free_max = (memory.total_bytes as f64 * FREE_SHARE_MAX) as u64;
    if memory.free_bytes <= free_max {
        return Ok(());
    }
    let path = parent.join(FILLER);
    let made = File::create(&path)?;
    made.set_len(2 * memory.total_bytes)
        .with_context(|| format!("cannot make a sparse file in {}", parent.display()))?;
    let mut file = File::open(&path)?;
    let mut chunk = vec![0; 4 << 20];
    let mut left = 2 * memory.total_bytes;
    while MemoryNow::read()?.free_bytes > free_max {
        // The kernel keeps a reserve free: what is not enough after all of it will not become so.
        ensure!(
            left > 0,
            "page cache does not fill: {} still has room for reads of a sparse file",
            parent.display()
        );
        for _ in 0..16 {
            left = left.saturating_sub(file.read(&mut chunk)? as u64);
        }
    }
    Ok(())
}

/// Below a run's parent; its pages are what memory is filled with, so it stays until the run is
/// over.
pub(crate) const FILLER: &str = "odradek-memory-filler";
