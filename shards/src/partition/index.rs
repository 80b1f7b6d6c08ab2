//! Segments' indexes: loaded when somebody looks into a closed segment, made again from the
//! batches' headers where there is none, or where recovery has left a gap.
//!
//! A gap is filled when somebody looks below it, or when its segment is finished; until then it
//! costs nothing. Who looks first does the work, the others wait. What a clean stop has left beside
//! the segment is read then, or before the first write takes it away.

use odradek_engine::log::index::{
    OffsetIndex, OffsetPosition, SegmentIndex, TimeIndex, TimestampOffset,
};
use odradek_engine::log::{Seal, file_stem};
use odradek_engine::record::{BatchHeader, HEADER_BYTES, Rules, validate_header};
use odradek_engine::types::{Offset, Position};

use super::side_files::read_index;
use super::{Partition, ReadError};
use crate::runtime::Gate;

/// Bytes of a segment read at once for the headers in them.
const WALK_BYTES: usize = 256 << 10;

/// Ends the work, also when whoever did it went away.
struct Working<'a> {
    partition: &'a Partition,
    segment: Offset,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        let mut state = self.partition.state.borrow_mut();
        if let Some(gate) = state.indexing.remove(&self.segment) {
            gate.open();
        }
    }
}

impl Partition {
    /// Sees to it that a segment has a whole index: one that a plan asked for.
    pub(super) async fn load_index(&self, segment: Offset) -> Result<(), ReadError> {
        let other = self.state.borrow().indexing.get(&segment).cloned();
        if let Some(other) = other {
            // Then the plan is made anew, and may ask again.
            other.passed().await;
            return Ok(());
        }
        let gate = Gate::new();
        self.state.borrow_mut().indexing.insert(segment, gate);
        let _working = Working {
            partition: self,
            segment,
        };
        self.load(segment).await
    }

    async fn load(&self, base: Offset) -> Result<(), ReadError> {
        if let Some(gap) = self.with_log(|log| log.gap(base)) {
            let entries = match self.entries_beside(base, gap).await {
                Some(entries) => entries,
                None => {
                    let walk = self.walk_up_to_damage(base, Position(0), gap.position);
                    walk.await?.0
                }
            };
            self.state.borrow_mut().log.fill_gap(base, entries);
            return Ok(());
        }
        let exchange = self.state.borrow().exchanging(base);
        if let Some(exchange) = exchange {
            exchange.passed().await;
            return Ok(());
        }
        let generation = self.state.borrow().generation();
        let extent = self.with_log(|log| {
            let mut segments = log.segments().skip_while(|other| other.base < base);
            let size = segments.next().filter(|found| found.base == base)?.size;
            Some((size, segments.next().map_or(log.next(), |next| next.base)))
        });
        let Some((size, next)) = extent else {
            return Ok(());
        };
        let stem = self.directory.join(file_stem(base));
        let index = match read_index(&self.ground.io, &stem, base, size, next).await {
            Some(index) => Ok(index),
            None => {
                let walked = self
                    .walk_up_to_damage(base, Position(0), Position(size))
                    .await;
                walked.map(|(index, _)| index)
            }
        };
        let mut state = self.state.borrow_mut();
        if state.generation() != generation || state.exchanging(base).is_some() {
            // Of files that are not the log's any more, or not yet. It is asked again.
            return Ok(());
        }
        let index = index?;
        state.log.trim_indexes(3);
        state.log.set_index(base, index);
        Ok(())
    }

    /// The entries of a gap that reaches to where its segment was finished, by the files beside it.
    async fn entries_beside(&self, base: Offset, gap: OffsetPosition) -> Option<SegmentIndex> {
        {
            let state = self.state.borrow();
            let ahead = state.ahead.as_ref()?;
            if ahead.active != base || !ahead.finished {
                return None;
            }
        }
        let stem = self.directory.join(file_stem(base));
        read_index(&self.ground.io, &stem, base, gap.position.0, gap.offset).await
    }

    /// Fills the gap of the active segment by the files beside it, which are about to be removed.
    pub(super) async fn keep_entries(&self, base: Offset) {
        let Some(gap) = self.with_log(|log| log.gap(base)) else {
            return;
        };
        if let Some(entries) = self.entries_beside(base, gap).await {
            self.state.borrow_mut().log.fill_gap(base, entries);
        }
    }

