//! What goes wrong in a simulated world besides crashes. Nothing, unless asked for.
//!
//! A rate is the n of "one in n"; 0 is never. Faults draw from a stream of their own, so that a
//! world without them is the same whatever faults there could be.

use std::collections::BTreeMap;

use super::rng::Rng;

/// Faults of one world; may be changed while it runs ([`SimWorld::set_faults`]).
///
/// [`SimWorld::set_faults`]: super::SimWorld::set_faults
#[derive(Clone, Debug, Default)]
pub struct SimFaults {
    /// Bytes that files may take, in whole pages; ENOSPC beyond. `None`: as many as there are.
    pub disk_bytes_max: Option<u64>,
    /// EIO from fdatasync, fsync, syncfs (drawn for each file) and writes with DSYNC. What they would
    /// have made durable may be lost, though the page cache still shows it, and no later sync tells of
    /// it.
    pub sync_fails: u64,
    /// The error that these say instead of EIO.
    pub sync_error: Option<i32>,
    /// EIO from writes: any of their sectors may be on disk.
    pub write_fails: u64,
    /// EIO from reads.
    pub read_fails: u64,
    /// Reads, writes and sends that transfer less than was asked for.
    pub short: u64,
    /// Disk operations take so many times as long; 0 and 1 are as usual.
    pub slow_times: u64,
    /// Pieces of a stream that break its connection.
    pub cut: u64,
    /// Pieces of a stream that take up to seconds.
    pub stall: u64,
    /// Files whose path contains one of these have none of the errors above.
    pub spared: Vec<String>,
}

/// The faults of a world, and how many there were.
pub(super) struct Faults {
    pub(super) now: SimFaults,
    pub(super) rng: Rng,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

impl Faults {
    pub(super) fn new(rng: Rng, now: SimFaults) -> Self {
        Faults {
            now,
            rng,
            counts: BTreeMap::new(),
        }
    }

    /// Draws; counts it as `name` if it happens.
    pub(super) fn happens(&mut self, rate: u64, name: &'static str) -> bool {
        let happens = rate > 0 && self.rng.one_in(rate);
        if happens {
            self.count(name);
        }
        happens
    }

    pub(super) fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    /// What a sync that fails returns.
    pub(super) fn sync_error(&self) -> i32 {
        -self.now.sync_error.unwrap_or(libc::EIO)
    }

    /// Whether a file has no errors.
    pub(super) fn spares(&self, path: Option<&String>) -> bool {
        let spared = |path: &String| self.now.spared.iter().any(|part| path.contains(part));
        path.is_none_or(spared)
    }
}
