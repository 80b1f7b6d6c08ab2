//! A point of the active segment from which recovery may start.
//!
//! Below it everything was durable when it was taken down, so after a kill only what lies above it
//! must be judged. It is not believed: the batch that ends there must be the one that it names
//! ([`Checkpoint::verify`]). A checkpoint that has gone stale names a batch that is still there, or
//! one that a later leader epoch has replaced, and then it is refused.
//!
//! What a recovery that starts here does not know are the index entries below. The segment's
//! [`gap`](Segment::gap) says so; whoever needs one of them has them made from the batches'
//! headers first.
//!
//! Absent on purpose: whose log it is, the file that keeps it, I/O.

use super::index::{OffsetPosition, SegmentIndex, TimestampOffset};
use super::producers::{Producers, SnapshotError};
use super::transactions::{Aborted, AbortedList, ENTRY_BYTES};
use super::{Log, Segment};
use crate::record::{BatchHeader, BatchInfo, HEADER_BYTES, Rules, validate};
use crate::types::{Epoch, Offset, Position, Timestamp};

const FIXED_BYTES: usize = 60;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The segment.
    pub segment: Offset,
    /// The log's end when it was taken, and where in the segment's file that lies.
    pub end: OffsetPosition,
    /// Where the last batch before it starts.
    pub batch: Position,
    /// That batch's leader epoch.
    pub epoch: Epoch,
    /// As the segment's own.
    pub started: Timestamp,
    pub latest: TimestampOffset,
    /// The producers at that offset, as [`Producers::to_recent`] has them.
    pub producers: Vec<u8>,
    /// The segment's aborted transactions before it.
    pub aborted: Vec<Aborted>,
}

/// Why a checkpoint is not used; then its segment is read whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("it is cut off")]
    Size,
    #[error("it contradicts itself")]
    Contradiction,
    #[error("the segment has only {bytes} bytes")]
    Beyond { bytes: u64 },
    #[error("no whole batch ends there")]
    NoBatch,
    #[error("another batch ends there")]
    OtherBatch,
    #[error("its leader epoch is {epoch}, and the log's was {known:?} there")]
    Epoch { epoch: i32, known: Option<i32> },
    #[error(transparent)]
    Producers(#[from] SnapshotError),
}

