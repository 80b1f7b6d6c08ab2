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

mod ahead;
mod aside;
mod compaction;
mod copy;
mod files;
mod flush;
mod habits;
mod hand_over;
mod housekeeping;
mod index;
mod journal;
mod judge;
mod landed;
mod listing;
mod log_start;
mod offline;
mod open;
mod pace;
mod progress;
mod read;
mod recover;
mod recoveries;
mod rest;
mod side_files;
mod stray;
mod syncs;
mod tails;
mod transactions;
mod undurable;
mod waiters;
mod walk;
mod writer;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use odradek_engine::bytes::{Block, Source};
use odradek_engine::io::strategy::write::WriteStrategy;
use odradek_engine::io::{Errno, Io, SegmentFile};
use odradek_engine::log::checkpoint::Checkpoint;
use odradek_engine::log::{Appended, Log, LogRules};
use odradek_engine::record::{BatchInfo, Origin, RecordError};
use odradek_engine::task::Spawner;
use odradek_engine::types::{Epoch, Offset, Timestamp};

use self::ahead::Ahead;
pub use self::aside::Aside;
use self::compaction::Compaction;
pub use self::compaction::{CleanError, Cleaned, Means, Share};
pub use self::copy::{CopyError, LogCopy};
pub use self::habits::Habits;
pub use self::hand_over::HandOver;
use self::journal::Journaled;
pub use self::journal::{Journal, ReplayError, directory as journal_directory, replay};
use self::landed::Landed;
pub use self::log_start::DeleteError;
pub use self::open::{OpenError, Opening};
pub use self::pace::Pace;
pub use self::progress::{Mark, Progress};
pub use self::read::{Isolation, Piece, Read, ReadError};
pub use self::recoveries::{Opened, Recoveries};
use self::rest::Looked;
pub use self::stray::{empty_directory, is_foreign, remove_directory};
use self::syncs::Syncs;
pub use self::tails::Tails;
pub use self::transactions::Unmarked;
use self::undurable::Undurable;
pub use self::waiters::{Failed, Wait, Waiters};
use crate::runtime::{DirectorySync, Gate, LogDirs, Notice, Quiet};

/// What the partitions of a shard have in common.
pub struct Ground {
    pub io: Io,
    pub spawner: Spawner,
    pub strategy: WriteStrategy,
    /// Writes that somebody waits for are durable by themselves; else an fdatasync follows them.
    pub dsync: bool,
    /// By the numbers of log directories, or none: small appends that somebody waits for become
    /// durable through one, all partitions' of the directory together.
    pub journals: Vec<Rc<Journal>>,
    /// Clients' reads take the tail from memory, not out of its file.
    pub read_tail: bool,
    /// Written ahead of tails; nobody writes into it.
    pub zeros: OnceCell<Block>,
    /// Writes of them in flight.
    pub filling: Cell<usize>,
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
    /// Bytes written to segments since the start.
    pub written_bytes: Cell<u64>,
    pub recoveries: Recoveries,
    /// Rate limit of log lines about full disks and the like.
    pub troubles: Quiet,
    /// Where partitions' directories are.
    pub dirs: Arc<LogDirs>,
    /// Of these.
    pub roots: DirectorySync,
    /// Those that are looked at.
    pub lively: RefCell<Vec<Weak<Partition>>>,
    /// Partitions in the order in which they took memory.
    pub tails: RefCell<Tails>,
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
    /// Held while DeleteRecords stores a new log start offset.
    start_moves: async_lock::Mutex<()>,
    /// Held while the directory is made ready for writes, or a segment finished before that.
    beginning: async_lock::Mutex<()>,
    syncs: Syncs,
    /// Held by whoever waits until nothing touches the files.
    calming: async_lock::Mutex<()>,
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
    /// Up to here somebody is going to wait for *visible*.
    wanted: Offset,
    readers: Vec<Weak<Notice>>,
    /// *visible* as readers were last told.
    shown: Offset,
    files: BTreeMap<Offset, Rc<SegmentFile>>,
    /// What is to be done before anything is written; none if it has been.
    ahead: Option<Ahead>,
    writing: bool,
    flushing: bool,
    /// Completed writes that the written mark has not passed.
    landed: Landed,
    /// Written and not durable yet; for the flusher.
    undurable: Undurable,
    /// What it has to do with its directory's journal, if anything.
    journaled: Option<Box<Journaled>>,
    tail_bytes: usize,
    poisoned: Option<Trouble>,
    /// Somebody read from memory since it last rested, or could have.
    tail_read: bool,
    looked: Looked,
    /// How often it has given its tail's memory back.
    rested: u32,
    /// Writes, finishing of segments and retention under way: they touch the files.
    busy: usize,
    closed: bool,
    /// The log's end when a checkpoint was last taken, and that checkpoint until it is durable.
    checkpoint_at: Offset,
    checkpoint: Option<Checkpoint>,
    /// Indexes that are being made.
    indexing: BTreeMap<Offset, Rc<Gate>>,
    compaction: Compaction,
    habits: Habits,
    /// The marks move no more.
    abandoned: bool,
    /// It moves to another shard; raised whenever less touches the files than before.
    leaving: Option<Rc<Notice>>,
    /// It has moved: the log is another shard's.
    handed_over: bool,
    /// For whoever closes it: raised when what touched the files has come to its end.
    calm: Rc<Notice>,
}

