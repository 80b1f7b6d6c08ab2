//! What a record is, told by its number: its value, and in a compacted topic its key and whether it is
//! a tombstone.
//!
//! A key is one producer's, which numbers its records in the order in which it writes them: of two
//! records with a key the one with the greater number is the later one.

use odradek_engine::record::{BatchBuilder, Record};
use odradek_engine::types::Timestamp;

use crate::oracle::Id;

/// Keys of one producer.
const KEYS: u64 = 11;
/// Every so-many-th record is a tombstone; each key comes to its turn.
const TOMBSTONE_EVERY: u64 = 7;
/// Says who wrote a tombstone, which has no value.
const HEADER: &[u8] = b"id";

/// Who "wrote" the marker that ends a transaction; its number says which, and how.
pub const MARKER: u32 = u32::MAX;
/// An offset that compaction has emptied.
pub const HOLE: Id = (u32::MAX, u64::MAX);

/// A key: whose, and which of its.
pub type Key = (u32, u64);

/// The key of a record in a compacted topic.
pub fn key_of(id: Id) -> Key {
    (id.0, id.1 % KEYS)
}

/// Whether a record of a compacted topic deletes its key.
pub fn is_tombstone(id: Id) -> bool {
    id.1 % TOMBSTONE_EVERY == TOMBSTONE_EVERY - 1
}

/// The id of a marker in a log.
pub fn marker_id(producer_id: i64, commit: bool) -> Id {
    (MARKER, producer_id as u64 * 2 + u64::from(commit))
}

/// Whether this is a marker that ends a transaction.
pub fn is_marker(id: Id) -> bool {
    id.0 == MARKER && id != HOLE
}

fn bytes_of(id: Id) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&id.0.to_be_bytes());
    bytes[4..].copy_from_slice(&id.1.to_be_bytes());
    bytes
}

/// A record's value: who wrote it, and filling that says so, too.
pub fn value_of(id: Id, len: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(12 + len);
    value.extend(bytes_of(id));
    value.resize(12 + len, id.1 as u8);
    value
}

/// Adds a record with so many bytes of filling to a batch.
pub fn append(builder: &mut BatchBuilder, id: Id, len: usize, keyed: bool, now: Timestamp) {
    let (name, key) = (bytes_of(id), bytes_of(key_of(id)));
    let appended = match (keyed, is_tombstone(id)) {
        (false, _) => builder.append(now, None, Some(&value_of(id, len)), &[]),
        (true, false) => builder.append(now, Some(&key), Some(&value_of(id, len)), &[]),
        (true, true) => builder.append(now, Some(&key), None, &[(HEADER, Some(&name))]),
    };
    appended.expect("a record fits");
}

/// Who wrote a record.
///
/// # Errors
/// Nobody did: it was changed, or made up.
pub fn id_of(record: &Record<'_>) -> Result<Id, String> {
    let mut headers = record.headers;
    let told = match record.value {
        Some(value) => Some(value),
        None => headers.next().and_then(|(_, value)| value),
    };
    let wrong = || format!("a record that nobody wrote: {record:?}");
    let (name, filling) = told
        .and_then(|told| told.split_first_chunk::<12>())
        .ok_or_else(wrong)?;
    let (producer, number) = name.split_first_chunk::<4>().ok_or_else(wrong)?;
    let number = number.first_chunk::<8>().ok_or_else(wrong)?;
    let id = (u32::from_be_bytes(*producer), u64::from_be_bytes(*number));
    let filled = filling.iter().all(|byte| *byte == id.1 as u8);
    let right = match record.key {
        None => record.value.is_some(),
        Some(key) => key == bytes_of(key_of(id)) && record.value.is_none() == is_tombstone(id),
    };
    match filled && right {
        true => Ok(id),
        false => Err(wrong()),
    }
}
