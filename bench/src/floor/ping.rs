//! 64 B asked, 64 B answered: the least that a request can cost.

use std::rc::Rc;

use anyhow::{Result, ensure};

use crate::drive::Work;

/// Bytes of a request and of its reply, their lengths included.
pub(super) const BYTES: usize = 64;

/// Requests of [`BYTES`]: a length, four bytes, the correlation id, and nothing that matters.
pub(super) struct Ping;

impl Work for Ping {
    fn request(
        &mut self,
        _at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        let start = out.len();
        out.resize(start + BYTES, 0x6f);
        out[start..start + 4].copy_from_slice(&(BYTES as u32 - 4).to_be_bytes());
        out[start + 8..start + 12].copy_from_slice(&correlation.to_be_bytes());
        Ok(None)
    }

    fn reply(&mut self, _at: usize, reply: &[u8]) -> Result<u64> {
        ensure!(
            reply.len() + 4 == BYTES,
            "a reply of {} bytes",
            reply.len() + 4
        );
        Ok(BYTES as u64)
    }
}
