//! How planned writes reach a file: one strategy per file, chosen by `log.write.strategy`.

mod buffered;
mod direct;

use super::{Errno, Handle, Io, OpenMode};
use crate::bytes::Parts;

/// See the module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WriteStrategy {
    /// Past the page cache, in whole pages.
    Direct,
    /// Through the page cache.
    Buffered,
}

impl WriteStrategy {
    /// Whether it writes whole pages from aligned memory.
    pub fn aligned(self) -> bool {
        self == WriteStrategy::Direct
    }

    /// How it opens a segment.
    pub fn mode(self, create: bool) -> OpenMode {
        OpenMode {
            write: true,
            create,
            direct: self.aligned(),
            ..OpenMode::default()
        }
    }

    /// Writes a gather list whole; with `durable` it survives power loss on return.
    ///
    /// # Errors
    /// The fate of the range is then unknown: any part of it may be on disk.
    pub async fn write(
        self,
        io: &Io,
        file: Handle,
        pos: u64,
        parts: Parts,
        durable: bool,
    ) -> Result<(), Errno> {
        match self {
            WriteStrategy::Direct => direct::write(io, file, pos, parts, durable).await,
            WriteStrategy::Buffered => buffered::write(io, file, pos, parts, durable).await,
        }
    }
}
