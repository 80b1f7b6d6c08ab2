//! The state file of a log directory: checkpoints of many logs, each under its owner's key.
//!
//! Big-endian: `ODST`, version (u16, 1), count (u32), entries, CRC32C (u32) of all before it. An
//! entry is a key (20 bytes), a length (u32) and a [`Checkpoint`](super::checkpoint::Checkpoint) of
//! that length.
//!
//! The file is a hint and is believed whole or not at all: without it segments are read whole.
//!
//! Absent on purpose: what keys mean, I/O.

use thiserror::Error;

use crate::limits::STATE_FILE_BYTES_MAX;

/// Names a log: 20 bytes of its owner's choice.
pub type Key = [u8; 20];

const MAGIC: [u8; 4] = *b"ODST";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 4 + 2 + 4;
const CRC_BYTES: usize = 4;
const ENTRY_HEAD_BYTES: usize = 20 + 4;

/// Why a state file is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum StateFileError {
    #[error("it is not a state file")]
    Magic,
    #[error("unknown version {version}")]
    Version { version: u16 },
    #[error("it is corrupt: stored CRC {stored:#010x}, computed {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("it is cut off or too long: {bytes} bytes for {count} entries")]
    Size { bytes: usize, count: u32 },
}

/// The file's content. Entries that do not fit into [`STATE_FILE_BYTES_MAX`] are left out; gives
/// how many, too.
pub fn write<'a>(entries: impl Iterator<Item = (&'a Key, &'a [u8])>) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    let (mut count, mut left_out) = (0u32, 0);
    for (key, bytes) in entries {
        let after = out.len() + ENTRY_HEAD_BYTES + bytes.len() + CRC_BYTES;
        if after > STATE_FILE_BYTES_MAX {
            left_out += 1;
            continue;
        }
        out.extend_from_slice(key);
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
        count += 1;
    }
    out[6..HEAD_BYTES].copy_from_slice(&count.to_be_bytes());
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    (out, left_out)
}

/// Reads a file's content.
///
/// # Errors
/// [`StateFileError`], for whatever [`write`] has not written.
pub fn read(bytes: &[u8]) -> Result<Vec<(Key, &[u8])>, StateFileError> {
    let (body, crc) = bytes
        .split_last_chunk::<CRC_BYTES>()
        .ok_or(StateFileError::Magic)?;
    let (head, mut rest) = body
        .split_first_chunk::<HEAD_BYTES>()
        .ok_or(StateFileError::Magic)?;
    let &[m0, m1, m2, m3, v0, v1, n0, n1, n2, n3] = head;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(StateFileError::Magic);
    }
    let version = u16::from_be_bytes([v0, v1]);
    if version != VERSION {
        return Err(StateFileError::Version { version });
    }
    let (stored, computed) = (u32::from_be_bytes(*crc), crc32c::crc32c(body));
    if stored != computed {
        return Err(StateFileError::Crc { stored, computed });
    }
    let count = u32::from_be_bytes([n0, n1, n2, n3]);
    let size = StateFileError::Size {
        bytes: bytes.len(),
        count,
    };
    // Not by the count: it is a claim.
    let mut entries = Vec::new();
    for _ in 0..count {
        let (key, after) = rest.split_first_chunk::<20>().ok_or(size)?;
        let (length, after) = after.split_first_chunk::<4>().ok_or(size)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (entry, after) = after.split_at_checked(length).ok_or(size)?;
        entries.push((*key, entry));
        rest = after;
    }
    match rest {
        [] => Ok(entries),
        _ => Err(size),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reseal(bytes: &mut [u8]) {
        let at = bytes.len() - CRC_BYTES;
        let crc = crc32c::crc32c(&bytes[..at]);
        bytes[at..].copy_from_slice(&crc.to_be_bytes());
    }

    #[test]
    fn what_was_written_is_read() {
        let entries = [([1; 20], vec![]), ([2; 20], vec![7; 300])];
        let (bytes, left_out) = write(entries.iter().map(|(key, bytes)| (key, &bytes[..])));
        assert_eq!(left_out, 0);
        let read = read(&bytes).expect("readable");
        let expected: Vec<_> = entries
            .iter()
            .map(|(key, bytes)| (*key, &bytes[..]))
            .collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let large = vec![0; STATE_FILE_BYTES_MAX / 3];
        let key = [1; 20];
        let entries = (0..4).map(|_| (&key, &large[..]));
        let (bytes, left_out) = write(entries);
        assert_eq!((left_out, read(&bytes).expect("readable").len()), (2, 2));
        assert!(bytes.len() <= STATE_FILE_BYTES_MAX);
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(read(&[]), Err(StateFileError::Magic));
        assert_eq!(read(&[0; 100]), Err(StateFileError::Magic));
        let key = [1; 20];
        let (good, _) = write([(&key, &[7; 9][..])].into_iter());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(read(&bad).is_err(), "byte {at}");
            assert!(read(&good[..at]).is_err(), "cut at {at}");
        }
        let mut count = good.clone();
        count[6..10].copy_from_slice(&u32::MAX.to_be_bytes());
        reseal(&mut count);
        assert!(matches!(read(&count), Err(StateFileError::Size { .. })));
        let mut version = good;
        version[5] = 2;
        reseal(&mut version);
        assert_eq!(read(&version), Err(StateFileError::Version { version: 2 }));
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>, count in 0u32..5) {
            let mut bytes = [&MAGIC[..], &VERSION.to_be_bytes(), &count.to_be_bytes(), &body].concat();
            bytes.extend([0; 4]);
            reseal(&mut bytes);
            if let Ok(entries) = read(&bytes) {
                let (again, _) = write(entries.iter().map(|(key, entry)| (key, *entry)));
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
