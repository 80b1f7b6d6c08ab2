//! The tail: what was appended and is still in memory, and which of it goes to disk next.
//!
//! A chain of extents over page-aligned blocks. An extent holds the bytes of one segment from a
//! page boundary on; where the next extent of that segment begins earlier than this one ends, the
//! next one is right (it took the unfinished page over).
//!
//! Invariants: no two writes ever cover one page at once; a page in flight is never modified (an
//! unfinished page that goes to disk is sealed: what is appended before it has arrived there goes
//! into a successor that its bytes are copied into); writes start in order of position, so marks
//! can advance over completed prefixes.
//!
//! A tail at rest holds the bytes of the unfinished page alone, and no block.
//!
//! Absent on purpose: what the bytes mean, and I/O.

mod adopt;

use std::collections::VecDeque;

use crate::bytes::{Block, PAGE, Part, Parts, Pool, page_ceil, page_floor};
use crate::mutant::{self, Mutant};
use crate::types::Offset;

pub use adopt::ADOPTED_BYTES_MIN;

/// Most bytes of one write.
const WRITE_BYTES_MAX: u64 = 1 << 20;
/// While a write is in flight, less than this waits for more to join it: the fewer writes, the
/// less each byte costs, and nothing waits longer than for what is in flight.
const MERGE_BYTES_MIN: u64 = 256 << 10;
/// The unfinished page after so large a write goes out beside it: waiting for the next of that size
/// costs more than a write of one page.
const BESIDE_BYTES_MIN: u64 = 512 << 10;
/// The largest block that one append asks for.
const BLOCK_BYTES_MAX: usize = 1 << 20;
/// The largest that is taken ahead of appends.
const GROWN_BYTES_MAX: usize = 256 << 10;

struct Extent {
    segment: Offset,
    /// Position in the segment of the first byte.
    pos: u64,
    block: Block,
    /// Where in the block it starts.
    at: usize,
    len: usize,
    /// Where in the block what may be appended to it ends.
    limit: usize,
    sealed: bool,
}

impl Extent {
    fn end(&self) -> u64 {
        self.pos + self.len as u64
    }

    fn room(&self) -> usize {
        self.limit - self.at - self.len
    }
}

/// A write in flight.
struct Flying {
    id: u64,
    segment: Offset,
    end: u64,
    done: bool,
}

/// One write to perform.
#[derive(Debug)]
pub struct WritePlan {
    /// Names it in [`Tail::wrote`].
    pub id: u64,
    /// Which segment's file.
    pub segment: Offset,
    /// Where it starts; page-aligned if the tail is.
    pub pos: u64,
    /// The bytes, padded with zeros to a page if the tail is aligned.
    pub parts: Parts,
    /// Where the data ends (without padding).
    pub end: u64,
    /// Bytes of data that no earlier write covered.
    pub fresh: u64,
}

/// Where the contiguous prefix of completed writes ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    pub segment: Offset,
    pub pos: u64,
}

/// See the module.
pub struct Tail {
    pool: Pool,
    /// Direct writes: whole pages from aligned memory.
    aligned: bool,
    extents: VecDeque<Extent>,
    /// The bytes of the unfinished page, as long as there is no extent.
    resting: Box<[u8]>,
    /// Next byte to submit.
    cursor: Written,
    /// Segments that were rolled and are not wholly submitted: (segment, end, next segment).
    rolled: VecDeque<(Offset, u64, Offset)>,
    /// Where the next append goes.
    end: Written,
    flying: VecDeque<Flying>,
    /// End of the contiguous prefix of completed writes.
    written: Written,
    /// More was waiting when the last write completed.
    streaming: bool,
    /// The last write planned left an unfinished page that is not to wait.
    page_due: bool,
    next_id: u64,
    bytes: usize,
    /// Most bytes of a block that is taken ahead of appends.
    grown_max: usize,
}

impl Tail {
    /// A tail that continues `segment` at `pos`. If it is `aligned` and `pos` is within a page,
    /// `page` holds that page's bytes up to `pos`.
    pub fn new(pool: &Pool, aligned: bool, segment: Offset, pos: u64, page: &[u8]) -> Self {
        let at = Written { segment, pos };
        let resting = if aligned { page } else { &[] };
        assert!(
            resting.is_empty() || pos - page_floor(pos) == resting.len() as u64,
            "the unfinished page, whole"
        );
        Tail {
            pool: pool.clone(),
            aligned,
            extents: VecDeque::new(),
            resting: resting.into(),
            cursor: at,
            rolled: VecDeque::new(),
            end: at,
            flying: VecDeque::new(),
            written: at,
            streaming: false,
            page_due: false,
            next_id: 0,
            bytes: 0,
            grown_max: GROWN_BYTES_MAX,
        }
    }

