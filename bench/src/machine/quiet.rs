//! Waiting for the machine to have nothing to do.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Busy, CpuClock};

/// Waits until the machine has almost nothing to do, for at most `seconds` (0: not at all): what
/// the last run left behind (removed files, written journals) must not be counted as the next
/// one's.
pub(crate) fn wait_until_quiet(seconds: f64) -> Result<()> {
    const CORES_MAX: f64 = 0.05;
    const WATCH: Duration = Duration::from_millis(300);
    if seconds <= 0.0 {
        return Ok(());
    }
    nix::unistd::sync();
    let started = Instant::now();
    loop {
        let (before, own) = (Busy::read()?, CpuClock::own().read()?);
        std::thread::sleep(WATCH);
        let own = (CpuClock::own().read()? - own).as_secs_f64();
        let busy = Busy::read()?.since(&before).busy_s - own;
        if busy / WATCH.as_secs_f64() < CORES_MAX {
            return Ok(());
        }
        if started.elapsed().as_secs_f64() > seconds {
            eprintln!(
                "the machine is busy with {:.2} cores: expect noise",
                busy / WATCH.as_secs_f64()
            );
            return Ok(());
        }
    }
}
