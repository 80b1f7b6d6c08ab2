//! Batches as a producer fills them: written once, where they are sent from.
//!
//! [`BatchBuilder`](odradek_engine::record::BatchBuilder) writes records twice and asks for their
//! values in one piece; a driver that is to saturate a node from one core cannot afford that. Nor
//! can it afford to write and to sum, over and over, what is the same in each batch: see
//! [`form`](super::form).

use odradek_engine::bytes::{Block, Part};
use odradek_engine::record::{
    Attributes, BatchHeader, BatchInfo, Compression, HEADER_BYTES, shift_crc,
};
use odradek_engine::types::{Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

use super::form::{Form, Forms, Rest};
use super::proof::{PROOF_BYTES, Proof};
use super::sums::Behind;
use crate::load::{Contents, KEY_BYTES, Load, Sizes};

/// A record's bytes beside key and value, at most.
const FIELDS_BYTES_MAX: usize = 32;
/// Bytes before a record's rest, at most.
const HEAD_BYTES_MAX: usize = FIELDS_BYTES_MAX + KEY_BYTES + PROOF_BYTES;

/// How the batches of a load are made.
pub(crate) struct Making {
    compression: Compression,
    /// What a form still holds is used again. Not in a replay, whose lines come in order; nor where
    /// a codec would find the same again.
    again: bool,
    /// Of the rests with their records' ends, where all have one length.
    behind: Option<Behind>,
}

impl Making {
    pub(crate) fn new(load: &Load) -> Self {
        let compression = load.compression.0;
        let replay = matches!(load.sizes, Sizes::Replay { .. });
        let again = compression == Compression::None && !replay;
        let behind = match load.sizes {
            Sizes::Fixed { bytes } if again => Behind::new(bytes - PROOF_BYTES + 1),
            _ => None,
        };
        Self {
            compression,
            again,
            behind,
        }
    }
}

/// A record to be made.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) wall_ms: i64,
    pub(crate) key: Option<&'a [u8; KEY_BYTES]>,
    pub(crate) proof: Proof,
    /// Of the value, behind its proof.
    pub(crate) rest_bytes: usize,
}

/// A batch that takes more records.
pub(crate) struct Draft {
    form: Form,
    /// Bytes so far, header included.
    length: usize,
    count: i32,
    base_ms: i64,
    latest_ms: i64,
    /// Of the records so far, where each could be put together from what was known.
    sum: Option<u32>,
    first_sequence: u64,
    /// Tells drafts of one producer apart.
    pub(crate) serial: u64,
    /// It has waited long enough for more.
    pub(crate) expired: bool,
}

/// A batch that is ready to be sent.
pub(crate) struct Closed {
    pub(crate) part: Part,
    pub(crate) form: Form,
    pub(crate) first_sequence: u64,
    /// What it counts for in its producer's buffer: the bytes that its records took.
    pub(crate) held: usize,
}

impl Draft {
    /// An empty batch with room for `bytes`, and for one record with `rest_bytes` at least.
    pub(crate) fn new(
        forms: &Forms,
        bytes: usize,
        rest_bytes: usize,
        now_ms: i64,
        first_sequence: u64,
        serial: u64,
    ) -> Self {
        let one = HEADER_BYTES + HEAD_BYTES_MAX + rest_bytes;
        Self {
            form: forms.take(bytes.max(one)),
            length: HEADER_BYTES,
            count: 0,
            base_ms: now_ms,
            latest_ms: now_ms,
            sum: Some(crc32c::crc32c(&[])),
            first_sequence,
            serial,
            expired: false,
        }
    }

    /// Whether one more record keeps the batch within `bytes_max`; the first always does.
    #[inline]
    pub(crate) fn fits(&self, rest_bytes: usize, bytes_max: usize) -> bool {
        let most = self.length + HEAD_BYTES_MAX + rest_bytes;
        self.count == 0 || most <= bytes_max.min(self.form.block.capacity())
    }

