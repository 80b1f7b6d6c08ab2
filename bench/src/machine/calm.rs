//! A disk that still works off what was written before answers late, and whoever measures then measures
//! that.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::report::median;

/// How long it is watched,
const WATCH: Duration = Duration::from_secs(2);
/// from one write to the next,
const PAUSE: Duration = Duration::from_millis(5);
/// and how long the longest of its writes may take: so much, seconds, or so many times the middle one.
const LONGEST_S: f64 = 0.01;
const OF_MIDDLE: f64 = 20.0;

/// Waits until durable writes of 4 KiB to a file in `directory` take about the same time for two seconds
/// on end, but no longer than `seconds` (0: not at all). Whether they came to.
pub(crate) fn wait_until_calm(directory: &Path, seconds: f64) -> Result<bool> {
    if seconds <= 0.0 {
        return Ok(true);
    }
    let path = directory.join("calm.tmp");
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .custom_flags(libc::O_DSYNC)
        .open(&path)
        .with_context(|| format!("making {}", path.display()))?;
    let calm = watch(&file, seconds);
    std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    calm
}

fn watch(file: &File, seconds: f64) -> Result<bool> {
    let started = Instant::now();
    while started.elapsed().as_secs_f64() < seconds {
        let (began, mut took) = (Instant::now(), Vec::new());
        while began.elapsed() < WATCH {
            let from = Instant::now();
            file.write_all_at(&[1; 4096], 0)
                .context("writing 4 KiB, durably")?;
            took.push(from.elapsed().as_secs_f64());
            std::thread::sleep(PAUSE);
        }
        if is_calm(&took) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Seconds of each write.
fn is_calm(took: &[f64]) -> bool {
    let longest = took.iter().copied().fold(0.0, f64::max);
    longest <= LONGEST_S.max(OF_MIDDLE * median(took).unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_write_is_no_calm() {
        let mut took = vec![0.0004; 300];
        assert!(is_calm(&took));
        took[200] = 0.02;
        assert!(!is_calm(&took));
        // A slow disk is calm when it is always slow.
        assert!(is_calm(&[0.02; 50]));
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = wait_until_calm(Path::new("/nowhere/at/all"), 1.0).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
