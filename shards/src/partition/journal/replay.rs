//! What a journal holds after a crash goes back into the segments, before any partition is opened.
//!
//! Entries are put where they belong whether or not they are there already; recovery then decides
//! what is the log. Entries of topics that are gone are passed over, and so are those of segments
//! that are gone (by retention) or finished (then they are stored). What was put back is durable
//! before the journals are removed; a crash in between begins anew.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::{Errno, Handle, Io, OpenMode};
use odradek_engine::limits::PARTITIONS_AT_ONCE;
use odradek_engine::log::file_stem;
use odradek_engine::log::journal::frame::read;
use odradek_engine::log::journal::redo::{Redo, Run};
use odradek_engine::log::journal::scan::{Scanned, Seen, missing, order, scan};
use odradek_engine::log::state_file::Key;
use odradek_engine::task::Spawner;
use odradek_engine::types::Offset;

use super::NAME;
use super::files::{parse, remove};
use crate::runtime::abreast;

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes that are gathered before they are put in place.
const GATHER_BYTES: usize = 16 << 20;

/// Why what a journal holds could not be put back: then nothing of it is lost, and nothing may be
/// opened.
#[derive(Debug, thiserror::Error)]
#[error("the journal cannot be put back: {path}: {error}")]
pub struct ReplayError {
    path: String,
    error: Errno,
}

fn failed(path: &Path) -> impl FnOnce(Errno) -> ReplayError + use<> {
    let path = path.display().to_string();
    move |error| ReplayError { path, error }
}

/// Puts back what the journals in a log directory hold, of all shards that there were, and removes
/// them. `place` knows the directories of partitions that exist. Gives up to which offset each
/// partition's log must reach.
pub async fn replay(
    io: &Io,
    spawner: &Spawner,
    log_dir: &Path,
    place: impl Fn(&Key) -> Option<PathBuf>,
) -> Result<BTreeMap<Key, Offset>, ReplayError> {
    let names = io.list(log_dir).await.map_err(failed(log_dir))?;
    let number = |name: &&String| {
        let number = name.strip_prefix(NAME);
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let journals: Vec<PathBuf> = names
        .iter()
        .filter(number)
        .map(|name| log_dir.join(name))
        .collect();
    let mut promised = BTreeMap::new();
    for journal in &journals {
        for (life, files) in lives(io, journal).await.map_err(failed(journal))? {
            let mut found = Found {
                io,
                spawner,
                place: &place,
                life,
                files,
                redo: Redo::default(),
            };
            found.put_back().await?;
            for (key, end) in found.redo.ends() {
                if place(key).is_some() {
                    let most = promised.entry(*key).or_insert(end);
                    *most = end.max(*most);
                }
            }
        }
    }
    for journal in &journals {
        remove(io, journal).await.map_err(failed(journal))?;
    }
    if !journals.is_empty() {
        io.sync_directory(log_dir).await.map_err(failed(log_dir))?;
    }
    Ok(promised)
}

/// A journal's files, by the life that made them; there is more than one only if somebody put them
/// there.
async fn lives(io: &Io, journal: &Path) -> Result<BTreeMap<u64, Vec<PathBuf>>, Errno> {
    let mut lives: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
    for name in io.list(journal).await? {
        if let Some(life) = parse(&name) {
            lives.entry(life).or_default().push(journal.join(name));
        }
    }
    Ok(lives)
}

/// What one life has left.
struct Found<'a, P> {
    io: &'a Io,
    spawner: &'a Spawner,
    place: &'a P,
    life: u64,
    files: Vec<PathBuf>,
    redo: Redo,
}

