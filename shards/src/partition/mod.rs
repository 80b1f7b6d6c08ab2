//! A partition: its log, its progress, and who waits for it.
//!
//! Appends go into the log's tail and return; one writer task per busy partition carries the
//! log's plans out; completions move the marks and wake the waiters. An error whose effect is
//! unknown poisons the partition: it serves nothing more until it is opened again through
//! recovery.
//!
//! Invariant: no borrow of the state crosses an await.
//!
//! Absent on purpose: requests, topics' placement, error codes of the wire.

mod files;
mod flush;
mod housekeeping;
mod open;
mod progress;
mod read;
mod segment_file;
mod waiters;
mod writer;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use odradek_engine::io::Io;
use odradek_engine::io::strategy::WriteStrategy;
use odradek_engine::log::{Appended, Log, LogRules};
use odradek_engine::record::{BatchInfo, Origin, RecordError};
use odradek_engine::task::Spawner;
use odradek_engine::types::{Epoch, Offset, Timestamp};

pub use self::open::{OpenError, Opening};
pub use self::progress::{Mark, Progress};
pub use self::read::{FileRange, Piece, Read, ReadError};
pub use self::segment_file::SegmentFile;
pub use self::waiters::{Failed, Notice, Wait, Waiters};

/// What the partitions of a shard have in common.
pub struct Ground {
    pub io: Io,
    pub spawner: Spawner,
    pub strategy: WriteStrategy,
    /// Writes in flight per partition, at most.
    pub write_depth: usize,
    /// Every byte is durable after this long, milliseconds.
    pub durable_lag_ms: u64,
    /// Whether *visible* asks for *durable*.
    pub durable_policy: bool,
    /// Memory for tails, bytes; past it the oldest is let go.
    pub tail_bytes_max: usize,
    /// Bytes of tails held now.
    pub tail_bytes: Cell<usize>,
    /// Partitions in the order in which they took memory.
    pub tails: RefCell<std::collections::VecDeque<Weak<Partition>>>,
}

/// The name of a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionName {
    pub topic: Arc<str>,
    pub index: i32,
}

impl std::fmt::Display for PartitionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// See the module.
pub struct Partition {
    name: PartitionName,
    directory: PathBuf,
    ground: Rc<Ground>,
    state: RefCell<State>,
    me: Weak<Partition>,
}

struct State {
    log: Log,
    progress: Progress,
    epoch: Epoch,
    /// Internal topics: every record is durable before it is acknowledged or shown.
    always_durable: bool,
    written: Waiters,
    visible: Waiters,
    readers: Vec<Weak<Notice>>,
    files: BTreeMap<Offset, Rc<SegmentFile>>,
    writing: bool,
    flushing: bool,
    /// Completed writes, and whether each was durable; from the first that the written mark
    /// has not passed.
    landed: BTreeMap<u64, bool>,
    landed_first: u64,
    /// When the oldest byte that is not durable was written, nanoseconds; for the flusher.
    lagging_since: Option<u64>,
    tail_bytes: usize,
    poisoned: Option<String>,
    closed: bool,
    /// Raised when a rolled segment's files are finished, or cannot be.
    finished: Rc<Notice>,
}

/// Why an append or a read is not possible now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Poisoned(pub String);

/// Why a batch was not appended.
#[derive(Debug)]
pub enum AppendError {
    Record(RecordError),
    Poisoned(Poisoned),
}

/// Where a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub log_start: Offset,
    /// High watermark.
    pub visible: Offset,
    /// Log end offset.
    pub next: Offset,
    pub written: Offset,
    pub durable: Offset,
    pub epoch: Epoch,
    /// Bytes of all segments.
    pub bytes: u64,
}

impl Partition {
    /// Its name.
    pub fn name(&self) -> &PartitionName {
        &self.name
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        let state = self.state.borrow();
        Standing {
            log_start: state.log.log_start(),
            visible: state.progress.visible(),
            next: state.log.next(),
            written: state.progress.written(),
            durable: state.progress.durable(),
            epoch: state.epoch,
            bytes: state.log.bytes(),
        }
    }

    /// What is asked of the log, under a borrow: for questions that need no I/O.
    pub fn with_log<R>(&self, ask: impl FnOnce(&Log) -> R) -> R {
        ask(&self.state.borrow().log)
    }

    /// New rules, from the topic's settings.
    pub fn set_rules(&self, rules: LogRules) {
        self.state.borrow_mut().log.set_rules(rules);
    }

