//! The log as a planner: it decides, the driver performs.
//!
//! A partition's log is a row of segments; the last one is active. [`Log::append`] puts stamped
//! batches into the [`tail`]; [`Log::plan_write`] says what goes to disk next; [`Log::plan_read`]
//! says where an offset's bytes lie. Nothing here makes a system call or reads a clock.
//!
//! Invariants: offsets are contiguous from the log start offset to the log end offset, but for those
//! that [`compaction`] took out of closed segments; a batch never spans segments; what is not yet
//! written is in memory.

pub mod checkpoint;
pub mod compaction;
pub mod epochs;
pub mod index;
pub mod journal;
pub mod producers;
mod read;
pub mod recovery;
mod retention;
mod roll;
mod segment;
pub mod state_file;
pub mod tail;
pub mod transactions;

use std::collections::VecDeque;

use crate::bytes::{Pool, Source};
use crate::record::{BatchHeader, BatchInfo, HEADER_BYTES, Origin, RecordError, Stamp, stamp};
use crate::types::{Epoch, Offset, Position, Timestamp};

use self::epochs::Epochs;
use self::index::IndexRules;
pub use self::producers::BatchMark;
use self::producers::{Decision, ProducerError, Producers};
pub use self::read::{Found, ReadLimits, ReadPlan};
pub use self::roll::Seal;
pub use self::segment::{Segment, file_stem, parse_file_name};
use self::tail::{Tail, WritePlan, Written};
use self::transactions::Ending;
pub use self::transactions::{Aborted, AbortedList, AbortedSearch};

