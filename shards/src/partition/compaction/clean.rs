//! One cleaning, from the first dirty batch to the checkpoint.

use std::rc::Rc;
use std::task::Poll;

use odradek_engine::io::{Errno, SegmentFile};
use odradek_engine::log::compaction::{
    Candidate, Cleaner, CompactionRules, Extent, GroupLimits, Indexed, Indexer, KeyMap,
    OffsetCheckpoint, Retention, Stats, Transactions, groups,
};
use odradek_engine::log::{Aborted, AbortedList, file_stem};
use odradek_engine::record::RecordError;
use odradek_engine::types::{Offset, Timestamp};

use super::Partition;
use super::batches::Batches;
use super::exchange::discard;
use super::output::Output;
use super::slices::{Share, Slices};
use crate::partition::Pace;
use crate::partition::side_files::{read_aborted, read_side};

/// Reads below this cost more than they take memory.
const CHUNK_BYTES_MIN: usize = 64 << 10;

/// What a cleaning may use.
pub struct Means<'a> {
    /// Memory for keys, bytes.
    pub map_bytes: usize,
    /// How full the map may become, above 0, at most 1.
    pub map_load: f64,
    /// Bytes of a segment read at once.
    pub chunk_bytes: usize,
    pub pace: &'a Pace,
    pub share: Share,
}

/// What a cleaning has done.
#[derive(Clone, Copy, Debug)]
pub struct Cleaned {
    pub from: Offset,
    /// What lies before is clean now.
    pub to: Offset,
    pub keys: usize,
    pub map_bytes: usize,
    /// Bytes gone over to learn the keys, and bytes and records gone over to drop some.
    pub indexed_bytes: u64,
    pub stats: Stats,
    /// Segments before and after, of those gone over.
    pub segments: (usize, usize),
}

/// Why a cleaning has come to no end. The log is as good as before.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    #[error("the partition leaves, closes or has failed")]
    Stopped,
    #[error(transparent)]
    Io(#[from] Errno),
    #[error("segment {segment} is damaged at position {position}: {error}")]
    Damaged {
        segment: i64,
        position: u64,
        error: RecordError,
    },
    #[error(
        "{bytes} bytes do not hold the keys of the batch at offset {offset}: \
         raise log.cleaner.dedupe.buffer.size"
    )]
    Memory { bytes: usize, offset: i64 },
}

/// A cleaning that runs; ends also when whoever did it went away.
struct Running<'a>(&'a Partition);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.borrow_mut();
        state.compaction.running = false;
        state.ended();
        state.calm.raise();
    }
}

impl Partition {
    /// Cleans what [`cleanable`](Self::cleanable) has found, or as much of it as the memory allows.
    ///
    /// # Errors
    /// [`CleanError`]; nothing was lost. After damage, or for want of memory, it is not tried again.
    pub async fn compact(
        &self,
        found: Candidate,
        rules: &CompactionRules,
        now: Timestamp,
        means: &Means<'_>,
    ) -> Result<Cleaned, CleanError> {
        {
            let mut state = self.state.borrow_mut();
            if state.compaction.running || self.check(&state).is_err() {
                return Err(CleanError::Stopped);
            }
            state.compaction.running = true;
            state.busy += 1;
        }
        let running = Running(self);
        let cleaned = self.clean(found, rules, now, means).await;
        if let Err(error @ (CleanError::Damaged { .. } | CleanError::Memory { .. })) = &cleaned {
            self.state.borrow_mut().compaction.given_up = Some(error.to_string());
        }
        drop(running);
        cleaned
    }

    pub(super) fn go_on(&self) -> Result<(), CleanError> {
        let state = self.state.borrow();
        self.check(&state).map_err(|_| CleanError::Stopped)
    }

