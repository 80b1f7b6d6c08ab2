//! One segment at opening: by its files alone if it was finished, else batch by batch.

use std::path::Path;

use odradek_engine::io::{Errno, Io, SegmentFile};
use odradek_engine::log::index::SegmentIndex;
use odradek_engine::log::recovery::{Step, step};
use odradek_engine::log::{LogRules, Recovered, Segment, file_stem};
use odradek_engine::record::HEADER_BYTES;
use odradek_engine::types::{Epoch, Offset, Position, Timestamp};

use super::side_files::read_index;

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
    let stem = directory.join(file_stem(base));
    let size = file.allocated();
    let index = read_index(io, &stem, base, size, following).await?;
    let latest = index.latest();
    Some(Segment {
        base,
        size,
        latest,
        started: latest.timestamp,
        index: Some(index),
    })
}

/// Reads a segment batch by batch; takes into `found` what is the log.
pub(super) async fn judge(
    file: &SegmentFile,
    base: Offset,
    epoch: Epoch,
    rules: &LogRules,
    found: &mut Recovered,
    replay_from: Offset,
) -> Result<(Segment, Epoch), Errno> {
    let end = file.allocated();
    let mut index = SegmentIndex::new(base);
    let mut segment = Segment::new(base);
    let (mut at, mut epoch) = (0, epoch);
    let mut want = CHUNK_BYTES;
    'file: while at < end {
        let bytes = file.read(at, want).await?;
        let last = at + bytes.len() as u64 >= end || bytes.len() < want;
        want = CHUNK_BYTES;
        let mut walked = 0;
        loop {
            match step(&bytes[walked..], found.next, epoch, false, last) {
                Step::Batch(info) => {
                    index.on_append(&info, Position(at + walked as u64), &rules.index);
                    found.epochs.assign(info.leader_epoch, info.base_offset);
                    if info.has_producer_id() && info.base_offset >= replay_from {
                        found.producers.applied(&info, info.max_timestamp);
                    }
                    if segment.started == Timestamp::NONE {
                        segment.started = info.base_timestamp;
                    }
                    epoch = info.leader_epoch;
                    found.next = info.next_offset();
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
                    let zeros = why == "zeros";
                    if !zeros {
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
    segment.size = at;
    segment.latest = index.latest();
    segment.index = Some(index);
    Ok((segment, epoch))
}
