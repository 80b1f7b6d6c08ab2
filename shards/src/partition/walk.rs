//! Over a partition's segments, from the first to the log's end: those that are finished are taken
//! by their files, the others batch by batch.

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use odradek_engine::bytes::page_floor;
use odradek_engine::io::{Errno, Io};
use odradek_engine::log::index::SegmentIndex;
use odradek_engine::log::producers::Producers;
use odradek_engine::log::recovery::{Step, step};
use odradek_engine::log::{Recent, Recovered, Segment, file_stem};
use odradek_engine::record::{BatchInfo, HEADER_BYTES};
use odradek_engine::types::{Epoch, Offset, Position, Timestamp};

use super::index::{read_index, read_side, write_index};
use super::open::Opening;
use super::recover::{Files, Start, read_epochs};
use super::{Ground, SegmentFile};

/// Bytes read at once while judging.
const CHUNK_BYTES: usize = 1 << 20;

/// A walk over the segments, as far as it has come.
struct Walk<'a> {
    opening: &'a Opening,
    found: Recovered,
    epoch: Epoch,
    /// Producers' batches before this are in the snapshot.
    replay_from: Offset,
    /// Bytes of batches judged.
    judged: u64,
}

/// The newest producer snapshot that tells of nothing past the first unfinished segment.
async fn newest_snapshot(
    io: &Io,
    directory: &Path,
    snapshots: &[Offset],
    unfinished: Option<Offset>,
) -> Option<(Offset, Producers)> {
    let usable = |base: &&Offset| unfinished.is_none_or(|first| **base <= first);
    for base in snapshots.iter().rev().filter(usable) {
        let path = directory.join(format!("{}.snapshot", file_stem(*base)));
        if let Some(bytes) = read_side(io, &path).await
            && let Ok(producers) = Producers::from_snapshot(&bytes)
        {
            return Some((*base, producers));
        }
    }
    None
}

/// Takes in segment after segment. `None`: the log ends before the checkpoint.
pub(super) async fn walk(
    ground: &Rc<Ground>,
    opening: &Opening,
    files: &Files,
    start: Option<&Start>,
) -> Result<Option<Recovered>, Errno> {
    let (io, directory) = (&ground.io, &opening.directory);
    let bases = &files.segments;
    // Everything before the first unfinished segment is known by its files.
    let unfinished = bases.iter().position(|base| !files.finished.contains(base));
    let clean = unfinished.unwrap_or(bases.len());
    let first = bases.get(clean).copied();
    let log_start = bases[0].max(opening.log_start);
    // Where the producers' state must be rebuilt from: the checkpoint, the newest snapshot, or all
    // that is kept.
    let (replay_from, producers, snapshot) = match start {
        Some(start) => {
            let end = start.checkpoint.end.offset;
            (end, start.producers.clone(), None)
        }
        None => match newest_snapshot(io, directory, &files.snapshots, first).await {
            Some((base, producers)) => (base, producers, Some(base)),
            None => (log_start, Producers::new(), None),
        },
    };
    let mut walk = Walk {
        opening,
        found: Recovered {
            segments: VecDeque::new(),
            log_start,
            next: bases[0],
            epochs: read_epochs(io, directory).await.unwrap_or_default(),
            producers,
            replayed_from: replay_from,
            last: None,
            last_page: Vec::new(),
        },
        epoch: Epoch(0),
        replay_from,
        judged: 0,
    };
    let mut active = None;
    for (number, &base) in bases.iter().enumerate() {
        if base != walk.found.next && number > 0 {
            if start.is_some() {
                return Ok(None);
            }
            tracing::error!(
                partition = %opening.name,
                "segment {} does not begin at offset {}; it and what follows are set aside",
                base.0,
                walk.found.next.0
            );
            set_aside(io, directory, &bases[number..]).await?;
            break;
        }
        let file = SegmentFile::open(io, directory, base, ground.strategy, true).await?;
        let following = bases.get(number + 1).copied();
        // After a clean stop the newest snapshot is named after the log's end.
        let until = following.or(snapshot.filter(|end| *end > base));
        let trusted = number < clean && until.is_some_and(|until| until <= replay_from);
        let known = match (trusted, until) {
            (true, Some(until)) => trust(io, directory, base, until, &file)
                .await
                .map(|segment| (segment, until)),
            _ => None,
        };
        let mut segment = match known {
            Some((segment, until)) => {
                walk.found.next = until;
                segment
            }
            None => {
                let here = start.filter(|start| start.checkpoint.segment == base);
                walk.judge(&file, base, here).await?
            }
        };
        let damaged = following.is_some_and(|following| walk.found.next != following);
        if damaged && start.is_some() {
            return Ok(None);
        }
        // Stale bytes behind the end must not be met by the next recovery.
        file.cut(segment.size).await?;
        if !trusted {
            io.data_sync(file.handle()).await?;
        }
        if let (Some(index), false, false) = (&mut segment.index, trusted, damaged)
            && following.is_some()
        {
            // The process ended before it was finished. It is whole, so it need not be read again.
            index.seal();
            match write_index(io, &directory.join(file_stem(base)), index).await {
                // On a full disk it is served as it is, and read again at the next start.
                Ok(()) | Err(Errno(libc::ENOSPC | libc::EDQUOT)) => {}
                Err(error) => return Err(error),
            }
        }
        walk.found.segments.push_back(segment);
        active = Some(file);
        if damaged {
            tracing::error!(
                partition = %opening.name,
                "the log ends at offset {} in the middle; later segments are set aside",
                walk.found.next.0
            );
            set_aside(io, directory, &bases[number + 1..]).await?;
            break;
        }
    }
    walk.finish(&active.expect("at least one segment"), start)
        .await
        .map(Some)
}

