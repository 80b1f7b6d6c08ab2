//! A segment's files: one handle to write by, one to send from.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ahead::Ahead;
use super::strategy::write::WriteStrategy;
use super::{Errno, Handle, Io, Op, OpenMode};
use crate::bytes::{Lender, Loan, PAGE, page_ceil, page_floor};
use crate::log::file_stem;
use crate::types::Offset;

/// Smallest and largest step by which a segment's file grows, bytes.
const STEP_MIN: u64 = 64 << 10;
const STEP_MAX: u64 = 64 << 20;

/// Bytes read at once to see whether that is possible.
const PROBE_BYTES: usize = 256 << 10;

/// An open segment. Its handles close when the last user lets go.
pub struct SegmentFile {
    io: Io,
    path: PathBuf,
    strategy: WriteStrategy,
    handle: Handle,
    /// For reads the other way than it is written: through the page cache, or past it.
    cached: Cell<Option<Handle>>,
    direct: Cell<Option<Handle>>,
    pinned: Cell<bool>,
    /// Of the disk itself nothing could be read.
    cache_only: Cell<bool>,
    allocated: Cell<u64>,
    doubt: Doubt,
    /// Zeros after the data.
    pub ahead: Ahead,
}

/// Whether reading the file failed while it was being sent. A reply that has begun cannot say so:
/// its connection ends, and the next read must find out before it promises bytes.
#[derive(Clone, Default)]
pub struct Doubt(Arc<AtomicBool>);

impl Doubt {
    /// Reading failed.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A range of a segment's file.
#[derive(Clone)]
pub struct FileRange {
    pub file: Rc<SegmentFile>,
    pub pos: u64,
    pub len: u64,
}

impl FileRange {
    /// Lends the range to another shard, which may send from it by its own driver.
    pub async fn lend(self, lender: &Lender) -> Result<LentRange, Errno> {
        Ok(LentRange {
            handle: self.file.handle(),
            cached: self.file.cached().await?,
            direct: self.file.direct().await?,
            pos: self.pos,
            len: self.len,
            doubt: self.file.doubt.clone(),
            loan: lender.lend(self.file),
        })
    }
}

/// A range of another shard's file.
pub struct LentRange {
    handle: Handle,
    cached: Handle,
    direct: Handle,
    pub pos: u64,
    pub len: u64,
    doubt: Doubt,
    /// Keeps the handles open.
    loan: Loan,
}

/// A file to send from, this shard's or another's.
pub enum Source {
    Own(Rc<SegmentFile>),
    /// Its handles: as it is written, through the page cache, past it.
    Lent([Handle; 3], Doubt, #[allow(dead_code)] Loan),
}

impl Source {
    /// The handle by which it is written.
    pub fn handle(&self) -> Handle {
        match self {
            Source::Own(file) => file.handle(),
            Source::Lent([handle, ..], ..) => *handle,
        }
    }

    /// A handle through the page cache.
    pub async fn cached(&self) -> Result<Handle, Errno> {
        match self {
            Source::Own(file) => file.cached().await,
            Source::Lent([_, cached, _], ..) => Ok(*cached),
        }
    }

    /// A handle past the page cache.
    pub async fn direct(&self) -> Result<Handle, Errno> {
        match self {
            Source::Own(file) => file.direct().await,
            Source::Lent([.., direct], ..) => Ok(*direct),
        }
    }

