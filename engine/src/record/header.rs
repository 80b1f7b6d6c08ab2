//! The 61 bytes before a batch's records, viewed in place.
//!
//! [`BatchHeader`] is the header as it lies in memory: big-endian, unaligned, the same 61 bytes as
//! on the wire and in a segment. Reading a field decodes it; stamping writes through. What is
//! stamped lies outside the CRC (base offset, leader epoch), but for the append time: then the CRC
//! is corrected from the change of the header alone, without touching the records again.
//!
//! A view says nothing about validity: every value may be hostile until
//! [`validate`](super::validate()) has seen it.
//!
//! Source: Kafka `DefaultRecordBatch`, KIP-98, KIP-534 (delete horizon).

use bytemuck::{Pod, Zeroable};

use super::{BatchInfo, Compression, RecordError, crc};
use crate::types::{Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

/// Bytes of a batch before its records.
pub const HEADER_BYTES: usize = 61;
/// Bytes that the batch length does not count: base offset and the length itself.
pub const LENGTH_EXCLUDES_BYTES: usize = 12;
/// Bytes from the start of a batch up to and including the magic byte, which all formats share.
pub const MAGIC_END_BYTES: usize = 17;
/// Where the part that the CRC covers begins.
pub const CRC_COVERS_FROM: usize = 21;
/// The only record format that is stored.
pub const MAGIC: i8 = 2;

const CODEC_MASK: i16 = 0x07;
const TIMESTAMP_TYPE_BIT: i16 = 0x08;
const TRANSACTIONAL_BIT: i16 = 0x10;
const CONTROL_BIT: i16 = 0x20;
const DELETE_HORIZON_BIT: i16 = 0x40;

/// What a batch's timestamps mean (`message.timestamp.type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    /// Set by the producer, one per record.
    #[default]
    CreateTime,
    /// The time of the append: the batch's maximum timestamp holds for all of its records.
    LogAppendTime,
}

/// The attributes word of a batch, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    /// `Err` with the id when no codec has it (5, 6 and 7).
    pub const fn compression(self) -> Result<Compression, u8> {
        let id = (self.0 & CODEC_MASK) as u8;
        match Compression::from_id(id) {
            Some(compression) => Ok(compression),
            None => Err(id),
        }
    }

    pub const fn timestamp_type(self) -> TimestampType {
        if self.0 & TIMESTAMP_TYPE_BIT == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub const fn is_transactional(self) -> bool {
        self.0 & TRANSACTIONAL_BIT != 0
    }

    /// Do the records steer transactions, invisible to applications?
    pub const fn is_control(self) -> bool {
        self.0 & CONTROL_BIT != 0
    }

    /// Is the base timestamp the time at which tombstones may go (KIP-534)?
    pub const fn has_delete_horizon(self) -> bool {
        self.0 & DELETE_HORIZON_BIT != 0
    }

    #[must_use]
    pub const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => Self(self.0 & !TIMESTAMP_TYPE_BIT),
            TimestampType::LogAppendTime => Self(self.0 | TIMESTAMP_TYPE_BIT),
        }
    }

    #[must_use]
    pub const fn with_compression(self, compression: Compression) -> Self {
        Self(self.0 & !CODEC_MASK | compression.id() as i16)
    }

    #[must_use]
    pub const fn with_transactional(self, set: bool) -> Self {
        Self(if set {
            self.0 | TRANSACTIONAL_BIT
        } else {
            self.0 & !TRANSACTIONAL_BIT
        })
    }

    #[must_use]
    pub const fn with_delete_horizon(self, set: bool) -> Self {
        Self(if set {
            self.0 | DELETE_HORIZON_BIT
        } else {
            self.0 & !DELETE_HORIZON_BIT
        })
    }

    #[must_use]
    pub const fn with_control(self, set: bool) -> Self {
        Self(if set {
            self.0 | CONTROL_BIT
        } else {
            self.0 & !CONTROL_BIT
        })
    }
}

