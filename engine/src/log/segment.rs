//! One segment as the planner sees it: where it starts, how long it is, what its indexes say.

use super::index::{OffsetPosition, SegmentIndex, TimestampOffset};
use super::transactions::AbortedList;
use crate::types::{Offset, Position, Timestamp};

/// See the module.
#[derive(Debug)]
pub struct Segment {
    /// Offset of its first record, and its files' name.
    pub base: Offset,
    /// Bytes of batches, without padding.
    pub size: u64,
    /// Latest timestamp and the last offset of the batch that brought it.
    pub latest: TimestampOffset,
    /// `latest` is what the `.timeindex` says, and nothing vouches for that: age removes nothing by it
    /// before the batches [were asked](super::Log::tell_latest).
    pub unproven: bool,
    /// The latest timestamp of its first batch; counts for time-based rolling and for the lag of
    /// compaction. `NONE` while there is none.
    pub started: Timestamp,
    /// Present for the active segment, and for a closed one once somebody has looked into it.
    pub index: Option<SegmentIndex>,
    /// The index has no entries for what lies before this batch boundary: recovery started there.
    pub gap: Option<OffsetPosition>,
    /// Aborted transactions whose markers are in it; never on disk alone for the active segment.
    pub aborted: AbortedList,
}

impl Segment {
    /// An empty segment that starts at `base`.
    pub fn new(base: Offset) -> Self {
        Segment {
            base,
            size: 0,
            latest: TimestampOffset {
                timestamp: Timestamp::NONE,
                offset: Offset::NONE,
            },
            unproven: false,
            started: Timestamp::NONE,
            index: Some(SegmentIndex::new(base)),
            gap: None,
            aborted: AbortedList::default(),
        }
    }

    /// Whether its latest record is older than `retention_ms`; negative: that never is.
    pub(super) fn aged(&self, now: Timestamp, retention_ms: i64) -> bool {
        retention_ms >= 0
            && self.size > 0
            && self.latest.timestamp >= Timestamp(0)
            && now.0.saturating_sub(self.latest.timestamp.0) > retention_ms
    }

    /// A position that the index gave, but not one in the gap.
    pub(super) fn past_gap(&self, position: Position) -> Position {
        self.gap.map_or(position, |gap| position.max(gap.position))
    }
}

/// The 20-digit name that Kafka gives a segment's files, without extension.
///
/// Source: Kafka `LogFileUtils.filenamePrefixFromOffset`.
pub fn file_stem(base: Offset) -> String {
    format!("{:020}", base.0)
}

/// The base offset that a file name stands for, if it is one of Kafka's.
pub fn parse_file_name(name: &str) -> Option<(Offset, &str)> {
    let (stem, extension) = name.split_once('.')?;
    if stem.len() != 20 || !stem.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((Offset(stem.parse().ok()?), extension))
}
