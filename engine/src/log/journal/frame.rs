//! One frame: a head, then entries, each with its bytes; written whole pages at a time.
//!
//! Big-endian: `ODJF`, version (u16, 1), two zeros, CRC32C (u32) of all but itself, length (u32, of
//! the frame without padding), life, sequence, kept and done (u64 each; see [`Head`]); entries. An
//! entry is a key (20 bytes), leader epoch (i32), base, next and segment (i64 each), position (u64),
//! a length (u32) and that many bytes. Zeros follow up to a page's end.
//!
//! Invariant: nothing is believed of a frame before its CRC is right, and no length before it is
//! checked against what is there.

use super::Entry;
use crate::bytes::{Block, PAGE, Part, Parts, Pool, page_ceil};
use crate::limits::JOURNAL_FRAME_BYTES_MAX;
use crate::record::crc32c_append;
use crate::types::{Epoch, Offset, Position};

const MAGIC: [u8; 4] = *b"ODJF";
const VERSION: u16 = 1;
/// Bytes before the first entry.
pub const HEAD_BYTES: usize = 48;
/// Bytes of an entry before its own.
pub const ENTRY_HEAD_BYTES: usize = 60;
const CRC_AT: usize = 8;
const CRC_END: usize = 12;

const _: () = assert!(JOURNAL_FRAME_BYTES_MAX.is_multiple_of(PAGE));

/// What a frame says of itself and of those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Of the journal: another one at each start.
    pub life: u64,
    /// Of the frame: one more than of the frame before, whatever file that went to.
    pub sequence: u64,
    /// Frames before this sequence are not needed any more.
    pub kept: u64,
    /// Frames before this sequence were whole on disk when this one was made.
    pub done: u64,
}

/// A frame in the making.
pub struct Draft {
    block: Block,
    len: usize,
}

