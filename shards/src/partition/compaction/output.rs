//! A compacted segment while it is written: `.cleaned` files, which mean nothing yet.

use std::path::{Path, PathBuf};

use odradek_engine::bytes::{Block, PAGE, Part, Parts, page_ceil};
use odradek_engine::io::strategy::write::WriteStrategy;
use odradek_engine::io::{Errno, Handle, Io, Op, OpenMode};
use odradek_engine::log::compaction::CLEANED;
use odradek_engine::log::index::{IndexRules, SegmentIndex};
use odradek_engine::log::{Aborted, AbortedList, Segment, file_stem};
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::record::BatchInfo;
use odradek_engine::types::{Offset, Position};

/// Bytes of one write: an append that somebody waits for may be behind it on the disk.
const WRITE_BYTES: usize = 256 << 10;
/// The file grows by this much before it is written to.
const STEP_BYTES: u64 = 16 << 20;

/// See the module.
pub(super) struct Output {
    io: Io,
    strategy: WriteStrategy,
    stem: PathBuf,
    handle: Handle,
    base: Offset,
    rules: IndexRules,
    index: SegmentIndex,
    /// What is not written yet.
    pub(super) bytes: Vec<u8>,
    /// Bytes written; whole pages.
    written: u64,
    allocated: u64,
    size: u64,
}

/// The path of a segment's file with this ending.
pub(super) fn with_end(stem: &Path, end: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(end);
    path.into()
}

impl Output {
    /// Begins a segment, in the place of whatever was begun there before.
    pub(super) async fn create(
        io: &Io,
        directory: &Path,
        base: Offset,
        strategy: WriteStrategy,
        rules: IndexRules,
    ) -> Result<Self, Errno> {
        let stem = directory.join(file_stem(base));
        let mode = OpenMode {
            truncate: true,
            ..strategy.mode(true)
        };
        let path = with_end(&stem, &format!(".log{CLEANED}"));
        let handle = io.open(&path, mode).await?;
        Ok(Output {
            io: io.clone(),
            strategy,
            stem,
            handle,
            base,
            rules,
            index: SegmentIndex::new(base),
            bytes: Vec::new(),
            written: 0,
            allocated: 0,
            size: 0,
        })
    }

    /// A batch was added to `bytes`. EFBIG: the segment is longer than its index can tell.
    pub(super) fn added(&mut self, batch: &BatchInfo) -> Result<(), Errno> {
        let position = Position(self.size);
        self.size += batch.size as u64;
        if self.size > i32::MAX as u64 {
            return Err(Errno(libc::EFBIG));
        }
        self.index.on_append(batch, position, &self.rules);
        Ok(())
    }

    /// Writes what makes whole writes. Gives how many bytes.
    pub(super) async fn write(&mut self) -> Result<u64, Errno> {
        let mut taken = 0;
        while self.bytes.len() - taken >= WRITE_BYTES {
            self.write_some(taken, WRITE_BYTES).await?;
            taken += WRITE_BYTES;
        }
        self.bytes.drain(..taken);
        Ok(taken as u64)
    }

    /// Writes `len` bytes of what is not written yet, from `from` on.
    async fn write_some(&mut self, from: usize, len: usize) -> Result<(), Errno> {
        let whole = match self.strategy.aligned() {
            true => page_ceil(len as u64) as usize,
            false => len,
        };
        let end = self.written + whole as u64;
        if end > self.allocated {
            let step = page_ceil(end.max(self.allocated + STEP_BYTES)) - self.allocated;
            self.io.allocate(self.handle, self.allocated, step).await?;
            self.allocated += step;
        }
        let block: Block = self.io.pool().take(whole.max(PAGE));
        // SAFETY: the block is new, nothing else holds any of it.
        let into = unsafe { block.bytes_mut(0, whole) };
        into[..len].copy_from_slice(&self.bytes[from..from + len]);
        into[len..].fill(0);
        let parts = Parts::from_iter([Part::block(&block, 0, whole)]);
        self.strategy
            .write(&self.io, self.handle, self.written, parts, false)
            .await?;
        self.written += whole as u64;
        Ok(())
    }

    /// Writes the rest and the files beside it, all of them durable on return but for their names.
    /// Gives the segment, and the endings of its files beside the log. `aborted`: the content of its
    /// `.txnindex`; `None`: it has none.
    pub(super) async fn finish(
        mut self,
        aborted: Option<Vec<Aborted>>,
    ) -> Result<(Segment, Vec<&'static str>), Errno> {
        self.write().await?;
        if !self.bytes.is_empty() {
            self.write_some(0, self.bytes.len()).await?;
        }
        self.io.truncate(self.handle, self.size).await?;
        if !mutant::is(Mutant::ExchangeUnflushed) {
            self.io.sync(self.handle).await?;
        }
        self.index.seal();
        let mut ends = vec![".timeindex", ".index"];
        let times = self.index.times().as_bytes().to_vec();
        let offsets = self.index.offsets().as_bytes().to_vec();
        self.beside(ends[0], times).await?;
        self.beside(ends[1], offsets).await?;
        let list = match &aborted {
            Some(aborted) if !aborted.is_empty() => AbortedList::OnDisk,
            _ => AbortedList::default(),
        };
        if let Some(aborted) = aborted {
            let bytes = Aborted::to_index(&aborted);
            self.beside(".txnindex", bytes).await?;
            ends.push(".txnindex");
        }
        let index = std::mem::replace(&mut self.index, SegmentIndex::new(self.base));
        let segment = Segment {
            size: self.size,
            latest: index.latest(),
            started: index.latest().timestamp,
            index: Some(index),
            aborted: list,
            ..Segment::new(self.base)
        };
        Ok((segment, ends))
    }

    async fn beside(&self, end: &str, content: Vec<u8>) -> Result<(), Errno> {
        let path = with_end(&self.stem, &format!("{end}{CLEANED}"));
        let mode = OpenMode {
            write: true,
            create: true,
            truncate: true,
            ..OpenMode::default()
        };
        let file = self.io.open(&path, mode).await?;
        let written = match content.is_empty() {
            true => Ok(()),
            false => {
                let parts = Parts::from_iter([Part::Owned(content)]);
                self.io.write(file, 0, parts, false).await
            }
        };
        let synced = match written {
            Ok(()) => self.io.sync(file).await,
            failed => failed,
        };
        self.io.close(file).await;
        synced
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let handle = self.handle;
        drop(self.io.submit(Op::Close { handle }));
    }
}
