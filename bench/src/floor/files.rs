//! The files that floors write and read.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{FallocateFlags, fallocate};
use odradek_engine::bytes::Pool;

pub(crate) const CHUNK: usize = 1 << 20;
/// Bytes of a file that is written as a log's segment is: allocated ahead, each byte once.
const SEGMENT_BYTES: u64 = 1 << 30;
/// With less space left on the file system, the file before last is removed at each new one.
const FREE_BYTES_MIN: u64 = 12 << 30;
/// Bytes of a file that is read over and over.
pub(super) const READ_BYTES: u64 = 256 << 20;
/// Bytes of one durable write.
pub(super) const BLOCK: usize = 4 << 10;
/// Bytes of the file that durable writes go over.
const OVER_BYTES: u64 = 64 << 20;
/// Bytes that are allocated for those into new space.
const NEW_BYTES: u64 = 1 << 30;

/// How chunks are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Into the page cache.
    Buffered,
    /// O_DIRECT.
    Direct,
    /// O_DIRECT, and durable when it completes.
    Durable,
}

impl Mode {
    /// Of open(2). `DSYNC` is given with each write where that can be done (RWF_DSYNC).
    pub(super) fn open_flags(self) -> i32 {
        match self {
            Mode::Buffered => 0,
            Mode::Direct | Mode::Durable => libc::O_DIRECT,
        }
    }

    /// Of pwritev2(2).
    pub(super) fn write_flags(self) -> i32 {
        match self {
            Mode::Durable => libc::RWF_DSYNC,
            Mode::Buffered | Mode::Direct => 0,
        }
    }
}

/// Where the next chunk of a stream goes: file after file, each allocated before it is written.
pub(super) struct Segments {
    dir: PathBuf,
    pub(super) mode: Mode,
    files: Vec<(PathBuf, File)>,
    made: usize,
    position: u64,
}

impl Segments {
    pub(super) fn new(dir: &Path, mode: Mode) -> Self {
        Self {
            dir: dir.to_owned(),
            mode,
            files: Vec::new(),
            made: 0,
            position: SEGMENT_BYTES,
        }
    }

    /// The file and the position of the next `bytes`. The file stays open while writes into it may
    /// be in flight.
    pub(super) fn next(&mut self, bytes: usize) -> Result<(i32, u64)> {
        if self.position + bytes as u64 > SEGMENT_BYTES {
            self.next_file()?;
        }
        let (_, file) = self.files.last().context("a file is open")?;
        let position = self.position;
        self.position += bytes as u64;
        Ok((file.as_raw_fd(), position))
    }

    /// Of the newest file.
    pub(super) fn path(&self) -> Result<&Path> {
        let (path, _) = self.files.last().context("a file is open")?;
        Ok(path)
    }

    /// Writes at the next position, by this thread.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.position + bytes.len() as u64 > SEGMENT_BYTES {
            self.next_file()?;
        }
        let (_, file) = self.files.last().context("a file is open")?;
        file.write_all_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn next_file(&mut self) -> Result<()> {
        let stat = nix::sys::statvfs::statvfs(&self.dir)?;
        let free = stat.blocks_available() * stat.fragment_size();
        // The newest file may still have writes in flight; the ones before have not.
        if free < FREE_BYTES_MIN && self.files.len() > 1 {
            let (path, _) = self.files.remove(0);
            std::fs::remove_file(path)?;
        }
        let path = segment_path(&self.dir, self.made);
        self.made += 1;
        let file = create(&path, self.mode.open_flags())?;
        fallocate(&file, FallocateFlags::empty(), 0, SEGMENT_BYTES as i64)?;
        self.files.push((path, file));
        self.position = 0;
        Ok(())
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        for (path, _) in &self.files {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The name of the `nth` file.
fn segment_path(dir: &Path, nth: usize) -> PathBuf {
    dir.join(format!("floor-{}-{nth}", std::process::id()))
}

fn create(path: &Path, flags: i32) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(flags)
        .open(path)
        .context("a file with O_DIRECT: does the file system support it?")
}

/// A file below `dir`, removed when this is dropped.
pub(super) struct Kept {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A file of [`READ_BYTES`] whose pages are in the page cache: they were just written there.
pub(super) fn resident(dir: &Path) -> Result<Kept> {
    let path = segment_path(dir, 0);
    let mut file = create(&path, 0)?;
    let chunk = vec![0x6f; CHUNK];
    for _ in 0..READ_BYTES / CHUNK as u64 {
        file.write_all(&chunk)?;
    }
    // Or the kernel would write it back within the measured window.
    file.sync_all()?;
    Ok(Kept { path, file })
}

/// A file of [`READ_BYTES`], opened and written with O_DIRECT: the page cache has never seen it.
/// (The disk, and under a virtual machine its host, may have caches of their own.)
pub(super) fn cold(dir: &Path) -> Result<Kept> {
    written(dir, READ_BYTES)
}

/// Where durable blocks go, one after the other.
pub(super) struct Blocks {
    pub(super) kept: Kept,
    is_new: bool,
    position: u64,
}

impl Blocks {
    /// A file that was written once, or (`is_new`) was only allocated.
    pub(super) fn new(dir: &Path, is_new: bool) -> Result<Self> {
        let kept = match is_new {
            true => {
                let path = segment_path(dir, 0);
                let file = create(&path, libc::O_DIRECT)?;
                Kept { path, file }
            }
            false => written(dir, OVER_BYTES)?,
        };
        let blocks = Self {
            kept,
            is_new,
            position: 0,
        };
        if is_new {
            blocks.allocate()?;
        }
        Ok(blocks)
    }

    /// The position of the next block. Where the file ends, it begins again.
    pub(super) fn next(&mut self) -> Result<u64> {
        let bytes = if self.is_new { NEW_BYTES } else { OVER_BYTES };
        if self.position == bytes {
            self.position = 0;
            if self.is_new {
                self.allocate()?;
            }
        }
        self.position += BLOCK as u64;
        Ok(self.position - BLOCK as u64)
    }

    /// Gives the space back and allocates it again: extents that were never written.
    fn allocate(&self) -> Result<()> {
        let file = &self.kept.file;
        file.set_len(0)?;
        fallocate(file, FallocateFlags::empty(), 0, NEW_BYTES as i64)?;
        // Or the first durable write would carry this change's journal entries.
        file.sync_all()?;
        Ok(())
    }
}

fn written(dir: &Path, bytes: u64) -> Result<Kept> {
    let path = segment_path(dir, 0);
    let file = create(&path, libc::O_DIRECT)?;
    let pool = Pool::new();
    let chunk = pool.take(CHUNK);
    // SAFETY: nobody else has this block.
    unsafe { chunk.bytes_mut(0, CHUNK) }.fill(0x6f);
    for at in 0..bytes / CHUNK as u64 {
        file.write_all_at(chunk.bytes(0, CHUNK), at * CHUNK as u64)?;
    }
    file.sync_all()?;
    Ok(Kept { path, file })
}
