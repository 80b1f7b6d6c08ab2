//! How planned writes reach a file, and what makes them durable: `log.write.strategy` and
//! `log.durable.method`.

mod buffered;
mod buffered_dontcache;
mod direct;

use std::path::Path;

use crate::bytes::{PAGE, Part, Parts};
use crate::io::{Errno, Handle, Io, OpenMode};

super::strategies! {
    /// How writes are made.
    WriteStrategy {
        /// Past the page cache, in whole pages.
        Direct = "direct",
        /// Through the page cache.
        Buffered = "buffered",
        /// Through the page cache, which keeps nothing of it.
        BufferedDontcache = "buffered-dontcache",
    }
}

super::strategies! {
    /// What makes writes durable, where somebody waits for it.
    Durability {
        /// What suits the strategy: RWF_DSYNC where it writes past the page cache, else fdatasync.
        Auto = "auto",
        /// RWF_DSYNC: each write is durable when it completes, and nothing else is.
        Dsync = "dsync",
        /// fdatasync once writes have completed, one at a time: it covers all of them.
        Fdatasync = "fdatasync",
        /// One durable write of a shard's journal for small ones to all its partitions, which follow
        /// later; where it has no part in it, as `Auto`.
        Journal = "journal",
    }
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

    /// Writes a gather list whole; with `dsync` it survives power loss on return. Without, an
    /// fdatasync that is submitted after the return makes it so.
    ///
    /// # Errors
    /// The fate of the range is then unknown: any part of it may be on disk.
    pub async fn write(
        self,
        io: &Io,
        file: Handle,
        pos: u64,
        parts: Parts,
        dsync: bool,
    ) -> Result<(), Errno> {
        match self {
            WriteStrategy::Direct => direct::write(io, file, pos, parts, dsync).await,
            WriteStrategy::Buffered => buffered::write(io, file, pos, parts, dsync).await,
            WriteStrategy::BufferedDontcache => {
                buffered_dontcache::write(io, file, pos, parts, dsync).await
            }
        }
    }

    /// Writes a page into a file of its own in `directory`, which is removed again: whether the file
    /// system takes such writes, with `dsync` or without.
    ///
    /// # Errors
    /// EINVAL or EOPNOTSUPP where it does not; others say nothing of the strategy.
    pub async fn try_out(self, io: &Io, directory: &Path, dsync: bool) -> Result<(), Errno> {
        let path = directory.join(".strategy.tmp");
        let file = io.open(&path, self.mode(true)).await?;
        let block = io.pool().take(PAGE);
        // SAFETY: the block is new.
        unsafe { block.bytes_mut(0, PAGE) }.fill(0);
        let parts = Parts::from_iter([Part::block(&block, 0, PAGE)]);
        let written = self.write(io, file, 0, parts, dsync).await;
        io.close(file).await;
        io.remove(&path).await?;
        written
    }
}

impl Durability {
    /// Whether writes of `strategy` carry RWF_DSYNC; else fdatasync follows them.
    pub fn by_write(self, strategy: WriteStrategy) -> bool {
        match self {
            Durability::Auto | Durability::Journal => strategy.aligned(),
            Durability::Dsync => true,
            Durability::Fdatasync => false,
        }
    }
}
