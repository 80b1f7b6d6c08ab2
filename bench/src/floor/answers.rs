//! Frames in, frames out: what every echo does, however it waits.
//!
//! A frame is a length and that many bytes, of which bytes 4 to 8 are its correlation id (as in a
//! Kafka request); its reply is a frame of fixed size with the same id.

use anyhow::{Result, ensure};

const FRAME_BYTES_MAX: usize = 64 << 10;

/// The reply that every frame gets, but for the id.
pub(super) struct Reply(Vec<u8>);

impl Reply {
    /// Of `bytes`, its length prefix included.
    pub(super) fn new(bytes: usize) -> Result<Self> {
        ensure!((8..=4096).contains(&bytes), "a reply of 8 to 4096 bytes");
        let mut reply = vec![0; bytes];
        reply[..4].copy_from_slice(&(bytes as u32 - 4).to_be_bytes());
        Ok(Self(reply))
    }

    fn answer(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        self.0[4..8].copy_from_slice(&frame[8..12]);
        out.extend_from_slice(&self.0);
    }
}

/// The beginning of a frame whose end is still to come.
#[derive(Default)]
pub(super) struct Partial(Vec<u8>);

impl Partial {
    /// Answers every whole frame of what was received.
    pub(super) fn landed(
        &mut self,
        mut bytes: &[u8],
        reply: &mut Reply,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        while !self.0.is_empty() && !bytes.is_empty() {
            let wanted = match frame_bytes(&self.0)? {
                Some(whole) => whole - self.0.len(),
                None => 4 - self.0.len(),
            };
            let taken = wanted.min(bytes.len());
            self.0.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if frame_bytes(&self.0)? == Some(self.0.len()) {
                reply.answer(&self.0, out);
                self.0.clear();
            }
        }
        while let Some(whole) = frame_bytes(bytes)?.filter(|whole| *whole <= bytes.len()) {
            let (frame, rest) = bytes.split_at(whole);
            reply.answer(frame, out);
            bytes = rest;
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Bytes of the frame that begins here, its length included; none before its length is there.
fn frame_bytes(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(length) = bytes.first_chunk() else {
        return Ok(None);
    };
    let whole = u32::from_be_bytes(*length) as usize + 4;
    ensure!(
        (12..=FRAME_BYTES_MAX).contains(&whole),
        "a frame of {whole} bytes"
    );
    Ok(Some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: u32, bytes: usize) -> Vec<u8> {
        let mut frame = vec![0x6f; bytes];
        frame[..4].copy_from_slice(&(bytes as u32 - 4).to_be_bytes());
        frame[8..12].copy_from_slice(&id.to_be_bytes());
        frame
    }

    #[test]
    fn every_frame_is_answered_however_it_is_cut() {
        let frames: Vec<u8> = (0..5)
            .flat_map(|id| frame(id, 12 + 7 * id as usize))
            .collect();
        for step in 1..frames.len() {
            let (mut reply, mut partial) = (Reply::new(16).unwrap(), Partial::default());
            let mut out = Vec::new();
            for bytes in frames.chunks(step) {
                partial.landed(bytes, &mut reply, &mut out).unwrap();
            }
            let ids: Vec<u32> = out
                .chunks(16)
                .map(|reply| u32::from_be_bytes(reply[4..8].try_into().unwrap()))
                .collect();
            assert_eq!(ids, [0, 1, 2, 3, 4], "in pieces of {step}");
        }
    }

    #[test]
    fn a_frame_too_long_is_refused() {
        let (mut reply, mut out) = (Reply::new(16).unwrap(), Vec::new());
        let bytes = (FRAME_BYTES_MAX as u32).to_be_bytes();
        assert!(
            Partial::default()
                .landed(&bytes, &mut reply, &mut out)
                .is_err()
        );
    }
}
