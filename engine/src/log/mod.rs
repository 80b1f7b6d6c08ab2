//! The log as a planner: it decides, the driver performs.
//!
//! A partition's log is a row of segments; the last one is active. [`Log::append`] puts stamped
//! batches into the [`tail`]; [`Log::plan_write`] says what goes to disk next; [`Log::plan_read`]
//! says where an offset's bytes lie. Nothing here makes a system call or reads a clock.
//!
//! Invariants: offsets are contiguous from the log start offset to the log end offset; a batch
//! never spans segments; what is not yet written is in memory.

pub mod checkpoint;
pub mod epochs;
pub mod index;
pub mod producers;
mod read;
pub mod recovery;
mod segment;
pub mod state_file;
pub mod tail;

use std::collections::VecDeque;

use crate::bytes::Pool;
use crate::record::{BatchHeader, BatchInfo, HEADER_BYTES, Origin, RecordError, Stamp, stamp};
use crate::types::{Epoch, Offset, Position, Timestamp};

use self::epochs::Epochs;
use self::index::{IndexRules, OffsetPosition, SegmentIndex};
pub use self::producers::BatchMark;
use self::producers::{Decision, ProducerError, Producers};
pub use self::read::{Found, ReadLimits, ReadPlan};
pub use self::segment::{Segment, file_stem, parse_file_name};
use self::tail::{Tail, WritePlan, Written};

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

/// A segment that was rolled and whose files must be finished once its bytes are written.
#[derive(Debug)]
pub struct Seal {
    /// The segment.
    pub base: Offset,
    /// Its length: what lies beyond in the file is padding to be cut.
    pub size: u64,
    /// Offset after its last record: a producer snapshot is named so.
    pub next: Offset,
    /// Contents of its `.index`, `.timeindex` and the producer snapshot.
    pub index: Vec<u8>,
    pub time_index: Vec<u8>,
    pub producers: Vec<u8>,
    /// What the indexes do not know; see [`Log::gap`].
    pub gap: Option<OffsetPosition>,
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

/// What a log is opened with: what recovery found on disk.
pub struct Recovered {
    /// In order; the last one is active and has its index.
    pub segments: VecDeque<Segment>,
    pub log_start: Offset,
    pub next: Offset,
    pub epochs: Epochs,
    pub producers: Producers,
    /// Where the replay that made `producers` began: of batches before it, a snapshot told the
    /// last one of each producer, and no other.
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
    replayed_from: Offset,
    tail: Tail,
    recent: VecDeque<Recent>,
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
            replayed_from: found.replayed_from,
            tail,
            recent: found.last.into_iter().collect(),
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

    /// Appends one checked batch. `info` is of these very bytes; the stamp goes into the copy
    /// that the tail keeps.
    ///
    /// On return the batch is in memory, visible to nobody: writing it is [`Log::plan_write`]'s.
    ///
    /// # Errors
    /// Only if `info` is not of these bytes.
    pub fn append(
        &mut self,
        bytes: &[u8],
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
        if self.must_roll(info, now) {
            self.roll();
        }
        let mut header = *BatchHeader::view(bytes).ok_or(RecordError::Length { length: 0 })?;
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
            active.started = now;
        }
        active.size += stamped.size as u64;
        let index = active.index.as_mut().expect("the active index");
        index.on_append(&stamped, Position(pos), &rules);
        active.latest = index.latest();
        let end = active.size;
        self.tail.append(header.as_bytes());
        self.tail.append(&bytes[HEADER_BYTES..stamped.size]);
        self.recent.push_back(Recent {
            base: stamped.base_offset,
            next: stamped.next_offset(),
            segment,
            pos,
            end,
        });
        self.epochs.assign(epoch, stamped.base_offset);
        if stamped.has_producer_id() {
            self.producers.applied(&stamped, now);
        }
        self.next = stamped.next_offset();
        Ok(Appended::Stored(stamped))
    }

