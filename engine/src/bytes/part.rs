//! A piece of memory on its way out: to a socket or to a file.

use smallvec::SmallVec;

use super::{Block, LentBytes};

/// Immutable bytes kept alive until the last operation on them has completed.
#[derive(Clone, Debug)]
pub enum Part {
    /// `len` bytes of a block from `start`.
    Block {
        /// Where the bytes live.
        block: Block,
        /// First byte.
        start: u32,
        /// Count of bytes.
        len: u32,
    },
    /// Bytes of their own (reply headers and small replies).
    Owned(Vec<u8>),
    /// Another shard's.
    Lent(LentBytes),
}

impl Part {
    /// `len` bytes of `block` from `start`.
    pub fn block(block: &Block, start: usize, len: usize) -> Part {
        assert!(start + len <= block.capacity());
        Part::Block {
            block: block.clone(),
            start: start as u32,
            len: len as u32,
        }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Part::Block { block, start, len } => block.bytes(*start as usize, *len as usize),
            Part::Owned(bytes) => bytes,
            Part::Lent(bytes) => bytes.bytes(),
        }
    }

    /// Count of bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Part::Block { len, .. } => *len as usize,
            Part::Owned(bytes) => bytes.len(),
            Part::Lent(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops the first `n` bytes. Panics past the end.
    pub fn advance(&mut self, n: usize) {
        match self {
            Part::Block { start, len, .. } => {
                assert!(n <= *len as usize);
                *start += n as u32;
                *len -= n as u32;
            }
            Part::Owned(bytes) => {
                bytes.drain(..n);
            }
            Part::Lent(bytes) => bytes.advance(n),
        }
    }

    /// Drops all but the first `n` bytes. Panics past the end.
    pub fn truncate(&mut self, n: usize) {
        assert!(n <= self.len());
        match self {
            Part::Block { len, .. } => *len = n as u32,
            Part::Owned(bytes) => bytes.truncate(n),
            Part::Lent(bytes) => bytes.truncate(n),
        }
    }
}

/// A gather list.
pub type Parts = SmallVec<[Part; 4]>;

/// Bytes in a gather list.
pub fn parts_len(parts: &[Part]) -> usize {
    parts.iter().map(Part::len).sum()
}
