//! Over a partition's segments, from the first to the log's end: those that are finished are taken
//! by their files, the others batch by batch.

use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use odradek_engine::bytes::page_floor;
use odradek_engine::io::{Errno, Io, SegmentFile};
use odradek_engine::log::epochs::Epochs;
use odradek_engine::log::producers::Producers;
use odradek_engine::log::transactions::Undecided;
use odradek_engine::log::{AbortedList, Recovered, file_stem};
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::{Epoch, Offset};

use super::Ground;
use super::compaction;
use super::judge::trust;
use super::listing::Listing;
use super::open::Opening;
use super::recover::{Start, read_epochs};
use super::side_files::{read_aborted, read_side, set_aside, write_index};

/// A walk over the segments, as far as it has come.
pub(super) struct Walk<'a> {
    pub(super) opening: &'a Opening,
    pub(super) found: Recovered,
    pub(super) epoch: Epoch,
    /// Epochs as their own file has them; none if it cannot be believed.
    pub(super) told: Epochs,
    /// Producers' batches before this are in the snapshot.
    pub(super) replay_from: Offset,
    /// Transactions open at the batch that is judged next, if that is not before this offset.
    pub(super) undecided: Undecided,
    pub(super) undecided_from: Offset,
    pub(super) io: &'a Io,
    ground: &'a Rc<Ground>,
    pub(super) listing: &'a Listing<'a>,
    /// Compaction may have taken out offsets before this.
    pub(super) gaps: Offset,
    /// Bytes of batches judged.
    pub(super) judged: u64,
}

/// The newest producer snapshot that tells of nothing past the first unfinished segment.
async fn newest_snapshot(
    io: &Io,
    directory: &Path,
    snapshots: &[Offset],
    unfinished: Option<Offset>,
) -> Result<Option<(Offset, Producers)>, Errno> {
    let usable = |base: &&Offset| unfinished.is_none_or(|first| **base <= first);
    for base in snapshots.iter().rev().filter(usable) {
        let path = directory.join(format!("{}.snapshot", file_stem(*base)));
        if let Some(bytes) = read_side(io, &path).await?
            && let Ok(producers) = Producers::from_snapshot(&bytes)
        {
            return Ok(Some((*base, producers)));
        }
    }
    Ok(None)
}

/// How many segments, from the first, are known by their files: finished ones, up to the first whose
/// list of aborted transactions cannot be believed. Readers of committed records have nothing else to
/// go by; read again, batch by batch, the segment tells it.
async fn known_by_files(io: &Io, opening: &Opening, listing: &Listing<'_>) -> Result<usize, Errno> {
    let clean = listing.clean();
    for (number, base) in listing.bases[..clean].iter().enumerate() {
        if listing.has_aborted(*base)
            && read_aborted(io, &opening.directory, *base).await?.is_none()
        {
            tracing::error!(
                partition = %opening.name,
                "the .txnindex of segment {} is damaged; it is made again from the log, which is \
                 read from there on",
                base.0
            );
            return Ok(number);
        }
    }
    Ok(clean)
}

/// What a snapshot has no place for, by the last checkpoint.
fn recall(opening: &Opening, producers: &mut Producers) {
    let kept = opening.checkpoint.as_ref();
    if let Some(Ok(known)) = kept.map(|kept| Producers::from_recent(&kept.producers)) {
        producers.recall(&known);
    }
}

