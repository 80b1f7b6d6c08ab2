//! Where the bytes of a read lie.

use crate::bytes::Parts;
use crate::types::Offset;

/// What a read may take.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Bytes, at most; a batch may be cut, as the protocol allows.
    pub bytes_max: u64,
    /// The first batch comes whole, even above `bytes_max` (KIP-74).
    pub first_whole: bool,
    /// Nothing at or after this offset is shown.
    pub end: Offset,
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

/// How a read is performed.
#[derive(Debug)]
pub enum ReadPlan {
    /// Before the log's start or past its end.
    OutOfRange,
    /// Nothing to show yet.
    Empty,
    /// The batch lies in this segment at or after `from`: walk the batch headers to the first
    /// whose last offset is not before `target`, and ask again with what was found.
    Search {
        segment: Offset,
        from: u64,
        to: u64,
        target: Offset,
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