    /// From now on no block with more bytes is taken than this, or than one append needs, if that is
    /// more: what is taken ahead of appends is held for nothing where there are thousands of tails.
    pub fn set_grown_max(&mut self, bytes: usize) {
        self.grown_max = bytes.min(GROWN_BYTES_MAX);
    }

    fn take(&mut self, len: usize) -> Block {
        let block = self.pool.take(len);
        self.bytes += block.capacity();
        block
    }

    /// Appends bytes at the end.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = self.end;
            self.unseal();
            let open = self.extents.back().is_some_and(|last| {
                !last.sealed
                    && last.segment == end.segment
                    && last.end() == end.pos
                    && last.room() > 0
            });
            if !open {
                self.open(bytes.len());
            }
            let last = self.extents.back_mut().expect("an open extent");
            let n = last.room().min(bytes.len());
            let from = last.at + last.len;
            // SAFETY: bytes past an extent's end are covered by nothing: writes in flight end at
            // the page boundary of a sealed extent, and this one is not sealed.
            unsafe { last.block.bytes_mut(from, n) }.copy_from_slice(&bytes[..n]);
            last.len += n;
            self.end.pos += n as u64;
            bytes = &bytes[n..];
        }
    }

    /// The unfinished page can be gone on with where it is, once nothing is in flight.
    fn unseal(&mut self) {
        if self.flying.is_empty()
            && let Some(last) = self.extents.back_mut()
        {
            last.sealed = false;
        }
    }

    /// Opens an extent at the end, taking over the unfinished page if there is one.
    fn open(&mut self, wanted: usize) {
        let end = self.end;
        let pos = if self.aligned {
            page_floor(end.pos)
        } else {
            end.pos
        };
        let carried = (end.pos - pos) as usize;
        let wanted = (wanted + carried).min(BLOCK_BYTES_MAX);
        let previous = self
            .extents
            .back()
            .filter(|last| last.segment == end.segment && last.end() == end.pos);
        // The last that is not adopted; between two of those there is always one.
        let mut own = self.extents.iter().rev().take(2);
        let own = own.find(|last| last.limit == last.block.capacity());
        // The rest of its block serves if what is wanted fits.
        let rest = own.map(|last| {
            let at = page_ceil((last.at + last.len) as u64) as usize;
            (last.block.clone(), at)
        });
        let reused = rest.filter(|(block, at)| block.capacity().saturating_sub(*at) >= wanted);
        let carry: Option<(Block, usize)> = previous
            .filter(|_| carried > 0)
            .map(|last| (last.block.clone(), last.at + last.len - carried));
        let (block, at) = match reused {
            Some(reused) => reused,
            // Grows with use: a quiet partition holds a page or four, a busy one whole blocks.
            None => {
                let recent = own.map_or(0, |last| last.block.capacity());
                let want = wanted.max((recent * 2).min(self.grown_max)).max(PAGE);
                (self.take(want), 0)
            }
        };
        if carried > 0 {
            let resting = std::mem::take(&mut self.resting);
            let page = match &carry {
                Some((from, start)) => from.bytes(*start, carried),
                None => &resting,
            };
            // SAFETY: the target is past everything used of its block.
            let kept = unsafe { block.bytes_mut(at, carried) };
            kept.copy_from_slice(page);
            if carry.is_none() && mutant::is(Mutant::ForgetTailRewrite) {
                kept.fill(0);
            }
        }
        let limit = block.capacity();
        self.extents.push_back(Extent {
            segment: end.segment,
            pos,
            block,
            at,
            len: carried,
            limit,
            sealed: false,
        });
    }

    /// The active segment ends here; appends go on at the start of `next`.
    pub fn roll(&mut self, next: Offset) {
        self.rolled
            .push_back((self.end.segment, self.end.pos, next));
        self.resting = Box::default();
        self.end = Written {
            segment: next,
            pos: 0,
        };
    }

    /// Whether bytes wait to be submitted.
    pub fn pending(&self) -> bool {
        self.cursor != self.end
    }

    /// Bytes that wait to be submitted; more than any number if a segment ends among them.
    pub fn waiting_bytes(&self) -> u64 {
        match self.cursor.segment == self.end.segment {
            true => self.end.pos - self.cursor.pos,
            false => u64::MAX,
        }
    }

    /// Writes in flight.
    pub fn flying(&self) -> usize {
        self.flying.len()
    }

    /// The next write, if one may start now: at most `depth` in flight.
    ///
    /// In a full stream of appends the unfinished last page waits for what follows it, so that
    /// writes neither overlap nor begin in a page that is on disk already. It waits for what is in
    /// flight at most, and not at all after a large write.
    pub fn plan(&mut self, depth: usize) -> Option<WritePlan> {
        let (limit, rolled) = self.limit();
        let (segment, at) = (self.cursor.segment, self.cursor.pos);
        let flying = self.flying.len();
        if at >= limit || flying >= depth {
            return None;
        }
        let little = limit - at < MERGE_BYTES_MIN;
        let page_due = std::mem::take(&mut self.page_due) && limit - at < PAGE as u64;
        if flying > 0 && !rolled && little && !page_due {
            return None;
        }
        if !self.aligned {
            return Some(self.start(segment, at, limit.min(at + WRITE_BYTES_MAX)));
        }
        let start = page_floor(at);
        let busy =
            |flying: &Flying| !flying.done && flying.segment == segment && flying.end > start;
        if start < at && self.flying.iter().any(busy) {
            return None;
        }
        let mut end = limit.min(start + WRITE_BYTES_MAX);
        if (flying > 0 || self.streaming && !little) && !rolled && page_floor(end) > at {
            end = page_floor(end);
            self.page_due = end - start >= BESIDE_BYTES_MIN;
        }
        Some(self.start(segment, start, end))
    }

    /// Up to where the cursor's segment may be written, and whether the segment ends there.
    fn limit(&mut self) -> (u64, bool) {
        while let Some(&(segment, end, next)) = self.rolled.front() {
            debug_assert_eq!(segment, self.cursor.segment);
            if self.cursor.pos < end {
                return (end, true);
            }
            self.cursor = Written {
                segment: next,
                pos: 0,
            };
            self.rolled.pop_front();
        }
        (self.end.pos, false)
    }

    fn start(&mut self, segment: Offset, start: u64, end: u64) -> WritePlan {
        let parts = self.gather(segment, start, end);
        let fresh = end - self.cursor.pos;
        self.cursor.pos = end;
        let id = self.next_id;
        self.next_id += 1;
        self.flying.push_back(Flying {
            id,
            segment,
            end,
            done: false,
        });
        WritePlan {
            id,
            segment,
            pos: start,
            parts,
            end,
            fresh,
        }
    }

    /// The memory of `[start, end)`, padded to a page (and then sealed) if the tail is aligned.
    fn gather(&mut self, segment: Offset, start: u64, end: u64) -> Parts {
        let mut parts = self
            .memory(segment, start, end)
            .expect("what is not submitted is in memory");
        let padding = if self.aligned {
            (page_ceil(end) - end) as usize
        } else {
            0
        };
        if padding > 0 {
            let holder = self
                .extents
                .iter_mut()
                .rev()
                .find(|extent| extent.segment == segment && extent.end() == end)
                .expect("the last page's extent");
            // SAFETY: past the extent's end; nothing covers it, and sealing it keeps it so.
            unsafe { holder.block.bytes_mut(holder.at + holder.len, padding) }.fill(0);
            holder.sealed = true;
            let Some(Part::Block { len, .. }) = parts.last_mut() else {
                unreachable!("the tail is made of blocks")
            };
            *len += padding as u32;
        }
        parts
    }

    /// The memory of `[start, end)` of a segment, if all of it is here.
    pub fn memory(&self, segment: Offset, start: u64, end: u64) -> Option<Parts> {
        let mut parts = Parts::new();
        if let Some(pos) = self.resting_from(segment).filter(|pos| start >= *pos) {
            let part = self
                .resting
                .get((start - pos) as usize..(end - pos) as usize)?;
            parts.push(Part::Owned(part.to_vec()));
            return Some(parts);
        }
        let mut at = start;
        // Newest first: where two extents hold a page, the newer one is right and the older one's
        // bytes are equal, so the first extent that holds `at` serves up to its end.
        let first = self
            .extents
            .iter()
            .rposition(|extent| extent.segment == segment && extent.pos <= start)?;
        let mut extents = self.extents.range(first..).peekable();
        while let Some(extent) = extents.next() {
            if at >= end {
                break;
            }
            if extent.segment != segment || extent.end() <= at {
                continue;
            }
            if extent.pos > at {
                return None;
            }
            let mut stop = extent.end().min(end);
            if let Some(next) = extents.peek().filter(|next| next.segment == segment) {
                stop = stop.min(next.pos.max(at));
            }
            if stop > at {
                let from = extent.at + (at - extent.pos) as usize;
                parts.push(Part::block(&extent.block, from, (stop - at) as usize));
                at = stop;
            }
        }
        (at >= end).then_some(parts)
    }

    /// Where in a segment memory starts; `None` if none of it is here.
    pub fn memory_start(&self, segment: Offset) -> Option<u64> {
        self.extents
            .iter()
            .find(|extent| extent.segment == segment)
            .map(|extent| extent.pos)
            .or_else(|| self.resting_from(segment))
    }

    /// Where in a segment the bytes lie that a tail at rest holds.
    fn resting_from(&self, segment: Offset) -> Option<u64> {
        let here = !self.resting.is_empty() && self.end.segment == segment;
        here.then(|| page_floor(self.end.pos))
    }

    /// A write completed. Gives the end of the contiguous completed prefix if it moved.
    pub fn wrote(&mut self, id: u64) -> Option<Written> {
        let flying = self
            .flying
            .iter_mut()
            .find(|flying| flying.id == id)
            .expect("a planned write");
        flying.done = true;
        let mut written = None;
        while let Some(first) = self.flying.front().filter(|first| first.done) {
            written = Some(Written {
                segment: first.segment,
                pos: first.end,
            });
            self.flying.pop_front();
        }
        self.written = written.unwrap_or(self.written);
        self.streaming = self.pending();
        written
    }

    /// End of the contiguous prefix of completed writes.
    pub fn written(&self) -> Written {
        self.written
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lets go of the oldest extent if it is written and not the last. Gives the bytes freed.
    pub fn evict(&mut self) -> Option<usize> {
        let oldest = self.extents.front()?;
        let on_disk = (oldest.segment, oldest.end()) <= (self.written.segment, self.written.pos);
        if !on_disk || self.extents.len() == 1 {
            return None;
        }
        Some(self.drop_oldest())
    }

    /// Drops the oldest extent. Gives the bytes freed.
    fn drop_oldest(&mut self) -> usize {
        let gone = self.extents.pop_front().expect("an extent");
        // With a block of somebody else's between two that share one.
        let mut next = self.extents.iter().take(2);
        let shared = next.any(|next| next.block.same(&gone.block));
        let freed = if shared { 0 } else { gone.block.capacity() };
        self.bytes -= freed;
        freed
    }

    /// Lets go of what is held of segments before `segment`, all of which is on disk.
    pub fn forget_before(&mut self, segment: Offset) {
        while self
            .extents
            .front()
            .is_some_and(|oldest| oldest.segment < segment)
        {
            let oldest = self.extents.front().expect("it was looked at");
            let end = (oldest.segment, oldest.end());
            assert!(end <= (self.written.segment, self.written.pos), "on disk");
            self.drop_oldest();
        }
    }

    /// A copy of the unfinished page's bytes, as [`new`](Self::new) takes them.
    pub fn last_page(&self) -> Vec<u8> {
        let partial = match self.aligned {
            true => (self.end.pos - page_floor(self.end.pos)) as usize,
            false => 0,
        };
        if partial == 0 {
            return Vec::new();
        }
        let Some(last) = self.extents.back() else {
            return self.resting.to_vec();
        };
        let start = last.at + last.len - partial;
        last.block.bytes(start, partial).to_vec()
    }

    /// Lets go of everything but the unfinished page's bytes; for a partition that has gone quiet.
    /// Whether it did: not while anything is pending or in flight.
    pub fn shrink(&mut self) -> bool {
        if self.pending() || !self.flying.is_empty() {
            return false;
        }
        let page = self.last_page();
        let (segment, pos) = (self.end.segment, self.end.pos);
        *self = Tail {
            next_id: self.next_id,
            ..Tail::new(&self.pool, self.aligned, segment, pos, &page)
        };
        true
    }
}

#[cfg(test)]
#[path = "tail_tests.rs"]
mod tests;
