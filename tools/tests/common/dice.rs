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

    /// Changes something behind `from`: a bit, a byte, a number that is odd in its place, the end,
    /// or what stands in between.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, from: usize) {
        const ODD: [i64; 12] = [
            0,
            -1,
            1,
            2,
            0x7f,
            0x80,
            0xff,
            0x7fff,
            0x7fff_ffff,
            -0x8000_0000,
            i64::MAX,
            i64::MIN,
        ];
        if bytes.is_empty() {
            bytes.push(0);
        }
        let from = from.min(bytes.len() - 1);
        let at = from + self.below((bytes.len() - from) as u64) as usize;
        match self.below(6) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.next() as u8,
            2 | 3 => {
                let value = ODD[self.below(12) as usize].to_be_bytes();
                let width = [1, 2, 4, 8][self.below(4) as usize].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&value[8 - width..]);
            }
            4 => bytes.truncate(at.max(6)),
            _ => {
                let len = 1 + self.below(20) as usize;
                let more = self.bytes(len);
                bytes.splice(at..at, more);
            }
        }
    }
}
