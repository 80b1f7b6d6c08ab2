//! Bytes on their way into a log.

use super::Block;

/// Bytes, and the block that they lie in, if whoever takes them may keep that instead of a copy:
/// nobody writes to it any more.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    bytes: &'a [u8],
    block: Option<&'a Block>,
}

impl<'a> Source<'a> {
    /// `bytes`, which may lie in `block`.
    pub fn new(bytes: &'a [u8], block: Option<&'a Block>) -> Self {
        Source { bytes, block }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// `len` of the bytes from `start` on. Panics past their end.
    #[inline]
    pub fn part(&self, start: usize, len: usize) -> Source<'a> {
        Source {
            bytes: &self.bytes[start..start + len],
            ..*self
        }
    }

    /// The block that holds the bytes, and where in it they begin.
    #[inline]
    pub fn place(&self) -> Option<(&'a Block, usize)> {
        let block = self.block?;
        let at = (self.bytes.as_ptr() as usize).checked_sub(block.ptr(0) as usize)?;
        (at + self.bytes.len() <= block.capacity()).then_some((block, at))
    }
}

impl<'a> From<&'a [u8]> for Source<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Source { bytes, block: None }
    }
}

impl<'a> From<&'a Vec<u8>> for Source<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Pool;

    #[test]
    fn bytes_are_found_in_their_block_and_in_no_other() {
        let pool = Pool::new();
        let (block, other) = (pool.take(100), pool.take(100));
        let source = Source::new(block.bytes(10, 50), Some(&block));
        let (found, at) = source.part(5, 20).place().expect("it lies there");
        assert!(found.same(&block) && at == 15);
        let bytes = block.bytes(10, 50);
        assert!(Source::new(bytes, Some(&other)).place().is_none());
        assert!(Source::from(bytes).place().is_none());
    }
}
