//! Whole cleanings against a model of what a consumer may see: the last value of every key stays,
//! with its offset and time, in order; what is gone was superseded, aborted, or a tombstone whose
//! horizon was over.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::log::Aborted;
use crate::record::{
    BatchBuilder, BatchInfo, Compression, EndTransactionMarker, OpenBatch, Rules, validate,
};
use crate::types::{Epoch, Map, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

const RETENTION_MS: i64 = 100;
const SEGMENT_BYTES: u64 = 1_200;

#[derive(Clone, Debug)]
enum Step {
    /// A producer's batch: keys, each with a value or without.
    Data {
        producer: u8,
        transactional: bool,
        records: Vec<(u8, bool)>,
        codec: Compression,
    },
    End {
        producer: u8,
        commit: bool,
    },
    /// After so many milliseconds, with room for so many keys.
    Clean {
        wait_ms: i64,
        slots: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let records = prop::collection::vec((0..7u8, prop::bool::weighted(0.7)), 1..5);
    let codec = prop::sample::select(Compression::ALL.to_vec());
    prop_oneof![
        6 => (0..3u8, any::<bool>(), records, codec).prop_map(|(producer, transactional, records, codec)| {
            Step::Data { producer, transactional, records, codec }
        }),
        3 => (0..3u8, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit }),
        2 => (0..80i64, 2..40usize).prop_map(|(wait_ms, slots)| Step::Clean { wait_ms, slots }),
    ]
}

/// A record as it was written.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    key: u8,
    value: Option<Vec<u8>>,
    time: i64,
    /// Of a transaction, and not aborted.
    marker: Option<i64>,
    aborted: bool,
}

#[derive(Clone, Debug, Default)]
struct Piece {
    base: i64,
    batches: Vec<Vec<u8>>,
}

impl Piece {
    fn size(&self) -> u64 {
        self.batches.iter().map(|batch| batch.len() as u64).sum()
    }
}

/// A log in memory, and all that was ever written to it.
#[derive(Default)]
struct World {
    pieces: Vec<Piece>,
    next: i64,
    now: i64,
    cleaned: i64,
    written: BTreeMap<i64, Written>,
    sequences: BTreeMap<u8, i32>,
    /// Offsets of the records of each open transaction.
    open: BTreeMap<u8, Vec<i64>>,
    last_of: BTreeMap<u8, i64>,
    aborted: Vec<Aborted>,
    /// When a tombstone was first met by a cleaning, by offset.
    met: BTreeMap<i64, i64>,
}

fn info(batch: &[u8]) -> BatchInfo {
    validate(batch, &Rules::LOG).expect("a batch that may stand in a log")
}

impl World {
    fn append(&mut self, batch: Vec<u8>) {
        let full = self.pieces.last().is_none_or(|last| {
            last.size() > 0 && last.size() + batch.len() as u64 > SEGMENT_BYTES / 2
        });
        if full {
            let base = self.next;
            self.pieces.push(Piece {
                base,
                batches: Vec::new(),
            });
        }
        self.next = info(&batch).next_offset().0;
        self.pieces
            .last_mut()
            .expect("a segment")
            .batches
            .push(batch);
    }

    fn builder(&mut self, producer: u8, count: i32) -> BatchBuilder {
        let sequence = self.sequences.entry(producer).or_insert(0);
        let id = ProducerId(producer.into());
        let builder = BatchBuilder::new().base_offset(Offset(self.next)).producer(
            id,
            ProducerEpoch(0),
            Sequence(*sequence),
        );
        *sequence += count;
        builder
    }

    fn data(
        &mut self,
        producer: u8,
        transactional: bool,
        records: &[(u8, bool)],
        codec: Compression,
    ) {
        // Within an open transaction there is nothing else.
        let transactional = transactional || self.open.contains_key(&producer);
        let mut builder = self
            .builder(producer, records.len() as i32)
            .compression(codec);
        if transactional {
            builder = builder.transactional();
        }
        for (offset, (key, has_value)) in (self.next..).zip(records) {
            let value = has_value.then(|| vec![offset as u8; 30]);
            let time = self.now - offset % 3;
            builder
                .append(Timestamp(time), Some(&[*key]), value.as_deref(), &[])
                .expect("a record");
            if transactional {
                self.open.entry(producer).or_default().push(offset);
            }
            let written = Written {
                key: *key,
                value,
                time,
                marker: None,
                aborted: false,
            };
            self.written.insert(offset, written);
        }
        self.append(builder.build().expect("a batch"));
        self.last_of.insert(producer, self.next - 1);
    }

    fn end(&mut self, producer: u8, commit: bool) {
        let Some(records) = self.open.remove(&producer) else {
            return;
        };
        let marker = self.next;
        for offset in &records {
            let record = self.written.get_mut(offset).expect("it was written");
            (record.marker, record.aborted) = (Some(marker), !commit);
        }
        let mut builder = BatchBuilder::new().base_offset(Offset(marker)).producer(
            ProducerId(producer.into()),
            ProducerEpoch(0),
            Sequence::NONE,
        );
        builder = builder.transactional().control();
        let ended = EndTransactionMarker {
            commit,
            coordinator_epoch: Epoch(0),
        };
        builder
            .append_marker(Timestamp(self.now), ended)
            .expect("a marker");
        self.append(builder.build().expect("a batch"));
        if !commit {
            self.aborted.push(Aborted {
                first: Offset(records[0]),
                producer_id: ProducerId(producer.into()),
                last: Offset(marker),
                stable: Offset(marker + 1),
            });
        }
    }

