//! A partition is copied into another directory while it is used, and goes on there.
//!
//! Closed segments do not change, so they are copied beside everything else; what is appended
//! meanwhile is closed by a roll and copied after them, until little is left. Then the partition
//! [leaves](Partition::leave) and hands its log over, as when it moves to another shard, and what
//! is not copied yet follows while nobody writes. So it is out of reach for as long as it takes to
//! copy some MiB, not for as long as the whole takes.
//!
//! All but that is paced. A copy that may not be as fast as what is appended goes on until it may, as
//! in Kafka.
//!
//! Invariant: from the beginning of a copy to its end no segment is taken out of the log.
//!
//! Absent on purpose: which directory, who is told, when the copy is the partition; see
//! [`relocation`](crate::catalog::relocation).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::{Errno, Handle, Io, OpenMode};
use odradek_engine::log::file_stem;
use odradek_engine::types::Offset;

use super::{Pace, Partition};

/// Bytes of one read and write.
const CHUNK_BYTES: usize = 1 << 20;
/// What is written is flushed after so many bytes: not all of a segment at once at its end.
const FLUSH_BYTES: u64 = 16 << 20;
/// So little may be left for when nobody writes.
const REST_BYTES: u64 = 4 << 20;
/// So often more than that may have been appended meanwhile, if the disk is what is too slow.
const ROUNDS_MAX: usize = 16;
/// How often it is looked whether a segment is finished.
const LOOK: Duration = Duration::from_millis(2);

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("it was called off")]
    Stopped,
    #[error("reading: {0}")]
    Read(Errno),
    #[error("writing: {0}")]
    Write(Errno),
}

/// A copy while it is made. As long as it exists no segment is taken out of the log.
pub struct LogCopy {
    partition: Rc<Partition>,
    to: PathBuf,
    /// Files that will not change any more, and are there.
    done: BTreeSet<String>,
}

impl Drop for LogCopy {
    fn drop(&mut self) {
        let mut state = self.partition.state.borrow_mut();
        state.keep_segments(false);
        state.calm.raise();
    }
}

impl Partition {
    /// Begins a copy in an empty directory. `None`: not now, because it is compacted, or it takes
    /// nothing more.
    pub fn begin_copy(self: &Rc<Self>, to: PathBuf) -> Option<LogCopy> {
        let mut state = self.state.borrow_mut();
        if state.compacting() || self.check(&state).is_err() {
            return None;
        }
        state.keep_segments(true);
        drop(state);
        Some(LogCopy {
            partition: self.clone(),
            to,
            done: BTreeSet::new(),
        })
    }
}

impl LogCopy {
    /// What is copied.
    pub fn partition(&self) -> &Rc<Partition> {
        &self.partition
    }

    /// Copies what is closed, and closes what is not, until little is left. `told`: bytes that were
    /// copied, and the offset up to which all is; it says whether to go on.
    ///
    /// # Errors
    /// [`CopyError`]: the copy is of no use.
    pub async fn ahead(
        &mut self,
        pace: &Pace,
        told: impl Fn(u64, Offset) -> bool,
    ) -> Result<(), CopyError> {
        let mut rounds = 0;
        loop {
            let closed = self.close_segments(&told).await?;
            for (base, next) in closed {
                self.segment(base, pace, &told).await?;
                self.may_go_on(told(0, next))?;
            }
            rounds += 1;
            let left =
                |log: &odradek_engine::log::Log| log.segments().next_back().map(|one| one.size);
            let little = self.partition.with_log(left).unwrap_or(0) <= REST_BYTES;
            if little || rounds >= ROUNDS_MAX && !pace.is_limited() {
                return Ok(());
            }
        }
    }

    fn may_go_on(&self, wanted: bool) -> Result<(), CopyError> {
        let state = self.partition.state.borrow();
        match wanted && self.partition.check(&state).is_ok() {
            true => Ok(()),
            false => Err(CopyError::Stopped),
        }
    }