    /// Where it is told that it could not be read.
    pub fn doubt(&self) -> &Doubt {
        match self {
            Source::Own(file) => &file.doubt,
            Source::Lent(_, doubt, _) => doubt,
        }
    }
}

/// A range to send.
pub struct SourceRange {
    pub file: Source,
    pub pos: u64,
    pub len: u64,
}

impl From<FileRange> for SourceRange {
    fn from(range: FileRange) -> Self {
        SourceRange {
            file: Source::Own(range.file),
            pos: range.pos,
            len: range.len,
        }
    }
}

impl From<LentRange> for SourceRange {
    fn from(range: LentRange) -> Self {
        let handles = [range.handle, range.cached, range.direct];
        SourceRange {
            file: Source::Lent(handles, range.doubt, range.loan),
            pos: range.pos,
            len: range.len,
        }
    }
}

impl SegmentFile {
    /// Opens `<directory>/<base>.log`, creating it if asked.
    pub async fn open(
        io: &Io,
        directory: &Path,
        base: Offset,
        strategy: WriteStrategy,
        create: bool,
    ) -> Result<Rc<SegmentFile>, Errno> {
        let path = directory.join(format!("{}.log", file_stem(base)));
        let handle = io.open(&path, strategy.mode(create)).await?;
        let file = SegmentFile {
            io: io.clone(),
            path,
            strategy,
            handle,
            cached: Cell::new(None),
            direct: Cell::new(None),
            pinned: Cell::new(false),
            cache_only: Cell::new(false),
            allocated: Cell::new(0),
            doubt: Doubt::default(),
            ahead: Ahead::default(),
        };
        file.allocated.set(io.size(handle).await?);
        Ok(Rc::new(file))
    }

    /// The handle to write by; aligned if the strategy is.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is written.
    pub fn strategy(&self) -> WriteStrategy {
        self.strategy
    }

    /// The file's length, padding included.
    pub fn allocated(&self) -> u64 {
        self.allocated.get()
    }

    /// Makes room for bytes up to `end`, in steps that grow with the file: 64 KiB for a quiet
    /// partition, 64 MiB for a busy one, never past `segment_bytes` unless `end` is.
    pub async fn reserve(&self, end: u64, segment_bytes: u64) -> Result<(), Errno> {
        let have = self.allocated.get();
        if end <= have {
            return Ok(());
        }
        let step = have.clamp(STEP_MIN, STEP_MAX);
        // Whole pages: a write of the last one would make the file longer than is known here, and
        // then its padding would not be cut off.
        let wanted = page_ceil(end).max(page_ceil((have + step).min(segment_bytes)));
        let least = page_ceil(end);
        let reached = match self.io.allocate(self.handle, have, wanted - have).await {
            // A disk that is almost full may have room for what is needed now.
            Err(Errno(libc::ENOSPC)) if least < wanted => {
                self.io.allocate(self.handle, have, least - have).await?;
                least
            }
            allocated => allocated.map(|()| wanted)?,
        };
        self.allocated.set(reached);
        Ok(())
    }

    /// Cuts the padding off after `size` bytes of data.
    pub async fn cut(&self, size: u64) -> Result<(), Errno> {
        // Zeros that land later would make the file longer again. They stay within it.
        self.ahead.clear(0, self.allocated.get()).await;
        if self.allocated.get() > size {
            self.io.truncate(self.handle, size).await?;
            self.allocated.set(size);
        }
        Ok(())
    }

    /// A handle through the page cache.
    pub async fn cached(&self) -> Result<Handle, Errno> {
        match self.strategy.aligned() {
            true => self.once(&self.cached, OpenMode::default()).await,
            false => Ok(self.handle),
        }
    }

    /// A handle past the page cache: positions, lengths and memory aligned to a page.
    pub async fn direct(&self) -> Result<Handle, Errno> {
        let mode = OpenMode {
            direct: true,
            ..OpenMode::default()
        };
        match self.strategy.aligned() {
            true => Ok(self.handle),
            false => self.once(&self.direct, mode).await,
        }
    }

    /// Opens whatever reads may need, so that the file can lose its name.
    pub async fn pin(&self) -> Result<(), Errno> {
        self.cached().await?;
        match self.direct().await {
            // Where there is none now there will be none later.
            Ok(_) | Err(Errno(libc::EINVAL | libc::EOPNOTSUPP)) => {}
            Err(error) => return Err(error),
        }
        self.pinned.set(true);
        Ok(())
    }

    /// Whether it was [pinned](Self::pin).
    pub fn pinned(&self) -> bool {
        self.pinned.get()
    }

