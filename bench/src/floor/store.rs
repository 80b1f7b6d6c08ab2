//! recv → crc32c → direct write: what a produce costs at least.
//!
//! 1 MiB chunks, up to 8 writes in flight, buffers recycled last-in-first-out. Files are fallocated
//! ahead and each byte is written once, as a log does: overwriting would be cheaper, but no log
//! overwrites.

use std::fs::{File, OpenOptions};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use io_uring::{IoUring, opcode};
use odradek_engine::bytes::{Block, Pool};

use super::server::{DEADLINE, fd, push, push_deadline, reap, ring, timespec};

pub(crate) const CHUNK: usize = 1 << 20;
const DEPTH: usize = 8;
const FILE_BYTES: u64 = 1 << 30;
/// With less space left on the file system, the file before last is removed at each new one.
const FREE_BYTES_MIN: u64 = 12 << 30;
const RECEIVE: u64 = u64::MAX - 1;

/// What becomes of a received chunk.
pub(super) enum Then {
    Drop,
    /// crc32c
    Check,
    /// crc32c, and a write
    Write(Target),
}

/// Where chunks go.
pub(super) struct Target {
    dir: PathBuf,
    durable: bool,
    copy: bool,
    files: Vec<(PathBuf, File)>,
    position: u64,
}

impl Target {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            durable: false,
            copy: false,
            files: Vec::new(),
            position: FILE_BYTES,
        }
    }

    /// Every write reaches stable storage before it completes (RWF_DSYNC).
    pub(super) fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Chunks are received into one buffer and copied into another.
    pub(super) fn copying(mut self) -> Self {
        self.copy = true;
        self
    }

    /// The write of a chunk at the next position.
    fn write(&mut self, chunk: &Block, id: u64) -> Result<io_uring::squeue::Entry> {
        if self.position + CHUNK as u64 > FILE_BYTES {
            self.next_file()?;
        }
        let (_, file) = self.files.last().context("a file is open")?;
        let flags = if self.durable { libc::RWF_DSYNC } else { 0 };
        let entry = opcode::Write::new(fd(file), chunk.ptr(0), CHUNK as u32)
            .offset(self.position)
            .rw_flags(flags)
            .build()
            .user_data(id);
        self.position += CHUNK as u64;
        Ok(entry)
    }

    fn next_file(&mut self) -> Result<()> {
        let stat = nix::sys::statvfs::statvfs(&self.dir)?;
        let free = stat.blocks_available() * stat.fragment_size();
        // The newest file may still have writes in flight; the ones before have not.
        if free < FREE_BYTES_MIN && self.files.len() > 1 {
            let (path, _) = self.files.remove(0);
            std::fs::remove_file(path)?;
        }
        let name = format!("floor-{}-{}", std::process::id(), self.files.len());
        let path = self.dir.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path)
            .context("a file with O_DIRECT: does the file system support it?")?;
        nix::fcntl::fallocate(
            &file,
            nix::fcntl::FallocateFlags::empty(),
            0,
            FILE_BYTES as i64,
        )?;
        self.files.push((path, file));
        self.position = 0;
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        for (path, _) in &self.files {
            let _ = std::fs::remove_file(path);
        }
    }
}

pub(super) fn run(stream: &TcpStream, mut then: Then, deadline: Instant) -> Result<()> {
    let pool = Pool::new();
    let copy = matches!(&then, Then::Write(target) if target.copy);
    let chunks: Vec<Block> = (0..=DEPTH).map(|_| pool.take(CHUNK)).collect();
    let landing = pool.take(CHUNK);
    let after = timespec(deadline);
    let mut ring = ring(32)?;
    push_deadline(&mut ring, &after)?;
    let mut free: Vec<usize> = (0..chunks.len()).collect();
    let mut receiving: Option<Receiving> = None;
    let mut writing = 0;
    let mut completions = Vec::with_capacity(64);
    let mut open = true;
    while open || writing > 0 {
        if open && receiving.is_none() && writing < DEPTH {
            let at = free.pop().context("one chunk more than writes in flight")?;
            let into = if copy { &landing } else { &chunks[at] };
            let next = Receiving { at, filled: 0 };
            next.ask(&mut ring, stream, into)?;
            receiving = Some(next);
        }
        ring.submit_and_wait(1)?;
        reap(&mut ring, &mut completions);
        for completion in &completions {
            match completion.user_data() {
                DEADLINE => open = false,
                RECEIVE => {
                    let mut landed = receiving.take().context("nothing is being received")?;
                    let into = if copy { &landing } else { &chunks[landed.at] };
                    match completion.result() {
                        0 => open = false,
                        n if n < 0 => open = false,
                        n => landed.filled += n as usize,
                    }
                    if landed.filled < CHUNK {
                        if open {
                            landed.ask(&mut ring, stream, into)?;
                            receiving = Some(landed);
                        }
                        continue;
                    }
                    if !matches!(then, Then::Drop) {
                        std::hint::black_box(crc32c::crc32c(into.bytes(0, CHUNK)));
                    }
                    let chunk = &chunks[landed.at];
                    match &mut then {
                        Then::Drop | Then::Check => free.push(landed.at),
                        Then::Write(target) => {
                            if copy {
                                // SAFETY: this chunk is on neither the free list nor in flight.
                                unsafe { chunk.bytes_mut(0, CHUNK) }
                                    .copy_from_slice(landing.bytes(0, CHUNK));
                            }
                            let entry = target.write(chunk, landed.at as u64)?;
                            push(&mut ring, entry)?;
                            writing += 1;
                        }
                    }
                }
                id => {
                    written(completion.result())?;
                    writing -= 1;
                    free.push(id as usize);
                }
            }
        }
    }
    // The connection is shut before the buffers go: an open receive must not outlive them.
    stream.shutdown(std::net::Shutdown::Both).ok();
    drop(ring);
    Ok(())
}

/// A chunk on its way in.
struct Receiving {
    at: usize,
    filled: usize,
}

impl Receiving {
    fn ask(&self, ring: &mut IoUring, stream: &TcpStream, into: &Block) -> Result<()> {
        let left = (CHUNK - self.filled) as u32;
        let entry = opcode::Recv::new(fd(stream), into.ptr(self.filled), left)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(RECEIVE);
        push(ring, entry)
    }
}

fn written(result: i32) -> Result<()> {
    if result < 0 {
        bail!("write: {}", std::io::Error::from_raw_os_error(-result));
    }
    ensure!(result as usize == CHUNK, "a write of {result} bytes");
    Ok(())
}
