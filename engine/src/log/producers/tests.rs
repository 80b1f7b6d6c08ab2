use proptest::prelude::*;

use super::*;
use crate::record::{BatchBuilder, Rules, validate};

const NOW: Timestamp = Timestamp(1_000);

#[derive(Clone, Copy, Debug)]
struct Sent {
    id: i64,
    epoch: i16,
    sequence: i32,
    count: i32,
}

fn sent(epoch: i16, sequence: i32, count: i32) -> Sent {
    Sent {
        id: 1,
        epoch,
        sequence,
        count,
    }
}

impl Sent {
    fn builder(self, offset: i64) -> BatchBuilder {
        BatchBuilder::new().base_offset(Offset(offset)).producer(
            ProducerId(self.id),
            ProducerEpoch(self.epoch),
            Sequence(self.sequence),
        )
    }

    fn build(self, mut builder: BatchBuilder) -> BatchInfo {
        for _ in 0..self.count {
            builder.append(Timestamp(77), None, None, &[]).unwrap();
        }
        validate(&builder.build().unwrap(), &Rules::NODE).unwrap()
    }

    fn at(self, offset: i64) -> BatchInfo {
        self.build(self.builder(offset))
    }

    fn in_transaction(self, offset: i64) -> BatchInfo {
        self.build(self.builder(offset).transactional())
    }
}

/// A partition that appends what it may.
#[derive(Default)]
struct Partition {
    producers: Producers,
    end: i64,
}

impl Partition {
    fn send(&mut self, sent: Sent) -> Decision {
        let decision = self.producers.check(&sent.at(0), Origin::Client);
        if decision == Decision::Append {
            self.producers.applied(&sent.at(self.end), NOW);
            self.end += i64::from(sent.count);
        }
        decision
    }

    fn take(&mut self, sent: Sent) {
        assert_eq!(self.send(sent), Decision::Append, "{sent:?}");
    }

    /// The error's code, and nothing changed.
    fn refuse(&mut self, sent: Sent) -> i16 {
        match self.send(sent) {
            Decision::Refuse(error) => error.code(),
            other => panic!("{sent:?}: {other:?}"),
        }
    }
}

const OUT_OF_ORDER: i16 = 45;
const FENCED: i16 = 47;

#[test]
fn batches_in_order_are_taken_and_gaps_are_not() {
    let mut partition = Partition::default();
    partition.take(sent(0, 0, 3));
    partition.take(sent(0, 3, 1));
    assert_eq!(partition.refuse(sent(0, 5, 1)), OUT_OF_ORDER);
    assert_eq!(
        partition.refuse(sent(0, 0, 1)),
        OUT_OF_ORDER,
        "other end than the first batch"
    );
    assert_eq!(
        partition.refuse(sent(0, 1, 2)),
        OUT_OF_ORDER,
        "other start than the first batch"
    );
    partition.take(sent(0, 4, 2));
    assert_eq!(
        partition
            .producers
            .get(ProducerId(1))
            .unwrap()
            .last_sequence(),
        Sequence(5)
    );
}

#[test]
fn the_last_five_batches_are_answered_as_before() {
    let mut partition = Partition::default();
    for n in 0..7 {
        partition.take(sent(0, 10 * n, 10));
    }
    for n in 2..7 {
        let Decision::Duplicate(mark) = partition.send(sent(0, 10 * n, 10)) else {
            panic!("batch {n} is a duplicate");
        };
        assert_eq!(mark.base_offset(), Offset(10 * i64::from(n)));
        assert_eq!(mark.last_offset, Offset(10 * i64::from(n) + 9));
        assert_eq!(mark.timestamp, Timestamp(77));
    }
    assert_eq!(partition.refuse(sent(0, 10, 10)), OUT_OF_ORDER, "forgotten");
    assert_eq!(partition.end, 70);
}