    /// The handle in `place`, opened if it is not.
    async fn once(&self, place: &Cell<Option<Handle>>, mode: OpenMode) -> Result<Handle, Errno> {
        if let Some(handle) = place.get() {
            return Ok(handle);
        }
        let handle = self.io.open(&self.path, mode).await?;
        if let Some(first) = place.get() {
            // Another task was faster, and may be using its handle.
            self.io.close(handle).await;
            return Ok(first);
        }
        place.set(Some(handle));
        Ok(handle)
    }

    /// Whether reading it failed lately while it was being sent.
    pub fn doubtful(&self) -> bool {
        self.doubt.0.load(Ordering::Relaxed)
    }

    /// Whether `[pos, pos + len)` can be read: by reading it, a piece at a time. If so there is no
    /// doubt any more.
    ///
    /// # Errors
    /// The disk's; EIO where the file ends before it.
    pub async fn probe(&self, pos: u64, len: u64) -> Result<(), Errno> {
        let mut at = page_floor(pos);
        while at < pos + len {
            let block = self.io.pool().take(PROBE_BYTES);
            let (got, _) = self.io.read(self.handle, at, block, 0, PROBE_BYTES).await;
            let got = got? as u64;
            if got < (PROBE_BYTES as u64).min(pos + len - at) {
                return Err(Errno(libc::EIO));
            }
            at += got;
        }
        self.doubt.0.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Reads `[pos, pos + len)`; fewer bytes only at the file's end.
    pub async fn read(&self, pos: u64, len: usize) -> Result<Vec<u8>, Errno> {
        self.read_by(self.handle, pos, len).await
    }

    /// The same from the disk itself, where the file system can: for recovery. After a failed flush
    /// page cache goes on showing what the disk does not have, and calls it clean, so that no later
    /// flush writes it or tells of it (`fsync(2)`, Errors: EIO).
    pub async fn read_disk(&self, pos: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let refused = |error: &Errno| matches!(error.0, libc::EINVAL | libc::EOPNOTSUPP);
        let read = match self.direct().await {
            Ok(handle) => self.read_by(handle, pos, len).await,
            Err(error) => Err(error),
        };
        match read {
            Err(error) if refused(&error) => {
                self.cache_only.set(true);
                self.read(pos, len).await
            }
            read => read,
        }
    }

    /// Whether what [`read_disk`](Self::read_disk) has given so far came from the disk itself.
    pub fn seen_on_disk(&self) -> bool {
        !self.cache_only.get()
    }

    /// Where the first byte from `pos` on lies that may be anything but zero: `pos` where that is not
    /// known, none if there is none.
    pub async fn data_after(&self, pos: u64) -> Option<u64> {
        match self.io.data_after(self.handle, pos).await {
            Ok(found) => found,
            Err(_) => Some(pos).filter(|pos| *pos < self.allocated()),
        }
    }

    /// The same out of page cache if all of it is there, else as by [`read`](Self::read): a page
    /// that is there costs a copy, the disk an interrupt and a wait.
    pub async fn read_near(&self, pos: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let cached = self.cached().await?;
        let handle = match self.io.resident(cached, pos, len as u64).await {
            true => cached,
            false => self.handle,
        };
        self.read_by(handle, pos, len).await
    }

    async fn read_by(&self, handle: Handle, pos: u64, len: usize) -> Result<Vec<u8>, Errno> {
        let start = page_floor(pos);
        let span = (page_ceil(pos + len as u64) - start) as usize;
        let block = self.io.pool().take(span.max(PAGE));
        let (got, block) = self.io.read(handle, start, block, 0, span).await;
        let skip = (pos - start) as usize;
        let got = got?.saturating_sub(skip).min(len);
        Ok(block.bytes(skip, got).to_vec())
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        let handles = [Some(self.handle), self.cached.get(), self.direct.get()];
        for handle in handles.into_iter().flatten() {
            drop(self.io.submit(Op::Close { handle }));
        }
    }
}
