//! Kafka's segment files, read batch by batch and held against their indexes and epochs: what
//! `odradek log` shows and checks, and what the simulation asks of a damaged disk.
//!
//! No node and no lock is needed. Of a log that is being written, the end may be seen half done.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program around the node

mod files;
mod index;
mod partition;
mod segment;

pub use files::{Disk, Files};
pub use index::{OffsetEntry, TimeEntry, offset_entries, time_entries};
pub use partition::{Checks, Report, partitions, segments, verify_partition, verify_partition_in};
pub use segment::{Fault, Segment, Step, base_offset};