    /// Rolls, and waits until the files of all closed segments are finished: these, each with the
    /// base of the next.
    async fn close_segments(
        &self,
        told: &impl Fn(u64, Offset) -> bool,
    ) -> Result<Vec<(Offset, Offset)>, CopyError> {
        let partition = &self.partition;
        {
            let mut state = partition.state.borrow_mut();
            let active = state.log.segments().next_back().map(|active| active.size);
            if active.unwrap_or(0) > REST_BYTES {
                state.log.roll();
                partition.start_seals(&mut state);
            }
            // Not when the journal sees fit: a segment is finished when all of it is written.
            partition.write_all(&mut state);
        }
        while partition.with_log(|log| log.finishing()) {
            self.may_go_on(told(0, Offset(0)))?;
            partition.ground.io.sleep(LOOK).await;
        }
        let bases: Vec<Offset> =
            partition.with_log(|log| log.segments().map(|segment| segment.base).collect());
        let closed = bases.iter().copied().zip(bases.iter().copied().skip(1));
        Ok(closed.collect())
    }

    /// Copies a closed segment and its indexes, if they are not there.
    async fn segment(
        &mut self,
        base: Offset,
        pace: &Pace,
        told: &impl Fn(u64, Offset) -> bool,
    ) -> Result<(), CopyError> {
        for extension in ["log", "index", "timeindex", "txnindex"] {
            let name = format!("{}.{extension}", file_stem(base));
            if self.done.contains(&name) {
                continue;
            }
            let go_on = |bytes| self.may_go_on(told(bytes, Offset(0)));
            match self.file(&name, u64::MAX, pace, go_on).await {
                Ok(()) => self.done.insert(name),
                // It may come to be, and is copied in the end.
                Err(CopyError::Read(Errno(libc::ENOENT))) if extension != "log" => continue,
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Copies all that is not there yet, and makes the copy durable, its own name excepted. Only
    /// when the log was handed over.
    ///
    /// # Errors
    /// [`CopyError`]: the copy is of no use.
    pub async fn rest(&self) -> Result<(), CopyError> {
        let io = &self.partition.ground.io;
        // Behind its end the active segment's file has room for more, which need not be copied.
        let active = self.partition.with_log(|log| {
            let active = log.segments().next_back();
            active.map(|active| (format!("{}.log", file_stem(active.base)), active.size))
        });
        let unpaced = Pace::new();
        let listed = io.list(&self.partition.directory).await;
        for name in listed.map_err(CopyError::Read)? {
            let litter = name.ends_with(".tmp") || name.ends_with(".deleted");
            if !litter && !self.done.contains(&name) {
                let size = active.as_ref().filter(|(active, _)| *active == name);
                let most = size.map_or(u64::MAX, |(_, size)| *size);
                self.file(&name, most, &unpaced, |_| Ok(())).await?;
            }
        }
        io.sync_directory(&self.to).await.map_err(CopyError::Write)
    }

    async fn file(
        &self,
        name: &str,
        most: u64,
        pace: &Pace,
        go_on: impl Fn(u64) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        let io = &self.partition.ground.io;
        let from = io
            .open(&self.partition.directory.join(name), OpenMode::default())
            .await
            .map_err(CopyError::Read)?;
        let mode = OpenMode {
            write: true,
            create: true,
            truncate: true,
            ..OpenMode::default()
        };
        let copied = match io.open(&self.to.join(name), mode).await {
            Ok(to) => {
                let copied = contents(io, from, to, most, pace, go_on).await;
                io.close(to).await;
                copied
            }
            Err(error) => Err(CopyError::Write(error)),
        };
        io.close(from).await;
        copied
    }
}

/// Copies a file's bytes, at most so many; durable on return.
async fn contents(
    io: &Io,
    from: Handle,
    to: Handle,
    most: u64,
    pace: &Pace,
    go_on: impl Fn(u64) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let (mut at, mut flushed) = (0, 0);
    loop {
        let block = io.pool().take(CHUNK_BYTES);
        let wanted = (most - at).min(CHUNK_BYTES as u64) as usize;
        let (got, block) = io.read(from, at, block, 0, wanted).await;
        let got = got.map_err(CopyError::Read)?;
        if got > 0 {
            let mut parts = Parts::new();
            parts.push(Part::block(&block, 0, got));
            let written = io.write(to, at, parts, false).await;
            written.map_err(CopyError::Write)?;
            at += got as u64;
            go_on(got as u64)?;
            let wanted = || go_on(0).is_ok();
            pace.spend(io, got as u64, wanted).await;
            go_on(0)?;
        }
        if got < CHUNK_BYTES || at == most {
            return io.sync(to).await.map_err(CopyError::Write);
        }
        if at - flushed >= FLUSH_BYTES {
            flushed = at;
            io.data_sync(to).await.map_err(CopyError::Write)?;
        }
    }
}
