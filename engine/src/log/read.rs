//! Where the bytes of a read lie.

use super::index::{SegmentIndex, TimestampOffset};
use super::{Log, Segment};
use crate::bytes::Parts;
use crate::types::{Offset, Position, Timestamp};

/// What a read may take.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Bytes, at most; a batch may be cut, as the protocol allows.
    pub bytes_max: u64,
    /// The first batch comes whole, even above `bytes_max` (KIP-74).
    pub first_whole: bool,
    /// Nothing at or after this offset is shown.
    pub end: Offset,
    /// What the tail's memory holds comes from there; else all comes out of the file, and `end` must
    /// be written.
    pub tail: bool,
}

/// Where an offset's batch was found by searching a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    /// The segment.
    pub segment: Offset,
    /// First offset of the batch.
    pub base: Offset,
    /// Where it starts.
    pub pos: u64,
    /// Its length, bytes.
    pub len: u64,
}

/// Where a read had to end that ended before what is recent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Boundary {
    end: Offset,
    segment: Offset,
    pos: u64,
}

/// How a read is performed.
#[derive(Debug)]
pub enum ReadPlan {
    /// Before the log's start or past its end.
    OutOfRange,
    /// Nothing to show yet.
    Empty,
    /// The batch lies in this segment at or after `from`: walk the batch headers to the first
    /// whose last offset is not before `target`, and ask again with what was found. Where `target` is
    /// not the offset that was asked for it is where the read must end: tell
    /// [`Log::found_end`], and ask again.
    Search {
        segment: Offset,
        from: u64,
        to: u64,
        target: Offset,
        /// What lies at `from` begins there at the latest, if the index that led there is right.
        begins_by: Offset,
    },
    /// A closed segment's index is needed: load it and ask again.
    Index { segment: Offset },
    /// `file`, then `memory`.
    Range {
        segment: Offset,
        /// Position and length of what lies in the file.
        file: (u64, u64),
        /// What lies in memory.
        memory: Parts,
        /// All bytes.
        bytes: u64,
    },
}

impl Log {
    fn recent_at(&self, offset: Offset) -> Option<usize> {
        let at = self.recent.partition_point(|batch| batch.next <= offset);
        (at < self.recent.len() && self.recent[at].base <= offset).then_some(at)
    }

    /// The segment that holds `offset`.
    pub(super) fn segment_of(&self, offset: Offset) -> Option<usize> {
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
        // The answer is full: where the batch lies would be looked for in vain, in files often.
        if limits.bytes_max == 0 && !limits.first_whole {
            return ReadPlan::Empty;
        }
        let (segment, pos, first) = if let Some(at) = self.recent_at(offset) {
            let batch = self.recent[at];
            (batch.segment, batch.pos, batch.end - batch.pos)
        } else if let Some(found) = found {
            // It may begin behind the offset: compaction took what was there.
            (found.segment, found.pos, found.len)
        } else {
            return self.search(offset);
        };
        let Some(holder) = self.segment_of(segment).map(|at| &self.segments[at]) else {
            return ReadPlan::OutOfRange;
        };
        let Some(end) = self.end_in(holder, limits.end) else {
            // Where the readers' end lies is searched for as an offset is.
            return self.search(limits.end);
        };
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
        match limits.tail {
            true => self.range(segment, pos, stop),
            false => ReadPlan::Range {
                segment,
                file: (pos, stop - pos),
                memory: Parts::new(),
                bytes: stop - pos,
            },
        }
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

    /// Where `end`, a batch boundary, lies in `segment`. `None`: in it, and it must be searched for,
    /// because a transaction that is open since then holds readers back behind what is recent.
    fn end_in(&self, segment: &Segment, end: Offset) -> Option<u64> {
        if end <= segment.base {
            return Some(0);
        }
        let holder = self.segment_of(end).map(|at| self.segments[at].base);
        if end >= self.next || holder != Some(segment.base) {
            return Some(segment.size);
        }
        let at = self.recent.partition_point(|batch| batch.next <= end);
        let recent = self.recent.get(at).filter(|batch| batch.base <= end);
        if let Some(batch) = recent {
            return Some(batch.pos.min(segment.size));
        }
        let known = self.boundary.as_ref();
        let known = known.filter(|one| one.end == end && one.segment == segment.base);
        known.map(|one| one.pos)
    }

    /// A search that [`plan_read`](Self::plan_read) asked for has found where its end lies.
    pub fn found_end(&mut self, end: Offset, segment: Offset, pos: u64) {
        self.boundary = Some(Boundary { end, segment, pos });
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
                begins_by: offset,
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
            found.map_or((Position::ZERO, segment.base), |at| {
                (at.position, at.offset)
            })
        });
        Some(match found {
            // Where a gap is, the entries in it are asked for first.
            Some((at, begins_by)) if segment.past_gap(at) == at => ReadPlan::Search {
                segment: segment.base,
                from: at.0,
                to: segment.size,
                target: from.max(self.log_start),
                begins_by,
            },
            _ => ReadPlan::Index {
                segment: segment.base,
            },
        })
    }

    /// The latest timestamp and the last offset of the batch that brought it first.
    pub fn latest_timestamp(&self) -> Option<TimestampOffset> {
        let mut latest: Option<TimestampOffset> = None;
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
}