    async fn clean(
        &self,
        found: Candidate,
        rules: &CompactionRules,
        now: Timestamp,
        means: &Means<'_>,
    ) -> Result<Cleaned, CleanError> {
        let (mut extents, closed_end) = self.with_log(|log| log.compactable());
        let mut aborted = Vec::new();
        for (base, of_segment) in self.aborted_transactions().await? {
            if let Ok(at) = extents.binary_search_by_key(&base, |extent| extent.base) {
                extents[at].aborted = of_segment.len();
            }
            aborted.extend(of_segment);
        }
        let mut slices = Slices::new(self, means);
        let (indexer, indexed_bytes) = self
            .learn(&found, &extents, &aborted, means, &mut slices)
            .await?;
        let (map, end) = indexer.finish();
        let (keys, map_bytes) = (map.len(), map.bytes());
        // Whole segments, up to the one in which the map ends.
        let count = extents.partition_point(|one| one.base < end);
        let gone_over = &extents[..count];
        let gone_over_end = extents.get(count).map_or(closed_end, |next| next.base);
        self.prepare_gaps(gone_over_end).await?;
        let retention = Retention {
            now,
            delete_retention_ms: rules.delete_retention_ms,
        };
        let producers = self.with_log(|log| log.last_records());
        let of_log = Transactions::new(aborted.iter().copied());
        let cleaner = Cleaner::new(map, end, retention, of_log, producers);
        let mut cleaner = cleaner.recompressing(rules.codec);
        let limits = self.with_log(|log| GroupLimits {
            segment_bytes: log.rules().segment_bytes,
            index_bytes: log.rules().index.index_bytes_max as u64,
            index_interval_bytes: log.rules().index.interval_bytes,
        });
        let groups = groups(gone_over, gone_over_end, &limits);
        let after = groups.len();
        for group in groups {
            let until = gone_over
                .get(group.end)
                .map_or(gone_over_end, |next| next.base);
            let group = &gone_over[group];
            let written = self.rewrite(group, until, &mut cleaner, &mut slices).await;
            if written.is_err() && self.poisoned().is_none() {
                // If even that fails the next start does it.
                let _ = discard(&self.ground.io, &self.directory, group[0].base).await;
            }
            written?;
        }
        self.keep_offset(OffsetCheckpoint::CLEANED, end).await?;
        self.state.borrow_mut().compaction.cleaned = Some(Some(end));
        Ok(Cleaned {
            from: found.from,
            to: end,
            keys,
            map_bytes,
            indexed_bytes,
            stats: cleaner.stats(),
            segments: (count, after),
        })
    }

    /// The first half: the keys of the dirty part.
    async fn learn(
        &self,
        found: &Candidate,
        extents: &[Extent],
        aborted: &[Aborted],
        means: &Means<'_>,
        slices: &mut Slices<'_>,
    ) -> Result<(Indexer, u64), CleanError> {
        let io = &self.ground.io;
        let most = found.to.0.saturating_sub(found.from.0).max(0) as u64;
        let secret = (io.random(), io.random());
        let mut map = KeyMap::new(means.map_bytes, means.map_load, most, found.from, secret);
        let map_bytes = map.bytes();
        let mut from = 0;
        while let Some(next) = map.touch(from) {
            slices.step().await?;
            from = next;
        }
        let mut indexer = Indexer::new(map, found.from, aborted.iter().copied());
        let mut bytes_read = 0;
        for (number, extent) in extents.iter().enumerate() {
            let until = extents.get(number + 1).map_or(found.to, |next| next.base);
            if until <= found.from || extent.base >= found.to {
                continue;
            }
            let mut batches = self.batches(extent, until).await?;
            while !batches.ended() {
                let position = batches.position();
                let failed = |error| damaged(extent, position, error);
                let Some(next) = batches.next() else {
                    let read = slices.aside(batches.fill(chunk(means))).await? as u64;
                    bytes_read += read;
                    slices.moved(read).await?;
                    continue;
                };
                let (info, bytes) = next.map_err(failed)?;
                slices.step().await?;
                let mut indexing = indexer.begin(bytes, &info).map_err(failed)?;
                let indexed = loop {
                    if let Poll::Ready(indexed) = indexing.step().map_err(failed)? {
                        break indexed;
                    }
                    slices.step().await?;
                };
                match indexed {
                    Indexed::Whole => {}
                    Indexed::Full if indexer.end() > found.from => {
                        return Ok((indexer, bytes_read));
                    }
                    Indexed::Full => {
                        let offset = found.from.0;
                        let bytes = map_bytes;
                        return Err(CleanError::Memory { bytes, offset });
                    }
                }
            }
            indexer.reached(until);
        }
        Ok((indexer, bytes_read))
    }

