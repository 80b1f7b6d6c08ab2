//! CRC32C of batches: of long runs, and what a change early in a run does to its sum.
//!
//! A CRC is linear: the sums of two runs of equal length differ by a value that depends on their
//! difference alone, and what follows the difference only multiplies that value by a power of x.
//! `crc32c_combine` of the crc32c crate can do the same, but squares matrices for it: 8 µs to
//! 100 µs a call where this takes about 1 µs.

use crc_fast::{CrcAlgorithm, Digest};

/// From here on crc-fast takes less time, half of it for long runs (bench/benches/bytes.rs); below
/// the crc32c crate does.
const LONG_BYTES: usize = 512;

/// The Castagnoli polynomial, lowest power in the highest bit, as all values here.
const POLYNOMIAL: u32 = 0x82f6_3b78;
const ONE: u32 = 1 << 31;
const X: u32 = ONE >> 1;

/// x to the 2^k. The powers of x repeat after 2^31 - 1, so that of k = 31 is that of k = 0.
const POWERS: [u32; 31] = {
    let mut powers = [X; 31];
    let mut k = 1;
    while k < powers.len() {
        powers[k] = multiply(powers[k - 1], powers[k - 1]);
        k += 1;
    }
    powers
};

/// The sum of a run whose front has the sum `crc` (0: there is none) and which goes on with `bytes`.
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    if bytes.len() < LONG_BYTES {
        return crc32c::crc32c_append(crc, bytes);
    }
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!crc));
    digest.update(bytes);
    digest.finalize() as u32
}

/// The change of the sum of a run when the sum of its front changes by `change` and `bytes_behind`
/// bytes follow that front. The sum of two runs in a row is the first's, shifted by the bytes of the
/// second, exclusive or the second's.
pub fn shift(change: u32, bytes_behind: usize) -> u32 {
    let mut product = change;
    let mut rest = bytes_behind;
    // A byte is x to the 8 = 2^3.
    let mut k = 3;
    while rest > 0 {
        if rest & 1 == 1 {
            product = multiply(POWERS[k % POWERS.len()], product);
        }
        rest >>= 1;
        k += 1;
    }
    product
}

/// Multiplies two polynomials modulo the polynomial.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = ONE;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = (b >> 1) ^ (POLYNOMIAL * (b & 1));
        bit >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn long_runs_sum_up_as_short_ones_do(
            crc: u32,
            bytes in proptest::collection::vec(any::<u8>(), 0..9000),
            start in 0..64usize,
        ) {
            let bytes = &bytes[start.min(bytes.len())..];
            prop_assert_eq!(crc32c_append(crc, bytes), crc32c::crc32c_append(crc, bytes));
        }

        #[test]
        fn a_shift_is_what_zeros_behind_do(change: u32, bits in 0..40u32, bytes: u64) {
            let bytes = (bytes >> (63 - bits)) as usize;
            prop_assert_eq!(shift(change, bytes), crc32c::crc32c_combine(change, 0, bytes));
        }

        #[test]
        fn the_sum_of_a_changed_run_follows(
            front: [u8; 40],
            changed: [u8; 40],
            behind: Vec<u8>,
        ) {
            let sum = |front: &[u8]| crc32c::crc32c_append(crc32c::crc32c(front), &behind);
            let change = crc32c::crc32c(&front) ^ crc32c::crc32c(&changed);
            prop_assert_eq!(sum(&front) ^ shift(change, behind.len()), sum(&changed));
        }
    }
}
