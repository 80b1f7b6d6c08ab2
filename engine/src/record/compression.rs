//! The codecs of a record batch, framed as Kafka's Java clients frame them.
//!
//! Opening is bounded by what comes out, never by what the bytes claim will come out.
//!
//! - gzip: members, one after another.
//! - snappy: Java's chunked framing (magic, two version words, then raw blocks behind 4-byte
//!   lengths), or one raw block as other clients send it.
//! - lz4: the standard frame; written with independent blocks of 64 KiB, all that Java reads.
//! - zstd: frames.

use std::io::{self, Read, Write};

use super::RecordError;
use crate::limits::{RECORDS_OPENED_BYTES_MAX, ZSTD_WINDOW_LOG_MAX};

/// The codec of a batch's records. Kafka: `CompressionType`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// `None` for an id that no codec has.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The name in `compression.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a `compression.type`; `None` for other words (`producer` among them).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Appends the opened `bytes` to `out`, which grows with what really comes out.
    ///
    /// # Errors
    /// [`RecordError::OpenedTooLarge`] past `bytes_max` (capped by
    /// [`RECORDS_OPENED_BYTES_MAX`]), [`RecordError::Decompress`] for malformed bytes; `out` may
    /// then hold a part.
    pub fn decompress(
        self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), RecordError> {
        let bytes_max = bytes_max.min(RECORDS_OPENED_BYTES_MAX);
        let opened = match self {
            Self::None => read_bounded(bytes, out, bytes_max),
            Self::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(bytes), out, bytes_max),
            Self::Snappy => snappy_open(bytes, out, bytes_max),
            Self::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(bytes), out, bytes_max),
            Self::Zstd => {
                zstd::stream::read::Decoder::with_buffer(bytes).and_then(|mut decoder| {
                    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                    read_bounded(decoder, out, bytes_max)
                })
            }
        };
        match opened {
            Ok(true) => Ok(()),
            Ok(false) => Err(RecordError::OpenedTooLarge { bytes_max }),
            Err(error) => Err(RecordError::Decompress {
                codec: self,
                reason: error.to_string(),
            }),
        }
    }

    /// Appends the compressed `bytes` to `out`, at the codec's default level.
    ///
    /// # Panics
    /// When the codec's library fails, for which memory as source and target leaves no reason.
    pub fn compress(self, bytes: &[u8], out: &mut Vec<u8>) {
        self.compress_at(None, bytes, out);
    }

    /// The same at a level, which only gzip (0 to 9) and zstd have here; `None` is the codec's
    /// default.
    ///
    /// # Panics
    /// As [`compress`](Self::compress).
    pub fn compress_at(self, level: Option<i32>, bytes: &[u8], out: &mut Vec<u8>) {
        let written = match self {
            Self::None => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Self::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok());
                let level = level.map(|level| flate2::Compression::new(level.min(9)));
                let mut encoder = flate2::write::GzEncoder::new(out, level.unwrap_or_default());
                encoder.write_all(bytes).and_then(|()| encoder.try_finish())
            }
            Self::Snappy => snappy_close(bytes, out),
            Self::Lz4 => lz4_close(bytes, out),
            Self::Zstd => zstd::stream::copy_encode(bytes, out, level.unwrap_or(0)),
        };
        written.expect("compressing from memory to memory");
    }
}

/// `Ok(false)` when the source has more than `bytes_max`.
fn read_bounded(source: impl Read, out: &mut Vec<u8>, bytes_max: usize) -> io::Result<bool> {
    let read = source.take(bytes_max as u64 + 1).read_to_end(out)?;
    Ok(read <= bytes_max)
}

const SNAPPY_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const SNAPPY_VERSION: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const SNAPPY_HEADER_BYTES: usize = SNAPPY_MAGIC.len() + SNAPPY_VERSION.len();
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;

/// One byte of a raw snappy block opens to fewer bytes than this (a copy of 64 takes 3): a block
/// that claims more is lying, and the claim must not size an allocation.
const SNAPPY_RATIO_MAX: usize = 32;

