//! Opening a batch: its records, decompressed where needed, and the rules that only they can tell.
//!
//! Source: Kafka `LogValidator.validateRecord`.

use super::{
    BatchInfo, Compression, HEADER_BYTES, Origin, Record, RecordError, RecordIter, Rules,
    TimestampType, validate,
};
use crate::limits::RECORDS_OPENED_BYTES_MAX;
use crate::types::{Offset, Timestamp};

/// How far [`validate_produce`] looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// Header and CRC (`record.validation=header`).
    Header,
    /// Every record, too (`record.validation=full`).
    Records {
        /// Must every record have a key, as compacted topics require?
        keys_required: bool,
    },
}

/// A batch whose records can be read.
#[derive(Clone, Copy, Debug)]
pub struct OpenBatch<'a> {
    pub info: BatchInfo,
    records: &'a [u8],
}

impl<'a> OpenBatch<'a> {
    /// Opens a batch that [`validate()`] has passed as `info`. Uncompressed records are borrowed
    /// from `batch`, others from `scratch`, which is cleared first and can be used again.
    ///
    /// # Errors
    /// [`RecordError::Decompress`], [`RecordError::OpenedTooLarge`] past
    /// [`RECORDS_OPENED_BYTES_MAX`]; [`RecordError::Incomplete`] when `batch` is not what `info`
    /// came from.
    pub fn open(
        batch: &'a [u8],
        info: BatchInfo,
        scratch: &'a mut Vec<u8>,
    ) -> Result<Self, RecordError> {
        let stored = batch
            .get(HEADER_BYTES..info.size)
            .ok_or(RecordError::Incomplete {
                needed: info.size,
                available: batch.len(),
            })?;
        let records = if info.compression == Compression::None {
            stored
        } else {
            scratch.clear();
            info.compression
                .decompress(stored, scratch, RECORDS_OPENED_BYTES_MAX)?;
            scratch
        };
        Ok(Self { info, records })
    }

    /// The records in order; ends after the first error.
    pub fn records(&self) -> RecordIter<'a> {
        RecordIter::new(self.records, self.info.record_count)
    }

    /// The records as they stand in an uncompressed batch.
    pub fn records_stored(&self) -> &'a [u8] {
        self.records
    }

    /// Bytes of the records, decompressed.
    pub fn records_bytes(&self) -> usize {
        self.records.len()
    }

    /// Saturates on hostile deltas.
    pub fn offset_of(&self, record: &Record<'_>) -> Offset {
        Offset(
            self.info
                .base_offset
                .0
                .saturating_add(i64::from(record.offset_delta)),
        )
    }

    /// The record's own time or, under append time, the batch's. Saturates on hostile deltas.
    pub fn timestamp_of(&self, record: &Record<'_>) -> Timestamp {
        match self.info.attributes.timestamp_type() {
            TimestampType::LogAppendTime => self.info.max_timestamp,
            TimestampType::CreateTime => Timestamp(
                self.info
                    .base_timestamp
                    .0
                    .saturating_add(record.timestamp_delta),
            ),
        }
    }

    /// Checks every record: structure, offset deltas (0, 1, 2 and so on; in a log rising within
    /// the batch's range), timestamps, keys. Gives the latest timestamp,
    /// [`Timestamp::NONE`] without records.
    ///
    /// # Errors
    /// The first rule that a record breaks.
    pub fn check(&self, rules: &Rules, keys_required: bool) -> Result<Timestamp, RecordError> {
        let mut latest = Timestamp::NONE;
        let mut delta_previous = -1;
        let judge_timestamps = rules.origin == Origin::Client
            && rules.timestamps.timestamp_type == TimestampType::CreateTime;
        for (index, record) in (0..).zip(self.records()) {
            let record = record?;
            let delta = record.offset_delta;
            let fits = match rules.origin {
                Origin::Client | Origin::Node => delta == index,
                Origin::Log => delta > delta_previous && delta <= self.info.last_offset_delta,
            };
            if !fits {
                return Err(RecordError::RecordOffset { index, delta });
            }
            if keys_required && record.key.is_none() {
                return Err(RecordError::MissingKey { index });
            }
            let timestamp = self.timestamp_of(&record);
            if judge_timestamps {
                rules.timestamps.check(timestamp)?;
            }
            latest = latest.max(timestamp);
            delta_previous = delta;
        }
        Ok(latest)
    }
}

/// Checks the one batch of a produce request's records.
///
/// The result's maximum timestamp is the one that the stored header must carry: with
/// [`Depth::Records`], and where the header contradicts itself, it is taken from the records.
/// [`stamp`](super::stamp()) writes it. `scratch` is used for opening and can be used again.
///
/// # Errors
/// As [`sole_batch`](super::sole_batch), [`validate()`] and [`OpenBatch::check`].
pub fn validate_produce(
    records: &[u8],
    rules: &Rules,
    depth: Depth,
    scratch: &mut Vec<u8>,
) -> Result<BatchInfo, RecordError> {
    let batch = super::sole_batch(records)?;
    let mut info = validate(batch, rules)?;
    let keys_required = match depth {
        Depth::Header if !info.max_timestamp_is_wrong() => return Ok(info),
        Depth::Header => false,
        Depth::Records { keys_required } => keys_required,
    };
    info.max_timestamp = OpenBatch::open(batch, info, scratch)?.check(rules, keys_required)?;
    Ok(info)
}

/// The numbers of a produced batch's records that have no key.
///
/// # Errors
/// As [`validate_produce`], for a batch that cannot be opened.
pub fn keyless(records: &[u8], scratch: &mut Vec<u8>) -> Result<Vec<i32>, RecordError> {
    let batch = super::sole_batch(records)?;
    let info = validate(
        batch,
        &Rules {
            origin: Origin::Client,
            ..Rules::LOG
        },
    )?;
    let open = OpenBatch::open(batch, info, scratch)?;
    let mut keyless = Vec::new();
    for (index, record) in (0..).zip(open.records()) {
        if record?.key.is_none() {
            keyless.push(index);
        }
    }
    Ok(keyless)
}
