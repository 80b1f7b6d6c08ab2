//! What goes wrong, and when.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::unflushed::Unflushed;

/// So long a call is held at most: the test has failed then, and its end must not wait for it.
const HELD_MAX: Duration = Duration::from_secs(20);

/// Calls that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Open,
    Read,
    /// A write of which nobody asks that it be durable.
    Write,
    /// With RWF_DSYNC.
    DurableWrite,
    /// fsync or fdatasync of a file.
    Flush,
    FlushDirectory,
    Allocate,
    Truncate,
    Rename,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and this is the error. A flush that fails also forgets what it should have
    /// made durable, as Linux does.
    Error(i32),
    /// A write does its first half, and this is the error.
    Torn(i32),
    /// It waits for the repair, and then succeeds.
    Held,
}

/// Which calls go wrong.
#[derive(Clone, Debug)]
pub struct Rule {
    pub call: Call,
    /// A part of the path.
    pub path: String,
    pub fault: Fault,
    /// So many calls that fit succeed first.
    pub after: usize,
    /// At most so many go wrong.
    pub times: usize,
    /// Only if they touch one of these bytes.
    pub bytes: Range<u64>,
}

impl Rule {
    /// All such calls from now on.
    pub fn new(call: Call, path: &str, fault: Fault) -> Rule {
        Rule {
            call,
            path: path.to_owned(),
            fault,
            after: 0,
            times: usize::MAX,
            bytes: 0..u64::MAX,
        }
    }

    /// Only the first.
    pub fn once(self) -> Rule {
        Rule { times: 1, ..self }
    }

    /// Once so many have succeeded.
    pub fn after(self, after: usize) -> Rule {
        Rule { after, ..self }
    }

    /// Reads or writes of these bytes.
    pub fn within(self, bytes: Range<u64>) -> Rule {
        Rule { bytes, ..self }
    }
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    hits: usize,
    repairs: usize,
}

/// Shared by the file system and the test.
#[derive(Default)]
pub struct Faults {
    state: Mutex<State>,
    repaired: Condvar,
    unflushed: Mutex<Unflushed>,
}

impl Faults {
    pub fn inject(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    pub fn hits(&self) -> usize {
        self.state().hits
    }

    pub fn clear(&self) {
        let mut state = self.state();
        state.rules.clear();
        state.hits = 0;
        state.repairs += 1;
        self.repaired.notify_all();
    }

    /// The fault of this call on these bytes, if it has one; a held call returns after the repair.
    pub fn strike(&self, call: Call, path: &Path, bytes: Range<u64>) -> Option<Fault> {
        let mut state = self.state();
        let path = path.to_string_lossy();
        let fits = |rule: &&mut Rule| {
            rule.call == call
                && path.contains(&rule.path)
                && bytes.start < rule.bytes.end
                && rule.bytes.start < bytes.end
        };
        let rule = state.rules.iter_mut().find(fits)?;
        if rule.after > 0 {
            rule.after -= 1;
            return None;
        }
        rule.times = rule.times.checked_sub(1)?;
        let fault = rule.fault;
        state.hits += 1;
        if fault != Fault::Held {
            return Some(fault);
        }
        let before = state.repairs;
        let held = |state: &mut State| state.repairs == before;
        let waited = self.repaired.wait_timeout_while(state, HELD_MAX, held);
        drop(waited.expect("nobody panics with it"));
        None
    }

    /// What is written and not flushed.
    pub fn unflushed(&self) -> MutexGuard<'_, Unflushed> {
        self.unflushed.lock().expect("nobody panics with it")
    }

    pub fn lose_power(&self) -> usize {
        let mut unflushed = self.unflushed();
        let paths: Vec<PathBuf> = unflushed.paths().collect();
        paths.iter().map(|path| unflushed.forget(path)).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }
}
