//! Batches as a producer fills them: written once, where they are sent from.
//!
//! [`BatchBuilder`](odradek_engine::record::BatchBuilder) writes records twice and asks for their
//! values in one piece; a driver that is to saturate a node from one core cannot afford that.

use odradek_engine::bytes::{Block, Part, Pool};
use odradek_engine::record::{Attributes, BatchHeader, BatchInfo, Compression, HEADER_BYTES};
use odradek_engine::types::{Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::proof::PROOF_BYTES;
use crate::load::KEY_BYTES;

/// A record's bytes beside key and value, at most.
const FIELDS_BYTES_MAX: usize = 32;

/// A batch that takes more records.
pub(crate) struct Draft {
    block: Block,
    /// Bytes so far, header included.
    length: usize,
    count: i32,
    base_ms: i64,
    latest_ms: i64,
    /// Intended send times, one per record.
    times: Vec<u64>,
    first_sequence: u64,
    /// Tells drafts of one producer apart.
    pub(crate) serial: u64,
    /// It has waited long enough for more.
    pub(crate) expired: bool,
}

/// A batch that is ready to be sent.
pub(crate) struct Closed {
    pub(crate) part: Part,
    pub(crate) times: Vec<u64>,
    pub(crate) first_sequence: u64,
    /// What it counts for in its producer's buffer: the bytes that its records took.
    pub(crate) held: usize,
}

/// Whose batches these are, and how they are closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    pub(crate) compression: Compression,
    /// Id and epoch of an idempotent producer.
    pub(crate) identity: Option<(i64, i16)>,
}

impl Draft {
    /// An empty batch with room for `bytes`, and for one record of `value_bytes` at least. `times`
    /// is empty: memory to be used again.
    pub(crate) fn new(
        pool: &Pool,
        bytes: usize,
        value_bytes: usize,
        now_ms: i64,
        first_sequence: u64,
        serial: u64,
        times: Vec<u64>,
    ) -> Self {
        let one = HEADER_BYTES + FIELDS_BYTES_MAX + KEY_BYTES + value_bytes;
        Self {
            block: pool.take(bytes.max(one)),
            length: HEADER_BYTES,
            count: 0,
            base_ms: now_ms,
            latest_ms: now_ms,
            times,
            first_sequence,
            serial,
            expired: false,
        }
    }

    /// Whether one more record of `value_bytes` keeps the batch within `bytes_max`; the first
    /// always does.
    #[inline]
    pub(crate) fn fits(&self, value_bytes: usize, bytes_max: usize) -> bool {
        let most = self.length + FIELDS_BYTES_MAX + KEY_BYTES + value_bytes;
        self.count == 0 || most <= bytes_max.min(self.block.capacity())
    }

    /// Adds a record whose value is `proof` and `rest`. Returns the bytes it took.
    ///
    /// # Panics
    /// When it does not fit.
    #[inline]
    pub(crate) fn append(
        &mut self,
        now_ms: i64,
        intended: u64,
        key: Option<&[u8; KEY_BYTES]>,
        proof: &[u8; PROOF_BYTES],
        rest: &[u8],
    ) -> usize {
        let value_bytes = PROOF_BYTES + rest.len();
        // Times never fall within a producer, but the wall clock may be set back.
        let since = (now_ms - self.base_ms).max(0);
        let delta = i64::from(self.count);
        let key_bytes = key.map_or(1, |key| 1 + key.len());
        let body = 1
            + varint_bytes(since)
            + varint_bytes(delta)
            + key_bytes
            + varint_bytes(value_bytes as i64)
            + value_bytes
            + 1;
        let whole = varint_bytes(body as i64) + body;
        // SAFETY: the block is this draft's alone until it is closed: it was taken from the pool
        // by `new` and no handle or part of it has been given away.
        let out = unsafe { self.block.bytes_mut(self.length, whole) };
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        let varint = |put: &mut dyn FnMut(&[u8]), value: i64| {
            let (bytes, length) = varint(value);
            put(&bytes[..length]);
        };
        varint(&mut put, body as i64);
        put(&[0]);
        varint(&mut put, since);
        varint(&mut put, delta);
        match key {
            None => varint(&mut put, -1),
            Some(key) => {
                varint(&mut put, key.len() as i64);
                put(key);
            }
        }
        varint(&mut put, value_bytes as i64);
        put(proof);
        put(rest);
        put(&[0]);
        debug_assert_eq!(at, whole);
        self.length += whole;
        self.count += 1;
        self.latest_ms = self.base_ms + since;
        self.times.push(intended);
        whole
    }

    /// Bytes so far, header included.
    pub(crate) fn bytes(&self) -> usize {
        self.length
    }

    /// How many messages it has, and the sequence of the first.
    pub(crate) fn messages(&self) -> (u64, u64) {
        (self.count as u64, self.first_sequence)
    }

