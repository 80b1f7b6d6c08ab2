//! Which log is due for cleaning, from where to where, and which segments become one.
//!
//! Source: Kafka `LogCleanerManager.cleanableOffsets`, `maxCompactionDelay`, `LogToClean`,
//! `Cleaner.groupSegmentsBySize`.

use std::ops::Range;

use crate::limits::ABORTED_PER_SEGMENT_MAX;
use crate::record::CompressionTarget;
use crate::types::{Offset, Timestamp};

/// The settings of a topic that decide about compaction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CompactionRules {
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub min_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: a record is left alone for so long.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`: after so long a record is gone over whatever the ratio.
    pub max_lag_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `compression.type` and its level; `None`: producer.
    pub codec: Option<CompressionTarget>,
}

/// A segment that is closed and whose files are finished.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    pub base: Offset,
    /// Bytes.
    pub size: u64,
    /// Its latest timestamp.
    pub latest: Timestamp,
    /// When its first record came, about; negative if that is not known.
    pub started: Timestamp,
    /// Aborted transactions in its list.
    pub aborted: usize,
}

/// Where a log stands.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub log_start: Offset,
    pub log_end: Offset,
    /// Where the closed segments end.
    pub closed_end: Offset,
    /// Nothing at or after this is durable and decided.
    pub settled: Offset,
    /// What lies before was cleaned, by the checkpoint.
    pub cleaned: Option<Offset>,
}

/// A log that can be cleaned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// The dirty part begins here.
    pub from: Offset,
    /// And ends here: where a segment begins that may not be touched yet.
    pub to: Offset,
    pub clean_bytes: u64,
    pub dirty_bytes: u64,
    /// By how long the oldest dirty record is over `max.compaction.lag.ms`; 0 if it is not.
    pub overdue_ms: i64,
}

impl Candidate {
    /// The dirty share, 0 to 1.
    pub fn ratio(&self) -> f64 {
        match self.clean_bytes + self.dirty_bytes {
            0 => 0.0,
            all => self.dirty_bytes as f64 / all as f64,
        }
    }

    /// Whether it is time.
    pub fn is_due(&self, rules: &CompactionRules) -> bool {
        self.dirty_bytes > 0 && (self.overdue_ms > 0 || self.ratio() > rules.min_dirty_ratio)
    }
}

/// What of a log could be cleaned now. `segments`: the closed ones, in order.
pub fn candidate(
    segments: &[Extent],
    bounds: &Bounds,
    rules: &CompactionRules,
    now: Timestamp,
) -> Candidate {
    let from = match bounds.cleaned {
        Some(cleaned) if (bounds.log_start..=bounds.log_end).contains(&cleaned) => cleaned,
        _ => bounds.log_start,
    };
    let first_dirty = match from >= bounds.closed_end {
        true => segments.len(),
        false => holder(segments, from),
    };
    let dirty = &segments[first_dirty..];
    let mut limit = bounds.settled.min(bounds.closed_end);
    if rules.min_lag_ms > 0 {
        let young = now.0.saturating_sub(rules.min_lag_ms);
        if let Some(first) = dirty.iter().find(|one| one.latest.0 > young) {
            limit = limit.min(first.base);
        }
    }
    let to = match limit >= bounds.closed_end {
        true => bounds.closed_end,
        // Whole segments only.
        false => segments
            .get(holder(segments, limit))
            .map_or(limit, |one| one.base),
    };
    let oldest = dirty.iter().map(|one| one.started.0).filter(|at| *at > 0);
    let until = now.0.saturating_sub(rules.max_lag_ms.max(0));
    Candidate {
        from,
        to,
        clean_bytes: bytes(segments, from),
        dirty_bytes: bytes(dirty, to),
        overdue_ms: oldest
            .min()
            .map_or(0, |oldest| until.saturating_sub(oldest).max(0)),
    }
}

/// Bytes of those that begin before `end`.
fn bytes(segments: &[Extent], end: Offset) -> u64 {
    let within = segments.iter().take_while(|one| one.base < end);
    within.map(|one| one.size).sum()
}

/// The number of the segment that holds `offset`, or of the first.
fn holder(segments: &[Extent], offset: Offset) -> usize {
    let after = segments.partition_point(|one| one.base <= offset);
    after.saturating_sub(1)
}

/// How large a segment may become.
#[derive(Clone, Copy, Debug)]
pub struct GroupLimits {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.index.bytes`.
    pub index_bytes: u64,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u64,
}