    /// The second half, for segments that become one.
    async fn rewrite(
        &self,
        group: &[Extent],
        until: Offset,
        cleaner: &mut Cleaner,
        slices: &mut Slices<'_>,
    ) -> Result<(), CleanError> {
        let (io, base) = (&self.ground.io, group[0].base);
        let rules = self.with_log(|log| log.rules().index);
        let mut output =
            Output::create(io, &self.directory, base, self.ground.strategy, rules).await?;
        let mut changed = group.len() > 1;
        let mut indexed_aborted = false;
        for (number, extent) in group.iter().enumerate() {
            let last_with_bytes = group[number + 1..].iter().all(|later| later.size == 0);
            indexed_aborted |= self.has_aborted_index(extent.base).await?;
            let behind = group.get(number + 1).map_or(until, |next| next.base);
            let mut batches = self.batches(extent, behind).await?;
            while !batches.ended() {
                let position = batches.position();
                let failed = |error| damaged(extent, position, error);
                let Some(next) = batches.next() else {
                    let chunk = chunk(slices.means);
                    let read = slices.aside(batches.fill(chunk)).await? as u64;
                    slices.moved(read).await?;
                    continue;
                };
                let (info, bytes) = next.map_err(failed)?;
                slices.step().await?;
                let end = position + info.size as u64;
                let last = last_with_bytes && end >= extent.size;
                let out = &mut output.bytes;
                let mut cleaning = cleaner.begin(bytes, &info, last, out).map_err(failed)?;
                let stays = loop {
                    if let Poll::Ready(stays) = cleaning.step().map_err(failed)? {
                        break stays;
                    }
                    slices.step().await?;
                };
                changed |= stays != Some(info);
                if let Some(stays) = &stays {
                    output.added(stays)?;
                }
                slices.step().await?;
                let written = slices.aside(output.write()).await?;
                if written > 0 {
                    slices.moved(written).await?;
                }
            }
        }
        let aborted = cleaner.take_kept_aborted();
        if !changed {
            // Nothing went: the segment may stay as it is.
            drop(output);
            discard(io, &self.directory, base).await?;
            return Ok(());
        }
        self.go_on()?;
        let aborted = (indexed_aborted || !aborted.is_empty()).then_some(aborted);
        let (segment, ends) = output.finish(aborted).await?;
        self.go_on()?;
        let started = group[0].started;
        let segment = odradek_engine::log::Segment { started, ..segment };
        self.exchange(segment, until, &ends).await
    }

    async fn batches(&self, extent: &Extent, until: Offset) -> Result<Batches, CleanError> {
        let ground = &self.ground;
        let (io, directory) = (&ground.io, &self.directory);
        let file: Rc<SegmentFile> =
            SegmentFile::open(io, directory, extent.base, ground.strategy, false).await?;
        Ok(Batches::new(io, file, extent, until))
    }

    /// Before anything is taken out it is known, durably, where offsets may be missing; and the
    /// active segment has a file, whose name tells where offsets go on.
    async fn prepare_gaps(&self, end: Offset) -> Result<(), CleanError> {
        let active = self.with_log(|log| log.segments().next_back().map(|active| active.base));
        self.file(active.expect("an active segment"), true).await?;
        if self.state.borrow().compaction.gaps < end {
            self.keep_offset(OffsetCheckpoint::GAPS, end).await?;
            self.state.borrow_mut().compaction.gaps = end;
        }
        Ok(())
    }

    /// All transactions that were aborted in this log, by the segments that hold their ends.
    async fn aborted_transactions(&self) -> Result<Vec<(Offset, Vec<Aborted>)>, CleanError> {
        let mut all: Vec<(Offset, AbortedList)> = self.with_log(|log| {
            let lists = log.segments().map(|one| (one.base, one.aborted.clone()));
            lists.collect()
        });
        let mut read = Vec::with_capacity(all.len());
        for (base, list) in all.drain(..) {
            let list = match list {
                AbortedList::Known(list) => list,
                AbortedList::OnDisk => {
                    let list = read_aborted(&self.ground.io, &self.directory, base).await?;
                    // What was aborted is not known: it must not be taken for committed.
                    list.ok_or_else(|| {
                        tracing::error!(
                            partition = %self.name,
                            "the .txnindex of segment {base} is damaged: the log is not compacted"
                        );
                        CleanError::Io(Errno(libc::EIO))
                    })?
                }
            };
            read.push((base, list));
        }
        Ok(read)
    }

    async fn has_aborted_index(&self, base: Offset) -> Result<bool, CleanError> {
        let path = self.directory.join(file_stem(base));
        let read = read_side(&self.ground.io, &path.with_extension("txnindex")).await?;
        Ok(read.is_some())
    }
}

fn chunk(means: &Means<'_>) -> usize {
    means.chunk_bytes.max(CHUNK_BYTES_MIN)
}

fn damaged(extent: &Extent, position: u64, error: RecordError) -> CleanError {
    CleanError::Damaged {
        segment: extent.base.0,
        position,
        error,
    }
}
