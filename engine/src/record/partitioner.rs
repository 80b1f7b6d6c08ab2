//! From a key to a partition, as Kafka's Java client does it.
//!
//! Source: `org.apache.kafka.common.utils.Utils.murmur2`, `BuiltInPartitioner.partitionForKey`.

/// MurmurHash2, 32 bits, with the seed that Kafka has chosen.
pub fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Kafka hashes Java arrays, whose lengths have 31 bits.
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut word = [0; 4];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(word)).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash as i32
}

/// The partition that records of that key go to, 0 to `partitions` - 1.
///
/// # Panics
/// Without partitions.
pub fn partition_of_key(key: &[u8], partitions: usize) -> usize {
    (murmur2(key) & i32::MAX) as usize % partitions
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values of `org.apache.kafka.common.utils.Utils.murmur2`.
    const JAVA: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        (
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        ),
        ("abc", 479_470_107),
    ];

    #[test]
    fn hashes_are_those_of_java() {
        for (key, hash) in JAVA {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn negative_hashes_lose_their_sign_bit_as_in_java() {
        // Utils.toPositive(-973932308) % 10
        assert_eq!(partition_of_key(b"21", 10), 0);
        assert_eq!(partition_of_key(b"21", 1), 0);
    }

    proptest! {
        #[test]
        fn partitions_are_in_range(key: Vec<u8>, partitions in 1usize..10_000) {
            prop_assert!(partition_of_key(&key, partitions) < partitions);
        }
    }
}
