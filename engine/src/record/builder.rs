//! Builds batches: for the tools, the internal topics and tests. Clients' batches are never
//! rebuilt.
//!
//! Source: Kafka `MemoryRecordsBuilder`, `DefaultRecordBatch.writeHeader`.

use super::varint::{size_i64, write_i32, write_i64};
use super::{
    Attributes, BatchHeader, BatchInfo, Compression, EndTransactionMarker, HEADER_BYTES,
    RecordError, TimestampType, crc32c_append,
};
use crate::limits::BATCH_BYTES_MAX;
use crate::types::{Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// Collects records and writes them as one batch. Can be used again after
/// [`finish`](BatchBuilder::finish), with its settings and its memory.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    attributes: Attributes,
    base_offset: Offset,
    leader_epoch: Epoch,
    append_time: Option<Timestamp>,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: Sequence,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    count: i32,
    records: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self {
            compression: Compression::None,
            attributes: Attributes::default(),
            base_offset: Offset::ZERO,
            leader_epoch: Epoch::NONE,
            append_time: None,
            producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch::NONE,
            base_sequence: Sequence::NONE,
            base_timestamp: Timestamp::NONE,
            max_timestamp: Timestamp::NONE,
            count: 0,
            records: Vec::new(),
        }
    }
}

impl BatchBuilder {
    /// An uncompressed batch at offset 0, without producer or leader epoch.
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    #[must_use]
    pub fn base_offset(mut self, offset: Offset) -> Self {
        self.base_offset = offset;
        self
    }

    #[must_use]
    pub fn leader_epoch(mut self, epoch: Epoch) -> Self {
        self.leader_epoch = epoch;
        self
    }

    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base: Sequence) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base;
        self
    }

    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes = self.attributes.with_transactional(true);
        self
    }

    #[must_use]
    pub fn control(mut self) -> Self {
        self.attributes = self.attributes.with_control(true);
        self
    }

    /// Gives all records this time instead of their own.
    #[must_use]
    pub fn append_time(mut self, time: Timestamp) -> Self {
        self.append_time = Some(time);
        self
    }

    pub fn record_count(&self) -> i32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch so far if it stays uncompressed.
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// Adds a record; its offset is the next one.
    ///
    /// # Errors
    /// [`RecordError::TooLarge`], adding nothing, when the batch would outgrow
    /// [`BATCH_BYTES_MAX`]; [`RecordError::Record`] when the timestamp is too far from the first.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), RecordError> {
        let base = if self.count == 0 {
            timestamp
        } else {
            self.base_timestamp
        };
        let timestamp_delta = timestamp.checked_since(base).ok_or(RecordError::Record {
            index: self.count,
            what: "its timestamp is out of range",
        })?;
        let body = body_bytes(timestamp_delta, self.count, key, value, headers);
        let bytes = self.bytes().saturating_add(body).saturating_add(5);
        if bytes > BATCH_BYTES_MAX {
            return Err(RecordError::TooLarge {
                bytes,
                bytes_max: BATCH_BYTES_MAX,
            });
        }
        let out = &mut self.records;
        // Fits: the whole batch is below BATCH_BYTES_MAX.
        write_i32(out, body as i32);
        out.push(0);
        write_i64(out, timestamp_delta);
        write_i32(out, self.count);
        write_nullable(out, key);
        write_nullable(out, value);
        write_i32(out, headers.len() as i32);
        for (key, value) in headers {
            write_nullable(out, Some(key));
            write_nullable(out, *value);
        }
        self.base_timestamp = base;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.count += 1;
        Ok(())
    }

    /// Adds the marker that ends a transaction; the batch should be a
    /// [`control`](BatchBuilder::control) and [`transactional`](BatchBuilder::transactional) one.
    ///
    /// # Errors
    /// As [`append`](BatchBuilder::append).
    pub fn append_marker(
        &mut self,
        timestamp: Timestamp,
        marker: EndTransactionMarker,
    ) -> Result<(), RecordError> {
        let key = marker.control_type().key();
        self.append(timestamp, Some(&key), Some(&marker.value()), &[])
    }

    /// Appends the batch to `out` and starts the next one, empty, with the same settings; base
    /// offset and base sequence move on.
    ///
    /// # Errors
    /// [`RecordError::Count`], changing nothing, when no record was added.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        if self.count == 0 {
            return Err(RecordError::Count { count: 0 });
        }
        let start = out.len();
        out.resize(start + HEADER_BYTES, 0);
        self.compression.compress(&self.records, out);
        let batch = &mut out[start..];
        let timestamp_type = match self.append_time {
            None => TimestampType::CreateTime,
            Some(_) => TimestampType::LogAppendTime,
        };
        let mut header = BatchHeader::of(&BatchInfo {
            base_offset: self.base_offset,
            size: batch.len(),
            leader_epoch: self.leader_epoch,
            attributes: self
                .attributes
                .with_compression(self.compression)
                .with_timestamp_type(timestamp_type),
            compression: self.compression,
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.append_time.unwrap_or(self.max_timestamp),
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.count,
        });
        let (front, records) = batch.split_at_mut(HEADER_BYTES);
        header.set_crc(crc32c_append(header.crc_start(), records));
        front.copy_from_slice(header.as_bytes());
        self.base_offset = self.base_offset.plus(i64::from(self.count));
        if self.base_sequence != Sequence::NONE {
            self.base_sequence = self.base_sequence.increment(self.count);
        }
        self.base_timestamp = Timestamp::NONE;
        self.max_timestamp = Timestamp::NONE;
        self.count = 0;
        self.records.clear();
        Ok(())
    }

    /// The batch alone.
    ///
    /// # Errors
    /// As [`finish`](BatchBuilder::finish).
    pub fn build(&mut self) -> Result<Vec<u8>, RecordError> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.records.len());
        self.finish(&mut out)?;
        Ok(out)
    }
}

fn body_bytes(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&[u8], Option<&[u8]>)],
) -> usize {
    let fields = 1
        + size_i64(timestamp_delta)
        + size_i64(i64::from(offset_delta))
        + nullable_bytes(key)
        + nullable_bytes(value)
        + size_i64(headers.len() as i64);
    headers.iter().fold(fields, |bytes, (key, value)| {
        bytes + nullable_bytes(Some(key)) + nullable_bytes(*value)
    })
}

fn nullable_bytes(bytes: Option<&[u8]>) -> usize {
    match bytes {
        None => 1,
        Some(bytes) => size_i64(bytes.len() as i64) + bytes.len(),
    }
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_i32(out, -1),
        Some(bytes) => {
            write_i64(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
