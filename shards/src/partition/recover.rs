//! What is on disk, and after a kill, which of it is the log.
//!
//! A segment that was finished (rolled, or cleanly closed) has an `.index`; the active one has
//! none while it is in use. So every segment without one is judged batch by batch; see
//! [`walk`](super::walk). In the last segment that begins at the partition's checkpoint, if there
//! is one and the batch before it stands there as the checkpoint says; so the cost is bounded by
//! what was written since. What lies past the accepted end is cut before the partition serves.
//!
//! An exchange of segments by [compaction](super::compaction) that was cut short is finished or
//! undone before anything is looked at.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use odradek_engine::bytes::page_floor;
use odradek_engine::io::{Errno, Io, OpenMode, SegmentFile};
use odradek_engine::log::checkpoint::{Checkpoint, CheckpointError};
use odradek_engine::log::epochs::Epochs;
use odradek_engine::log::producers::Producers;
use odradek_engine::log::{Recent, Recovered, Segment, file_stem, parse_file_name};
use odradek_engine::record::HEADER_BYTES;
use odradek_engine::types::Offset;

use super::Ground;
use super::ahead::Ahead;
use super::compaction;
use super::judge::FIRST_BYTES;
use super::listing::Listing;
use super::open::{Entries, Opening, make};
use super::side_files::read_side;
use super::walk::walk;

/// A checkpoint that was verified.
pub(super) struct Start {
    pub(super) file: Rc<SegmentFile>,
    pub(super) epochs: Epochs,
    /// What was read of the file from the checkpoint on, until somebody takes it.
    pub(super) ahead: Cell<Vec<u8>>,
    pub(super) checkpoint: Checkpoint,
    pub(super) last: Recent,
    pub(super) producers: Producers,
    /// The page that the log ends in, up to there, if it ends at the checkpoint: the partition was
    /// closed there, and nothing of it need be judged.
    pub(super) closed: Option<Vec<u8>>,
}

/// A larger batch before the end costs more to be read than the files that need not be.
const CLOSED_BATCH_BYTES_MAX: u64 = 16 << 10;

/// Recovers a partition that has a directory, and says which of its names are not durable yet, and
/// what waits for the first write. What it removes and puts there is durable once the directory is
/// synced.
pub(super) async fn recover(
    ground: &Rc<Ground>,
    opening: &Opening,
    names: Vec<String>,
) -> Result<(Recovered, Entries), Errno> {
    let io = &ground.io;
    let listed = names.len();
    let names = compaction::recover(io, &opening.directory, names).await?;
    let listing = Listing::of(&names);
    let sound = names.len() == listed && listing.is_sound();
    for name in &listing.litter {
        io.remove(&opening.directory.join(name)).await?;
    }
    for base in listing.orphans() {
        // Must not vouch for a segment that comes to begin here.
        remove_indexes(io, &opening.directory, base).await?;
    }
    if listing.bases.is_empty() {
        // Nothing was ever written here: a kill may have come while it was being made. A snapshot
        // of the producers would say where the log ends.
        for base in &listing.snapshots {
            let name = format!("{}.snapshot", file_stem(*base));
            remove(io, &opening.directory.join(name)).await?;
        }
        make(io, opening).await?;
        return Ok((empty_at(opening.log_start), Entries::Inside));
    }
    let start = start(ground, opening, &listing).await?;
    let mut walked = None;
    if let Some(start) = &start {
        walked = walk(ground, opening, &listing, Some(start)).await?;
    }
    let mut found = match walked {
        Some(found) => found,
        // An earlier segment is damaged, so the log ends before the checkpoint.
        None => {
            let whole = walk(ground, opening, &listing, None).await?;
            whole.expect("without a checkpoint there is nothing to contradict")
        }
    };
    found.log_start = found.log_start.min(found.next);
    found.epochs.truncate_from_end(found.next);
    found.epochs.truncate_from_start(found.log_start);
    for closed in found.segments.iter_mut().rev().skip(1) {
        closed.index = None;
    }
    let ahead = ahead(&listing, &found);
    let untouched = ahead.is_clean(found.next) || !ahead.indexed && ahead.snapshots.is_empty();
    if sound && untouched && found.segments.len() == listing.bases.len() {
        return Ok((found, Entries::Durable(Some(ahead))));
    }
    ahead.remove(io, &opening.directory).await?;
    Ok((found, Entries::Inside))
}

/// A log that goes on here, and holds nothing.
fn empty_at(start: Offset) -> Recovered {
    let mut empty = Recovered::empty();
    empty.segments = VecDeque::from([Segment::new(start)]);
    (empty.log_start, empty.next) = (start, start);
    empty
}

/// Records were deleted before `start`, and a loss of power has left less than that: all of it is
/// deleted, and the log goes on at `start`, so that no offset comes to mean another record. For good
/// once the directory is synced.
///
/// Source: Kafka `LogLoader.load`.
pub(super) async fn begin_again(
    io: &Io,
    directory: &Path,
    start: Offset,
) -> Result<Recovered, Errno> {
    for name in io.list(directory).await? {
        if parse_file_name(&name).is_some() {
            io.remove(&directory.join(name)).await?;
        }
    }
    Ok(empty_at(start))
}

