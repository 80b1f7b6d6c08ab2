//! What can be wrong with bytes from the wire, and with a message that is to be written.
//!
//! Each error names the field or kind, the offending value and its position (bytes from the
//! start of the reader's input).

use thiserror::Error;

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    #[error("{message} has no version {version} (known: {min} to {max})")]
    Version {
        message: &'static str,
        version: i16,
        min: i16,
        max: i16,
    },
    #[error("{what} at byte {position} needs {needed} bytes, {remaining} remain")]
    Truncated {
        what: &'static str,
        position: usize,
        needed: usize,
        remaining: usize,
    },
    #[error("{field} at byte {position} is null, which it must not be")]
    Null {
        field: &'static str,
        position: usize,
    },
    #[error("{field} at byte {position} has length {length}")]
    Length {
        field: &'static str,
        position: usize,
        length: i64,
    },
    #[error("{field} at byte {position} claims {count} elements, {remaining} bytes remain")]
    Count {
        field: &'static str,
        position: usize,
        count: i64,
        remaining: usize,
    },
    #[error("{field} at byte {position} would take {needed} bytes of memory, {left} are left")]
    Budget {
        field: &'static str,
        position: usize,
        needed: usize,
        left: usize,
    },
    #[error("{field} at byte {position} is not UTF-8")]
    Utf8 {
        field: &'static str,
        position: usize,
    },
    #[error("the variable-length integer at byte {position} does not end within 32 bits")]
    Varint { position: usize },
    #[error("tagged field {tag} at byte {position} has size {size}, its content {used}")]
    TagSize {
        tag: u32,
        position: usize,
        size: usize,
        used: usize,
    },
    #[error("{remaining} bytes follow the end of the message at byte {position}")]
    Trailing { position: usize, remaining: usize },
    #[error("metadata record frame version {version} is not known")]
    FrameVersion { version: u32 },
    #[error("{log} record type {record_type} is not known")]
    RecordType { log: &'static str, record_type: i32 },
}

/// Why a message cannot be written at a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    #[error("{message} has no version {version} (known: {min} to {max})")]
    Version {
        message: &'static str,
        version: i16,
        min: i16,
        max: i16,
    },
    #[error("{field} is set, but version {version} cannot carry it")]
    Field { field: &'static str, version: i16 },
    #[error("{field} is null, but this version needs a value")]
    Null { field: &'static str },
    #[error("{field} has length {length}, at most {max} can be written")]
    TooLong {
        field: &'static str,
        length: usize,
        max: usize,
    },
}
