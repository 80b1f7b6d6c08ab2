//! Kafka record batches, format version 2, in place.
//!
//! A batch is checked and stamped where it lies; its records are opened only where a rule asks for
//! it. Bytes come from outside: nothing here panics on them, and no count or length in them sizes
//! an allocation.
//!
//! Absent on purpose: formats 0 and 1 (recognised and refused), conversion between codecs,
//! offsets' assignment (the log's), I/O.

mod compression;
mod error;
mod header;
mod validate;

pub use compression::Compression;
pub use error::RecordError;
pub use header::{
    Attributes, BatchHeader, CRC_COVERS_FROM, HEADER_BYTES, LENGTH_EXCLUDES_BYTES, MAGIC,
    MAGIC_END_BYTES, TimestampType,
};
pub use validate::{BatchInfo, Origin, Rules, TimestampRule, validate, validate_header};
