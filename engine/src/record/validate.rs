//! Is this batch one that may be appended, or that may stand in a log?
//!
//! The header and the CRC decide; the records themselves stay closed. Whoever cannot hand over a
//! batch in one piece checks the header with [`validate_header`] and runs the CRC over the pieces
//! ([`BatchHeader::crc_start`]).
//!
//! Source: Kafka `LogValidator`, `UnifiedLog.analyzeAndValidateRecords`, KIP-32, KIP-937.

use super::header::{HEADER_BYTES, MAGIC, MAGIC_END_BYTES};
use super::{Attributes, BatchHeader, Compression, RecordError, TimestampType, crc32c_append};
use crate::limits::{BATCH_BYTES_MAX, RECORDS_OPENED_BYTES_MAX};
use crate::types::{Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// Where a batch comes from, and so how much of it must be checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A produce request: all rules, base offset 0, every offset taken, no control records.
    Client,
    /// This node itself: coordinators, transaction markers, metadata.
    Node,
    /// A log, this node's or a leader's: compaction may have taken records out, and nothing of
    /// the topic's present rules holds for what was written earlier.
    Log,
}

/// The timestamp rules of a topic, and the time they are judged at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampRule {
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    pub now: Timestamp,
    /// `message.timestamp.before.max.ms`: how far a record's time may lie before `now`.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far it may lie after `now`.
    pub after_max_ms: i64,
}

impl TimestampRule {
    /// Create time, anything goes.
    pub const ANY: Self = Self {
        timestamp_type: TimestampType::CreateTime,
        now: Timestamp::ZERO,
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
    };

    /// # Errors
    /// [`RecordError::TimestampRange`]. [`Timestamp::NONE`] is always in range.
    pub fn check(&self, timestamp: Timestamp) -> Result<(), RecordError> {
        let earliest = self.now.0.saturating_sub(self.before_max_ms);
        let latest = self.now.0.saturating_add(self.after_max_ms);
        if timestamp == Timestamp::NONE || (earliest..=latest).contains(&timestamp.0) {
            Ok(())
        } else {
            Err(RecordError::TimestampRange {
                timestamp: timestamp.0,
                earliest,
                latest,
            })
        }
    }
}

/// What a batch is checked against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    pub origin: Origin,
    /// `max.message.bytes`: bytes of the batch as it came, header included.
    pub batch_bytes_max: usize,
    pub timestamps: TimestampRule,
    /// Produce requests before version 7 may not carry zstd (KIP-110).
    pub zstd_allowed: bool,
}

impl Rules {
    /// What every batch in a log fulfils, whatever the topic's settings.
    pub const LOG: Self = Self {
        origin: Origin::Log,
        batch_bytes_max: BATCH_BYTES_MAX,
        timestamps: TimestampRule::ANY,
        zstd_allowed: true,
    };

    /// What this node writes itself.
    pub const NODE: Self = Self {
        origin: Origin::Node,
        ..Self::LOG
    };
}

/// A batch's header, decoded and checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchInfo {
    /// As it stands in the bytes: 0 in a produce request.
    pub base_offset: Offset,
    /// Bytes of the whole batch.
    pub size: usize,
    pub leader_epoch: Epoch,
    pub attributes: Attributes,
    pub compression: Compression,
    /// At least 0; at least `record_count` - 1.
    pub last_offset_delta: i32,
    /// At least 0; at least 1 unless compaction emptied the batch.
    pub record_count: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: Sequence,
}

impl BatchInfo {
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The offset right after the batch.
    pub fn next_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta) + 1)
    }

    /// Offsets that the batch takes.
    pub fn offset_count(&self) -> i64 {
        i64::from(self.last_offset_delta) + 1
    }

    /// [`Sequence::NONE`] without a base sequence.
    pub fn last_sequence(&self) -> Sequence {
        match self.base_sequence {
            Sequence::NONE => Sequence::NONE,
            base => base.increment(self.last_offset_delta),
        }
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id > ProducerId::NONE
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    pub fn is_control(&self) -> bool {
        self.attributes.is_control()
    }

    /// Does the header's maximum timestamp contradict its base timestamp? Some clients leave it
    /// unset; the records must then be opened to find it.
    pub fn max_timestamp_is_wrong(&self) -> bool {
        // With a delete horizon the base timestamp is that.
        let horizon = self.attributes.has_delete_horizon();
        self.record_count > 0 && !horizon && self.max_timestamp < self.base_timestamp
    }
}

/// Checks the batch that `bytes` begin with. What follows it is not looked at.
///
/// # Errors
/// The first rule that the batch breaks, in Kafka's order: length, format, size, CRC, then the
/// header's fields. Never panics, allocates nothing.
pub fn validate(bytes: &[u8], rules: &Rules) -> Result<BatchInfo, RecordError> {
    if let Some(&magic) = bytes.get(MAGIC_END_BYTES - 1) {
        check_magic(magic as i8)?;
    }
    let header = BatchHeader::view(bytes).ok_or(RecordError::Incomplete {
        needed: HEADER_BYTES,
        available: bytes.len(),
    })?;
    let size = check_size(header, rules)?;
    let records = bytes
        .get(HEADER_BYTES..size)
        .ok_or(RecordError::Incomplete {
            needed: size,
            available: bytes.len(),
        })?;
    let computed = crc32c_append(header.crc_start(), records);
    check_crc(header, computed)?;
    check_fields(header, size, rules)
}

