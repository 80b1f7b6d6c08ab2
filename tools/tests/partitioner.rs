//! Keys go where Kafka's Java client puts them.

use odradek_tools::client::producer::{murmur2, partition_of_key};
use proptest::prelude::*;

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
