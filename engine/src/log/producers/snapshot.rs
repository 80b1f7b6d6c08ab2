//! The `.snapshot` file of a partition: all producers, each with its last batch.
//!
//! Big-endian: version (i16, 1), CRC32C (u32) of all that follows, count (i32), entries of 46
//! bytes. What a snapshot cannot hold (the batches before the last) is lost with what is not
//! replayed, as in Kafka, unless a checkpoint of this very end knows it: see `recent`.
//!
//! Source: Kafka `ProducerStateManager.writeSnapshot`, schema `ProducerSnapshot`.

use thiserror::Error;

use super::{
    BatchMark, Epoch, Offset, ProducerEntry, ProducerEpoch, ProducerId, Producers, Sequence,
    Timestamp,
};

const VERSION: i16 = 1;
pub(super) const HEAD_BYTES: usize = 2 + 4 + 4;
const CRC_COVERS_FROM: usize = 6;
pub(super) const ENTRY_BYTES: usize = 46;

/// Why a snapshot cannot be used. The state can be rebuilt from an older one and the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SnapshotError {
    #[error("the producer snapshot is cut off or too long: {bytes} bytes for {count} entries")]
    Size { bytes: usize, count: i32 },
    #[error("unknown producer snapshot version {version}")]
    Version { version: i16 },
    #[error(
        "the producer snapshot is corrupt: stored CRC {stored:#010x}, computed {computed:#010x}"
    )]
    Crc { stored: u32, computed: u32 },
    #[error("entry {entry} of the producer snapshot is impossible")]
    Entry { entry: usize },
    #[error("what follows the producer snapshot is cut off or too long")]
    Earlier,
}

impl Producers {
    /// The content of a `.snapshot` file, entries in rising order of ids.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + self.len() * ENTRY_BYTES);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        let count = i32::try_from(self.len()).expect("bounded");
        out.extend_from_slice(&count.to_be_bytes());
        for entry in self.sorted() {
            write(entry, &mut out);
        }
        let crc = crc32c::crc32c(&out[CRC_COVERS_FROM..]);
        out[2..CRC_COVERS_FROM].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads the content of a `.snapshot` file. Past the bound on entries the ones unused longest
    /// are left out.
    ///
    /// # Errors
    /// [`SnapshotError`], for whatever is not such a file.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let size = |count| SnapshotError::Size {
            bytes: bytes.len(),
            count,
        };
        let (head, body) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(size(0))?;
        let &[v0, v1, c0, c1, c2, c3, n0, n1, n2, n3] = head;
        let version = i16::from_be_bytes([v0, v1]);
        if version != VERSION {
            return Err(SnapshotError::Version { version });
        }
        let stored = u32::from_be_bytes([c0, c1, c2, c3]);
        let computed = crc32c::crc32c(&bytes[CRC_COVERS_FROM..]);
        if stored != computed {
            return Err(SnapshotError::Crc { stored, computed });
        }
        let count = i32::from_be_bytes([n0, n1, n2, n3]);
        let (entries, rest) = body.as_chunks::<ENTRY_BYTES>();
        if !rest.is_empty() || usize::try_from(count) != Ok(entries.len()) {
            return Err(size(count));
        }
        let mut producers = Self::new();
        for (n, bytes) in entries.iter().enumerate() {
            let entry = read(bytes).ok_or(SnapshotError::Entry { entry: n })?;
            let (id, used) = (entry.id, entry.last_used);
            let open = entry.transaction_first_offset;
            *producers.entry(id, used) = entry;
            if let Some(first) = open {
                producers.open.insert(first, id);
            }
        }
        Ok(producers)
    }
}

fn write(entry: &ProducerEntry, out: &mut Vec<u8>) {
    let mark = entry.last_batch().unwrap_or(BatchMark {
        last_sequence: Sequence::NONE,
        last_offset: Offset::NONE,
        offset_delta: 0,
        timestamp: Timestamp::NONE,
    });
    let transaction = entry.transaction_first_offset.unwrap_or(Offset::NONE);
    out.extend_from_slice(&entry.id.0.to_be_bytes());
    out.extend_from_slice(&entry.epoch.0.to_be_bytes());
    put_mark(
        &BatchMark {
            timestamp: entry.last_timestamp,
            ..mark
        },
        out,
    );
    out.extend_from_slice(&entry.coordinator_epoch.0.to_be_bytes());
    out.extend_from_slice(&transaction.0.to_be_bytes());
}

pub(super) fn put_mark(mark: &BatchMark, out: &mut Vec<u8>) {
    out.extend_from_slice(&mark.last_sequence.0.to_be_bytes());
    out.extend_from_slice(&mark.last_offset.0.to_be_bytes());
    out.extend_from_slice(&mark.offset_delta.to_be_bytes());
    out.extend_from_slice(&mark.timestamp.0.to_be_bytes());
}

/// `None` for what no writer can mean: sequences and offsets are computed with later.
fn read(bytes: &[u8; ENTRY_BYTES]) -> Option<ProducerEntry> {
    let mut rest = &bytes[..];
    let mut entry = ProducerEntry::new(ProducerId(i64::from_be_bytes(next(&mut rest)?)));
    entry.epoch = ProducerEpoch(i16::from_be_bytes(next(&mut rest)?));
    let last_sequence = Sequence(i32::from_be_bytes(next(&mut rest)?));
    let last_offset = Offset(i64::from_be_bytes(next(&mut rest)?));
    let offset_delta = i32::from_be_bytes(next(&mut rest)?);
    let timestamp = Timestamp(i64::from_be_bytes(next(&mut rest)?));
    entry.coordinator_epoch = Epoch(i32::from_be_bytes(next(&mut rest)?));
    let transaction = Offset(i64::from_be_bytes(next(&mut rest)?));
    if entry.id.0 < 0 {
        return None;
    }
    entry.last_timestamp = timestamp;
    entry.last_used = timestamp;
    entry.transaction_first_offset = (transaction.0 >= 0).then_some(transaction);
    if last_offset.0 >= 0 {
        entry.push(sane(BatchMark {
            last_sequence,
            last_offset,
            offset_delta,
            timestamp,
        })?);
    }
    Some(entry)
}

/// A batch, if there can be such a one.
pub(super) fn sane(mark: BatchMark) -> Option<BatchMark> {
    let possible = mark.offset_delta >= 0
        && i64::from(mark.offset_delta) <= mark.last_offset.0
        && mark.last_sequence.0 >= -1;
    possible.then_some(mark)
}

pub(super) fn next<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*front)
}