/// The rules of one log; from the topic's settings.
#[derive(Clone, Debug)]
pub struct LogRules {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`, less this log's jitter; milliseconds.
    pub roll_ms: i64,
    /// `index.interval.bytes` and `segment.index.bytes`.
    pub index: IndexRules,
    /// `retention.bytes`; negative: unlimited.
    pub retention_bytes: i64,
    /// `retention.ms`; negative: unlimited.
    pub retention_ms: i64,
}

/// One batch of the recent past, exactly located.
#[derive(Clone, Copy, Debug)]
pub struct Recent {
    pub base: Offset,
    pub next: Offset,
    pub segment: Offset,
    pub pos: u64,
    pub end: u64,
}

/// What became of an append.
#[derive(Debug)]
pub enum Appended {
    /// Stored: the batch as stamped.
    Stored(BatchInfo),
    /// The producer sent it before; it is stored since then.
    Duplicate(BatchMark),
    /// The producer's epoch or sequence is wrong.
    Refused(ProducerError),
}

/// What a log is opened with: what recovery found on disk, or what another shard
/// [handed over](Log::hand_over).
pub struct Recovered {
    /// In order; the last one is active and has its index.
    pub segments: VecDeque<Segment>,
    pub log_start: Offset,
    pub next: Offset,
    pub epochs: Epochs,
    pub producers: Producers,
    /// Where the replay that made `producers` began: of batches before it a snapshot told the last
    /// one of each producer, and a checkpoint, if it was of this very offset, the few before that.
    pub replayed_from: Offset,
    /// The active segment's last batch, if it was looked at.
    pub last: Option<Recent>,
    /// The bytes of the active segment's unfinished last page.
    pub last_page: Vec<u8>,
}

impl Recovered {
    /// An empty log that starts at offset 0.
    pub fn empty() -> Self {
        Recovered {
            segments: VecDeque::from([Segment::new(Offset(0))]),
            log_start: Offset(0),
            next: Offset(0),
            epochs: Epochs::new(),
            producers: Producers::new(),
            replayed_from: Offset(0),
            last: None,
            last_page: Vec::new(),
        }
    }
}

/// See the module.
pub struct Log {
    rules: LogRules,
    segments: VecDeque<Segment>,
    log_start: Offset,
    next: Offset,
    epochs: Epochs,
    producers: Producers,
    ending: Ending,
    replayed_from: Offset,
    tail: Tail,
    recent: VecDeque<Recent>,
    boundary: Option<read::Boundary>,
    seals: VecDeque<Seal>,
    /// Rolled segments whose files are not finished; they stay until they are.
    unfinished: VecDeque<Offset>,
}

impl Log {
    /// A log over what recovery found. `aligned`: see [`Tail::new`].
    pub fn new(pool: &Pool, aligned: bool, rules: LogRules, found: Recovered) -> Self {
        let active = found.segments.back().expect("an active segment");
        assert!(active.index.is_some(), "the active segment has its index");
        let tail = Tail::new(pool, aligned, active.base, active.size, &found.last_page);
        Log {
            rules,
            segments: found.segments,
            log_start: found.log_start,
            next: found.next,
            epochs: found.epochs,
            producers: found.producers,
            ending: Ending::default(),
            replayed_from: found.replayed_from,
            tail,
            recent: found.last.into_iter().collect(),
            boundary: None,
            seals: VecDeque::new(),
            unfinished: VecDeque::new(),
        }
    }

    /// Offset of the first record that is kept.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Offset that the next record gets (log end offset).
    pub fn next(&self) -> Offset {
        self.next
    }

    /// Leader epochs and where they begin.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// A new leader epoch begins at the log's end. Gives whether it is new: then the checkpoint
    /// must be written before anything is acknowledged under it.
    pub fn begin_epoch(&mut self, epoch: Epoch) -> bool {
        self.epochs.assign(epoch, self.next)
    }

    /// Idempotent producers.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// See [`Recovered::replayed_from`].
    pub fn replayed_from(&self) -> Offset {
        self.replayed_from
    }

    /// Forgets producers unused for `expiration_ms`.
    pub fn expire_producers(&mut self, now: Timestamp, expiration_ms: i64) {
        self.producers.expire(now, expiration_ms);
    }

    /// Changes the rules; they hold from the next decision on.
    pub fn set_rules(&mut self, rules: LogRules) {
        self.rules = rules;
    }

    /// The rules.
    pub fn rules(&self) -> &LogRules {
        &self.rules
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    fn active(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("an active segment")
    }

    /// Appends one checked batch. `info` is of these very bytes; the stamp goes into a copy of the
    /// header. Of a large batch the tail may keep the memory (see [`Tail::append_from`]).
    ///
    /// On return the batch is in memory, visible to nobody: writing it is [`Log::plan_write`]'s.
    ///
    /// # Errors
    /// Only if `info` is not of these bytes.
    pub fn append<'a>(
        &mut self,
        batch: impl Into<Source<'a>>,
        info: &BatchInfo,
        origin: Origin,
        epoch: Epoch,
        append_time: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Appended, RecordError> {
        match self.producers.check(info, origin) {
            Decision::Append => {}
            Decision::Duplicate(mark) => return Ok(Appended::Duplicate(mark)),
            Decision::Refuse(error) => return Ok(Appended::Refused(error)),
        }
        let stamped = self.store(batch.into(), info, epoch, append_time)?;
        if stamped.has_producer_id() {
            self.producers.applied(&stamped, now);
        }
        Ok(Appended::Stored(stamped))
    }

    /// Stamps a batch and puts it at the end.
    fn store(
        &mut self,
        batch: Source<'_>,
        info: &BatchInfo,
        epoch: Epoch,
        append_time: Option<Timestamp>,
    ) -> Result<BatchInfo, RecordError> {
        if self.must_roll(info, append_time) {
            self.roll();
        }
        let mut header =
            *BatchHeader::view(batch.bytes()).ok_or(RecordError::Length { length: 0 })?;
        let stamped = stamp(
            &mut header,
            info,
            Stamp {
                base_offset: self.next,
                leader_epoch: epoch,
                append_time,
            },
        )?;
        let rules = self.rules.index;
        let active = self.active();
        let (segment, pos) = (active.base, active.size);
        if active.started == Timestamp::NONE {
            active.started = stamped.max_timestamp;
        }
        active.size += stamped.size as u64;
        let index = active.index.as_mut().expect("the active index");
        index.on_append(&stamped, Position(pos), &rules);
        active.latest = index.latest();
        let end = active.size;
        self.tail.append(header.as_bytes());
        let records = stamped.size - HEADER_BYTES;
        self.tail.append_from(batch.part(HEADER_BYTES, records));
        self.recent.push_back(Recent {
            base: stamped.base_offset,
            next: stamped.next_offset(),
            segment,
            pos,
            end,
        });
        self.epochs.assign(epoch, stamped.base_offset);
        self.next = stamped.next_offset();
        Ok(stamped)
    }

    /// Where in the active segment the next batch goes, unless that is rolled before it.
    pub fn append_position(&self) -> u64 {
        self.segments.back().map_or(0, |active| active.size)
    }

    /// Whether bytes wait to be written.
    pub fn pending(&self) -> bool {
        self.tail.pending()
    }

    /// The next write to perform; see [`Tail::plan`].
    pub fn plan_write(&mut self, depth: usize) -> Option<WritePlan> {
        self.tail.plan(depth)
    }

    /// A planned write completed. Gives the position and the offset up to which everything is
    /// now written, if they moved.
    pub fn wrote(&mut self, id: u64) -> Option<(Written, Offset)> {
        let written = self.tail.wrote(id)?;
        // Batches wholly within the written prefix. Few are beyond it, and they are warm.
        let beyond = self
            .recent
            .iter()
            .rev()
            .take_while(|batch| (batch.segment, batch.end) > (written.segment, written.pos))
            .count();
        let at = self.recent.len() - beyond;
        let offset = match at.checked_sub(1) {
            Some(last) => self.recent[last].next,
            None => self.recent.front().map_or(self.next, |first| first.base),
        };
        Some((written, offset))
    }

    /// Whether nothing is pending, in flight, or to be finished: then it can be handed over.
    pub fn settled(&self) -> bool {
        !self.tail.pending() && self.tail.flying() == 0 && self.unfinished.is_empty()
    }

    /// What another shard opens this log with, without reading it: it must be
    /// [settled](Self::settled). From now on it takes and shows nothing.
    pub fn hand_over(&mut self) -> Recovered {
        assert!(self.settled(), "all is written, and every seal is finished");
        let active = self.segments.back().expect("an active segment");
        let (base, end) = (active.base, active.size);
        let last = self.recent.back().copied();
        let mut segments = VecDeque::with_capacity(self.segments.len());
        for segment in &mut self.segments {
            segments.push_back(Segment {
                index: segment.index.take(),
                aborted: std::mem::take(&mut segment.aborted),
                ..*segment
            });
        }
        Recovered {
            segments,
            log_start: self.log_start,
            next: self.next,
            epochs: std::mem::take(&mut self.epochs),
            producers: std::mem::take(&mut self.producers),
            replayed_from: self.replayed_from,
            last: last.filter(|last| last.segment == base && last.end == end),
            last_page: self.tail.last_page(),
        }
    }

    /// Writes in flight.
    pub fn flying(&self) -> usize {
        self.tail.flying()
    }

    /// Memory that the tail holds, bytes.
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// See [`Tail::set_grown_max`].
    pub fn set_tail_grown_max(&mut self, bytes: usize) {
        self.tail.set_grown_max(bytes);
    }

    /// Lets go of the tail's oldest memory; bytes before `keep` may lose their exact location.
    pub fn evict(&mut self, keep: Offset) -> Option<usize> {
        let freed = self.tail.evict()?;
        self.forget(keep);
        Some(freed)
    }

    /// Lets go of all memory but the unfinished page's bytes; whether it did: not while anything is
    /// pending.
    pub fn shrink(&mut self, keep: Offset) -> bool {
        let shrunk = self.tail.shrink();
        self.forget(keep);
        self.recent.shrink_to_fit();
        shrunk
    }

    /// The last one stays: a checkpoint names it.
    fn forget(&mut self, keep: Offset) {
        while let Some(first) = self.recent.front().filter(|_| self.recent.len() > 1) {
            let held = self
                .tail
                .memory_start(first.segment)
                .is_some_and(|start| first.end > start);
            if held || first.next > keep {
                break;
            }
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