    /// Writes the header.
    pub(crate) fn close(self, closing: Closing) -> Closed {
        let held = self.length - HEADER_BYTES;
        let info = |size| BatchInfo {
            base_offset: Offset::ZERO,
            size,
            leader_epoch: Epoch::NONE,
            attributes: Attributes::default().with_compression(closing.compression),
            compression: closing.compression,
            last_offset_delta: self.count - 1,
            base_timestamp: Timestamp(self.base_ms),
            max_timestamp: Timestamp(self.latest_ms),
            producer_id: ProducerId(closing.identity.map_or(-1, |(id, _)| id)),
            producer_epoch: ProducerEpoch(closing.identity.map_or(-1, |(_, epoch)| epoch)),
            base_sequence: match closing.identity {
                // Sequences wrap after i32::MAX (KIP-98).
                Some(_) => Sequence((self.first_sequence & i32::MAX as u64) as i32),
                None => Sequence::NONE,
            },
            record_count: self.count,
        };
        let records = self.block.bytes(HEADER_BYTES, self.length - HEADER_BYTES);
        let header = |size: usize, records: &[u8]| {
            let mut header = BatchHeader::of(&info(size));
            header.set_crc(crc32c::crc32c_append(header.crc_start(), records));
            header
        };
        let part = if closing.compression == Compression::None {
            let header = header(self.length, records);
            // SAFETY: as in `append`; the records looked at lie behind the header.
            let front = unsafe { self.block.bytes_mut(0, HEADER_BYTES) };
            front.copy_from_slice(header.as_bytes());
            Part::block(&self.block, 0, self.length)
        } else {
            let mut batch = vec![0; HEADER_BYTES];
            closing.compression.compress(records, &mut batch);
            let header = header(batch.len(), &batch[HEADER_BYTES..]);
            batch[..HEADER_BYTES].copy_from_slice(header.as_bytes());
            Part::Owned(batch)
        };
        Closed {
            part,
            times: self.times,
            first_sequence: self.first_sequence,
            held,
        }
    }
}

impl Closed {
    pub(crate) fn messages(&self) -> (u64, u64) {
        (self.times.len() as u64, self.first_sequence)
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
fn varint_bytes(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

#[inline]
fn varint(value: i64) -> ([u8; 10], usize) {
    let mut rest = zigzag(value);
    let (mut bytes, mut length) = ([0; 10], 0);
    while rest >= 0x80 {
        bytes[length] = rest as u8 | 0x80;
        rest >>= 7;
        length += 1;
    }
    bytes[length] = rest as u8;
    (bytes, length + 1)
}

#[cfg(test)]
mod tests {
    use odradek_engine::record::{OpenBatch, Rules, validate};

    use super::super::proof::Proof;
    use super::*;

    #[test]
    fn batches_are_what_the_node_takes() {
        let pool = Pool::new();
        let rest = vec![7; 5000];
        for compression in Compression::ALL {
            let mut draft = Draft::new(&pool, 1000, 28, 1_700_000_000_000, 40, 0, Vec::new());
            let lengths = [0, 1, 100, 63, 64, 400];
            for (index, length) in lengths.into_iter().enumerate() {
                let rest = &rest[..length];
                assert!(draft.fits(28 + length, 1000));
                let sequence = 40 + index as u64;
                let proof = Proof {
                    run: 1,
                    producer: 2,
                    sequence,
                    intended: 9,
                };
                let key = [index as u8; KEY_BYTES];
                let key = (index % 2 == 0).then_some(&key);
                let now = 1_700_000_000_000 + 100 * index as i64;
                draft.append(now, 9, key, &proof.encode(rest), rest);
            }
            assert!(!draft.fits(400, 1000), "the batch is full");
            let identity = Some((5, 6));
            let closed = draft.close(Closing {
                compression,
                identity,
            });
            let bytes = closed.part.bytes();
            let info = validate(bytes, &Rules::NODE).unwrap();
            assert_eq!((info.record_count, info.size), (6, bytes.len()));
            assert_eq!((info.producer_id.0, info.base_sequence.0), (5, 40));
            assert_eq!(info.max_timestamp.0, 1_700_000_000_500);
            let mut scratch = Vec::new();
            let open = OpenBatch::open(bytes, info, &mut scratch).unwrap();
            open.check(&Rules::NODE, false).unwrap();
            for (index, record) in open.records().enumerate() {
                let record = record.unwrap();
                let value = record.value.unwrap();
                assert_eq!(value.len(), PROOF_BYTES + lengths[index]);
                assert_eq!(Proof::decode(value).unwrap().sequence, 40 + index as u64);
                assert_eq!(record.key.is_some(), index % 2 == 0);
            }
        }
    }

    #[test]
    fn a_record_larger_than_a_batch_has_one_of_its_own() {
        let pool = Pool::new();
        let rest = vec![1; 100_000];
        let value = PROOF_BYTES + rest.len();
        let mut draft = Draft::new(&pool, 1000, value, 0, 0, 0, Vec::new());
        assert!(draft.fits(value, 1000));
        draft.append(0, 0, None, &[0; PROOF_BYTES], &rest);
        assert!(!draft.fits(0, 1000));
    }
}
