//! What the names in a partition's directory say. Pure.

use odradek_engine::log::compaction::OffsetCheckpoint;
use odradek_engine::log::parse_file_name;
use odradek_engine::types::Offset;

/// See the module. Every list is in the order of offsets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing<'a> {
    /// Segments.
    pub bases: Vec<Offset>,
    /// Indexes: each says that its segment was finished.
    finished: Vec<Offset>,
    /// Indexes by time.
    times: Vec<Offset>,
    /// Indexes of aborted transactions.
    aborted: Vec<Offset>,
    /// Snapshots of the producers' state.
    pub snapshots: Vec<Offset>,
    /// There is a checkpoint of where compaction may have taken out offsets, or of how far it came,
    /// before which the other is written.
    pub compacted: bool,
    /// Left behind by a kill, to be removed.
    pub litter: Vec<&'a str>,
}

impl<'a> Listing<'a> {
    /// Names that mean nothing here are passed over.
    pub fn of(names: &'a [String]) -> Self {
        let mut listing = Listing::default();
        for name in names {
            if name.ends_with(".tmp") || name.ends_with(".deleted") {
                listing.litter.push(name);
                continue;
            }
            match parse_file_name(name) {
                Some((base, "log")) => listing.bases.push(base),
                Some((base, "index")) => listing.finished.push(base),
                Some((base, "timeindex")) => listing.times.push(base),
                Some((base, "txnindex")) => listing.aborted.push(base),
                Some((base, "snapshot")) => listing.snapshots.push(base),
                _ => {
                    let ours = [OffsetCheckpoint::GAPS, OffsetCheckpoint::CLEANED];
                    listing.compacted |= ours.contains(&name.as_str());
                }
            }
        }
        for list in [
            &mut listing.bases,
            &mut listing.finished,
            &mut listing.times,
            &mut listing.aborted,
            &mut listing.snapshots,
        ] {
            list.sort_unstable();
        }
        listing
    }

    /// Indexes without a segment.
    pub fn orphans(&self) -> impl Iterator<Item = Offset> {
        let lone = |base: &Offset| self.bases.binary_search(base).is_err();
        self.finished.iter().copied().filter(move |base| lone(base))
    }

    /// Whether a segment has its index.
    pub fn is_finished(&self, base: Offset) -> bool {
        self.finished.binary_search(&base).is_ok()
    }

    /// Whether a clean stop has left the log as it is, and it ends at `end`.
    pub fn is_closed_at(&self, end: Offset) -> bool {
        self.clean() == self.bases.len()
            && self.snapshots.last() == Some(&end)
            && self
                .bases
                .last()
                .is_some_and(|active| self.times.binary_search(active).is_ok())
    }

    /// Whether a segment has an index of whatever kind.
    pub fn has_index(&self, base: Offset) -> bool {
        let kinds = [&self.finished, &self.times, &self.aborted];
        kinds.iter().any(|kind| kind.binary_search(&base).is_ok())
    }

    /// Whether nothing was left behind.
    pub fn is_sound(&self) -> bool {
        self.litter.is_empty() && self.orphans().next().is_none()
    }

    /// Whether a segment has an index of aborted transactions.
    pub fn has_aborted(&self, base: Offset) -> bool {
        self.aborted.binary_search(&base).is_ok()
    }

    /// How many segments, from the first, were finished without a gap.
    pub fn clean(&self) -> usize {
        let unfinished = |base: &Offset| self.finished.binary_search(base).is_err();
        let first = self.bases.iter().position(unfinished);
        first.unwrap_or(self.bases.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_without_its_index_ends_what_is_known() {
        let names = [
            "00000000000000000020.log",
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000010.log",
            "00000000000000000020.index",
            "00000000000000000030.index",
            "00000000000000000020.snapshot",
            "00000000000000000010.snapshot",
            "00000000000000000010.txnindex",
            "00000000000000000010.index.tmp",
            "00000000000000000005.log.deleted",
            "partition.metadata",
        ]
        .map(str::to_owned);
        let listing = Listing::of(&names);
        assert_eq!(listing.bases, [Offset(0), Offset(10), Offset(20)]);
        assert_eq!(listing.snapshots, [Offset(10), Offset(20)]);
        let litter = [
            "00000000000000000010.index.tmp",
            "00000000000000000005.log.deleted",
        ];
        assert_eq!(listing.litter, litter);
        assert!(listing.has_aborted(Offset(10)) && !listing.has_aborted(Offset(20)));
        assert_eq!(listing.clean(), 1);
        assert!(listing.orphans().eq([Offset(30)]));
        assert!(
            !listing.is_closed_at(Offset(20)),
            "segment 10 is not finished"
        );
    }

    #[test]
    fn a_clean_stop_leaves_all_segments_finished_and_a_snapshot_of_the_end() {
        let closed = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            Listing::of(&names).is_closed_at(Offset(7))
        };
        let log = "00000000000000000000.log";
        let index = "00000000000000000000.index";
        let times = "00000000000000000000.timeindex";
        let end = "00000000000000000007.snapshot";
        assert!(closed(&[log, index, times, end]));
        assert!(!closed(&[log, times, end]));
        assert!(!closed(&[log, index, end]));
        assert!(!closed(&[log, index, times]));
        assert!(!closed(&[
            log,
            index,
            times,
            "00000000000000000006.snapshot"
        ]));
        assert!(!closed(&[
            log,
            index,
            times,
            end,
            "00000000000000000007.log"
        ]));
        assert!(!closed(&[end]));
    }
}