#[test]
fn sequences_wrap_around() {
    let mut partition = Partition::default();
    partition.take(sent(0, i32::MAX - 1, 4));
    let known = partition.producers.get(ProducerId(1)).unwrap();
    assert_eq!(known.last_sequence(), Sequence(1));
    assert!(matches!(
        partition.send(sent(0, i32::MAX - 1, 4)),
        Decision::Duplicate(_)
    ));
    partition.take(sent(0, 2, 1));
    let mut exact = Partition::default();
    exact.take(sent(0, i32::MAX, 1));
    exact.take(sent(0, 0, 1));
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old() {
    let mut partition = Partition::default();
    partition.take(sent(3, 0, 5));
    assert_eq!(partition.refuse(sent(4, 5, 1)), OUT_OF_ORDER);
    assert_eq!(partition.refuse(sent(2, 0, 5)), FENCED);
    partition.take(sent(4, 0, 1));
    assert_eq!(
        partition.refuse(sent(3, 0, 5)),
        FENCED,
        "not a duplicate any more"
    );
    assert_eq!(partition.refuse(sent(3, 5, 1)), FENCED);
    partition.take(sent(4, 1, 1));
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    let mut partition = Partition::default();
    partition.take(sent(9, 1234, 1));
    assert_eq!(partition.refuse(sent(9, 1234, 2)), OUT_OF_ORDER);
    partition.take(sent(9, 1235, 1));
}

#[test]
fn producers_do_not_disturb_each_other() {
    let mut partition = Partition::default();
    for id in 1..20 {
        for n in 0..3 {
            partition.take(Sent {
                id,
                epoch: 0,
                sequence: n,
                count: 1,
            });
        }
    }
    assert_eq!(partition.producers.len(), 19);
    let plain = sent(0, 0, 1).build(BatchBuilder::new());
    assert_eq!(
        partition.producers.check(&plain, Origin::Client),
        Decision::Append
    );
    partition.producers.applied(&plain, NOW);
    assert_eq!(partition.producers.len(), 19, "not idempotent");
}

#[test]
fn the_unused_are_forgotten() {
    let mut producers = Producers::new();
    for (id, used) in [(1, 1_000), (2, 2_000), (3, 3_000)] {
        let batch = Sent {
            id,
            epoch: 0,
            sequence: 0,
            count: 1,
        };
        let batch = if id == 1 {
            batch.in_transaction(0)
        } else {
            batch.at(0)
        };
        producers.applied(&batch, Timestamp(used));
    }
    producers.expire(Timestamp(2_999), 1_000);
    assert_eq!(producers.len(), 3);
    producers.expire(Timestamp(3_000), 1_000);
    let ids: Vec<_> = producers
        .sorted()
        .iter()
        .map(|entry| entry.id().0)
        .collect();
    assert_eq!(ids, [1, 3], "an open transaction stays");
}

#[test]
fn the_table_is_bounded() {
    let mut producers = Producers::bounded(16);
    for id in 0..100 {
        let batch = Sent {
            id,
            epoch: 0,
            sequence: 0,
            count: 1,
        };
        producers.applied(&batch.at(id), Timestamp(id));
        assert!(producers.len() <= 16);
        assert!(producers.get(ProducerId(id)).is_some());
    }
    assert!(producers.get(ProducerId(90)).is_some() && producers.get(ProducerId(80)).is_none());
    // All used at the same time: still at most one eighth goes.
    let mut producers = Producers::bounded(16);
    for id in 0..17 {
        let batch = Sent {
            id,
            epoch: 0,
            sequence: 0,
            count: 1,
        };
        producers.applied(&batch.at(id), NOW);
    }
    assert_eq!(producers.len(), 15);
}

#[test]
fn a_transaction_lasts_until_its_marker() {
    let mut producers = Producers::new();
    producers.applied(&sent(0, 0, 1).in_transaction(10), NOW);
    producers.applied(&sent(0, 1, 1).in_transaction(11), NOW);
    let entry = producers.get(ProducerId(1)).unwrap();
    assert_eq!(entry.transaction_first_offset(), Some(Offset(10)));
    let plain = sent(0, 2, 1).at(0);
    let error = ProducerError::TransactionOpen { id: ProducerId(1) };
    assert_eq!(
        producers.check(&plain, Origin::Client),
        Decision::Refuse(error)
    );
    assert_eq!(error.code(), 48);
    let marker = |epoch| EndTransactionMarker {
        commit: true,
        coordinator_epoch: Epoch(epoch),
    };
    let end = Sent {
        id: 1,
        epoch: 0,
        sequence: -1,
        count: 1,
    };
    let end = end.build(end.builder(12).transactional().control());
    assert_eq!(producers.check(&end, Origin::Node), Decision::Append);
    assert_eq!(producers.check_marker(&end, marker(5), 1), Ok(()));
    assert_eq!(
        producers.applied_marker(&end, marker(5), NOW),
        Some(Offset(10))
    );
    let entry = producers.get(ProducerId(1)).unwrap();
    assert_eq!(entry.coordinator_epoch(), Epoch(5));
    assert_eq!(entry.last_sequence(), Sequence(1), "the batches stay known");
    assert_eq!(
        producers
            .check_marker(&end, marker(4), 1)
            .unwrap_err()
            .code(),
        52
    );
    assert_eq!(producers.applied_marker(&end, marker(5), NOW), None);
}

#[test]
fn kafkas_snapshot_is_ours() {
    let file = include_bytes!("golden/kafka.snapshot");
    let producers = Producers::from_snapshot(file).unwrap();
    assert_eq!(producers.to_snapshot(), file);
    let entry = producers.get(ProducerId(4711)).unwrap();
    assert_eq!(
        (entry.epoch(), entry.coordinator_epoch()),
        (ProducerEpoch(7), Epoch(3))
    );
    assert_eq!(entry.transaction_first_offset(), Some(Offset(900)));
    let mark = entry.last_batch().unwrap();
    assert_eq!(
        (mark.base_offset(), mark.last_offset),
        (Offset(947), Offset(950))
    );
    assert_eq!(
        (mark.base_sequence(), mark.last_sequence),
        (Sequence(i32::MAX - 1), Sequence(1))
    );
    assert_eq!(mark.timestamp, Timestamp(1_700_000_000_123));
    let marked = producers.get(ProducerId(i64::MAX)).unwrap();
    assert_eq!(
        (marked.last_batch(), marked.last_sequence()),
        (None, Sequence::NONE)
    );
    // Nothing of its epoch is known here but that it is the current one.
    let id = i64::MAX;
    let of = |epoch, sequence| Sent {
        id,
        epoch,
        sequence,
        count: 1,
    };
    let mut partition = Partition { producers, end: 0 };
    assert_eq!(partition.refuse(of(i16::MAX, 7)), OUT_OF_ORDER);
    partition.take(of(i16::MAX, 0));
}

#[test]
fn a_producer_without_epoch_may_start_anywhere() {
    let mut file = include_bytes!("golden/kafka.snapshot").to_vec();
    file[18..20].copy_from_slice(&(-1i16).to_be_bytes());
    let crc = crc32c::crc32c(&file[6..]);
    file[2..6].copy_from_slice(&crc.to_be_bytes());
    let producers = Producers::from_snapshot(&file).unwrap();
    assert_eq!(
        producers.get(ProducerId(1)).unwrap().epoch(),
        ProducerEpoch::NONE
    );
    Partition { producers, end: 0 }.take(sent(0, 55, 1));
}

#[test]
fn impossible_snapshots_are_refused() {
    let seal = |mut bytes: Vec<u8>| {
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        Producers::from_snapshot(&bytes).unwrap_err()
    };
    let good = include_bytes!("golden/kafka.snapshot").to_vec();
    for count in [-1, 0, 2, 4, i32::MAX] {
        let mut bytes = good.clone();
        bytes[6..10].copy_from_slice(&count.to_be_bytes());
        let size = SnapshotError::Size {
            bytes: good.len(),
            count,
        };
        assert_eq!(seal(bytes), size);
    }
    let negative = (-1i32).to_be_bytes();
    for (at, bytes) in [
        (10, negative),
        (20, [0x80, 0, 0, 0]),
        (32, negative),
        (32, [0x7f; 4]),
    ] {
        let mut snapshot = good.clone();
        snapshot[at..at + 4].copy_from_slice(&bytes);
        assert_eq!(seal(snapshot), SnapshotError::Entry { entry: 0 }, "{at}");
    }
    let mut bytes = good.clone();
    bytes[1] = 2;
    assert_eq!(seal(bytes), SnapshotError::Version { version: 2 });
}

proptest! {
    #[test]
    fn whatever_is_sent_how_often_is_stored_once_and_in_order(
        tries in prop::collection::vec((0..12usize, any::<bool>()), 0..80),
        counts in prop::collection::vec(1..4i32, 12),
        first: i32,
    ) {
        // A producer's batches, sent in any order and again.
        let mut sequence = Sequence(first & i32::MAX);
        let batches: Vec<_> = counts.iter().map(|&count| {
            let batch = sent(0, sequence.0, count);
            sequence = sequence.increment(count);
            batch
        }).collect();
        let mut partition = Partition::default();
        partition.take(batches[0]);
        let mut stored = vec![(0usize, 0i64)];
        let mut restarted = false;
        for (n, restart) in tries {
            let end = partition.end;
            let last = stored.last().unwrap().0;
            match partition.send(batches[n]) {
                Decision::Append => {
                    prop_assert_eq!(n, last + 1);
                    stored.push((n, end));
                }
                Decision::Duplicate(mark) => {
                    prop_assert!(stored.contains(&(n, mark.base_offset().0)));
                    prop_assert_eq!(mark.base_sequence(), Sequence(batches[n].sequence));
                }
                Decision::Refuse(error) => {
                    prop_assert_eq!(error.code(), OUT_OF_ORDER);
                    prop_assert!(n > last + 1 || n < last);
                }
            }
            if restart {
                // A replay of the log gives the same state; a snapshot all but the older marks.
                let mut replayed = Producers::new();
                for &(n, offset) in &stored {
                    replayed.applied(&batches[n].at(offset), NOW);
                }
                let id = ProducerId(1);
                let known = partition.producers.get(id).unwrap();
                let replayed = replayed.get(id).unwrap();
                prop_assert_eq!(replayed.last_batch(), known.last_batch());
                prop_assert!(restarted || replayed == known);
                restarted = true;
                let snapshot = partition.producers.to_snapshot();
                let read = Producers::from_snapshot(&snapshot).unwrap();
                prop_assert_eq!(read.to_snapshot(), snapshot);
                let recent = Producers::from_recent(&partition.producers.to_recent()).unwrap();
                let mut recalled = read.clone();
                recalled.recall(&recent);
                for all in [&recent, &recalled] {
                    prop_assert!(all.get(id).unwrap().batches().eq(known.batches()));
                }
                partition.producers = read;
            }
        }
    }

    #[test]
    fn any_change_of_a_snapshot_is_noticed(
        at: prop::sample::Index,
        bit in 0..8,
        cut: prop::sample::Index,
        bytes: Vec<u8>,
    ) {
        let good = include_bytes!("golden/kafka.snapshot");
        let mut flipped = good.to_vec();
        flipped[at.index(good.len())] ^= 1u8 << bit;
        prop_assert!(Producers::from_snapshot(&flipped).is_err());
        prop_assert!(Producers::from_snapshot(&good[..cut.index(good.len())]).is_err());
        let _ = Producers::from_snapshot(&bytes);
    }

    #[test]
    fn any_change_of_what_a_snapshot_leaves_out_is_noticed(
        at: prop::sample::Index,
        bit in 0..8,
        cut: prop::sample::Index,
    ) {
        let mut partition = Partition::default();
        (0..7).for_each(|n| partition.take(sent(0, n, 1)));
        let (good, alone) = (partition.producers.to_recent(), partition.producers.to_snapshot());
        let mut flipped = good.clone();
        flipped[at.index(good.len())] ^= 1u8 << bit;
        prop_assert!(Producers::from_recent(&flipped).is_err());
        let cut = cut.index(good.len());
        prop_assert_eq!(Producers::from_recent(&good[..cut]).is_ok(), cut == alone.len());
        prop_assert!(Producers::from_recent(&[&good[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_snapshot_with_a_right_crc_never_panics(
        fields in prop::collection::vec(any::<[u8; 46]>().prop_map(|mut entry| {
            // Leaves the values small or hostile, half and half.
            for byte in entry.iter_mut().step_by(3) {
                *byte &= 1;
            }
            entry
        }), 0..5),
        earlier in prop::collection::vec(prop_oneof![0..5u8, any::<u8>()], 0..300),
        id: i64,
    ) {
        let mut bytes = vec![0, 1, 0, 0, 0, 0];
        bytes.extend_from_slice(&(fields.len() as i32).to_be_bytes());
        bytes.extend(fields.concat());
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        let alone = Producers::from_snapshot(&bytes);
        bytes.extend(crc32c::crc32c(&earlier).to_be_bytes());
        bytes.extend(earlier);
        for mut producers in [alone, Producers::from_recent(&bytes)].into_iter().flatten() {
            let ids: Vec<_> = producers.sorted().iter().map(|entry| entry.id().0).collect();
            for id in ids.into_iter().chain([id & i64::MAX]) {
                let batch = Sent { id, epoch: 0, sequence: 0, count: 1 };
                producers.check(&batch.at(0), Origin::Client);
                producers.applied(&batch.at(0), NOW);
            }
            producers.expire(Timestamp(i64::MAX), 1);
            producers.expire(Timestamp(i64::MIN), 1);
            producers.to_recent();
        }
    }
}