/// Why a partition takes nothing more.
struct Trouble {
    why: String,
    /// The disk was full at this time, or the like: what was not written is dropped from memory,
    /// what is visible is served, and the partition can be opened again.
    passing_since: Option<u64>,
}

/// What to do about an error that is over some time, and that left nothing half done.
fn passing(error: Errno) -> Option<&'static str> {
    match error.0 {
        libc::ENOSPC | libc::EDQUOT => Some("free space in the log directory"),
        libc::EMFILE | libc::ENFILE => Some("close connections, or raise nofile (ulimit -n)"),
        _ => None,
    }
}

/// How long a partition with such a trouble rests before it is tried again, nanoseconds.
pub const RETRY_NS: u64 = 1_000_000_000;

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
    /// Last stable offset.
    pub stable: Offset,
    /// Log end offset.
    pub next: Offset,
    pub written: Offset,
    pub durable: Offset,
    pub epoch: Epoch,
}

impl Partition {
    /// Its name.
    pub fn name(&self) -> &PartitionName {
        &self.name
    }

    /// By which it reaches its files, and the time.
    pub fn io(&self) -> &Io {
        &self.ground.io
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        let state = self.state.borrow();
        Standing {
            log_start: state.log.log_start(),
            visible: state.progress.visible(),
            stable: state.log.stable(state.progress.visible()),
            next: state.log.next(),
            written: state.progress.written(),
            durable: state.progress.durable(),
            epoch: state.epoch,
        }
    }

    /// Bytes that are written and not durable, and since when the oldest of them is, nanoseconds.
    pub fn undurable(&self) -> (u64, Option<u64>) {
        let state = self.state.borrow();
        (state.undurable.bytes(), state.undurable.since())
    }

    /// Offset of the first record that is kept.
    pub fn log_start(&self) -> Offset {
        self.state.borrow().log.log_start()
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
    pub fn append<'a>(
        &self,
        batch: impl Into<Source<'a>>,
        info: &BatchInfo,
        origin: Origin,
        append_time: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let mut state = self.state.borrow_mut();
        self.check(&state).map_err(AppendError::Poisoned)?;
        let epoch = state.epoch;
        state.log.set_tail_grown_max(self.ground.tail_share());
        let appended = state
            .log
            .append(batch, info, origin, epoch, append_time, now)
            .map_err(AppendError::Record)?;
        if matches!(appended, Appended::Stored(_)) {
            self.account(&mut state);
            self.enliven(&mut state);
            self.kick(&mut state);
        }
        Ok(appended)
    }

    /// See [`Log::append_position`].
    pub fn append_position(&self) -> u64 {
        self.state.borrow().log.append_position()
    }

    /// A wait until everything before `offset` has reached `mark`.
    pub fn wait(&self, mark: Mark, offset: Offset) -> Wait {
        let mut state = self.state.borrow_mut();
        if let Some(outcome) = state.settled(mark, offset) {
            return Wait::over(outcome);
        }
        let mark = state.effective(mark, offset);
        let wait = match mark {
            Mark::Written => state.written.add(offset),
            Mark::Visible => state.visible.add(offset),
        };
        self.hurry(&mut state);
        wait
    }

    /// Whether everything before `offset` has reached `mark`, or never will.
    pub fn settled(&self, mark: Mark, offset: Offset) -> Option<Result<(), Failed>> {
        self.state.borrow().settled(mark, offset)
    }

    /// Somebody will [`wait`](Self::wait) for this: what must be durable for it is written so.
    pub fn want(&self, mark: Mark, offset: Offset) {
        let mut state = self.state.borrow_mut();
        if state.effective(mark, offset) == Mark::Visible {
            state.wanted = state.wanted.max(offset);
            self.hurry(&mut state);
        }
    }

    /// Raises `notice` at the next progress of *visible*, and sees to it that progress comes
    /// soon if there is anything to progress to.
    pub fn watch(&self, notice: &Rc<Notice>) {
        let mut state = self.state.borrow_mut();
        state.readers.retain(|reader| reader.strong_count() > 0);
        state.readers.push(Rc::downgrade(notice));
        self.hurry(&mut state);
    }