    /// As the shard does it. Gives up to where the log is clean.
    fn clean(&mut self, slots: usize) {
        let active = self.pieces.len().saturating_sub(1);
        let extents: Vec<Extent> = self.pieces[..active]
            .iter()
            .map(|piece| Extent {
                base: Offset(piece.base),
                size: piece.size(),
                latest: Timestamp(0),
                started: Timestamp(0),
                aborted: 0,
            })
            .collect();
        let closed_end = Offset(self.pieces.get(active).map_or(0, |piece| piece.base));
        let undecided = self.open.values().map(|open| open[0]).min();
        let bounds = Bounds {
            log_start: Offset(0),
            log_end: Offset(self.next),
            closed_end,
            settled: Offset(undecided.unwrap_or(self.next)),
            cleaned: Some(Offset(self.cleaned)),
        };
        let rules = CompactionRules {
            min_dirty_ratio: 0.0,
            min_lag_ms: 0,
            max_lag_ms: i64::MAX,
            delete_retention_ms: RETENTION_MS,
            codec: None,
        };
        let found = candidate(&extents, &bounds, &rules, Timestamp(self.now));
        if !found.is_due(&rules) {
            return;
        }
        let keys = KeyMap::new(slots * SLOT_BYTES, 0.9, u64::MAX, found.from, (3, 4));
        let mut indexer = Indexer::new(keys, found.from, self.aborted.iter().copied());
        'all: for (piece, extent) in self.pieces.iter().zip(&extents) {
            if extent.base >= found.to {
                break;
            }
            for batch in &piece.batches {
                let indexed = indexer.batch(batch, &info(batch)).expect("it opens");
                if indexed == Indexed::Full {
                    break 'all;
                }
            }
        }
        let (map, end) = indexer.finish();
        if end <= found.from {
            return;
        }
        let count = extents.partition_point(|one| one.base < end);
        let until = extents.get(count).map_or(closed_end, |next| next.base);
        let producers: Map<ProducerId, LastRecord> = self
            .last_of
            .iter()
            .map(|(producer, offset)| {
                let last = LastRecord {
                    offset: Some(Offset(*offset)),
                    epoch: ProducerEpoch(0),
                };
                (ProducerId((*producer).into()), last)
            })
            .collect();
        let retention = Retention {
            now: Timestamp(self.now),
            delete_retention_ms: RETENTION_MS,
        };
        let transactions = Transactions::new(self.aborted.iter().copied());
        let mut cleaner = Cleaner::new(map, end, retention, transactions, producers);
        let limits = GroupLimits {
            segment_bytes: SEGMENT_BYTES,
            index_bytes: 1 << 20,
            index_interval_bytes: 100,
        };
        let mut pieces = Vec::new();
        for group in groups(&extents[..count], until, &limits) {
            let old: Vec<&Vec<u8>> = self.pieces[group.clone()]
                .iter()
                .flat_map(|piece| &piece.batches)
                .collect();
            let mut batches = Vec::new();
            for (number, batch) in old.iter().enumerate() {
                let (mut out, last) = (Vec::new(), number + 1 == old.len());
                let stays = cleaner.batch(batch, &info(batch), last, &mut out);
                let stays = stays.expect("it opens");
                assert_eq!(stays, (!out.is_empty()).then(|| info(&out)));
                batches.extend(stays.map(|_| out));
            }
            let base = self.pieces[group.start].base;
            pieces.push(Piece { base, batches });
        }
        let kept = cleaner.take_kept_aborted();
        for (offset, written) in self.written.range(..end.0) {
            if written.value.is_none() {
                self.met.entry(*offset).or_insert(self.now);
            }
        }
        pieces.extend(self.pieces.drain(count..));
        let before = std::mem::replace(&mut self.pieces, pieces);
        // What was kept of the aborted ones, and those behind, are all that may still be asked for.
        let behind = self.aborted.iter().filter(|one| one.last >= until);
        let all: BTreeSet<_> = kept.into_iter().chain(behind.copied()).collect();
        self.check(&before, end, until, &all);
        self.aborted = all.into_iter().collect();
        self.cleaned = end.0;
    }

    fn check(&self, before: &[Piece], end: Offset, until: Offset, aborted: &BTreeSet<Aborted>) {
        let mut seen = BTreeMap::new();
        let (mut markers, mut ends) = (BTreeSet::new(), BTreeSet::new());
        let mut next = 0;
        for piece in &self.pieces {
            assert!(piece.base >= next, "segments follow each other");
            next = piece.base;
            for batch in &piece.batches {
                let info = info(batch);
                assert!(info.base_offset.0 >= next, "offsets rise");
                next = info.next_offset().0;
                ends.insert(next);
                let mut scratch = Vec::new();
                let open = OpenBatch::open(batch, info, &mut scratch).expect("opens");
                open.check(&Rules::LOG, false).expect("is in order");
                if info.is_control() {
                    markers.insert(info.base_offset.0);
                    continue;
                }
                for record in open.records() {
                    let record = record.expect("a record");
                    let found = (
                        record.key.expect("a key")[0],
                        record.value.map(<[u8]>::to_vec),
                        open.timestamp_of(&record).0,
                    );
                    seen.insert(open.offset_of(&record).0, found);
                }
            }
        }
        assert_eq!(next, self.next, "the end is told");
        for piece in self.pieces.windows(2) {
            let last = piece[0].batches.last().expect("its last batch stays");
            assert_eq!(info(last).next_offset().0, piece[1].base);
        }
        for offset in self.last_of.values() {
            assert!(ends.contains(&(offset + 1)), "a producer's last batch");
        }
        let mut latest = BTreeMap::new();
        for (offset, written) in self.written.iter().filter(|(_, written)| !written.aborted) {
            latest.insert(written.key, *offset);
        }
        for (offset, (key, value, time)) in &seen {
            let written = &self.written[offset];
            assert_eq!(
                (written.key, &written.value, written.time),
                (*key, value, *time)
            );
            if let Some(marker) = written.marker {
                assert!(markers.contains(&marker), "data without its marker");
            }
            if *offset < end.0 {
                assert!(!written.aborted, "aborted data stays");
            }
        }
        for (offset, written) in &self.written {
            let superseded = self
                .written
                .range(offset + 1..end.0.max(offset + 1))
                .any(|(_, later)| later.key == written.key && !later.aborted);
            if *offset < end.0 && superseded {
                assert!(!seen.contains_key(offset), "{offset} was superseded");
            }
            let superseded = superseded
                || self
                    .written
                    .range(offset + 1..)
                    .any(|(_, later)| later.key == written.key && !later.aborted);
            if seen.contains_key(offset) || superseded || written.aborted {
                continue;
            }
            assert_eq!(written.value, None, "the last value of key {}", written.key);
            let met = self.met.get(offset);
            assert!(
                met.is_some_and(|met| met + RETENTION_MS <= self.now),
                "the tombstone at {offset} went too early"
            );
        }
        for piece in before.iter().filter(|piece| piece.base >= until.0) {
            let same = self.pieces.iter().find(|one| one.base == piece.base);
            assert_eq!(same.map(|one| &one.batches), Some(&piece.batches));
        }
        // A reader of what is committed is told of each marker of an abort that it may meet data of.
        for one in aborted {
            assert!(one.last >= until || markers.contains(&one.last.0));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn what_must_stay_stays_and_what_may_go_goes(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World { now: 1_000, ..World::default() };
        for step in steps {
            world.now += 1;
            match step {
                Step::Data { producer, transactional, records, codec } => {
                    world.data(producer, transactional, &records, codec);
                }
                Step::End { producer, commit } => world.end(producer, commit),
                Step::Clean { wait_ms, slots } => {
                    world.now += wait_ms;
                    world.clean(slots);
                }
            }
        }
    }
}

#[test]
fn tombstones_and_markers_go_in_the_end() {
    let mut world = World {
        now: 1_000,
        ..World::default()
    };
    let one = |world: &mut World, key, value| {
        world.data(0, false, &[(key, value)], Compression::None);
    };
    one(&mut world, 1, true);
    one(&mut world, 1, false);
    world.data(1, true, &[(2, true)], Compression::None);
    world.end(1, false);
    world.data(1, true, &[(3, true)], Compression::None);
    world.end(1, true);
    world.data(1, true, &[(3, true)], Compression::None);
    world.end(1, true);
    for key in 10..40 {
        one(&mut world, key, true);
    }
    let counts = |world: &World| {
        let all = world.pieces.iter().flat_map(|piece| &piece.batches);
        let all: Vec<BatchInfo> = all.map(|batch| info(batch)).collect();
        let records = |of: &dyn Fn(&BatchInfo) -> bool| {
            let of = all.iter().filter(|info| of(info));
            of.map(|info| info.record_count).sum::<i32>()
        };
        (
            records(&|info| info.is_control()),
            records(&|info| !info.is_control() && info.base_offset.0 < 8),
        )
    };
    assert_eq!(counts(&world), (3, 5));
    world.clean(1_000);
    // The tombstone, the last value of 3; both markers whose data was met, and the last one.
    assert_eq!(counts(&world), (3, 2));
    let again = |world: &mut World, wait| {
        world.cleaned = 0;
        world.now += wait;
        world.clean(1_000);
        counts(world)
    };
    // The abort marker and the first commit's get their horizon now.
    assert_eq!(again(&mut world, RETENTION_MS - 1), (3, 2));
    assert_eq!(again(&mut world, 1), (3, 1), "the tombstone's is over");
    assert_eq!(again(&mut world, RETENTION_MS), (1, 1));
}