    /// The latest time in a finished segment of so many bytes, by its batches' headers. The index says
    /// where to look: what its last entry tells lies behind the entry before, so that no entry is
    /// taken at its word.
    pub(super) async fn latest_by_batches(
        &self,
        base: Offset,
        end: Position,
    ) -> Result<TimestampOffset, ReadError> {
        let next = self.with_log(|log| {
            let mut behind = log.segments().skip_while(|other| other.base <= base);
            behind.next().map_or(log.next(), |next| next.base)
        });
        let stem = self.directory.join(file_stem(base));
        if let Some(index) = read_index(&self.ground.io, &stem, base, end.0, next).await
            && let Some(before) = index.times().len().checked_sub(2)
            && let Some(before) = index.times().iter().nth(before)
        {
            let from = index.lookup(before.offset).position;
            // An entry that leads to no batch leads nowhere: then all of them are asked.
            if let Ok(rest) = self.walk_headers(base, from, end).await {
                let rest = rest.latest();
                return Ok(match rest.timestamp >= before.timestamp {
                    true => rest,
                    false => before,
                });
            }
        }
        let all = self.walk_headers(base, Position(0), end).await?;
        Ok(all.latest())
    }

    /// The index of a segment's bytes in a range, from its batches' headers.
    async fn walk_headers(
        &self,
        base: Offset,
        from: Position,
        end: Position,
    ) -> Result<SegmentIndex, ReadError> {
        let (index, reached) = self.walk_up_to_damage(base, from, end).await?;
        match reached >= end {
            true => Ok(index),
            false => Err(ReadError::Damaged {
                segment: base.0,
                pos: reached.0,
            }),
        }
    }

    /// The same as far as one batch leads to the next: to the end of the range, or up to damage, which is
    /// no reason to refuse what lies before it. Whoever looks behind it is led there, and told.
    async fn walk_up_to_damage(
        &self,
        base: Offset,
        from: Position,
        end: Position,
    ) -> Result<(SegmentIndex, Position), ReadError> {
        let rules = self.with_log(|log| log.rules().index);
        let mut index = SegmentIndex::new(base);
        let mut at = from.0;
        while at < end.0 {
            let bytes = self.bytes(base, at, WALK_BYTES).await?;
            let from = at;
            while at < end.0 && at - from + HEADER_BYTES as u64 <= bytes.len() as u64 {
                let header = BatchHeader::view(&bytes[(at - from) as usize..]);
                let info = header.and_then(|header| validate_header(header, &Rules::LOG).ok());
                let Some(info) = info else {
                    break;
                };
                index.on_append(&info, Position(at), &rules);
                at += info.size as u64;
            }
            if at == from {
                break;
            }
        }
        Ok((index, Position(at)))
    }

    /// Fills a finished segment's gap, so that its files know all of it. If that cannot be, they
    /// are right as they are: a search below begins at the segment's start.
    pub(super) async fn fill_seal(&self, seal: &mut Seal) {
        let Some(gap) = seal.gap else {
            return;
        };
        let offsets = OffsetIndex::parse(seal.base, &seal.index, Position(seal.size));
        let times = TimeIndex::parse(seal.base, &seal.time_index, seal.next);
        let (Ok(offsets), Ok(times)) = (offsets, times) else {
            return;
        };
        let entries = match self.entries_beside(seal.base, gap).await {
            Some(entries) => Ok(entries),
            None => {
                let walk = self.walk_headers(seal.base, Position(0), gap.position);
                walk.await
            }
        };
        match entries {
            Ok(entries) => {
                let mut whole = SegmentIndex::from_parts(offsets, times);
                whole.prepend(entries.clone(), gap);
                seal.index = whole.offsets().as_bytes().to_vec();
                seal.time_index = whole.times().as_bytes().to_vec();
                seal.gap = None;
                self.state.borrow_mut().log.fill_gap(seal.base, entries);
            }
            Err(error) => {
                tracing::warn!(
                    partition = %self.name,
                    "the index of segment {} begins at offset {} only: {error}",
                    seal.base.0,
                    gap.offset.0
                );
            }
        }
    }
}
