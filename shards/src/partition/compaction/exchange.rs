//! A compacted segment's files take the place of the old ones, step by step, as
//! `engine::log::compaction::swap` says; and what the next start makes of it when that was cut short.

use std::path::Path;

use odradek_engine::io::{Errno, Io, OpenMode};
use odradek_engine::log::compaction::{CLEANED, SWAP, swap_state};
use odradek_engine::log::index::OffsetIndex;
use odradek_engine::log::{file_stem, parse_file_name};
use odradek_engine::record::{BatchHeader, HEADER_BYTES};
use odradek_engine::types::{Offset, Position};

use super::output::with_end;
use crate::partition::side_files::read_side;

/// What belongs to a segment, its log first.
const FILES: [&str; 5] = ["log", "index", "timeindex", "txnindex", "snapshot"];

async fn remove(io: &Io, path: &Path) -> Result<(), Errno> {
    match io.remove(path).await {
        Ok(()) | Err(Errno(libc::ENOENT)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Renames the written files, `ends` beside the log: on return the exchange is decided, durably.
///
/// # Errors
/// Whether it may have been decided all the same: then only the next start finds out.
pub(super) async fn decide(
    io: &Io,
    directory: &Path,
    base: Offset,
    ends: &[&str],
) -> Result<(), (bool, Errno)> {
    let stem = directory.join(file_stem(base));
    let rename = |end: &str| {
        let from = with_end(&stem, &format!("{end}{CLEANED}"));
        let to = with_end(&stem, &format!("{end}{SWAP}"));
        async move { io.rename(&from, &to).await }
    };
    let prepared = async {
        for end in ends {
            rename(end).await?;
        }
        io.sync_directory(directory).await?;
        rename(".log").await
    };
    prepared.await.map_err(|error| (false, error))?;
    let synced = io.sync_directory(directory).await;
    synced.map_err(|error| (true, error))
}

/// Does what was decided: the segments at `old` go, and the files with these names lose their
/// ending, the log last. Durable on return; may be done again from the beginning.
pub(super) async fn perform(
    io: &Io,
    directory: &Path,
    base: Offset,
    old: &[Offset],
    beside: &[String],
) -> Result<(), Errno> {
    for base in old {
        let stem = directory.join(file_stem(*base));
        for extension in FILES {
            remove(io, &stem.with_extension(extension)).await?;
        }
    }
    if !old.is_empty() {
        // Before the new one counts: it and an old one would overlap.
        io.sync_directory(directory).await?;
    }
    for name in beside {
        let to = name.strip_suffix(SWAP).unwrap_or(name);
        io.rename(&directory.join(name), &directory.join(to))
            .await?;
    }
    io.sync_directory(directory).await?;
    let log = directory.join(format!("{}.log", file_stem(base)));
    io.rename(&with_end(&log, SWAP), &log).await?;
    io.sync_directory(directory).await
}

/// Removes what a cleaning had written that came to no end.
pub(super) async fn discard(io: &Io, directory: &Path, base: Offset) -> Result<(), Errno> {
    let stem = directory.join(file_stem(base));
    for end in [".log", ".index", ".timeindex", ".txnindex"] {
        remove(io, &with_end(&stem, &format!("{end}{CLEANED}"))).await?;
        remove(io, &with_end(&stem, &format!("{end}{SWAP}"))).await?;
    }
    Ok(())
}

/// Finishes or undoes what a life before this one has left, before anybody looks at the segments.
/// Gives the names that are there then.
pub(in crate::partition) async fn recover(
    io: &Io,
    directory: &Path,
    names: Vec<String>,
) -> Result<Vec<String>, Errno> {
    let state = swap_state(&names);
    if state.litter.is_empty() && state.pending.is_empty() {
        return Ok(names);
    }
    for name in &state.litter {
        remove(io, &directory.join(name)).await?;
    }
    for (base, beside) in &state.pending {
        let end = end_of(io, directory, *base).await?;
        let bases = names.iter().filter_map(|name| parse_file_name(name));
        let logs = bases.filter(|(_, extension)| *extension == "log");
        let old: Vec<Offset> = logs
            .map(|(old, _)| old)
            .filter(|old| *old > *base && *old < end)
            .collect();
        let beside: Vec<String> = beside.iter().map(|name| (*name).to_owned()).collect();
        perform(io, directory, *base, &old, &beside).await?;
        tracing::info!(
            "{}: the exchange of segment {base} by a compacted one was finished",
            directory.display()
        );
    }
    io.list(directory).await
}

/// Bytes of a segment read at once for the headers in them.
const WALK_BYTES: usize = 256 << 10;

/// The offset behind the last batch of a segment that waits to take its place.
async fn end_of(io: &Io, directory: &Path, base: Offset) -> Result<Offset, Errno> {
    let stem = directory.join(file_stem(base));
    let file = io
        .open(
            &with_end(&stem, &format!(".log{SWAP}")),
            OpenMode::default(),
        )
        .await?;
    let walked = async {
        let size = io.size(file).await?;
        // Its index, under the one name or the other, tells a batch near the end.
        let mut at = 0;
        for end in [".index.swap", ".index"] {
            if let Some(bytes) = read_side(io, &with_end(&stem, end)).await? {
                let index = OffsetIndex::parse(base, &bytes, Position(size)).ok();
                let last = index.and_then(|index| index.last());
                at = last.map_or(0, |last| last.position.0);
                break;
            }
        }
        let mut end = base;
        while at < size {
            let block = io.pool().take(WALK_BYTES);
            let (got, block) = io.read(file, at, block, 0, WALK_BYTES).await;
            let bytes = block.bytes(0, got?);
            let from = at;
            let rest = |at: u64| &bytes[((at - from) as usize).min(bytes.len())..];
            while let Some(header) = BatchHeader::view(rest(at)) {
                let Ok(length) = header.size() else {
                    return Err(Errno(libc::EIO));
                };
                end = end.max(Offset(header.last_offset().0.saturating_add(1)));
                at += length as u64;
            }
            if at == from {
                break;
            }
        }
        Ok(end)
    }
    .await;
    io.close(file).await;
    const _: () = assert!(WALK_BYTES > HEADER_BYTES);
    walked
}