/// Removes a segment's indexes; for good once the directory is synced. The `.txnindex` goes when the
/// `.index` is gone for good: one that a loss of power brought back without the other would say that
/// no transaction has aborted there.
pub(super) async fn remove_indexes(io: &Io, directory: &Path, base: Offset) -> Result<(), Errno> {
    let stem = directory.join(file_stem(base));
    remove(io, &stem.with_extension("index")).await?;
    remove(io, &stem.with_extension("timeindex")).await?;
    let aborted = stem.with_extension("txnindex");
    match io.open(&aborted, OpenMode::default()).await {
        Err(Errno(libc::ENOENT)) => return Ok(()),
        there => io.close(there?).await,
    }
    io.sync_directory(directory).await?;
    remove(io, &aborted).await
}

pub(super) async fn remove(io: &Io, path: &Path) -> Result<(), Errno> {
    match io.remove(path).await {
        Ok(()) | Err(Errno(libc::ENOENT)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The partition's checkpoint, if it holds, and the last segment needs recovery or was finished there.
async fn start(
    ground: &Rc<Ground>,
    opening: &Opening,
    listing: &Listing<'_>,
) -> Result<Option<Start>, Errno> {
    let Some(checkpoint) = &opening.checkpoint else {
        return Ok(None);
    };
    // An earlier segment was finished since, or is about to be: it needs its whole index.
    let base = checkpoint.segment;
    if listing.bases.last() != Some(&base) {
        return Ok(None);
    }
    let finished = listing.is_finished(base);
    let closed = listing.is_closed_at(checkpoint.end.offset);
    if finished && !(closed && checkpoint.batch_bytes() <= CLOSED_BATCH_BYTES_MAX) {
        return Ok(None);
    }
    let file = SegmentFile::open(&ground.io, &opening.directory, base, ground.strategy, false);
    let file = file.await?;
    if finished && file.allocated() != checkpoint.end.position.0 {
        return Ok(None);
    }
    let epochs = read_epochs(&ground.io, &opening.directory).await?;
    let epochs = epochs.unwrap_or_default();
    Ok(match verify(checkpoint, file, epochs, finished).await? {
        Ok(start) => Some(start),
        Err(error) => {
            let instead = match finished {
                true => "the files beside the segment are believed",
                false => "the segment is read whole",
            };
            tracing::warn!(
                partition = %opening.name,
                "the checkpoint at offset {}, position {} of segment {} does not hold: {error}; \
                 {instead}",
                checkpoint.end.offset.0,
                checkpoint.end.position.0,
                base.0
            );
            None
        }
    })
}

/// `closed`: the file ends there.
async fn verify(
    checkpoint: &Checkpoint,
    file: Rc<SegmentFile>,
    epochs: Epochs,
    closed: bool,
) -> Result<Result<Start, CheckpointError>, Errno> {
    let bytes = file.allocated();
    if checkpoint.end.position.0 > bytes {
        return Ok(Err(CheckpointError::Beyond { bytes }));
    }
    let batch = checkpoint.batch.0;
    let mut last_page = None;
    let mut bytes = match closed {
        true => {
            // With the page that it ends in, which may begin before the batch.
            let from = page_floor(batch);
            let mut bytes = file.read(from, (bytes - from) as usize).await?;
            let page = (page_floor(checkpoint.end.position.0) - from) as usize;
            last_page = Some(bytes.get(page..).unwrap_or_default().to_vec());
            bytes.drain(..bytes.len().min((batch - from) as usize));
            bytes
        }
        // Most often what follows is not more than that, either.
        false => {
            let first = FIRST_BYTES.min((bytes - batch) as usize);
            file.read_disk(batch, first).await?
        }
    };
    let header = &bytes[..bytes.len().min(HEADER_BYTES)];
    if let Err(error) = checkpoint.verify_header(header) {
        return Ok(Err(error));
    }
    let size = checkpoint.batch_bytes() as usize;
    if size > bytes.len() {
        bytes = file.read_disk(batch, size).await?;
    }
    let ahead = bytes.split_off(size.min(bytes.len()));
    let (info, producers) = match checkpoint.verify(&bytes) {
        Ok(verified) => verified,
        Err(error) => return Ok(Err(error)),
    };
    // Epochs are told by their own file: the batches below are not read.
    let known = epochs.epoch_for(info.base_offset);
    if known != Some(checkpoint.epoch) {
        return Ok(Err(CheckpointError::Epoch {
            epoch: checkpoint.epoch.0,
            known: known.map(|epoch| epoch.0),
        }));
    }
    Ok(Ok(Start {
        file,
        epochs,
        ahead: Cell::new(ahead),
        checkpoint: checkpoint.clone(),
        last: Recent {
            base: info.base_offset,
            next: info.next_offset(),
            segment: checkpoint.segment,
            pos: checkpoint.batch.0,
            end: checkpoint.end.position.0,
        },
        producers,
        closed: last_page,
    }))
}

pub(super) async fn read_epochs(io: &Io, directory: &Path) -> Result<Option<Epochs>, Errno> {
    let path = directory.join("leader-epoch-checkpoint");
    let bytes = read_side(io, &path).await?;
    let read = bytes.map(|bytes| Epochs::from_checkpoint(&bytes));
    if let Some(Err(error)) = &read {
        tracing::error!("{}: {error}; it is not believed", path.display());
    }
    Ok(read.and_then(Result::ok))
}

/// What says more than the log will hold once it is written to.
fn ahead(listing: &Listing<'_>, found: &Recovered) -> Ahead {
    let active = found.segments.back().expect("at least one segment").base;
    let snapshots = listing.snapshots.iter().copied();
    Ahead {
        active,
        finished: listing.is_finished(active),
        indexed: listing.has_index(active),
        snapshots: snapshots.filter(|base| *base > active).collect(),
        epoch: false,
    }
}
