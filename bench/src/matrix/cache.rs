//! Files into page cache, and out of it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::machine::page_cache_of;

/// Of a file system that is memory itself.
pub(super) const NEVER_COLD: &str = "nothing can be read cold here";

/// Segments of a partition, oldest first.
fn segments(partition: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(partition)
        .with_context(|| format!("cannot list {}", partition.display()))?;
    let mut logs: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    Ok(logs)
}

/// Drops a partition's pages, and makes sure that they are gone.
///
/// # Errors
/// When more than a hundredth of it is still cached.
pub(super) fn evict(partition: &Path) -> Result<()> {
    nix::unistd::sync();
    let mut bytes = 0;
    for path in segments(partition)? {
        let file = File::open(&path)?;
        bytes += file.metadata()?.len();
        // SAFETY: the descriptor is open; numbers only.
        let refused =
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        ensure!(refused == 0, "posix_fadvise: error {refused}");
    }
    let left = page_cache_of(partition).context("cachestat(2) is not there (Linux 6.5)")?;
    ensure!(
        left <= bytes / 100,
        "{left} of {bytes} bytes stay in page cache: {NEVER_COLD}"
    );
    Ok(())
}

/// Reads a partition's first `bytes`, and makes sure that they stay.
///
/// # Errors
/// When they do not.
pub(super) fn warm(partition: &Path, bytes: u64) -> Result<()> {
    let mut left = bytes;
    for path in segments(partition)? {
        if left == 0 {
            break;
        }
        let mut file = File::open(&path)?;
        let read = std::io::copy(&mut file, &mut std::io::sink())?;
        left = left.saturating_sub(read);
    }
    let cached = page_cache_of(partition).context("cachestat(2) is not there (Linux 6.5)")?;
    ensure!(
        cached >= bytes - left,
        "{cached} bytes are in page cache, {bytes} should be"
    );
    Ok(())
}
