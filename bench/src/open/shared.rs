//! What the driver's threads share: the load, the clock and the signs to stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::load::Load;

/// The run's times, nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The first message's time.
    pub(crate) begin: u64,
    /// The end of the warm-up.
    pub(crate) open: u64,
    /// The end of the window: no message is intended later.
    pub(crate) close: u64,
    /// Added to the monotonic clock: wall-clock time in nanoseconds since the epoch.
    pub(crate) wall: i64,
}

impl Clock {
    pub(crate) fn wall_ms(&self, monotonic: u64) -> i64 {
        (monotonic as i64 + self.wall) / 1_000_000
    }
}

/// Nanoseconds of the clock that the drivers' [`Io::now`](odradek_engine::io::Io::now) has.
pub(crate) fn monotonic() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    // CLOCK_MONOTONIC exists on every Linux.
    time.map_or(0, |time| {
        time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
    })
}

/// Problems told, at most: the first ones say what happened.
const PROBLEMS_MAX: usize = 5;

/// See the module.
pub(crate) struct Shared {
    pub(crate) load: Load,
    /// A server that does not answer for so long hangs.
    pub(crate) silence_max: Duration,
    /// Names this run in its messages.
    pub(crate) run: u32,
    pub(crate) produce_version: i16,
    pub(crate) fetch_version: i16,
    /// Set once, when every connection stands.
    pub(crate) clock: OnceLock<Clock>,
    /// No more messages are made.
    stopped: AtomicBool,
    /// Answers are not waited for after this time.
    give_up_at: AtomicU64,
    /// Messages made per partition, set once when all producers are done.
    pub(crate) produced: OnceLock<Vec<u64>>,
    problems: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn new(
        load: Load,
        silence_max: Duration,
        run: u32,
        produce_version: i16,
        fetch_version: i16,
    ) -> Self {
        Self {
            load,
            silence_max,
            run,
            produce_version,
            fetch_version,
            clock: OnceLock::new(),
            stopped: AtomicBool::new(false),
            give_up_at: AtomicU64::new(u64::MAX),
            produced: OnceLock::new(),
            problems: Mutex::default(),
        }
    }

    /// Something failed: the run ends, and its result is partial.
    pub(crate) fn problem(&self, what: String) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.len() < PROBLEMS_MAX && !problems.contains(&what) {
            problems.push(what);
        }
        drop(problems);
        self.stop();
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let problems = self.problems.lock();
        problems.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Nothing is waited for after `at`, or after an earlier time that was set before.
    pub(crate) fn give_up_at(&self, at: u64) {
        self.give_up_at.fetch_min(at, Ordering::SeqCst);
    }

    pub(crate) fn given_up(&self, now: u64) -> bool {
        now >= self.give_up_at.load(Ordering::Relaxed)
    }
}