impl Walk<'_> {
    /// Reads a segment batch by batch, from the checkpoint on if there is one in it; takes in what
    /// is the log.
    async fn judge(
        &mut self,
        file: &SegmentFile,
        base: Offset,
        start: Option<&Start>,
    ) -> Result<Segment, Errno> {
        let mut segment = match start {
            Some(start) => {
                self.found.next = start.checkpoint.end.offset;
                self.found.last = Some(start.last);
                self.epoch = start.checkpoint.epoch;
                start.checkpoint.segment()
            }
            None => Segment::new(base),
        };
        let mut index = segment.index.take().unwrap_or(SegmentIndex::new(base));
        let end = file.allocated();
        let from = segment.size;
        let mut at = from;
        let mut want = CHUNK_BYTES;
        'file: while at < end {
            let bytes = file.read(at, want).await?;
            let last = at + bytes.len() as u64 >= end || bytes.len() < want;
            want = CHUNK_BYTES;
            let mut walked = 0;
            loop {
                match step(&bytes[walked..], self.found.next, self.epoch, false, last) {
                    Step::Batch(info) => {
                        let pos = at + walked as u64;
                        index.on_append(&info, Position(pos), &self.opening.rules.index);
                        if segment.started == Timestamp::NONE {
                            segment.started = info.base_timestamp;
                        }
                        self.take(&info, base, pos);
                        walked += info.size;
                    }
                    Step::More(needed) if walked == 0 => {
                        // What garbage claims to be long is no longer than the file.
                        let left = (end - at) as usize;
                        want = needed.max(CHUNK_BYTES * 2).min(left);
                        break;
                    }
                    Step::More(_) => break,
                    Step::End(why) => {
                        at += walked as u64;
                        if why != "zeros" {
                            tracing::info!(position = at, "recovery ends a segment: {why}");
                        }
                        break 'file;
                    }
                }
                if bytes.len() - walked < HEADER_BYTES && !last {
                    break;
                }
            }
            at += walked as u64;
        }
        self.judged += at - from;
        segment.size = at;
        segment.latest = index.latest();
        segment.index = Some(index);
        Ok(segment)
    }

    /// Takes in a batch that is the log's.
    fn take(&mut self, info: &BatchInfo, segment: Offset, pos: u64) {
        let found = &mut self.found;
        found.epochs.assign(info.leader_epoch, info.base_offset);
        if info.has_producer_id() && info.base_offset >= self.replay_from {
            found.producers.applied(info, info.max_timestamp);
        }
        self.epoch = info.leader_epoch;
        found.next = info.next_offset();
        found.last = Some(Recent {
            base: info.base_offset,
            next: found.next,
            segment,
            pos,
            end: pos + info.size as u64,
        });
    }

    /// What was found, once the active segment is known.
    async fn finish(
        mut self,
        active: &SegmentFile,
        start: Option<&Start>,
    ) -> Result<Recovered, Errno> {
        let segment = self.found.segments.back().expect("at least one segment");
        let (base, size) = (segment.base, segment.size);
        let page = page_floor(size);
        self.found.last_page = active.read(page, (size - page) as usize).await?;
        let last = self.found.last;
        self.found.last = last.filter(|last| last.segment == base && last.end == size);
        if self.judged > 0 || start.is_some() {
            tracing::info!(
                partition = %self.opening.name,
                read_bytes = self.judged,
                checkpoint = start.map(|start| start.checkpoint.end.offset.0),
                "recovered up to offset {}",
                self.found.next.0
            );
        }
        Ok(self.found)
    }
}

/// A finished segment by its files alone.
async fn trust(
    io: &Io,
    directory: &Path,
    base: Offset,
    following: Offset,
    file: &SegmentFile,
) -> Option<Segment> {
    let size = file.allocated();
    let index = read_index(io, &directory.join(file_stem(base)), base, size, following).await?;
    let latest = index.latest();
    Some(Segment {
        size,
        latest,
        started: latest.timestamp,
        index: Some(index),
        ..Segment::new(base)
    })
}

/// Segments that do not continue the log are kept under another name, for a person to look at.
async fn set_aside(io: &Io, directory: &Path, bases: &[Offset]) -> Result<(), Errno> {
    for base in bases {
        let from = directory.join(format!("{}.log", file_stem(*base)));
        let to = from.with_extension("log.aside");
        io.rename(&from, &to).await?;
        for extension in ["index", "timeindex", "snapshot"] {
            let _ = io.remove(&from.with_extension(extension)).await;
        }
    }
    io.sync_directory(directory).await
}