impl GroupLimits {
    /// Entries of an index over so many bytes, at most: each stands for more than the interval, and
    /// for a batch.
    fn entries(&self, bytes: u64) -> u64 {
        const BATCH_BYTES_MIN: u64 = crate::record::HEADER_BYTES as u64;
        bytes / self.index_interval_bytes.max(BATCH_BYTES_MIN)
    }

    fn fit(&self, bytes: u64) -> bool {
        const ENTRY_BYTES: u64 = crate::log::index::TimeIndex::ENTRY_BYTES as u64;
        bytes <= self.segment_bytes && (self.entries(bytes) + 1) * ENTRY_BYTES <= self.index_bytes
    }
}

/// Which of `segments`, all that are gone over, in order, become one. Together they are no longer
/// than one may be, and offsets relative to the first fit an index. They end at `end`.
pub fn groups(segments: &[Extent], end: Offset, limits: &GroupLimits) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut bytes, mut aborted) = (0, 0);
    for (at, segment) in segments.iter().enumerate() {
        let last = segments.get(at + 1).map_or(end, |next| next.base);
        let joins = groups.last().is_some_and(|group| {
            let base = segments[group.start].base;
            let spans = last.0.saturating_sub(1).saturating_sub(base.0) <= i64::from(i32::MAX);
            (segment.size == 0 || spans)
                && limits.fit(bytes + segment.size)
                && aborted + segment.aborted <= ABORTED_PER_SEGMENT_MAX
        });
        match groups.last_mut().filter(|_| joins) {
            Some(group) => {
                group.end = at + 1;
                bytes += segment.size;
                aborted += segment.aborted;
            }
            None => {
                groups.push(at..at + 1);
                (bytes, aborted) = (segment.size, segment.aborted);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: CompactionRules = CompactionRules {
        min_dirty_ratio: 0.5,
        min_lag_ms: 0,
        max_lag_ms: i64::MAX,
        delete_retention_ms: 1_000,
        codec: None,
    };

    /// Segments of 100 offsets; the n-th holds records of the times from 100 n to 100 n + 99.
    fn segments(sizes: &[u64]) -> Vec<Extent> {
        let all = (0..).zip(sizes).map(|(n, size)| Extent {
            base: Offset(n * 100),
            size: *size,
            latest: Timestamp(n * 100 + 99),
            started: Timestamp(n * 100 + 1),
            aborted: 0,
        });
        all.collect()
    }

    fn bounds(closed: i64, cleaned: Option<i64>) -> Bounds {
        Bounds {
            log_start: Offset(0),
            log_end: Offset(closed + 50),
            closed_end: Offset(closed),
            settled: Offset(closed + 50),
            cleaned: cleaned.map(Offset),
        }
    }

    #[test]
    fn the_dirty_part_is_what_came_since() {
        let all = segments(&[10, 20, 30]);
        let of = |bounds: &Bounds| candidate(&all, bounds, &RULES, Timestamp(10_000));
        let never = of(&bounds(300, None));
        assert_eq!((never.from, never.to), (Offset(0), Offset(300)));
        assert_eq!((never.clean_bytes, never.dirty_bytes), (0, 60));
        assert!(never.is_due(&RULES));
        let half = of(&bounds(300, Some(200)));
        assert_eq!((half.clean_bytes, half.dirty_bytes), (30, 30));
        assert!(!half.is_due(&RULES), "not more than half");
        let within = of(&bounds(300, Some(150)));
        assert_eq!((within.from, within.dirty_bytes), (Offset(150), 50));
        // A checkpoint of records that are gone.
        assert_eq!(of(&bounds(300, Some(351))).from, Offset(0));
        let moved = Bounds {
            log_start: Offset(120),
            ..bounds(300, Some(100))
        };
        assert_eq!(of(&moved).from, Offset(120));
        let done = of(&bounds(300, Some(300)));
        assert_eq!((done.from, done.to), (Offset(300), Offset(300)));
        assert!(!done.is_due(&CompactionRules {
            min_dirty_ratio: 0.0,
            ..RULES
        }));
        let nothing = candidate(&[], &bounds(0, None), &RULES, Timestamp(1));
        assert!(!nothing.is_due(&RULES));
    }

    #[test]
    fn what_is_young_or_not_decided_is_left_alone() {
        let all = segments(&[10, 20, 30]);
        let at = |settled, min_lag_ms, now| {
            let bounds = Bounds {
                settled: Offset(settled),
                ..bounds(300, None)
            };
            let rules = CompactionRules {
                min_lag_ms,
                ..RULES
            };
            candidate(&all, &bounds, &rules, Timestamp(now)).to.0
        };
        assert_eq!(at(350, 0, 0), 300);
        assert_eq!(at(300, 0, 0), 300);
        assert_eq!(at(299, 0, 0), 200);
        assert_eq!(at(200, 0, 0), 200);
        assert_eq!(at(5, 0, 0), 0);
        assert_eq!(at(350, 50, 349), 300);
        assert_eq!(at(350, 50, 348), 200);
        assert_eq!(at(350, 50, 100), 0);
    }

    #[test]
    fn what_waited_for_too_long_is_due() {
        let all = segments(&[1_000, 1, 1]);
        let rules = CompactionRules {
            max_lag_ms: 500,
            ..RULES
        };
        let at = |now| candidate(&all, &bounds(300, Some(100)), &rules, Timestamp(now));
        assert_eq!((at(601).overdue_ms, at(601).is_due(&rules)), (0, false));
        assert_eq!((at(602).overdue_ms, at(602).is_due(&rules)), (1, true));
    }

    proptest! {
        #[test]
        fn groups_hold_all_in_order_and_no_neighbours_would_fit_into_one(
            sizes in prop::collection::vec(0..60u64, 0..20),
            segment_bytes in 1..150u64,
            far in 0..25usize,
        ) {
            let mut all = segments(&sizes);
            for segment in all.iter_mut().skip(far) {
                segment.base.0 += i64::from(i32::MAX);
            }
            let end = Offset(all.last().map_or(0, |last| last.base.0 + 100));
            let limits = GroupLimits {
                segment_bytes,
                index_bytes: 1 << 20,
                index_interval_bytes: 4096,
            };
            let groups = groups(&all, end, &limits);
            let joined: Vec<usize> = groups.iter().cloned().flatten().collect();
            prop_assert_eq!(joined, (0..all.len()).collect::<Vec<_>>());
            let bytes = |range: Range<usize>| all[range].iter().map(|one| one.size).sum::<u64>();
            for group in &groups {
                prop_assert!(group.len() == 1 || bytes(group.clone()) <= segment_bytes);
            }
            for pair in groups.windows(2) {
                let next = &all[pair[1].start];
                let both = bytes(pair[0].clone()) + next.size;
                let last = all.get(pair[1].start + 1).map_or(end, |one| one.base).0 - 1;
                let span = last - all[pair[0].start].base.0;
                prop_assert!(both > segment_bytes || span > i64::from(i32::MAX));
            }
        }
    }

    #[test]
    fn a_list_of_aborted_transactions_is_not_outgrown() {
        let mut all = segments(&[1; 4]);
        all[1].aborted = ABORTED_PER_SEGMENT_MAX;
        all[3].aborted = 1;
        let limits = GroupLimits {
            segment_bytes: 1 << 30,
            index_bytes: 1 << 20,
            index_interval_bytes: 4096,
        };
        assert_eq!(groups(&all, Offset(400), &limits), [0..3, 3..4]);
    }

    #[test]
    fn an_index_is_not_outgrown() {
        let all = segments(&[4_096 * 100; 4]);
        let limits = GroupLimits {
            segment_bytes: 1 << 30,
            index_bytes: 12 * 250,
            index_interval_bytes: 4096,
        };
        assert_eq!(groups(&all, Offset(400), &limits), [0..2, 2..4]);
    }
}
