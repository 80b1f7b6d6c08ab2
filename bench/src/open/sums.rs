//! Checksums of records of which most bytes do not change from batch to batch.
//!
//! A CRC is linear: over the parts that changed it is computed, over those that did not it is
//! known, and both are put together without another look at the bytes.

use odradek_engine::record::shift_crc;

/// Shorter runs are summed faster than they are put together.
const RUN_BYTES_MIN: usize = 256;

/// Puts known runs of one length behind others: four look-ups instead of a pass over the run.
pub(crate) struct Behind {
    /// Of the run.
    bytes: usize,
    tables: Box<[[u32; 256]; 4]>,
}

impl Behind {
    /// Of runs of `bytes`. None of those that are summed faster.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        if bytes < RUN_BYTES_MIN {
            return None;
        }
        let mut tables = Box::new([[0; 256]; 4]);
        let bits: Vec<u32> = (0..32).map(|bit| shift_crc(1 << bit, bytes)).collect();
        for (table, bits) in tables.iter_mut().zip(bits.chunks_exact(8)) {
            for (byte, entry) in table.iter_mut().enumerate() {
                let set = bits.iter().enumerate();
                let set = set.filter(|(bit, _)| byte >> bit & 1 == 1);
                *entry = set.fold(0, |sum, (_, shifted)| sum ^ shifted);
            }
        }
        Some(Self { bytes, tables })
    }

    /// The length of the runs, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The sum of a front and a run of this length behind it, from the sums of both.
    #[inline]
    pub(crate) fn append(&self, front: u32, run: u32) -> u32 {
        let [a, b, c, d] = front.to_le_bytes().map(usize::from);
        let tables = &*self.tables;
        tables[0][a] ^ tables[1][b] ^ tables[2][c] ^ tables[3][d] ^ run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_put_behind_a_front() {
        let bytes: Vec<u8> = (0..3000u32)
            .map(|at| (at.wrapping_mul(at) >> 3) as u8)
            .collect();
        for length in [256, 257, 995, 2000] {
            let behind = Behind::new(length).unwrap();
            assert_eq!(behind.bytes(), length);
            let (front, run) = (&bytes[..1000], &bytes[1000..1000 + length]);
            let put = behind.append(crc32c::crc32c(front), crc32c::crc32c(run));
            assert_eq!(put, crc32c::crc32c(&bytes[..1000 + length]));
        }
        assert!(Behind::new(10).is_none());
    }
}
