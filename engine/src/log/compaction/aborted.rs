//! Entries of a segment's `.txnindex`: transactions that were aborted there.
//!
//! Big-endian, 34 bytes each: version (i16, 0), producer id, first offset, last offset, last stable
//! offset when the transaction ended.
//!
//! Source: Kafka `AbortedTxn`, `TransactionIndex`.

use thiserror::Error;

use crate::types::{Offset, ProducerId};

/// A transaction that was aborted: of this producer, from its first record to its marker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AbortedTransaction {
    // In this order they are gone through.
    pub first: Offset,
    pub producer: ProducerId,
    /// Of the abort marker.
    pub last: Offset,
    /// After the transaction ended.
    pub last_stable: Offset,
}

/// Why a `.txnindex` is not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AbortedTransactionError {
    #[error("{bytes} bytes are not a whole number of entries")]
    Size { bytes: usize },
    #[error("unknown version {version} of an aborted transaction")]
    Version { version: i16 },
}

impl AbortedTransaction {
    /// Bytes of an entry.
    pub const BYTES: usize = 34;
    const VERSION: i16 = 0;

    /// Appends the entry.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&Self::VERSION.to_be_bytes());
        for number in [
            self.producer.0,
            self.first.0,
            self.last.0,
            self.last_stable.0,
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    /// Reads a file's entries.
    ///
    /// # Errors
    /// [`AbortedTransactionError`], for whatever is not such a file.
    pub fn parse(bytes: &[u8]) -> Result<Vec<Self>, AbortedTransactionError> {
        let (entries, rest) = bytes.as_chunks::<{ Self::BYTES }>();
        if !rest.is_empty() {
            let bytes = bytes.len();
            return Err(AbortedTransactionError::Size { bytes });
        }
        let mut all = Vec::with_capacity(entries.len());
        for entry in entries {
            let version = i16::from_be_bytes([entry[0], entry[1]]);
            if version != Self::VERSION {
                return Err(AbortedTransactionError::Version { version });
            }
            let number = |at: usize| {
                let (_, rest) = entry.split_at(at);
                i64::from_be_bytes(*rest.first_chunk().expect("within the entry"))
            };
            all.push(Self {
                producer: ProducerId(number(2)),
                first: Offset(number(10)),
                last: Offset(number(18)),
                last_stable: Offset(number(26)),
            });
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kafkas() {
        let one = AbortedTransaction {
            producer: ProducerId(0x0102),
            first: Offset(3),
            last: Offset(0x0405),
            last_stable: Offset(6),
        };
        let mut bytes = Vec::new();
        one.encode(&mut bytes);
        let mut expected = vec![0; 34];
        (expected[8], expected[9], expected[17]) = (1, 2, 3);
        (expected[24], expected[25], expected[33]) = (4, 5, 6);
        assert_eq!(bytes, expected);
        assert_eq!(AbortedTransaction::parse(&bytes), Ok(vec![one]));
        let size = AbortedTransactionError::Size { bytes: 33 };
        assert_eq!(AbortedTransaction::parse(&bytes[..33]), Err(size));
        bytes[1] = 1;
        let version = AbortedTransactionError::Version { version: 1 };
        assert_eq!(AbortedTransaction::parse(&bytes), Err(version));
    }
}