/// A batch's header in place. Alignment 1, no padding: any 61 bytes are one.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
pub struct BatchHeader {
    base_offset: [u8; 8],
    batch_length: [u8; 4],
    partition_leader_epoch: [u8; 4],
    magic: u8,
    crc: [u8; 4],
    attributes: [u8; 2],
    last_offset_delta: [u8; 4],
    base_timestamp: [u8; 8],
    max_timestamp: [u8; 8],
    producer_id: [u8; 8],
    producer_epoch: [u8; 2],
    base_sequence: [u8; 4],
    record_count: [u8; 4],
}

const _: () = assert!(size_of::<BatchHeader>() == HEADER_BYTES);
const _: () = assert!(align_of::<BatchHeader>() == 1);
const _: () = assert!(std::mem::offset_of!(BatchHeader, attributes) == CRC_COVERS_FROM);
const _: () = assert!(std::mem::offset_of!(BatchHeader, magic) + 1 == MAGIC_END_BYTES);

impl BatchHeader {
    /// The header at the start of `bytes`; `None` when fewer than [`HEADER_BYTES`] are there.
    pub fn view(bytes: &[u8]) -> Option<&Self> {
        bytes.get(..HEADER_BYTES).map(bytemuck::from_bytes)
    }

    /// As [`BatchHeader::view`], for stamping in place.
    pub fn view_mut(bytes: &mut [u8]) -> Option<&mut Self> {
        bytes.get_mut(..HEADER_BYTES).map(bytemuck::from_bytes_mut)
    }

    /// A new header that says what `info` says, with a CRC of 0.
    pub fn of(info: &BatchInfo) -> Self {
        let length = i32::try_from(info.size - LENGTH_EXCLUDES_BYTES);
        Self {
            base_offset: info.base_offset.0.to_be_bytes(),
            batch_length: length.expect("a batch's length fits an i32").to_be_bytes(),
            partition_leader_epoch: info.leader_epoch.0.to_be_bytes(),
            magic: MAGIC as u8,
            crc: [0; 4],
            attributes: info.attributes.0.to_be_bytes(),
            last_offset_delta: info.last_offset_delta.to_be_bytes(),
            base_timestamp: info.base_timestamp.0.to_be_bytes(),
            max_timestamp: info.max_timestamp.0.to_be_bytes(),
            producer_id: info.producer_id.0.to_be_bytes(),
            producer_epoch: info.producer_epoch.0.to_be_bytes(),
            base_sequence: info.base_sequence.0.to_be_bytes(),
            record_count: info.record_count.to_be_bytes(),
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::bytes_of(self)
    }

    pub fn base_offset(&self) -> Offset {
        Offset(i64::from_be_bytes(self.base_offset))
    }

    /// Bytes after the length field. Negative values are possible in hostile bytes.
    pub fn batch_length(&self) -> i32 {
        i32::from_be_bytes(self.batch_length)
    }

    /// Bytes of the whole batch, header included.
    ///
    /// # Errors
    /// [`RecordError::Length`] when the length cannot hold a header.
    pub fn size(&self) -> Result<usize, RecordError> {
        let length = self.batch_length();
        match usize::try_from(length) {
            Ok(bytes) if bytes >= HEADER_BYTES - LENGTH_EXCLUDES_BYTES => {
                Ok(bytes + LENGTH_EXCLUDES_BYTES)
            }
            _ => Err(RecordError::Length { length }),
        }
    }

    pub fn partition_leader_epoch(&self) -> Epoch {
        Epoch(i32::from_be_bytes(self.partition_leader_epoch))
    }

    pub fn magic(&self) -> i8 {
        self.magic as i8
    }

    /// CRC32C of everything from the attributes to the end of the batch, as stored.
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(self.crc)
    }

    pub fn attributes(&self) -> Attributes {
        Attributes(i16::from_be_bytes(self.attributes))
    }

