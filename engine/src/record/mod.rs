//! Kafka record batches, format version 2, in place.
//!
//! A batch is checked ([`validate()`], [`validate_produce`]) and stamped ([`stamp()`]) where it lies;
//! its records are opened ([`OpenBatch`]) only where a rule asks for it. Bytes come from outside:
//! nothing here panics on them, and no count or length in them sizes an allocation.
//!
//! Absent on purpose: formats 0 and 1 (recognised and refused), conversion between codecs, the
//! choice of offsets (the log's), I/O.

mod builder;
mod compression;
mod control;
mod crc;
mod error;
mod header;
mod open;
mod partitioner;
mod recompress;
mod records;
mod retain;
mod split;
mod stamp;
mod validate;
mod varint;

const _: () = assert!(crate::limits::BATCH_BYTES_MAX > HEADER_BYTES);

#[cfg(test)]
mod tests;

pub use builder::BatchBuilder;
pub use compression::Compression;
pub use control::{ControlType, EndTransactionMarker};
pub use crc::{crc32c_append, shift as shift_crc};
pub use error::RecordError;
pub use header::{
    Attributes, BatchHeader, CRC_COVERS_FROM, HEADER_BYTES, LENGTH_EXCLUDES_BYTES, MAGIC,
    MAGIC_END_BYTES, TimestampType,
};
pub use open::{Depth, OpenBatch, keyless, validate_produce};
pub use partitioner::{murmur2, partition_of_key};
pub use recompress::{Target as CompressionTarget, recompress};
pub use records::{Headers, Record, RecordIter};
pub use retain::{Retained, Writing, write_emptied};
pub use split::{Batches, batch_end, headers, sole_batch};
pub use stamp::{Stamp, stamp};
pub use validate::{BatchInfo, Origin, Rules, TimestampRule, validate, validate_header};