/// Checks all of a batch's header except the CRC and whether the bytes are there: for batches that
/// arrive or lie in pieces. Follow it with [`check_crc`](BatchHeader::check_crc).
///
/// # Errors
/// As [`validate`].
pub fn validate_header(header: &BatchHeader, rules: &Rules) -> Result<BatchInfo, RecordError> {
    let size = check_size(header, rules)?;
    check_fields(header, size, rules)
}

impl BatchHeader {
    /// Compares the stored CRC with the one computed over the attributes and all that follows.
    ///
    /// # Errors
    /// [`RecordError::Crc`].
    pub fn check_crc(&self, computed: u32) -> Result<(), RecordError> {
        check_crc(self, computed)
    }
}

fn check_crc(header: &BatchHeader, computed: u32) -> Result<(), RecordError> {
    let stored = header.crc();
    if stored == computed {
        Ok(())
    } else {
        Err(RecordError::Crc { stored, computed })
    }
}

fn check_magic(magic: i8) -> Result<(), RecordError> {
    match magic {
        MAGIC => Ok(()),
        0 | 1 => Err(RecordError::OldFormat { magic }),
        _ => Err(RecordError::UnknownFormat { magic }),
    }
}

fn check_size(header: &BatchHeader, rules: &Rules) -> Result<usize, RecordError> {
    check_magic(header.magic())?;
    let size = header.size()?;
    let bytes_max = rules.batch_bytes_max.min(BATCH_BYTES_MAX);
    if size > bytes_max {
        return Err(RecordError::TooLarge {
            bytes: size,
            bytes_max,
        });
    }
    Ok(size)
}

fn check_fields(
    header: &BatchHeader,
    size: usize,
    rules: &Rules,
) -> Result<BatchInfo, RecordError> {
    let attributes = header.attributes();
    let compression = attributes
        .compression()
        .map_err(|id| RecordError::UnknownCodec { id })?;
    let info = BatchInfo {
        base_offset: header.base_offset(),
        size,
        leader_epoch: header.partition_leader_epoch(),
        attributes,
        compression,
        last_offset_delta: header.last_offset_delta(),
        record_count: header.record_count(),
        base_timestamp: header.base_timestamp(),
        max_timestamp: header.max_timestamp(),
        producer_id: header.producer_id(),
        producer_epoch: header.producer_epoch(),
        base_sequence: header.base_sequence(),
    };
    check_offsets(&info, rules.origin)?;
    match rules.origin {
        Origin::Client => check_client(&info, rules)?,
        Origin::Node | Origin::Log => {}
    }
    Ok(info)
}

/// Bytes of the shortest record.
const RECORD_BYTES_MIN: usize = 7;

fn check_offsets(info: &BatchInfo, origin: Origin) -> Result<(), RecordError> {
    let count = info.record_count;
    let last_offset_delta = info.last_offset_delta;
    let emptied = origin == Origin::Log && count == 0;
    // No record is shorter than seven bytes (its length, attributes, two deltas, two lengths and a
    // count of headers), so a count that claims more cannot be true.
    let opened = match info.compression {
        Compression::None => info.size - HEADER_BYTES,
        _ => RECORDS_OPENED_BYTES_MAX,
    };
    if (count < 1 && !emptied) || count as usize > opened / RECORD_BYTES_MIN {
        return Err(RecordError::Count { count });
    }
    let range_fits = match origin {
        Origin::Client | Origin::Node => last_offset_delta == count - 1,
        Origin::Log => last_offset_delta >= 0 && last_offset_delta >= count - 1,
    };
    if !range_fits {
        return Err(RecordError::OffsetRange {
            last_offset_delta,
            count,
        });
    }
    let offset = info.base_offset.0;
    let offset_fits = match origin {
        Origin::Client => offset == 0,
        Origin::Node | Origin::Log => {
            offset >= 0 && offset.checked_add(info.offset_count()).is_some()
        }
    };
    if !offset_fits {
        return Err(RecordError::BaseOffset { offset });
    }
    Ok(())
}

fn check_client(info: &BatchInfo, rules: &Rules) -> Result<(), RecordError> {
    if info.is_control() {
        return Err(RecordError::ControlBatch);
    }
    if info.has_producer_id() && info.base_sequence.0 < 0 {
        return Err(RecordError::MissingSequence {
            sequence: info.base_sequence.0,
        });
    }
    if info.compression == Compression::Zstd && !rules.zstd_allowed {
        return Err(RecordError::CodecNotAllowed {
            codec: info.compression,
        });
    }
    if info.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(RecordError::TimestampType);
    }
    if rules.timestamps.timestamp_type == TimestampType::CreateTime {
        // The first record's time and the latest of all stand for the records between them.
        rules.timestamps.check(info.base_timestamp)?;
        if !info.max_timestamp_is_wrong() {
            rules.timestamps.check(info.max_timestamp)?;
        }
    }
    Ok(())
}