    /// Appends one checked batch; see [`Log::append`]. On return it is in memory only: wait for
    /// a mark before acknowledging it.
    pub fn append(
        &self,
        bytes: &[u8],
        info: &BatchInfo,
        origin: Origin,
        append_time: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let mut state = self.state.borrow_mut();
        self.check(&state).map_err(AppendError::Poisoned)?;
        let epoch = state.epoch;
        let appended = state
            .log
            .append(bytes, info, origin, epoch, append_time, now)
            .map_err(AppendError::Record)?;
        if matches!(appended, Appended::Stored(_)) {
            self.account(&mut state);
            self.kick(&mut state);
        }
        Ok(appended)
    }

    /// A wait until everything before `offset` has reached `mark`.
    pub fn wait(&self, mark: Mark, offset: Offset) -> Wait {
        let mut state = self.state.borrow_mut();
        if state.poisoned.is_some() {
            return Wait::over(Err(Failed));
        }
        let mark = if state.always_durable {
            Mark::Visible
        } else {
            mark
        };
        if state.progress.at(mark) >= offset {
            return Wait::over(Ok(()));
        }
        let wait = match mark {
            Mark::Written => state.written.add(offset),
            Mark::Visible => state.visible.add(offset),
        };
        self.hurry(&mut state);
        wait
    }

    /// Raises `notice` at the next progress of *visible*, and sees to it that progress comes
    /// soon if there is anything to progress to.
    pub fn watch(&self, notice: &Rc<Notice>) {
        let mut state = self.state.borrow_mut();
        state.readers.retain(|reader| reader.strong_count() > 0);
        state.readers.push(Rc::downgrade(notice));
        self.hurry(&mut state);
    }

    /// The partition serves nothing more until it is opened again.
    fn poison(&self, why: String) {
        let mut state = self.state.borrow_mut();
        if state.poisoned.is_none() {
            if !state.closed {
                tracing::error!(partition = %self.name, "{why}; the partition is offline");
            }
            state.poisoned = Some(why);
            state.finished.raise();
            state.written.fail();
            state.visible.fail();
            for reader in state.readers.drain(..) {
                if let Some(reader) = reader.upgrade() {
                    reader.raise();
                }
            }
        }
    }

    /// Why it serves nothing, if it does not.
    pub fn poisoned(&self) -> Option<Poisoned> {
        self.state.borrow().poisoned.clone().map(Poisoned)
    }

    fn check(&self, state: &State) -> Result<(), Poisoned> {
        match &state.poisoned {
            Some(why) => Err(Poisoned(why.clone())),
            None if state.closed => Err(Poisoned("the partition is closed".into())),
            None => Ok(()),
        }
    }

    /// Keeps the shard's account of tail memory, letting the oldest go past the bound.
    fn account(&self, state: &mut State) {
        let now = state.log.tail_bytes();
        let before = std::mem::replace(&mut state.tail_bytes, now);
        let ground = &self.ground;
        ground
            .tail_bytes
            .set(ground.tail_bytes.get() + now - before);
        if now > before {
            ground.tails.borrow_mut().push_back(self.me.clone());
        }
    }
}

impl Ground {
    /// Lets go of the oldest tails' memory while there is more than allowed.
    pub fn trim(&self) {
        let mut tries = self.tails.borrow().len();
        while self.tail_bytes.get() > self.tail_bytes_max && tries > 0 {
            tries -= 1;
            let Some(oldest) = self.tails.borrow_mut().pop_front() else {
                break;
            };
            let Some(partition) = oldest.upgrade() else {
                continue;
            };
            let Ok(mut state) = partition.state.try_borrow_mut() else {
                continue;
            };
            let keep = state.progress.durable();
            let freed = state.log.evict(keep);
            let held = state.log.tail_bytes();
            let before = std::mem::replace(&mut state.tail_bytes, held);
            self.tail_bytes.set(self.tail_bytes.get() - (before - held));
            // What could not be let go now (not written yet) is asked again later.
            if freed.is_none() && held > 64 << 10 {
                self.tails.borrow_mut().push_back(oldest);
            } else if freed == Some(0) {
                self.tails.borrow_mut().push_front(oldest);
            }
        }
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let held = self.state.get_mut().tail_bytes;
        self.ground
            .tail_bytes
            .set(self.ground.tail_bytes.get() - held);
    }
}
