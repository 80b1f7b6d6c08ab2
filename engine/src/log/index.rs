//! A segment's offset index and time index: sparse, in Kafka's format, in memory as in the file.
//!
//! An entry of the offset index (`.index`) is the last offset of a batch, relative to the
//! segment's base, and the position where that batch starts; both rise. An entry of the time index
//! (`.timeindex`) is the latest timestamp up to a batch and that batch's last offset; the
//! timestamp rises, the offset does not fall. Entries are big-endian: 4 + 4 and 8 + 4 bytes.
//!
//! Indexes are hints: they say where to start reading, and a lost or refused one is rebuilt by
//! replaying the segment's batches through [`SegmentIndex::on_append`].
//!
//! Absent on purpose: I/O, the transaction index.
//!
//! Source: Kafka `OffsetIndex`, `TimeIndex`, `LogSegment.append`.

use thiserror::Error;

use crate::record::BatchInfo;
use crate::types::{Offset, Position, Timestamp};

mod entries;
mod segment;

pub use entries::{OffsetIndex, TimeIndex};
pub use segment::{IndexRules, SegmentIndex};

/// An offset and a position at which no later offset than it lies before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetPosition {
    pub offset: Offset,
    pub position: Position,
}

/// A timestamp and the offset of the batch that brought it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
}

/// Why an index file cannot be used. It can be rebuilt from its segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum IndexError {
    #[error("{bytes} bytes are not a whole number of {entry_bytes}-byte index entries")]
    Size { bytes: usize, entry_bytes: usize },
    #[error("index entry {entry} does not follow the one before it")]
    Order { entry: usize },
    #[error("index entry {entry} is out of its segment's range")]
    Range { entry: usize },
}
