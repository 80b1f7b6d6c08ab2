//! One segment at opening: by its files alone if it was finished, else batch by batch.

use std::path::Path;

use odradek_engine::io::{Errno, Io, SegmentFile};
use odradek_engine::log::index::SegmentIndex;
use odradek_engine::log::recovery::{END_OF_FILE, EpochBound, Step, ZEROS, step};
use odradek_engine::log::{Recent, Segment, file_stem};
use odradek_engine::record::{BatchInfo, HEADER_BYTES};
use odradek_engine::types::{Offset, Position, Timestamp};

use super::recover::Start;
use super::side_files::read_index;
use super::walk::Walk;

/// Bytes read at once.
const CHUNK_BYTES: usize = 1 << 20;

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
    Some(Segment {
        size,
        latest,
        started: latest.timestamp,
        index: Some(index),
        ..Segment::new(base)
    })
}

impl Walk<'_> {
    /// Reads a segment batch by batch, from the checkpoint on if there is one in it; takes in what
    /// is the log.
    pub(super) async fn judge(
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
        // From here on the batches tell. What began before must keep its beginning: the first batch
        // here may be of an epoch that began in an earlier segment, with later ones behind it.
        self.found.epochs.truncate_from_end(self.found.next);
        let mut index = segment.index.take().unwrap_or(SegmentIndex::new(base));
        let end = file.allocated();
        let from = segment.size;
        let mut at = from;
        let mut want = CHUNK_BYTES;
        'file: while at < end {
            let bytes = file.read_disk(at, want).await?;
            let last = at + bytes.len() as u64 >= end || bytes.len() < want;
            want = CHUNK_BYTES;
            let mut walked = 0;
            loop {
                let epoch = EpochBound {
                    least: self.epoch,
                    told: self.told.epoch_for(self.found.next),
                };
                match step(&bytes[walked..], self.found.next, epoch, false, last) {
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
                        if why != END_OF_FILE && why != ZEROS {
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
}