    /// Source: Kafka `LogSegment.shouldRoll`.
    fn must_roll(&self, info: &BatchInfo, now: Timestamp) -> bool {
        let active = self.segments.back().expect("an active segment");
        if active.size == 0 {
            return false;
        }
        let index = active.index.as_ref().expect("the active index");
        let last = self.next.plus(i64::from(info.last_offset_delta));
        active.size + info.size as u64 > self.rules.segment_bytes
            || (active.started != Timestamp::NONE
                && now.0.saturating_sub(active.started.0) > self.rules.roll_ms)
            || index.is_full(&self.rules.index)
            || last
                .relative_to(active.base)
                .is_none_or(|delta| delta > i32::MAX as u32)
    }

    /// Closes the active segment and opens the next, if there is anything in it.
    pub fn roll(&mut self) {
        if self.segments.back().is_none_or(|active| active.size == 0) {
            return;
        }
        let seal = self.close();
        self.unfinished.push_back(seal.base);
        self.seals.push_back(seal);
        self.segments.push_back(Segment::new(self.next));
        self.tail.roll(self.next);
    }

    /// What finishes the active segment's files as they stand: at a roll, or at the end.
    pub fn close(&mut self) -> Seal {
        let next = self.next;
        let producers = self.producers.to_snapshot();
        let active = self.active();
        let index = active.index.as_mut().expect("the active index");
        index.seal();
        Seal {
            base: active.base,
            size: active.size,
            next,
            index: index.offsets().as_bytes().to_vec(),
            time_index: index.times().as_bytes().to_vec(),
            producers,
            gap: active.gap,
        }
    }

    /// A rolled segment whose files can be finished, because all its bytes are written.
    pub fn take_seal(&mut self) -> Option<Seal> {
        let written = self.tail.written();
        let first = self.seals.front()?;
        if (first.base, first.size) <= (written.segment, written.pos) {
            return self.seals.pop_front();
        }
        None
    }

    /// The files of a rolled segment are finished.
    pub fn finished(&mut self, base: Offset) {
        self.unfinished.retain(|other| *other != base);
    }

    /// Whether there are rolled segments whose files are not finished.
    pub fn finishing(&self) -> bool {
        !self.unfinished.is_empty()
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
        // Batches wholly within the written prefix: the recent ones end there.
        let at = self
            .recent
            .partition_point(|batch| (batch.segment, batch.end) <= (written.segment, written.pos));
        let offset = match at.checked_sub(1) {
            Some(last) => self.recent[last].next,
            None => self.recent.front().map_or(self.next, |first| first.base),
        };
        Some((written, offset))
    }

    /// Writes in flight.
    pub fn flying(&self) -> usize {
        self.tail.flying()
    }

    /// Memory that the tail holds, bytes.
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// Lets go of the tail's oldest memory; bytes before `keep` may lose their exact location.
    pub fn evict(&mut self, keep: Offset) -> Option<usize> {
        let freed = self.tail.evict()?;
        self.forget(keep);
        Some(freed)
    }