    /// Offset of the last record minus the base offset.
    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(self.last_offset_delta)
    }

    /// Offset of the last record. Saturates on hostile values.
    pub fn last_offset(&self) -> Offset {
        Offset(
            self.base_offset()
                .0
                .saturating_add(i64::from(self.last_offset_delta())),
        )
    }

    /// The timestamp that the records' deltas start from; the delete horizon where
    /// [`Attributes::has_delete_horizon`].
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.base_timestamp))
    }

    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(i64::from_be_bytes(self.max_timestamp))
    }

    pub fn producer_id(&self) -> ProducerId {
        ProducerId(i64::from_be_bytes(self.producer_id))
    }

    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::from_be_bytes(self.producer_epoch))
    }

    pub fn base_sequence(&self) -> Sequence {
        Sequence(i32::from_be_bytes(self.base_sequence))
    }

    /// The last record's sequence; [`Sequence::NONE`] without a base sequence.
    pub fn last_sequence(&self) -> Sequence {
        match self.base_sequence() {
            Sequence::NONE => Sequence::NONE,
            base => base.increment(self.last_offset_delta()),
        }
    }

    pub fn record_count(&self) -> i32 {
        i32::from_be_bytes(self.record_count)
    }

    /// CRC32C of the header's covered part: continue it over the records with
    /// [`crc32c_append`](super::crc32c_append), piece by piece where a batch does not lie in one piece.
    pub fn crc_start(&self) -> u32 {
        crc32c::crc32c(&self.as_bytes()[CRC_COVERS_FROM..])
    }

    pub fn set_crc(&mut self, crc: u32) {
        self.crc = crc.to_be_bytes();
    }

    /// Outside the CRC.
    pub fn set_base_offset(&mut self, offset: Offset) {
        self.base_offset = offset.0.to_be_bytes();
    }

    /// Outside the CRC.
    pub fn set_partition_leader_epoch(&mut self, epoch: Epoch) {
        self.partition_leader_epoch = epoch.0.to_be_bytes();
    }

    /// Sets timestamp type and maximum timestamp and corrects the CRC, as an append does under
    /// `message.timestamp.type=LogAppendTime`. Changes nothing when both stand already.
    ///
    /// The CRC must have been verified before: CRC32C is linear, so the change of the header,
    /// shifted past the records, is exactly the change of the sum. The records are not read.
    ///
    /// # Errors
    /// [`RecordError::Length`], changing nothing, when the batch length cannot be right.
    pub fn set_max_timestamp(
        &mut self,
        timestamp_type: TimestampType,
        timestamp: Timestamp,
    ) -> Result<(), RecordError> {
        let attributes = self.attributes().with_timestamp_type(timestamp_type);
        if attributes == self.attributes() && timestamp == self.max_timestamp() {
            return Ok(());
        }
        let records_bytes = self.size()? - HEADER_BYTES;
        let before = self.crc_start();
        self.attributes = attributes.0.to_be_bytes();
        self.max_timestamp = timestamp.0.to_be_bytes();
        let change = crc::shift(before ^ self.crc_start(), records_bytes);
        self.crc = (self.crc() ^ change).to_be_bytes();
        Ok(())
    }
}

impl std::fmt::Debug for BatchHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchHeader")
            .field("base_offset", &self.base_offset().0)
            .field("batch_length", &self.batch_length())
            .field("partition_leader_epoch", &self.partition_leader_epoch().0)
            .field("magic", &self.magic())
            .field("crc", &self.crc())
            .field("attributes", &self.attributes().0)
            .field("last_offset_delta", &self.last_offset_delta())
            .field("base_timestamp", &self.base_timestamp().0)
            .field("max_timestamp", &self.max_timestamp().0)
            .field("producer_id", &self.producer_id().0)
            .field("producer_epoch", &self.producer_epoch().0)
            .field("base_sequence", &self.base_sequence().0)
            .field("record_count", &self.record_count())
            .finish()
    }
}
