//! What each value begins with, so that a consumer can prove what became of it.
//!
//! Run, producer, sequence, intended send time and a checksum over the rest of the value and then
//! all of these; 28 bytes, big-endian. The rest is summed first so that its sum can be known before.
//! Sequences count a producer's messages in one partition from 0.

/// Bytes of the proof.
pub const PROOF_BYTES: usize = 28;
const SUMMED_BYTES: usize = 24;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// Messages of other runs are left alone.
    pub(crate) run: u32,
    pub(crate) producer: u32,
    pub(crate) sequence: u64,
    /// Nanoseconds of the monotonic clock.
    pub(crate) intended: u64,
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unproven {
    Short,
    Checksum,
}

impl Proof {
    /// The proof before a rest whose CRC32C is `rest`.
    #[inline]
    pub(crate) fn encode(&self, rest: u32) -> [u8; PROOF_BYTES] {
        let mut bytes = [0; PROOF_BYTES];
        bytes[0..4].copy_from_slice(&self.run.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.producer.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.intended.to_be_bytes());
        let sum = crc32c::crc32c_append(rest, &bytes[..SUMMED_BYTES]);
        bytes[24..].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The proof of a value, checked.
    #[inline]
    pub(crate) fn decode(value: &[u8]) -> Result<Self, Unproven> {
        let Some((bytes, rest)) = value.split_first_chunk::<PROOF_BYTES>() else {
            return Err(Unproven::Short);
        };
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap_or([0; 4]));
        let long = |at: usize| u64::from(number(at)) << 32 | u64::from(number(at + 4));
        let sum = crc32c::crc32c(rest);
        if number(24) != crc32c::crc32c_append(sum, &bytes[..SUMMED_BYTES]) {
            return Err(Unproven::Checksum);
        }
        Ok(Self {
            run: number(0),
            producer: number(4),
            sequence: long(8),
            intended: long(16),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_anywhere_is_seen() {
        let proof = Proof {
            run: 1,
            producer: 2,
            sequence: 3 << 40,
            intended: 4 << 40,
        };
        let rest = b"the rest of the value";
        let mut value = proof.encode(crc32c::crc32c(rest)).to_vec();
        value.extend_from_slice(rest);
        assert_eq!(Proof::decode(&value), Ok(proof));
        for bit in 0..value.len() * 8 {
            value[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Proof::decode(&value), Err(Unproven::Checksum), "{bit}");
            value[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(Proof::decode(&value[..27]), Err(Unproven::Short));
    }
}
