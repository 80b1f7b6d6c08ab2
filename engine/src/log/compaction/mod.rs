//! Compaction: of every key the last record stays.
//!
//! A cleaning looks at a log in two parts: what earlier cleanings went over (clean), and what came
//! since (dirty). It first reads the dirty part and notes the last offset of each key ([`KeyMap`],
//! filled by an [`Indexer`]), then goes over everything from the log's start and writes what stays
//! ([`Cleaner`]) into new segments that take the place of one or more old ones ([`groups`]). Which
//! log is due, and up to where it may be cleaned, is [`Candidate`]'s.
//!
//! Invariants: offsets and their order stay; a batch keeps its base offset, its last offset and its
//! producer's sequences, even when it keeps no record; a key's last record is never dropped before
//! its delete horizon; the active segment is never touched, nor anything that is not decided
//! (transactions) or not durable.
//!
//! A batch may have ten thousand records. Both halves go over it in steps, between which whoever
//! performs them may let others go on.
//!
//! What compaction leaves has gaps in its offsets. Where they may be is kept with the log, because
//! recovery otherwise ends a log at the first.
//!
//! Absent on purpose: I/O, clocks, pacing, whose log it is.
//!
//! Source: Kafka `LogCleaner`, `Cleaner`, `LogCleanerManager`, `SkimpyOffsetMap`,
//! `CleanedTransactionMetadata`, `MemoryRecords.filterTo`; KIP-58, KIP-280 (offset strategy only),
//! KIP-354, KIP-534.

mod checkpoint;
mod cleaner;
mod index;
mod keys;
mod plan;
mod replace;
mod swap;
mod transactions;

pub use checkpoint::OffsetCheckpoint;
pub use cleaner::{Cleaner, Cleaning, LastRecord, Retention, Stats};
pub use index::{Indexed, Indexer, Indexing};
pub use keys::{KeyHash, KeyMap, SLOT_BYTES};
pub use plan::{Bounds, Candidate, CompactionRules, Extent, GroupLimits, candidate, groups};
pub use swap::{CLEANED, SWAP, SwapState, swap_state};
pub use transactions::Transactions;

/// Records that a step goes over, at most: a few microseconds, and as many looks into the map as are
/// waited for together.
const STEP_RECORDS: usize = 16;

#[cfg(test)]
mod tests;
