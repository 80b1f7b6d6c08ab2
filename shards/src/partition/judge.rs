//! One segment at opening: by its files alone if it was finished, else batch by batch.

use std::path::Path;

use odradek_engine::bytes::{PAGE, page_floor};
use odradek_engine::io::{Errno, Io, SegmentFile};
use odradek_engine::log::index::SegmentIndex;
use odradek_engine::log::recovery::{END_OF_FILE, EpochBound, Step, ZEROS, step};
use odradek_engine::log::transactions::Undecided;
use odradek_engine::log::{AbortedList, Recent, Segment, file_stem};
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::record::{BatchHeader, BatchInfo, EndTransactionMarker, HEADER_BYTES};
use odradek_engine::types::{Offset, Position, Timestamp};

use super::recover::Start;
use super::side_files::{read_aborted, read_index};
use super::walk::Walk;

/// Bytes read at once, and at first: most logs have less to be read.
const CHUNK_BYTES: usize = 1 << 20;
pub(super) const FIRST_BYTES: usize = 128 << 10;

/// What follows the last batch of the segment that was judged.
pub(super) struct Behind {
    /// The page that the log ends in, up to there; `None`: not at hand.
    pub(super) last_page: Option<Vec<u8>>,
    /// Zeros reach up to here, at least; `None`: something else follows.
    pub(super) zeros: Option<u64>,
}

impl Behind {
    /// By `bytes` from `from` on, of which those up to `end` are the log's.
    fn of(bytes: &[u8], from: u64, end: u64) -> Behind {
        let (log, rest) = bytes.split_at((end - from) as usize);
        let page = page_floor(end).checked_sub(from);
        Behind {
            last_page: page.map(|page| log[page as usize..].to_vec()),
            zeros: is_zero(rest).then_some(from + bytes.len() as u64),
        }
    }

    /// Whether nothing but zeros follows the log, which ends at `end` in its file: as it is known,
    /// else by reading a little more.
    pub(super) async fn is_padding(&self, file: &SegmentFile, end: u64) -> Result<bool, Errno> {
        let Some(mut at) = self.zeros else {
            return Ok(false);
        };
        if !is_zero_in_cache(file, end, at).await? {
            return Ok(false);
        }
        for _ in 0..2 {
            let Some(data) = file.data_after(at).await else {
                return Ok(true);
            };
            let left = file.allocated().saturating_sub(data);
            let bytes = file.read_disk(data, FIRST_BYTES.min(left as usize)).await?;
            if bytes.is_empty() || !is_zero(&bytes) {
                return Ok(false);
            }
            at = data + bytes.len() as u64;
            if !is_zero_in_cache(file, data, at).await? {
                return Ok(false);
            }
        }
        Ok(file.data_after(at).await.is_none())
    }
}

/// Whether page cache, too, shows zeros where the disk has them, if the file is written through it.
/// After a failed flush it shows what the disk does not have, and the next write to such a page would
/// bring all of the page there.
async fn is_zero_in_cache(file: &SegmentFile, from: u64, to: u64) -> Result<bool, Errno> {
    if file.strategy().aligned() || from == to {
        return Ok(true);
    }
    Ok(is_zero(&file.read(from, (to - from) as usize).await?))
}

fn is_zero(bytes: &[u8]) -> bool {
    let mut pages = bytes.chunks(PAGE);
    pages.all(|page| page.iter().fold(0, |all, byte| all | byte) == 0)
}

/// A finished segment by its files alone.
pub(super) async fn trust(
    io: &Io,
    directory: &Path,
    base: Offset,
    following: Offset,
    file: &SegmentFile,
) -> Option<Segment> {
    let size = file.allocated();
    let index = read_index(io, &directory.join(file_stem(base)), base, size, following).await?;
    let latest = index.latest();
    if latest.timestamp == Timestamp::NONE && size > 0 {
        // Records mostly have times, the latest of which ends the index: it was emptied.
        return None;
    }
    // About when it began: the first entry comes soon after its first batch.
    let first = index.times().iter().next();
    Some(Segment {
        size,
        latest,
        unproven: true,
        started: first.map_or(latest.timestamp, |first| first.timestamp),
        index: Some(index),
        ..Segment::new(base)
    })
}