impl Checkpoint {
    /// Appends its bytes: big-endian fields in order, how many aborted transactions (u32) and these
    /// as in a `.txnindex`, then the producers.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.segment.0, self.end.offset.0] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        for position in [self.end.position.0, self.batch.0] {
            out.extend_from_slice(&position.to_be_bytes());
        }
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        for number in [
            self.started.0,
            self.latest.timestamp.0,
            self.latest.offset.0,
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        let count = u32::try_from(self.aborted.len()).expect("bounded");
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&Aborted::to_index(&self.aborted));
        out.extend_from_slice(&self.producers);
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`CheckpointError`] for whatever no log would have said of itself.
    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (fixed, rest) = bytes
            .split_first_chunk::<FIXED_BYTES>()
            .ok_or(CheckpointError::Size)?;
        let (count, rest) = rest.split_first_chunk().ok_or(CheckpointError::Size)?;
        let length = (u32::from_be_bytes(*count) as usize).checked_mul(ENTRY_BYTES);
        let parts = length.and_then(|length| rest.split_at_checked(length));
        let (aborted, producers) = parts.ok_or(CheckpointError::Size)?;
        let aborted = Aborted::from_index(aborted).ok_or(CheckpointError::Contradiction)?;
        let number = |at: usize| {
            let (_, rest) = fixed.split_at(at);
            i64::from_be_bytes(*rest.first_chunk().expect("within the fixed part"))
        };
        let (_, epoch) = fixed[..36].split_last_chunk::<4>().expect("36 bytes");
        let mut read = Checkpoint {
            segment: Offset(number(0)),
            end: OffsetPosition {
                offset: Offset(number(8)),
                position: Position(number(16) as u64),
            },
            batch: Position(number(24) as u64),
            epoch: Epoch(i32::from_be_bytes(*epoch)),
            started: Timestamp(number(36)),
            latest: TimestampOffset {
                timestamp: Timestamp(number(44)),
                offset: Offset(number(52)),
            },
            producers: producers.to_vec(),
            aborted,
        };
        let within = |offset: Offset| offset >= read.segment && offset < read.end.offset;
        let sane = read.segment.0 >= 0
            && read.end.offset.relative_to(read.segment).is_some()
            && read.end.offset > read.segment
            && read.end.position.0 <= i32::MAX as u64
            && read.batch < read.end.position
            && read.epoch.0 >= 0
            && read.latest.timestamp >= Timestamp::NONE
            && (read.latest.timestamp == Timestamp::NONE || within(read.latest.offset));
        if read.latest.timestamp == Timestamp::NONE {
            read.latest.offset = read.segment;
        }
        match sane {
            true => Ok(read),
            false => Err(CheckpointError::Contradiction),
        }
    }

    /// Bytes of the batch that ends here.
    pub fn batch_bytes(&self) -> u64 {
        self.end.position.since(self.batch)
    }

    /// Whether `header`, read at [`batch`](Self::batch), is as long as the batch that must stand
    /// there: before that many bytes are read.
    ///
    /// # Errors
    /// [`CheckpointError::NoBatch`].
    pub fn verify_header(&self, header: &[u8]) -> Result<(), CheckpointError> {
        let header = BatchHeader::view(header).filter(|_| header.len() >= HEADER_BYTES);
        let size = header.and_then(|header| header.size().ok());
        match size.is_some_and(|size| size as u64 == self.batch_bytes()) {
            true => Ok(()),
            false => Err(CheckpointError::NoBatch),
        }
    }

    /// Whether `bytes`, read from [`batch`](Self::batch) to the end, are the batch that this names:
    /// whole, its CRC right, its end and its epoch as stated here. Gives the batch, and the
    /// producers.
    ///
    /// # Errors
    /// [`CheckpointError`]: the segment must be read whole.
    pub fn verify(&self, bytes: &[u8]) -> Result<(BatchInfo, Producers), CheckpointError> {
        let info = validate(bytes, &Rules::LOG).map_err(|_| CheckpointError::NoBatch)?;
        let right = info.size as u64 == self.batch_bytes()
            && info.base_offset >= self.segment
            && info
                .base_offset
                .0
                .checked_add(i64::from(info.last_offset_delta) + 1)
                == Some(self.end.offset.0)
            && info.leader_epoch == self.epoch;
        if !right {
            return Err(CheckpointError::OtherBatch);
        }
        Ok((info, Producers::from_recent(&self.producers)?))
    }

    /// The segment as it stood then, without index entries.
    pub fn segment(&self) -> Segment {
        Segment {
            base: self.segment,
            size: self.end.position.0,
            latest: self.latest,
            unproven: false,
            started: self.started,
            index: Some(SegmentIndex::resumed(self.segment, self.latest)),
            gap: Some(self.end),
            aborted: AbortedList::Known(self.aborted.clone()),
        }
    }
}

impl Log {
    /// The log's end as a checkpoint; to be kept only once everything before it is durable.
    /// `None` while the active segment is empty, or its last batch has not been seen.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let active = self.segments.back()?;
        let last = self.recent.back()?;
        if last.segment != active.base || last.end != active.size {
            return None;
        }
        Some(Checkpoint {
            segment: active.base,
            end: OffsetPosition {
                offset: self.next,
                position: Position(active.size),
            },
            batch: Position(last.pos),
            epoch: self.epochs.epoch_for(last.base)?,
            started: active.started,
            latest: active.latest,
            producers: self.producers.to_recent(),
            aborted: active.aborted.known().to_vec(),
        })
    }

    /// Which part of a segment its index does not know, if any: `[0, position)`, before `offset`.
    pub fn gap(&self, segment: Offset) -> Option<OffsetPosition> {
        let at = self.segment_of(segment)?;
        let holder = &self.segments[at];
        holder.gap.filter(|_| holder.base == segment)
    }

    /// Gives a segment the index entries of its gap.
    pub fn fill_gap(&mut self, segment: Offset, entries: SegmentIndex) {
        let Some(at) = self.segment_of(segment) else {
            return;
        };
        let holder = &mut self.segments[at];
        if holder.base == segment
            && let Some(gap) = holder.gap.take()
            && let Some(index) = &mut holder.index
        {
            index.prepend(entries, gap);
        }
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
