//! Seeded randomness: one stream per purpose and producer.

use rand::SeedableRng;
pub use rand::rngs::Xoshiro256PlusPlus as Random;

/// The stream of `purpose` of `producer` in a load with this seed.
pub fn random(seed: u64, producer: usize, purpose: u64) -> Random {
    // Seeding mixes (SplitMix64), so neighbouring numbers give unrelated streams.
    let stream = (producer as u64) << 8 | purpose;
    Random::seed_from_u64(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let mut seen = Vec::new();
        for producer in 0..4 {
            for purpose in 0..4 {
                let first = random(7, producer, purpose).next_u64();
                assert_eq!(first, random(7, producer, purpose).next_u64());
                seen.push(first);
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 16);
    }
}