impl<P: Fn(&Key) -> Option<PathBuf>> Found<'_, P> {
    async fn put_back(&mut self) -> Result<(), ReplayError> {
        let mut seen = Vec::new();
        for (number, path) in self.files.iter().enumerate() {
            let scanned = self.scan_file(&mut seen, number, path).await;
            scanned.map_err(failed(path))?;
        }
        if let (Some((first, count)), Some(path)) = (missing(&seen), self.files.first()) {
            tracing::error!(
                "the journal in {}: {count} of its frames, from {first} on, are damaged; records that \
                 were in them alone are lost",
                path.parent().unwrap_or(Path::new(".")).display()
            );
        }
        let needed = order(seen);
        let (frames, bytes) = (
            needed.len(),
            needed.iter().map(|one| one.bytes).sum::<usize>(),
        );
        let mut open: Option<(usize, Handle)> = None;
        for one in needed {
            let path = &self.files[one.file];
            let handle = match open {
                Some((file, handle)) if file == one.file => handle,
                _ => {
                    if let Some((_, handle)) = open.take() {
                        self.io.close(handle).await;
                    }
                    let opened = self.io.open(path, OpenMode::default()).await;
                    opened.map_err(failed(path))?
                }
            };
            open = Some((one.file, handle));
            let frame = bytes_of(self.io, handle, one.pos, one.bytes).await;
            let frame = frame.map_err(failed(path))?;
            // It was whole a moment ago.
            let frame = read(&frame, self.life).map_err(|_| failed(path)(Errno(libc::EIO)))?;
            for (entry, bytes) in frame.entries() {
                if let Err(stale) = self.redo.add(&entry, bytes) {
                    let base = entry.base.0;
                    tracing::error!(
                        "{}: an entry at offset {base} is passed over: {stale}",
                        path.display()
                    );
                }
            }
            if self.redo.bytes() >= GATHER_BYTES {
                self.place_gathered().await?;
            }
        }
        if let Some((_, handle)) = open {
            self.io.close(handle).await;
        }
        self.place_gathered().await?;
        if frames > 0 {
            let directory = self.files[0].parent().unwrap_or(Path::new("."));
            tracing::info!(
                frames,
                bytes,
                partitions = self.redo.ends().count(),
                "put back what {} holds",
                directory.display()
            );
        }
        Ok(())
    }

    async fn scan_file(
        &self,
        seen: &mut Vec<Seen>,
        number: usize,
        path: &Path,
    ) -> Result<(), Errno> {
        let handle = self.io.open(path, OpenMode::default()).await?;
        let result = async {
            let size = self.io.size(handle).await?;
            let mut pos = 0;
            loop {
                let bytes = bytes_of(self.io, handle, pos, CHUNK_BYTES).await?;
                let last = pos + bytes.len() as u64 >= size || bytes.len() < CHUNK_BYTES;
                match scan(seen, number, pos, &bytes, self.life, last) {
                    Scanned::On(next) => pos = next,
                    Scanned::End(why) => {
                        tracing::debug!("{} ends: {why}", path.display());
                        return Ok(());
                    }
                }
            }
        }
        .await;
        self.io.close(handle).await;
        result
    }

    async fn place_gathered(&mut self) -> Result<(), ReplayError> {
        let gathered = self.redo.take().into_iter();
        let placed: Vec<(PathBuf, Vec<Run>)> = gathered
            .filter_map(|(key, runs)| Some(((self.place)(&key)?, runs)))
            .collect();
        let failure: Rc<RefCell<Option<ReplayError>>> = Rc::default();
        let (io, out) = (self.io.clone(), failure.clone());
        let work = placed.into_iter().map(move |(directory, runs)| {
            let (io, out) = (io.clone(), out.clone());
            async move {
                if let Err(error) = put(&io, &directory, runs).await {
                    *out.borrow_mut() = Some(failed(&directory)(error));
                }
            }
        });
        abreast(self.spawner, PARTITIONS_AT_ONCE, work).await;
        let failure = failure.take();
        failure.map_or(Ok(()), Err)
    }
}

/// Up to `len` bytes of a file; fewer only at its end.
async fn bytes_of(io: &Io, file: Handle, pos: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let block = io.pool().take(len);
    let (got, block) = io.read(file, pos, block, 0, len).await;
    Ok(block.bytes(0, got?).to_vec())
}

/// Puts runs into a partition's segments, durably.
async fn put(io: &Io, directory: &Path, runs: Vec<Run>) -> Result<(), Errno> {
    let names = match io.list(directory).await {
        Err(Errno(libc::ENOENT)) => return Ok(()),
        names => names?,
    };
    let there = |segment: Offset, extension: &str| {
        let name = format!("{}.{extension}", file_stem(segment));
        names.binary_search(&name).is_ok()
    };
    let mut runs = runs.into_iter().peekable();
    while let Some(first) = runs.next() {
        let segment = first.segment;
        let mut same = vec![first];
        while let Some(run) = runs.next_if(|run| run.segment == segment) {
            same.push(run);
        }
        // A finished segment was stored whole, and must not grow.
        if !there(segment, "log") || there(segment, "index") {
            continue;
        }
        let path = directory.join(format!("{}.log", file_stem(segment)));
        let mode = OpenMode {
            write: true,
            ..OpenMode::default()
        };
        let file = io.open(&path, mode).await?;
        let written = async {
            for run in same {
                let parts = Parts::from_iter([Part::Owned(run.bytes)]);
                io.write(file, run.pos, parts, false).await?;
            }
            io.data_sync(file).await
        };
        let written = written.await;
        io.close(file).await;
        written?;
    }
    Ok(())
}