    /// Lets go of all memory but the unfinished page, if nothing is pending.
    pub fn shrink(&mut self, keep: Offset) {
        self.tail.shrink();
        self.forget(keep);
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

    fn recent_at(&self, offset: Offset) -> Option<usize> {
        let at = self.recent.partition_point(|batch| batch.next <= offset);
        (at < self.recent.len() && self.recent[at].base <= offset).then_some(at)
    }

    /// The segment that holds `offset`.
    fn segment_of(&self, offset: Offset) -> Option<usize> {
        self.segments
            .partition_point(|segment| segment.base <= offset)
            .checked_sub(1)
    }

    /// Plans a read from `offset`. `found`: what a search that an earlier plan asked for found.
    pub fn plan_read(&self, offset: Offset, limits: ReadLimits, found: Option<Found>) -> ReadPlan {
        if offset < self.log_start || offset > self.next {
            return ReadPlan::OutOfRange;
        }
        if offset >= limits.end || offset >= self.next {
            return ReadPlan::Empty;
        }
        let (segment, pos, first) = if let Some(at) = self.recent_at(offset) {
            let batch = self.recent[at];
            (batch.segment, batch.pos, batch.end - batch.pos)
        } else if let Some(found) = found.filter(|found| found.base <= offset) {
            (found.segment, found.pos, found.len)
        } else {
            return self.search(offset);
        };
        let Some(holder) = self.segment_of(segment).map(|at| &self.segments[at]) else {
            return ReadPlan::OutOfRange;
        };
        let end = self.end_in(holder, limits.end);
        if end <= pos {
            return ReadPlan::Empty;
        }
        let least = if limits.first_whole { first } else { 0 };
        let stop = self
            .whole_batches(offset, segment, pos + limits.bytes_max)
            .unwrap_or(pos + limits.bytes_max)
            .max(pos + least)
            .min(end);
        if stop == pos {
            return ReadPlan::Empty;
        }
        self.range(segment, pos, stop)
    }

    /// The end of the last recent batch that ends by `stop`, where all batches in between are
    /// recent: then the answer ends with a whole batch.
    fn whole_batches(&self, offset: Offset, segment: Offset, stop: u64) -> Option<u64> {
        let first = self.recent_at(offset)?;
        let at = self
            .recent
            .partition_point(|batch| (batch.segment, batch.end) <= (segment, stop));
        (at > first).then(|| self.recent[at - 1].end)
    }

    /// Where `end`, a batch boundary, lies in `segment`.
    fn end_in(&self, segment: &Segment, end: Offset) -> u64 {
        if end >= self.next {
            return segment.size;
        }
        let at = self.recent.partition_point(|batch| batch.next <= end);
        match self.recent.get(at) {
            Some(batch) if batch.segment == segment.base => batch.pos.min(segment.size),
            Some(batch) if batch.segment < segment.base => 0,
            _ => segment.size,
        }
    }

    fn range(&self, segment: Offset, pos: u64, stop: u64) -> ReadPlan {
        let from = self
            .tail
            .memory_start(segment)
            .map_or(stop, |start| start.clamp(pos, stop));
        let memory = match self.tail.memory(segment, from, stop) {
            Some(memory) if from < stop => memory,
            _ => Default::default(),
        };
        let file = (pos, if memory.is_empty() { stop } else { from } - pos);
        ReadPlan::Range {
            segment,
            file,
            memory,
            bytes: stop - pos,
        }
    }

    fn search(&self, offset: Offset) -> ReadPlan {
        let Some(at) = self.segment_of(offset) else {
            return ReadPlan::OutOfRange;
        };
        let segment = &self.segments[at];
        let known = segment.gap.is_none_or(|gap| offset >= gap.offset);
        match &segment.index {
            Some(index) if known => ReadPlan::Search {
                segment: segment.base,
                from: segment.past_gap(index.lookup(offset).position).0,
                to: segment.size,
                target: offset,
            },
            _ => ReadPlan::Index {
                segment: segment.base,
            },
        }
    }

    /// Plans reading raw bytes `[pos, pos + len)` of a segment, cut at its end.
    pub fn plan_bytes(&self, segment: Offset, pos: u64, len: u64) -> ReadPlan {
        let holder = self
            .segment_of(segment)
            .map(|at| &self.segments[at])
            .filter(|holder| holder.base == segment);
        match holder {
            Some(holder) if pos < holder.size => {
                self.range(segment, pos, holder.size.min(pos + len))
            }
            _ => ReadPlan::Empty,
        }
    }

    /// Where to look for the first record at least as late as `timestamp`: a search to perform
    /// by timestamp from there on, segment after segment. `None`: no record is.
    pub fn plan_time(&self, timestamp: Timestamp, from: Offset) -> Option<ReadPlan> {
        let first = self.segment_of(from.max(self.log_start))?;
        let segment = self
            .segments
            .range(first..)
            .find(|segment| segment.size > 0 && segment.latest.timestamp >= timestamp)?;
        let found = segment.index.as_ref().map(|index| {
            let found = index.lookup_time(timestamp);
            found.map_or(Position::ZERO, |at| at.position)
        });
        Some(match found {
            // Where a gap is, the entries in it are asked for first.
            Some(at) if segment.past_gap(at) == at => ReadPlan::Search {
                segment: segment.base,
                from: at.0,
                to: segment.size,
                target: from.max(self.log_start),
            },
            _ => ReadPlan::Index {
                segment: segment.base,
            },
        })
    }

    /// The latest timestamp and the last offset of the batch that brought it first.
    pub fn latest_timestamp(&self) -> Option<index::TimestampOffset> {
        let mut latest: Option<index::TimestampOffset> = None;
        for segment in self.segments.iter().filter(|segment| segment.size > 0) {
            if latest.is_none_or(|latest| segment.latest.timestamp > latest.timestamp) {
                latest = Some(segment.latest);
            }
        }
        latest
    }

    /// Gives a closed segment its index, asked for by [`ReadPlan::Index`].
    pub fn set_index(&mut self, segment: Offset, index: SegmentIndex) {
        let active = self.segments.len() - 1;
        if let Some(at) = self.segment_of(segment) {
            let holder = &mut self.segments[at];
            if at != active && holder.base == segment {
                holder.index = Some(index);
                holder.gap = None;
            }
        }
    }

    /// Drops indexes of closed segments beyond the `keep` newest that have one.
    pub fn trim_indexes(&mut self, keep: usize) {
        let closed = self.segments.len() - 1;
        let mut kept = 0;
        for segment in self.segments.range_mut(..closed).rev() {
            if segment.index.is_some() {
                kept += 1;
                if kept > keep {
                    segment.index = None;
                    segment.gap = None;
                }
            }
        }
    }

    /// Takes out the segments that retention lets go of, oldest first. The active one stays
    /// unless it, too, is past its time: then it is rolled first, as in Kafka, and goes once its
    /// files are finished.
    ///
    /// `end`: nothing at or after it is taken (the high watermark).
    pub fn expire(&mut self, now: Timestamp, end: Offset) -> Vec<Segment> {
        let rules = self.rules.clone();
        let aged = |segment: &Segment| {
            rules.retention_ms >= 0
                && segment.size > 0
                && segment.latest.timestamp >= Timestamp(0)
                && now.0.saturating_sub(segment.latest.timestamp.0) > rules.retention_ms
        };
        if self.next <= end
            && self.segments.iter().all(aged)
            && !self.pending()
            && self.flying() == 0
        {
            self.roll();
        }
        let mut total = self.bytes();
        let mut gone = Vec::new();
        while self.segments.len() > 1 {
            let (oldest, second) = (&self.segments[0], self.segments[1].base);
            let over =
                rules.retention_bytes >= 0 && total - oldest.size >= rules.retention_bytes as u64;
            let before_start = second <= self.log_start;
            let unfinished = self.unfinished.contains(&oldest.base);
            if second > end || unfinished || !(over || aged(oldest) || before_start) {
                break;
            }
            total -= oldest.size;
            gone.extend(self.segments.pop_front());
            self.raise_start(second);
        }
        // What is gone needs no finishing.
        let first = self.segments[0].base;
        self.seals.retain(|seal| seal.base >= first);
        gone
    }

    /// Raises the log start offset; what lies before is not shown any more.
    pub fn raise_start(&mut self, offset: Offset) {
        if offset > self.log_start {
            self.log_start = offset;
            self.epochs.truncate_from_start(offset);
            while self
                .recent
                .front()
                .is_some_and(|first| first.next <= offset)
            {
                self.recent.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests;