/// Takes in segment after segment. `None`: the log ends before the checkpoint.
pub(super) async fn walk(
    ground: &Rc<Ground>,
    opening: &Opening,
    listing: &Listing<'_>,
    start: Option<&Start>,
) -> Result<Option<Recovered>, Errno> {
    let (io, directory) = (&ground.io, &opening.directory);
    let bases = &listing.bases;
    // Everything before the first unfinished segment is known by its files.
    let clean = known_by_files(io, opening, listing).await?;
    let first = bases.get(clean).copied();
    let log_start = bases[0].max(opening.log_start);
    // Where the producers' state must be rebuilt from: the checkpoint, the newest snapshot, or all
    // that is kept.
    let (replay_from, producers, snapshot) = match start {
        Some(start) => {
            let end = start.checkpoint.end.offset;
            (end, start.producers.clone(), None)
        }
        None => match newest_snapshot(io, directory, &listing.snapshots, first).await? {
            Some((base, mut producers)) => {
                recall(opening, &mut producers);
                (base, producers, Some(base))
            }
            None => (bases[0], Producers::new(), None),
        },
    };
    // What was open where the first batch is judged.
    let (undecided_from, undecided) = match (start, first) {
        (Some(start), Some(first)) if first < start.checkpoint.segment => {
            let before = newest_snapshot(io, directory, &listing.snapshots, Some(first)).await?;
            match before {
                Some((base, before)) => (base, Undecided::of(&before)),
                None => (bases[0], Undecided::default()),
            }
        }
        _ => (replay_from, Undecided::of(&producers)),
    };
    let told = match start {
        Some(start) => start.epochs.clone(),
        None => read_epochs(io, directory).await?.unwrap_or_default(),
    };
    let mut walk = Walk {
        opening,
        found: Recovered {
            segments: VecDeque::new(),
            log_start,
            next: bases[0],
            epochs: told.clone(),
            producers: match mutant::is(Mutant::ForgetProducers) {
                true => Producers::new(),
                false => producers,
            },
            replayed_from: replay_from,
            last: None,
            last_page: Vec::new(),
        },
        epoch: Epoch(0),
        told,
        replay_from,
        undecided,
        undecided_from,
        io,
        ground,
        listing,
        gaps: match listing.compacted {
            true => {
                let active = *bases.last().expect("at least one segment");
                compaction::gaps(io, directory, &opening.name, active).await?
            }
            false => Offset(0),
        },
        judged: 0,
    };
    let (mut active, mut behind) = (None, None);
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
        let file = match start.filter(|start| start.checkpoint.segment == base) {
            Some(start) => start.file.clone(),
            None => SegmentFile::open(io, directory, base, ground.strategy, false).await?,
        };
        let following = bases.get(number + 1).copied();
        // After a clean stop the newest snapshot is named after the log's end.
        let until = following.or(snapshot.filter(|end| *end > base));
        let trusted = number < clean && until.is_some_and(|until| until <= replay_from);
        behind = None;
        let known = match (trusted, until) {
            (true, Some(until)) => trust(io, directory, base, until, &file)
                .await
                .map(|segment| (segment, until)),
            _ => None,
        };
        let mut segment = match known {
            Some((mut segment, until)) => {
                walk.found.next = until;
                if listing.has_aborted(base) {
                    segment.aborted = match following {
                        Some(_) => AbortedList::OnDisk,
                        // The active one's is in memory.
                        None => AbortedList::Known(
                            read_aborted(io, directory, base).await?.unwrap_or_default(),
                        ),
                    };
                }
                segment
            }
            None => {
                let here = start.filter(|start| start.checkpoint.segment == base);
                let (segment, found) = walk.judge(&file, base, following, here).await?;
                behind = Some(found);
                segment
            }
        };
        let damaged = following.is_some_and(|following| walk.found.next != following);
        if damaged && start.is_some() {
            return Ok(None);
        }
        // A segment that goes on keeps its room, and what was settled needs no sync of its own. (What
        // a finished one has is its length.)
        let here = start.filter(|start| start.checkpoint.segment == base);
        let as_finished = trusted || here.is_some_and(|start| start.closed.is_some());
        let settled = ground.dirs.settled(directory);
        let goes_on = following.is_none() && !listing.is_finished(base);
        let room = match &behind {
            Some(behind) if settled && goes_on => behind.is_padding(&file, segment.size).await?,
            _ => false,
        };
        let stale = file.allocated() > segment.size && !room;
        // Stale bytes behind the end must not be met by the next recovery.
        if stale && !mutant::is(Mutant::LogicalTruncation) {
            file.cut(segment.size).await?;
        }
        if !as_finished && (stale || !settled || !file.seen_on_disk()) {
            io.data_sync(file.handle()).await?;
        }
        if let (Some(index), false, false) = (&mut segment.index, trusted, damaged)
            && following.is_some()
        {
            // The process ended before it was finished. It is whole, so it need not be read again.
            index.seal();
            let (times, offsets) = (index.times().as_bytes(), index.offsets().as_bytes());
            let stem = directory.join(file_stem(base));
            let aborted = segment.aborted.known();
            match write_index(io, &stem, times.to_vec(), offsets.to_vec(), aborted).await {
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
    let closed = start.and_then(|start| start.closed.clone());
    let last_page = closed.or(behind.and_then(|behind| behind.last_page));
    walk.finish(&active.expect("at least one segment"), start, last_page)
        .await
        .map(Some)
}

impl Walk<'_> {
    /// Whether a segment's files say that it was finished.
    pub(super) fn finished(&self, base: Offset) -> bool {
        self.listing.is_finished(base)
    }

    /// What was found, once the active segment is known.
    async fn finish(
        mut self,
        active: &SegmentFile,
        start: Option<&Start>,
        last_page: Option<Vec<u8>>,
    ) -> Result<Recovered, Errno> {
        let segment = self.found.segments.back().expect("at least one segment");
        let (base, size) = (segment.base, segment.size);
        let page = page_floor(size);
        self.found.last_page = match last_page {
            Some(bytes) => bytes,
            None if size == page => Vec::new(),
            None => active.read(page, (size - page) as usize).await?,
        };
        let last = self.found.last;
        self.found.last = last.filter(|last| last.segment == base && last.end == size);
        if self.judged > 0 || start.is_some_and(|start| start.closed.is_none()) {
            let from = start.map(|start| start.checkpoint.end.offset);
            let (name, next) = (&self.opening.name, self.found.next);
            self.ground.tell_recovered(name, next, self.judged, from);
        }
        Ok(self.found)
    }
}