impl Walk<'_> {
    /// Reads a segment batch by batch, from the checkpoint on if there is one in it; takes in what
    /// is the log. `following`: where the next one begins.
    pub(super) async fn judge(
        &mut self,
        file: &SegmentFile,
        base: Offset,
        following: Option<Offset>,
        start: Option<&Start>,
    ) -> Result<(Segment, Behind), Errno> {
        let mut segment = match start {
            Some(start) => {
                self.found.next = start.checkpoint.end.offset;
                self.found.last = Some(start.last);
                self.epoch = start.checkpoint.epoch;
                start.checkpoint.segment()
            }
            None => Segment::new(base),
        };
        // From here on the batches tell. What began before must keep its beginning: the first batch
        // here may be of an epoch that began in an earlier segment, with later ones behind it.
        self.found.epochs.truncate_from_end(self.found.next);
        if let Some(start) = start {
            // Those that began in this segment before the checkpoint: an earlier segment that was read
            // again knew nothing of them, and the batches here are not read.
            for told in self.told.entries() {
                if told.start_offset < self.found.next {
                    self.found.epochs.assign(told.epoch, told.start_offset);
                }
            }
            self.undecided = Undecided::of(&start.producers);
            self.undecided_from = start.checkpoint.end.offset;
        }
        let mut index = segment.index.take().unwrap_or(SegmentIndex::new(base));
        let end = file.allocated();
        // A batch behind missing offsets ends in its segment.
        let gaps = following.map_or(self.gaps, |next| next.min(self.gaps));
        let mut whole = true;
        let from = segment.size;
        let mut at = from;
        let mut ahead = start.map_or(Vec::new(), |start| start.ahead.take());
        let mut want = FIRST_BYTES;
        let mut behind = Behind {
            last_page: None,
            zeros: None,
        };
        'file: while at < end {
            // No more than there is: memory is dear that nothing comes into.
            let mut asked = want.min((end - at) as usize);
            let bytes = match std::mem::take(&mut ahead) {
                none if none.is_empty() => file.read_disk(at, asked).await?,
                bytes => {
                    asked = bytes.len();
                    bytes
                }
            };
            let last = at + bytes.len() as u64 >= end || bytes.len() < asked;
            let began = at;
            want = CHUNK_BYTES;
            let mut walked = 0;
            loop {
                let next = self.found.next;
                let gaps = (next < gaps).then_some(gaps);
                let header = BatchHeader::view(&bytes[walked..]).filter(|_| gaps.is_some());
                let here = header.map_or(next, |header| header.base_offset().max(next));
                let epoch = EpochBound {
                    least: self.epoch,
                    told: self.told.epoch_for(here),
                };
                match step(&bytes[walked..], next, epoch, gaps, last) {
                    Step::Batch(info) => {
                        let pos = at + walked as u64;
                        index.on_append(&info, Position(pos), &self.opening.rules.index);
                        if segment.started == Timestamp::NONE {
                            segment.started = info.max_timestamp;
                        }
                        let batch = &bytes[walked..walked + info.size];
                        self.take(batch, &info, pos, &mut segment);
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
                        behind = Behind::of(&bytes, began, at);
                        whole = why == END_OF_FILE;
                        // Zeros are room for more if nothing else follows, as far as was read, and
                        // the file is not finished.
                        let room = why == ZEROS && behind.zeros.is_some() && !self.finished(base);
                        let silent = room || mutant::is(Mutant::CutInSilence);
                        if why != END_OF_FILE && !silent {
                            tracing::warn!(
                                partition = %self.opening.name,
                                "the log ends at offset {}, position {at} of segment {}: {why} \
                                 there; the {} bytes from there on are cut off",
                                self.found.next.0,
                                base.0,
                                end - at
                            );
                        }
                        break 'file;
                    }
                }
                if bytes.len() - walked < HEADER_BYTES && !last {
                    break;
                }
            }
            at += walked as u64;
            behind = Behind::of(&bytes, began, at);
        }
        self.judged += at - from;
        if whole && let Some(next) = following.filter(|next| *next <= self.gaps) {
            // What was at its end is missing.
            self.found.next = self.found.next.max(next);
        }
        if self.finished(base)
            && self.listing.has_aborted(base)
            && let Some(all) = read_aborted(self.io, &self.opening.directory, base).await?
        {
            // The batches alone do not tell: where a transaction began may not have been read.
            segment.aborted = AbortedList::Known(all);
        }
        segment.size = at;
        segment.latest = index.latest();
        segment.index = Some(index);
        Ok((segment, behind))
    }

    /// Takes in a batch that is the log's.
    fn take(&mut self, batch: &[u8], info: &BatchInfo, pos: u64, segment: &mut Segment) {
        let found = &mut self.found;
        // The batch with which its epoch began may be missing.
        let told = self.told.entries().iter();
        let told = told.filter(|told| told.epoch == info.leader_epoch);
        let began = told.map(|told| told.start_offset).next();
        let began =
            began.filter(|began| *began <= info.base_offset && info.base_offset < self.gaps);
        let began = began.unwrap_or(info.base_offset);
        found.epochs.assign(info.leader_epoch, began);
        if info.has_producer_id() {
            let news = info.base_offset >= self.replay_from;
            let decides = info.base_offset >= self.undecided_from;
            let marker = match info.is_control() {
                true => EndTransactionMarker::of_batch(batch, *info),
                false => None,
            };
            if let Some(marker) = marker {
                if decides
                    && let Some(aborted) = self.undecided.marker(info, marker)
                    && let AbortedList::Known(all) = &mut segment.aborted
                {
                    all.push(aborted);
                }
                if news {
                    let time = info.max_timestamp;
                    found.producers.applied_marker(info, marker, time);
                }
            } else if !info.is_control() {
                if decides {
                    self.undecided.data(info);
                }
                if news {
                    found.producers.applied(info, info.max_timestamp);
                }
            }
        }
        self.epoch = info.leader_epoch;
        found.next = info.next_offset();
        found.last = Some(Recent {
            base: info.base_offset,
            next: found.next,
            segment: segment.base,
            pos,
            end: pos + info.size as u64,
        });
    }
}
