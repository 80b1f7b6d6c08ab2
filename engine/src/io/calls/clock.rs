//! The clocks and the randomness that only a driver may ask for.
#![allow(clippy::disallowed_methods)] // for the drivers

use nix::time::{ClockId, clock_gettime};

pub(in crate::io) fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

pub(in crate::io) fn realtime() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_REALTIME).expect("CLOCK_REALTIME exists");
    time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000
}

/// SplitMix64, seeded from the kernel.
pub(in crate::io) struct Random(u64);

impl Random {
    pub(in crate::io) fn new() -> Self {
        let mut seed = [0u8; 8];
        // SAFETY: the buffer is eight bytes long and ours.
        let got = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), 8, 0) };
        assert_eq!(
            got, 8,
            "getrandom fails only on a bad address or before boot"
        );
        Random(u64::from_ne_bytes(seed))
    }

    pub(in crate::io) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