    /// Adds a record; what its form does not hold of it comes from `contents`. Returns the bytes it
    /// took.
    ///
    /// # Panics
    /// When it does not fit.
    #[inline]
    pub(crate) fn append(
        &mut self,
        message: &Message<'_>,
        contents: &mut Contents,
        making: &Making,
    ) -> usize {
        let rest_bytes = message.rest_bytes;
        let value_bytes = PROOF_BYTES + rest_bytes;
        // Times never fall within a producer, but the wall clock may be set back.
        let since = (message.wall_ms - self.base_ms).max(0);
        let delta = i64::from(self.count);
        let key_bytes = message.key.map_or(1, |key| 1 + key.len());
        let body = 1
            + varint_bytes(since)
            + varint_bytes(delta)
            + key_bytes
            + varint_bytes(value_bytes as i64)
            + value_bytes
            + 1;
        let whole = varint_bytes(body as i64) + body;
        let head_bytes = whole - 1 - rest_bytes;
        let rest = self.rest(self.length + head_bytes, rest_bytes, contents, making);

        // SAFETY: the block is this draft's alone until it is closed: `Forms::take` gave the sole
        // handle, and no part of it has been given away.
        let head = unsafe { self.form.block.bytes_mut(self.length, head_bytes) };
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            head[at..at + bytes.len()].copy_from_slice(bytes);
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
        match message.key {
            None => varint(&mut put, -1),
            Some(key) => {
                varint(&mut put, key.len() as i64);
                put(key);
            }
        }
        varint(&mut put, value_bytes as i64);
        put(&message.proof.encode(rest.sum));
        debug_assert_eq!(at, head_bytes);
        self.sum = match (self.sum, &making.behind) {
            (Some(sum), Some(behind)) if behind.bytes() == rest_bytes + 1 => {
                Some(behind.append(crc32c::crc32c_append(sum, head), rest.sum_to_end))
            }
            _ => None,
        };

        self.length += whole;
        self.count += 1;
        self.latest_ms = self.base_ms + since;
        self.form.times.push(message.proof.intended);
        whole
    }

    /// The next record's rest at `at` with the record's end behind it: what lies there, or written.
    #[inline]
    fn rest(&mut self, at: usize, bytes: usize, contents: &mut Contents, making: &Making) -> Rest {
        let index = self.count as usize;
        if let Some(rest) = self.form.rest(index, at, bytes) {
            return rest;
        }
        let fresh = contents.next(bytes);
        // SAFETY: as in `append`.
        let out = unsafe { self.form.block.bytes_mut(at, bytes + 1) };
        out[..bytes].copy_from_slice(fresh);
        out[bytes] = 0;
        let sum = crc32c::crc32c(fresh);
        let rest = Rest {
            at: at as u32,
            bytes: bytes as u32,
            sum,
            sum_to_end: crc32c::crc32c_append(sum, &[0]),
        };
        if making.again {
            self.form.wrote(index, rest);
        }
        rest
    }

    /// Bytes so far, header included.
    pub(crate) fn bytes(&self) -> usize {
        self.length
    }

    /// How many messages it has, and the sequence of the first.
    pub(crate) fn messages(&self) -> (u64, u64) {
        (self.count as u64, self.first_sequence)
    }

    /// Writes the header. `identity`: id and epoch of an idempotent producer.
    pub(crate) fn close(self, making: &Making, identity: Option<(i64, i16)>) -> Closed {
        let compression = making.compression;
        let info = |size| BatchInfo {
            base_offset: Offset::ZERO,
            size,
            leader_epoch: Epoch::NONE,
            attributes: Attributes::default().with_compression(compression),
            compression,
            last_offset_delta: self.count - 1,
            base_timestamp: Timestamp(self.base_ms),
            max_timestamp: Timestamp(self.latest_ms),
            producer_id: ProducerId(identity.map_or(-1, |(id, _)| id)),
            producer_epoch: ProducerEpoch(identity.map_or(-1, |(_, epoch)| epoch)),
            base_sequence: match identity {
                // Sequences wrap after i32::MAX (KIP-98).
                Some(_) => Sequence((self.first_sequence & i32::MAX as u64) as i32),
                None => Sequence::NONE,
            },
            record_count: self.count,
        };
        let block: &Block = &self.form.block;
        let held = self.length - HEADER_BYTES;
        let records = block.bytes(HEADER_BYTES, held);
        let part = if compression == Compression::None {
            let mut header = BatchHeader::of(&info(self.length));
            let front = header.crc_start();
            header.set_crc(match self.sum {
                Some(sum) => shift_crc(front, held) ^ sum,
                None => crc32c::crc32c_append(front, records),
            });
            // SAFETY: as in `append`; the records looked at lie behind the header.
            let front = unsafe { block.bytes_mut(0, HEADER_BYTES) };
            front.copy_from_slice(header.as_bytes());
            Part::block(block, 0, self.length)
        } else {
            let mut batch = vec![0; HEADER_BYTES];
            compression.compress(records, &mut batch);
            let mut header = BatchHeader::of(&info(batch.len()));
            let sum = crc32c::crc32c_append(header.crc_start(), &batch[HEADER_BYTES..]);
            header.set_crc(sum);
            batch[..HEADER_BYTES].copy_from_slice(header.as_bytes());
            Part::Owned(batch)
        };
        Closed {
            part,
            form: self.form,
            first_sequence: self.first_sequence,
            held,
        }
    }
}

impl Closed {
    pub(crate) fn messages(&self) -> (u64, u64) {
        (self.form.times.count(), self.first_sequence)
    }

    /// The memory, free of the batch.
    pub(crate) fn into_form(self) -> Form {
        self.form
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
#[path = "batch_tests.rs"]
mod tests;