    /// The partition takes nothing more until it is opened again, through recovery.
    fn poison(&self, why: String, error: Errno) {
        let mut state = self.state.borrow_mut();
        // What the journal holds would be missed by whoever opens it again before the next start. And
        // what a flush could not write is clean to the kernel: the next one, when there is room again,
        // succeeds without it.
        let passing = passing(error).filter(|_| !self.held(&state) && !self.syncs.failed());
        // Of what failed first and what fails after it the worse counts.
        let worse = |was: &Trouble| was.passing_since.is_some() && passing.is_none();
        if state.poisoned.as_ref().is_some_and(|was| !worse(was)) {
            return;
        }
        self.ground.dirs.unsettle(&self.directory);
        match passing {
            Some(remedy) => self.ground.troubles.log(self.io(), || {
                tracing::error!(
                    partition = %self.name,
                    "{why}: {error}; {remedy}: records are refused until then"
                );
            }),
            None if self.broke(&why, error) => {}
            None => tracing::error!(
                partition = %self.name,
                "{why}: {error}; the partition is offline until the node is started again"
            ),
        }
        state.poisoned = Some(Trouble {
            why: format!("{why}: {error}"),
            passing_since: passing.map(|_| self.ground.io.now()),
        });
        state.calm.raise();
        self.abandon(&mut state);
    }

    /// Everybody who waits is told that it is in vain.
    fn abandon(&self, state: &mut State) {
        state.abandoned = true;
        state.written.fail();
        state.visible.fail();
        if let Some(journaled) = &mut state.journaled {
            journaled.fail();
        }
        for reader in state.readers.drain(..) {
            if let Some(reader) = reader.upgrade() {
                reader.raise();
            }
        }
    }

    /// Whether it has been closed, or is being closed.
    pub fn closed(&self) -> bool {
        self.state.borrow().closed
    }

    /// Why it takes nothing more, if it does not.
    pub fn poisoned(&self) -> Option<Poisoned> {
        let state = self.state.borrow();
        let trouble = state.poisoned.as_ref()?;
        Some(Poisoned(trouble.why.clone()))
    }

    /// Whether what is wrong with it is over some time, if anything is: else it is not opened again
    /// before the next start. The kernel calls bytes clean that it could not write.
    pub fn may_reopen(&self) -> bool {
        let state = self.state.borrow();
        let trouble = state.poisoned.as_ref();
        trouble.is_none_or(|trouble| trouble.passing_since.is_some())
    }

    /// Whether its disk was full, or the like, a while ago, and nothing of it touches its files any
    /// more: then it should be opened again.
    pub fn reopen_due(&self) -> bool {
        let state = self.state.borrow();
        let since = state.poisoned.as_ref().and_then(|was| was.passing_since);
        since.is_some_and(|since| {
            state.quiet() && self.ground.io.now().saturating_sub(since) >= RETRY_NS
        })
    }

    /// Another one takes its place: it serves nobody any more.
    pub fn retire(&self) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        self.abandon(&mut state);
    }

    /// Whether it can be appended to.
    fn check(&self, state: &State) -> Result<(), Poisoned> {
        match &state.poisoned {
            Some(trouble) => Err(Poisoned(trouble.why.clone())),
            None if state.left() => {
                Err(Poisoned("the partition has moved to another shard".into()))
            }
            None if state.closed => Err(Poisoned("the partition is closed".into())),
            None => Ok(()),
        }
    }

    /// Whether it can be read: also while its disk is full.
    fn check_read(&self, state: &State) -> Result<(), Poisoned> {
        match &state.poisoned {
            Some(trouble) if trouble.passing_since.is_some() && !state.closed && !state.left() => {
                Ok(())
            }
            _ => self.check(state),
        }
    }
}

impl State {
    fn left(&self) -> bool {
        self.leaving.is_some()
    }

    /// Something that touched the files has ended.
    fn ended(&mut self) {
        self.busy -= 1;
        self.quieter();
    }

    /// Whether nothing touches the files, and nothing will unless somebody begins.
    fn quiet(&self) -> bool {
        self.busy == 0 && !self.writing && !self.flushing
    }

    /// Tells whoever waits until all is quiet.
    fn quieter(&self) {
        if !self.quiet() {
            return;
        }
        if let Some(leaving) = &self.leaving {
            leaving.raise();
        }
        if self.closed {
            self.calm.raise();
        }
    }

    fn settled(&self, mark: Mark, offset: Offset) -> Option<Result<(), Failed>> {
        if self.progress.at(self.effective(mark, offset)) >= offset {
            return Some(Ok(()));
        }
        self.abandoned.then_some(Err(Failed))
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
