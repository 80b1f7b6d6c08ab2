//! A shard's journal: one stream of frames by which one durable write covers small appends to many
//! partitions.
//!
//! A [`frame`] holds [entries](Entry): bytes of a partition's segment, and where in the segment they
//! belong. Frames go one after the other into a [`ring`] of files. The same bytes are written to
//! their segments later, in larger pieces; a file of the ring is used again when everything in it is
//! durable there. After a crash the frames that may still be needed are found ([`scan`]) and their
//! bytes put where they belong ([`redo`]), before recovery looks at any segment: so what is the log
//! is decided by recovery alone.
//!
//! Invariants: within a life of the journal no two entries say different things of one byte, so an
//! entry may be put in place any number of times; a segment that an entry names is there, durably,
//! when the frame is written, unless retention or a deletion has removed it since.
//!
//! Absent on purpose: I/O; which append goes this way.

pub mod frame;
pub mod redo;
pub mod ring;
pub mod scan;
pub mod span;

use crate::log::state_file::Key;
use crate::types::{Epoch, Offset, Position};

/// Whole batches of one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Whose they are.
    pub key: Key,
    /// The leader epoch under which they went in.
    pub epoch: Epoch,
    /// Of the first record.
    pub base: Offset,
    /// After the last record.
    pub next: Offset,
    /// The segment, by its base offset.
    pub segment: Offset,
    /// Where in it the first byte belongs.
    pub position: Position,
}

#[cfg(test)]
mod tests;