fn snappy_open(bytes: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> io::Result<bool> {
    let mut left = bytes_max;
    if !bytes.starts_with(&SNAPPY_MAGIC) {
        return snappy_open_block(bytes, out, &mut left);
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        // Streams may be joined: a header can stand wherever a block can begin.
        if rest.starts_with(&SNAPPY_MAGIC) {
            rest = rest
                .get(SNAPPY_HEADER_BYTES..)
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            continue;
        }
        let (length, after) = rest
            .split_first_chunk::<4>()
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        let (block, after) = after
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        if !snappy_open_block(block, out, &mut left)? {
            return Ok(false);
        }
        rest = after;
    }
    Ok(true)
}

fn snappy_open_block(block: &[u8], out: &mut Vec<u8>, left: &mut usize) -> io::Result<bool> {
    let length = snap::raw::decompress_len(block)?;
    if length > block.len().saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if length > *left {
        return Ok(false);
    }
    *left -= length;
    let start = out.len();
    out.resize(start + length, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[start..])?;
    out.truncate(start + written);
    Ok(true)
}

fn snappy_close(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&SNAPPY_MAGIC);
    out.extend_from_slice(&SNAPPY_VERSION);
    let mut encoder = snap::raw::Encoder::new();
    for chunk in bytes.chunks(SNAPPY_BLOCK_BYTES) {
        let start = out.len() + 4;
        out.resize(start + snap::raw::max_compress_len(chunk.len()), 0);
        let written = encoder.compress(chunk, &mut out[start..])?;
        out.truncate(start + written);
        // At most max_compress_len(32 KiB).
        out[start - 4..start].copy_from_slice(&(written as u32).to_be_bytes());
    }
    Ok(())
}

fn lz4_close(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(bytes)?;
    encoder.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opened(codec: Compression, bytes: &[u8], max: usize) -> Result<Vec<u8>, RecordError> {
        let mut out = Vec::new();
        codec.decompress(bytes, &mut out, max).map(|()| out)
    }

    fn closed(codec: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        codec.compress(bytes, &mut out);
        out
    }

    #[test]
    fn what_opens_too_far_is_stopped() {
        let zeros = vec![0; 8 << 20];
        for codec in Compression::ALL {
            let bomb = closed(codec, &zeros);
            let error = opened(codec, &bomb, 1 << 20).unwrap_err();
            assert_eq!(error, RecordError::OpenedTooLarge { bytes_max: 1 << 20 });
            assert_eq!(opened(codec, &bomb, zeros.len()).as_ref(), Ok(&zeros));
        }
    }

    #[test]
    fn raw_and_joined_snappy_open() {
        let text = b"the same words, the same words, the same words";
        let raw = snap::raw::Encoder::new().compress_vec(text).unwrap();
        assert_eq!(opened(Compression::Snappy, &raw, 1000).unwrap(), text);
        let mut joined = closed(Compression::Snappy, text);
        joined.extend(closed(Compression::Snappy, text));
        let twice = [text.as_slice(), text].concat();
        assert_eq!(opened(Compression::Snappy, &joined, 1000).unwrap(), twice);
    }

    #[test]
    fn a_snappy_block_that_claims_gigabytes_is_refused() {
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
        for bytes_max in [1, usize::MAX] {
            assert!(opened(Compression::Snappy, &claim, bytes_max).is_err());
        }
    }

    proptest! {
        #[test]
        fn every_codec_gives_back_what_it_took(bytes: Vec<u8>, repeat in 0..300usize) {
            let bytes = bytes.repeat(repeat);
            for codec in Compression::ALL {
                let compressed = closed(codec, &bytes);
                prop_assert_eq!(&opened(codec, &compressed, bytes.len()).unwrap(), &bytes);
            }
        }

        #[test]
        fn any_bytes_open_within_bounds_or_are_refused(
            bytes: Vec<u8>,
            cut in 0..1000usize,
            flip: (proptest::sample::Index, u8),
        ) {
            for codec in Compression::ALL {
                let _ = opened(codec, &bytes, 1 << 16);
                let mut damaged = closed(codec, &bytes.repeat(20));
                if !damaged.is_empty() {
                    let at = flip.0.index(damaged.len());
                    damaged[at] ^= flip.1;
                }
                damaged.truncate(damaged.len().saturating_sub(cut));
                if let Ok(out) = opened(codec, &damaged, 1 << 16) {
                    prop_assert!(out.len() <= 1 << 16);
                }
            }
        }
    }
}
