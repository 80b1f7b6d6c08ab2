//! The state of the machine's memory before a run.
//!
//! On a virtual machine whose free pages return to its host, the first touch of a page can cost
//! ten times a copy into it. Who runs first on free memory pays for who comes second; so each run
//! begins in a stated state.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MemoryState {
    /// Page cache dropped: memory is free and mostly the host's. Needs root.
    Fresh,
    /// Page cache filled with clean pages until almost nothing is free: new pages are recycled
    /// ones, as on a log node that has run for a while.
    Seasoned,
    /// As the last run left it.
    #[default]
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

    /// Brings it about; the filling goes through a file in `parent`, which stays until
    /// [`MemoryState::leave`].
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

    /// When the last run is over: gives back what [`MemoryState::bring_about`] filled memory with.
    pub(crate) fn leave(parent: &Path) {
        let _ = std::fs::remove_file(parent.join(FILLER));
    }
}

/// Fills until no more than this share of all memory is free, or as far as the kernel lets it: it
/// keeps a reserve.
const FREE_SHARE_MIN: f64 = 0.03;
/// More than this share is no reserve: something is wrong.
const FREE_SHARE_MAX: f64 = 0.25;
/// Reads that do not lessen what is free only recycle; fewer may be hidden by what others give back.
const RECYCLED_BYTES: u64 = 6 << 30;
/// Of one look at the free memory to the next.
const STEP_BYTES: u64 = 128 << 20;

/// Reads a file that is one hole until its pages have taken what was free. Nothing is written.
fn fill(parent: &Path) -> Result<()> {
    /// Where to read on: what was read before may still be cached.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    nix::unistd::sync();
    let MemoryNow {
        total_bytes: total,
        free_bytes: mut least,
        ..
    } = MemoryNow::read()?;
    let share = |of: f64| (total as f64 * of) as u64;
    let path = parent.join(FILLER);
    // Not truncated: that would free its pages.
    let mut options = File::options();
    let mut file = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot write into {}", parent.display()))?;
    let length = 16 * total;
    file.set_len(length)
        .with_context(|| format!("cannot make a sparse file in {}", parent.display()))?;
    let mut chunk = vec![0; 4 << 20];
    let mut recycled = 0;
    while least > share(FREE_SHARE_MIN) && recycled < RECYCLED_BYTES {
        let from = NEXT.fetch_add(STEP_BYTES, Ordering::Relaxed) % (length - STEP_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut left = STEP_BYTES;
        while left > 0 {
            let read = file.read(&mut chunk)? as u64;
            ensure!(read > 0, "{} was cut short", path.display());
            left = left.saturating_sub(read);
        }
        let free = MemoryNow::read()?.free_bytes;
        // What others take and give back meanwhile is no progress.
        if free < least.saturating_sub(STEP_BYTES / 4) {
            (least, recycled) = (free, 0);
        } else {
            recycled += STEP_BYTES;
        }
    }
    ensure!(
        least <= share(FREE_SHARE_MAX),
        "page cache does not fill: {} MiB stay free (another --dir, or --memory as-found)",
        least >> 20
    );
    Ok(())
}

/// Below a run's parent; its pages are what memory is filled with, so it stays until the run is
/// over.
const FILLER: &str = "odradek-memory-filler";
