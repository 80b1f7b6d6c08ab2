//! What a `.snapshot` file has no place for: of each producer, the batches before its last one.
//!
//! A client whose connection ends with several batches under way sends all of them again. If all
//! were stored, and a restart knew the last one only, the first would be refused as out of order:
//! Apache Kafka's client then begins anew and stores them twice, librdkafka gives up. Kafka's own
//! restarts seldom come to that, as another replica leads meanwhile, which remembers; here nobody
//! else does.
//!
//! These bytes follow a snapshot's, for its producers in its order. Big-endian: CRC32C (u32) of all
//! that comes after it; for each producer how many (u8) and, the oldest first, last sequence (i32),
//! last offset (i64), last offset minus base offset (i32), timestamp (i64).

use super::snapshot::{ENTRY_BYTES, HEAD_BYTES, next, put_mark, sane};
use super::{
    BATCHES_KEPT, BatchMark, Offset, ProducerId, Producers, Sequence, SnapshotError, Timestamp,
};

const CRC_BYTES: usize = 4;

impl Producers {
    /// A snapshot, and what it leaves out.
    pub fn to_recent(&self) -> Vec<u8> {
        let mut out = self.to_snapshot();
        let crc_at = out.len();
        out.extend_from_slice(&[0; CRC_BYTES]);
        for entry in self.sorted() {
            let mut batches = entry.batches();
            batches.next_back();
            let count = batches.clone().count();
            out.push(u8::try_from(count).expect("a few"));
            batches.for_each(|mark| put_mark(&mark, &mut out));
        }
        let crc = crc32c::crc32c(&out[crc_at + CRC_BYTES..]);
        out[crc_at..crc_at + CRC_BYTES].copy_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads what [`to_recent`](Self::to_recent) wrote, or a snapshot alone.
    ///
    /// # Errors
    /// [`SnapshotError`], for whatever is neither.
    pub fn from_recent(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let Some((snapshot, earlier)) = split(bytes) else {
            return Self::from_snapshot(bytes);
        };
        let mut producers = Self::from_snapshot(snapshot)?;
        let (crc, mut rest) = earlier
            .split_first_chunk::<CRC_BYTES>()
            .ok_or(SnapshotError::Earlier)?;
        let (stored, computed) = (u32::from_be_bytes(*crc), crc32c::crc32c(rest));
        if stored != computed {
            return Err(SnapshotError::Crc { stored, computed });
        }
        let (ids, _) = snapshot[HEAD_BYTES..].as_chunks::<ENTRY_BYTES>();
        for (entry, id) in ids.iter().enumerate() {
            let marks = read(&mut rest).ok_or(SnapshotError::Entry { entry })?;
            let id = ProducerId(i64::from_be_bytes(*id.first_chunk().expect("46 bytes")));
            // Past the bound some were left out.
            if let Some(known) = producers.entries.get_mut(&id)
                && !known.precede(marks.iter().flatten())
            {
                return Err(SnapshotError::Entry { entry });
            }
        }
        match rest {
            [] => Ok(producers),
            _ => Err(SnapshotError::Earlier),
        }
    }

    /// Takes over the batches before the last one from `other`, of producers whose last one is the
    /// same there.
    pub fn recall(&mut self, other: &Producers) {
        for entry in self.entries.values_mut() {
            if let Some(known) = other.entries.get(&entry.id)
                && known.epoch == entry.epoch
                && known.last_batch() == entry.last_batch()
            {
                entry.batches = known.batches;
            }
        }
    }
}

/// A snapshot and what follows it; none if nothing does.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, count) = bytes.first_chunk::<HEAD_BYTES>()?.split_last_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let length = count.checked_mul(ENTRY_BYTES)?.checked_add(HEAD_BYTES)?;
    let (snapshot, rest) = bytes.split_at_checked(length)?;
    (!rest.is_empty()).then_some((snapshot, rest))
}

/// One producer's, the oldest first.
fn read(rest: &mut &[u8]) -> Option<[Option<BatchMark>; BATCHES_KEPT - 1]> {
    let (&count, after) = rest.split_first()?;
    *rest = after;
    let mut marks = [None; BATCHES_KEPT - 1];
    for mark in marks.get_mut(..usize::from(count))? {
        let read = BatchMark {
            last_sequence: Sequence(i32::from_be_bytes(next(rest)?)),
            last_offset: Offset(i64::from_be_bytes(next(rest)?)),
            offset_delta: i32::from_be_bytes(next(rest)?),
            timestamp: Timestamp(i64::from_be_bytes(next(rest)?)),
        };
        *mark = Some(sane(read)?);
    }
    Some(marks)
}