impl Draft {
    /// An empty one, in memory of the pool.
    pub fn new(pool: &Pool) -> Self {
        Draft {
            block: pool.take(JOURNAL_FRAME_BYTES_MAX),
            len: HEAD_BYTES,
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == HEAD_BYTES
    }

    /// Whether an entry of so many bytes fits.
    pub fn fits(&self, bytes: usize) -> bool {
        self.len + ENTRY_HEAD_BYTES + bytes <= JOURNAL_FRAME_BYTES_MAX
    }

    /// Adds an entry with a copy of its bytes, which must [fit](Self::fits).
    pub fn push(&mut self, entry: &Entry, parts: &[Part]) {
        let bytes: usize = parts.iter().map(Part::len).sum();
        assert!(self.fits(bytes), "an entry that fits");
        self.put(&entry.key);
        self.put(&entry.epoch.0.to_be_bytes());
        self.put(&entry.base.0.to_be_bytes());
        self.put(&entry.next.0.to_be_bytes());
        self.put(&entry.segment.0.to_be_bytes());
        self.put(&entry.position.0.to_be_bytes());
        self.put(&(bytes as u32).to_be_bytes());
        for part in parts {
            self.put(part.bytes());
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.put_at(self.len, bytes);
        self.len += bytes.len();
    }

    fn put_at(&mut self, at: usize, bytes: &[u8]) {
        // SAFETY: the block came from the pool for this draft alone, and no part of it is given away
        // before `seal` takes the draft.
        unsafe { self.block.bytes_mut(at, bytes.len()) }.copy_from_slice(bytes);
    }

    /// Bytes that it takes on disk: whole pages.
    pub fn bytes(&self) -> u64 {
        page_ceil(self.len as u64)
    }

    /// The frame, to be written at a page's start.
    pub fn seal(mut self, head: Head) -> Parts {
        let length = self.len;
        self.put_at(0, &MAGIC);
        self.put_at(4, &VERSION.to_be_bytes());
        self.put_at(6, &[0; 2]);
        self.put_at(CRC_END, &(length as u32).to_be_bytes());
        for (number, at) in [head.life, head.sequence, head.kept, head.done]
            .into_iter()
            .zip([16, 24, 32, 40])
        {
            self.put_at(at, &number.to_be_bytes());
        }
        let crc = crc(self.block.bytes(0, length));
        self.put_at(CRC_AT, &crc.to_be_bytes());
        let whole = self.bytes() as usize;
        // SAFETY: as in `put_at`.
        unsafe { self.block.bytes_mut(length, whole - length) }.fill(0);
        Parts::from_iter([Part::block(&self.block, 0, whole)])
    }
}

fn crc(frame: &[u8]) -> u32 {
    let before = crc32c::crc32c(&frame[..CRC_AT]);
    crc32c_append(before, &frame[CRC_END..])
}

/// A frame that is whole.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub head: Head,
    /// Its length without padding.
    pub bytes: usize,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Its entries and their bytes.
    pub fn entries(&self) -> impl Iterator<Item = (Entry, &'a [u8])> + use<'a> {
        let mut rest = self.body;
        std::iter::from_fn(move || {
            let (entry, bytes, after) = entry(rest)?;
            rest = after;
            Some((entry, bytes))
        })
    }
}

/// The frame at the start of `bytes`, which reach at least as far as the longest frame would, or to
/// the file's end. In words why there is none, or none of this life.
pub fn read(bytes: &[u8], life: u64) -> Result<Frame<'_>, &'static str> {
    let head = bytes.first_chunk::<HEAD_BYTES>().ok_or("the file ends")?;
    if head[..4] != MAGIC {
        return Err("no frame");
    }
    if u16_at(head, 4) != VERSION {
        return Err("a frame of another version");
    }
    let length = u32_at(head, CRC_END) as usize;
    if !(HEAD_BYTES..=JOURNAL_FRAME_BYTES_MAX).contains(&length) {
        return Err("a frame of an impossible length");
    }
    let frame = bytes.get(..length).ok_or("a frame that is cut off")?;
    if crc(frame) != u32_at(head, CRC_AT) {
        return Err("a frame that is damaged");
    }
    let head = Head {
        life: u64_at(head, 16),
        sequence: u64_at(head, 24),
        kept: u64_at(head, 32),
        done: u64_at(head, 40),
    };
    if head.life != life {
        return Err("a frame of another life");
    }
    if head.kept > head.sequence || head.done > head.sequence {
        return Err("a frame that contradicts itself");
    }
    let body = &frame[HEAD_BYTES..];
    let mut rest = body;
    while !rest.is_empty() {
        (_, _, rest) = entry(rest).ok_or("a frame with an entry that is damaged")?;
    }
    Ok(Frame {
        head,
        bytes: length,
        body,
    })
}

/// The first entry, its bytes, and what follows.
fn entry(bytes: &[u8]) -> Option<(Entry, &[u8], &[u8])> {
    let (fixed, rest) = bytes.split_first_chunk::<ENTRY_HEAD_BYTES>()?;
    let entry = Entry {
        key: *fixed.first_chunk()?,
        epoch: Epoch(u32_at(fixed, 20) as i32),
        base: Offset(u64_at(fixed, 24) as i64),
        next: Offset(u64_at(fixed, 32) as i64),
        segment: Offset(u64_at(fixed, 40) as i64),
        position: Position(u64_at(fixed, 48)),
    };
    let (own, rest) = rest.split_at_checked(u32_at(fixed, 56) as usize)?;
    let sane = !own.is_empty()
        && entry.epoch.0 >= 0
        && entry.segment.0 >= 0
        && entry.base >= entry.segment
        && entry.next > entry.base
        && entry.position.0.checked_add(own.len() as u64)? <= i64::MAX as u64;
    sane.then_some((entry, own, rest))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*bytes[at..].first_chunk().expect("within a fixed part"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(*bytes[at..].first_chunk().expect("within a fixed part"))
}
