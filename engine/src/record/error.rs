//! Why a batch is refused, and the Kafka error that says so.

use thiserror::Error;

use super::Compression;

/// A batch or record that cannot be taken. [`RecordError::code`] is what a client is told.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum RecordError {
    #[error("the batch length {length} cannot hold a batch header")]
    Length { length: i32 },
    #[error("the batch is cut off: {available} of {needed} bytes")]
    Incomplete { needed: usize, available: usize },
    #[error("record format {magic} is not supported, only format 2")]
    OldFormat { magic: i8 },
    #[error("unknown record format {magic}")]
    UnknownFormat { magic: i8 },
    #[error("the batch is corrupt: stored CRC {stored:#010x}, computed {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("the batch takes {bytes} bytes, more than the maximum of {bytes_max}")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("the batch's records take more than {bytes_max} bytes when opened")]
    OpenedTooLarge { bytes_max: usize },
    #[error("unknown compression codec {id}")]
    UnknownCodec { id: u8 },
    #[error("{} is not allowed in this request version", .codec.name())]
    CodecNotAllowed { codec: Compression },
    #[error("invalid record count {count}")]
    Count { count: i32 },
    #[error("the last offset delta {last_offset_delta} does not fit {count} records")]
    OffsetRange { last_offset_delta: i32, count: i32 },
    #[error("the base offset {offset} is out of range")]
    BaseOffset { offset: i64 },
    #[error("clients may not write control records")]
    ControlBatch,
    #[error("the batch has a producer id but the sequence {sequence}")]
    MissingSequence { sequence: i32 },
    #[error("timestamp {timestamp} is out of range: it should be within [{earliest}, {latest}]")]
    TimestampRange {
        timestamp: i64,
        earliest: i64,
        latest: i64,
    },
    #[error("a producer may not set the timestamp type to LogAppendTime")]
    TimestampType,
    #[error("there is no record batch")]
    NoBatch,
    #[error("there is more than one record batch")]
    ManyBatches,
    #[error("the {} records cannot be decompressed: {reason}", .codec.name())]
    Decompress { codec: Compression, reason: String },
    #[error("record {index} is malformed: {what}")]
    Record { index: i32, what: &'static str },
    #[error("record {index} has the offset delta {delta}")]
    RecordOffset { index: i32, delta: i32 },
    #[error("record {index} has no key, which a compacted topic requires")]
    MissingKey { index: i32 },
    #[error("{bytes} bytes are left over after the last record")]
    TrailingBytes { bytes: usize },
}

impl RecordError {
    /// Kafka's error code (`org.apache.kafka.common.protocol.Errors`).
    pub const fn code(&self) -> i16 {
        const CORRUPT_MESSAGE: i16 = 2;
        const MESSAGE_TOO_LARGE: i16 = 10;
        const INVALID_TIMESTAMP: i16 = 32;
        const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
        const INVALID_RECORD: i16 = 87;
        match self {
            Self::Length { .. }
            | Self::Incomplete { .. }
            | Self::UnknownFormat { .. }
            | Self::Crc { .. } => CORRUPT_MESSAGE,
            Self::TooLarge { .. } | Self::OpenedTooLarge { .. } => MESSAGE_TOO_LARGE,
            Self::UnknownCodec { .. } | Self::CodecNotAllowed { .. } => {
                UNSUPPORTED_COMPRESSION_TYPE
            }
            Self::TimestampRange { .. } | Self::TimestampType => INVALID_TIMESTAMP,
            // A broker that no longer writes the old formats refuses them in Produce as invalid
            // records (`ProduceRequest.validateRecords`), not as UNSUPPORTED_FOR_MESSAGE_FORMAT.
            Self::OldFormat { .. }
            | Self::Count { .. }
            | Self::OffsetRange { .. }
            | Self::BaseOffset { .. }
            | Self::ControlBatch
            | Self::MissingSequence { .. }
            | Self::NoBatch
            | Self::ManyBatches
            | Self::Decompress { .. }
            | Self::Record { .. }
            | Self::RecordOffset { .. }
            | Self::MissingKey { .. }
            | Self::TrailingBytes { .. } => INVALID_RECORD,
        }
    }
}
