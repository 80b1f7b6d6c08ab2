//! Random numbers from a printed seed.

/// SplitMix64: small, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    /// From `ODRADEK_TEST_SEED`, or the clock; prints the seed, which a failing test then shows.
    pub fn new(what: &str) -> Self {
        let given = std::env::var("ODRADEK_TEST_SEED").ok();
        let seed = match given.and_then(|seed| seed.parse().ok()) {
            Some(seed) => seed,
            None => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .expect("a clock after 1970")
                .as_nanos() as u64,
        };
        println!("{what}: ODRADEK_TEST_SEED={seed}");
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
