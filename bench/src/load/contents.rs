//! What values are filled with.

use std::path::Path;

use rand::Rng;

use super::random::random;
use super::sizes::Sizes;

/// Stays in a core's second-level cache, so that filling costs the driver little.
const POOL_BYTES: usize = 256 << 10;
/// With compression, no batch may find its own bytes again within a codec's window.
const POOL_COMPRESSED_BYTES: usize = 16 << 20;
/// A file to be replayed is held in memory.
const REPLAY_BYTES_MAX: u64 = 1 << 30;
/// Of each run of this many bytes, a share is random and the rest is text.
const GRAIN: usize = 64;

/// Bytes for values, for one producer or several in turn.
pub struct Contents {
    bytes: Vec<u8>,
    at: usize,
    /// Ends of the lines of a replay; empty otherwise.
    lines: Vec<usize>,
    line: usize,
}

impl Contents {
    /// Of a load: `random_share` of the bytes cannot be compressed, the rest almost to nothing.
    ///
    /// # Errors
    /// When the file of a replay cannot be read, is too large or has no lines.
    pub fn new(
        sizes: &Sizes,
        random_share: f64,
        compressed: bool,
        seed: u64,
    ) -> Result<Self, String> {
        if let Sizes::Replay { path } = sizes {
            return Self::replay(path);
        }
        let (_, largest) = sizes.bounds().unwrap_or_default();
        let pool = if compressed {
            POOL_COMPRESSED_BYTES
        } else {
            POOL_BYTES
        };
        let length = pool.max(2 * largest).next_multiple_of(GRAIN);
        let mut bytes = vec![0; length];
        let mut random = random(seed, usize::MAX >> 8, 4);
        let text = b"the quick brown fox jumps over the lazy dog, again and again and ";
        let share = (random_share.clamp(0.0, 1.0) * GRAIN as f64).round() as usize;
        for grain in bytes.chunks_mut(GRAIN) {
            grain.copy_from_slice(&text[..GRAIN]);
            random.fill_bytes(&mut grain[..share]);
        }
        Ok(Self {
            bytes,
            at: 0,
            lines: Vec::new(),
            line: 0,
        })
    }

    fn replay(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        let length = std::fs::metadata(path).map_err(failed)?.len();
        if length > REPLAY_BYTES_MAX {
            return Err(format!(
                "{} has {length} bytes: a replay is held in memory, {REPLAY_BYTES_MAX} at most",
                path.display()
            ));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let mut lines: Vec<usize> = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .map(|(at, _)| at + 1)
            .collect();
        if lines.last() != Some(&bytes.len()) && !bytes.is_empty() {
            lines.push(bytes.len());
        }
        if lines.is_empty() {
            return Err(format!("{} has no lines to replay", path.display()));
        }
        Ok(Self {
            bytes,
            at: 0,
            lines,
            line: 0,
        })
    }

    /// Lets this producer start elsewhere than the others.
    pub fn start_at(&mut self, share: f64) {
        if self.lines.is_empty() {
            self.at = (self.bytes.len() as f64 * share) as usize / GRAIN * GRAIN;
        } else {
            self.line = (self.lines.len() as f64 * share) as usize % self.lines.len();
        }
    }

    /// The longest line of a replay.
    pub fn longest_line(&self) -> Option<usize> {
        let mut start = 0;
        let lengths = self.lines.iter().map(|end| {
            let length = end - start;
            start = *end;
            length
        });
        lengths.max()
    }

    /// Bytes of a replay's next line; 0 of anything else.
    #[inline]
    pub fn line_bytes(&self) -> usize {
        match self.lines.is_empty() {
            true => 0,
            false => self.line_at(self.line).len(),
        }
    }

    fn line_at(&self, line: usize) -> &[u8] {
        let start = match line {
            0 => 0,
            line => self.lines[line - 1],
        };
        let line = &self.bytes[start..self.lines[line]];
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// The next `bytes` bytes; of a replay the next line, whatever is asked for.
    #[inline]
    pub fn next(&mut self, bytes: usize) -> &[u8] {
        if !self.lines.is_empty() {
            let line = self.line;
            self.line = (self.line + 1) % self.lines.len();
            return self.line_at(line);
        }
        if self.at + bytes > self.bytes.len() {
            self.at = 0;
        }
        let start = self.at;
        // On whole grains, so that each value has its share of random bytes.
        self.at += bytes.next_multiple_of(GRAIN);
        &self.bytes[start..start + bytes]
    }
}

#[cfg(test)]
mod tests {
    use odradek_engine::record::Compression;

    use super::*;

    #[test]
    fn contents_compress_as_asked() {
        for (share, least, most) in [(1.0, 0.99, 1.01), (0.5, 0.45, 0.62), (0.0, 0.0, 0.1)] {
            let sizes = Sizes::Fixed { bytes: 1000 };
            let mut contents = Contents::new(&sizes, share, true, 9).unwrap();
            let mut values = Vec::new();
            for _ in 0..500 {
                values.extend_from_slice(contents.next(1000));
            }
            for codec in [Compression::Lz4, Compression::Zstd] {
                let mut out = Vec::new();
                codec.compress(&values, &mut out);
                let reached = out.len() as f64 / values.len() as f64;
                let codec = codec.name();
                assert!(
                    (least..=most).contains(&reached),
                    "{codec} {share}: {reached}"
                );
            }
        }
    }

    #[test]
    fn a_replay_gives_the_lines_in_order_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        std::fs::write(&path, "one\n\nthree").unwrap();
        let sizes = Sizes::Replay { path: path.clone() };
        let mut contents = Contents::new(&sizes, 0.0, false, 0).unwrap();
        let lines: Vec<Vec<u8>> = (0..4).map(|_| contents.next(9).to_vec()).collect();
        assert_eq!(lines, [&b"one"[..], b"", b"three", b"one"]);
        assert_eq!(contents.longest_line(), Some(5));
        std::fs::write(&path, "").unwrap();
        assert!(Contents::new(&sizes, 0.0, false, 0).is_err());
    }
}
