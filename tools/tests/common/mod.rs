//! A node under test, and a client that says exactly what a test wants said.
//!
//! [`TestNode`] is the real binary in a directory of its own, on ports of its own; [`Client`] a
//! blocking connection that knows the wire format and nothing else: no retries, no metadata.
//! Everything that waits has a limit; a failing test prints the node's log.
#![allow(dead_code)]

mod batches;
mod client;
mod dice;
mod node;
mod standstill;

use std::time::{Duration, Instant};

pub use batches::*;
pub use client::*;
pub use dice::Dice;
pub use node::*;
pub use standstill::Standstill;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Says that a test does not run here, for want of `needed`.
///
/// # Panics
/// Where CI is set: there nothing goes untested unseen.
pub fn skip(needed: &str) {
    let ci = std::env::var_os("CI").is_some();
    assert!(!ci, "with CI set no test may be skipped: {needed}");
    println!("SKIPPED: {needed}");
}

/// Asks until `done` says yes; panics when patience is over.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    wait_for(what, || done().then_some(()));
}

/// Asks until there is an answer; panics when patience is over.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
