use proptest::prelude::*;

use super::*;
use crate::bytes::Pool;
use crate::log::index::IndexRules;
use crate::log::{Appended, LogRules, ReadLimits, ReadPlan, Recovered};
use crate::record::{BatchBuilder, Origin};
use crate::types::{ProducerEpoch, ProducerId, Sequence};

fn log() -> Log {
    let rules = LogRules {
        segment_bytes: 100_000,
        roll_ms: i64::MAX,
        index: IndexRules {
            interval_bytes: 300,
            index_bytes_max: 1 << 20,
        },
        retention_bytes: -1,
        retention_ms: -1,
    };
    let mut log = Log::new(&Pool::new(), false, rules, Recovered::empty());
    log.begin_epoch(Epoch(3));
    log
}

/// Appends a batch; gives its bytes as they stand in the log.
fn append(log: &mut Log, number: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new().leader_epoch(Epoch(3)).producer(
        ProducerId(7),
        ProducerEpoch(0),
        Sequence(number as i32),
    );
    builder
        .append(Timestamp(1000 + number), None, Some(&[1; 100]), &[])
        .expect("a record");
    let mut bytes = builder.build().expect("a batch");
    let info = validate(&bytes, &Rules::NODE).expect("valid");
    let base = log.next();
    let appended = log
        .append(&bytes, &info, Origin::Client, Epoch(3), None, Timestamp(1))
        .expect("appended");
    assert!(matches!(appended, Appended::Stored(_)), "{appended:?}");
    bytes[..8].copy_from_slice(&base.0.to_be_bytes());
    bytes
}

fn filled(count: i64) -> (Log, Vec<Vec<u8>>) {
    let mut log = log();
    let batches = (0..count).map(|number| append(&mut log, number)).collect();
    (log, batches)
}

#[test]
fn an_empty_log_has_none() {
    assert_eq!(log().checkpoint(), None);
    let (mut log, _) = filled(3);
    log.roll();
    assert_eq!(log.checkpoint(), None, "the active segment is empty");
}

#[test]
fn it_names_the_last_batch_and_is_read_back() {
    let (log, batches) = filled(5);
    let checkpoint = log.checkpoint().expect("a checkpoint");
    assert_eq!(checkpoint.end.offset, Offset(5));
    let (info, producers) = checkpoint.verify(&batches[4]).expect("the batch");
    assert_eq!(info.base_offset, Offset(4));
    let known = producers.get(ProducerId(7)).expect("the producer");
    assert_eq!(known.last_sequence(), Sequence(4));
    assert_eq!(checkpoint.verify_header(&batches[4]), Ok(()));
    let mut bytes = Vec::new();
    checkpoint.encode(&mut bytes);
    assert_eq!(Checkpoint::decode(&bytes), Ok(checkpoint));
}

#[test]
fn another_batch_is_refused() {
    let (mut log, batches) = filled(5);
    let checkpoint = log.checkpoint().expect("a checkpoint");
    let refused = |checkpoint: &Checkpoint, bytes: &[u8]| {
        checkpoint.verify(bytes).map(|_| ()).expect_err("refused")
    };
    assert_eq!(
        refused(&checkpoint, &batches[3]),
        CheckpointError::OtherBatch
    );
    let mut damaged = batches[4].clone();
    damaged[100] ^= 1;
    assert_eq!(refused(&checkpoint, &damaged), CheckpointError::NoBatch);
    assert_eq!(
        refused(&checkpoint, &batches[4][1..]),
        CheckpointError::NoBatch
    );
    // The same batch, written again under a later leader: the log was cut meanwhile.
    let mut later = batches[4].clone();
    later[12..16].copy_from_slice(&4i32.to_be_bytes());
    assert_eq!(refused(&checkpoint, &later), CheckpointError::OtherBatch);
    append(&mut log, 5);
    let mut high = checkpoint.clone();
    high.end.offset = Offset(6);
    assert_eq!(refused(&high, &batches[4]), CheckpointError::OtherBatch);
    let mut middle = checkpoint;
    middle.batch = Position(middle.batch.0 + 1);
    assert_eq!(
        middle.verify_header(&batches[4]),
        Err(CheckpointError::NoBatch)
    );
}

#[test]
fn a_read_below_a_gap_asks_for_the_entries_first() {
    let (whole, batches) = filled(40);
    let (mut short, _) = filled(20);
    let checkpoint = short.checkpoint().expect("a checkpoint");
    let mut segment = checkpoint.segment();
    let mut index = segment.index.take().expect("an index");
    // As recovery goes on from there.
    let rules = whole.rules().index;
    let mut at = checkpoint.end.position;
    for bytes in &batches[20..] {
        let info = validate(bytes, &Rules::LOG).expect("valid");
        index.on_append(&info, at, &rules);
        at = at.plus(bytes.len() as u64);
    }
    segment.size = at.0;
    segment.index = Some(index);
    short = Log::new(
        &Pool::new(),
        false,
        whole.rules().clone(),
        Recovered {
            segments: [segment].into(),
            next: Offset(40),
            ..Recovered::empty()
        },
    );
    let limits = ReadLimits {
        bytes_max: 1 << 20,
        first_whole: true,
        end: Offset(40),
        tail: true,
    };
    let asks = |log: &Log, offset| {
        let plan = log.plan_read(Offset(offset), limits, None);
        match plan {
            ReadPlan::Index { .. } => None,
            ReadPlan::Search { from, .. } => Some(from),
            other => panic!("{other:?}"),
        }
    };
    let gap = checkpoint.end.position.0;
    assert_eq!(asks(&short, 19), None);
    assert!(asks(&short, 20) >= Some(gap));
    assert_eq!(short.gap(Offset(0)), Some(checkpoint.end));
    let late = short.plan_time(Timestamp(1005), Offset(0));
    assert!(matches!(late, Some(ReadPlan::Index { .. })), "{late:?}");
    // The entries of the gap, as they are made from the headers.
    let mut entries = SegmentIndex::new(Offset(0));
    let mut at = Position::ZERO;
    for bytes in &batches[..20] {
        let info = validate(bytes, &Rules::LOG).expect("valid");
        entries.on_append(&info, at, &rules);
        at = at.plus(bytes.len() as u64);
    }
    short.fill_gap(Offset(0), entries);
    assert_eq!(short.gap(Offset(0)), None);
    for offset in 0..40 {
        let from = asks(&short, offset).expect("found");
        let start: usize = batches[..offset as usize].iter().map(Vec::len).sum();
        assert!(
            from <= start as u64 && from + 1000 > start as u64,
            "{offset}"
        );
    }
    let index = short
        .segments()
        .next()
        .and_then(|segment| segment.index.clone());
    let index = index.expect("an index");
    let rises: Vec<_> = index.times().iter().map(|entry| entry.timestamp).collect();
    assert!(rises.is_sorted_by(|a, b| a < b), "{rises:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), small: bool) {
        if small && bytes.len() >= FIXED_BYTES {
            // Numbers that might be taken.
            for at in [0, 8, 16, 24, 36, 44, 52] {
                bytes[at..at + 6].fill(0);
            }
            bytes[32..34].fill(0);
        }
        if let Ok(read) = Checkpoint::decode(&bytes) {
            let mut again = Vec::new();
            read.encode(&mut again);
            prop_assert_eq!(Checkpoint::decode(&again), Ok(read.clone()));
            prop_assert!(read.verify(&bytes).is_err());
            let mut index = read.segment().index.expect("an index");
            let batch = BatchBuilder::new()
                .base_offset(read.end.offset)
                .leader_epoch(read.epoch);
            let bytes = { let mut batch = batch; batch.append(Timestamp(5), None, None, &[]).expect("a record"); batch.build().expect("a batch") };
            let info = validate(&bytes, &Rules::LOG).expect("valid");
            index.on_append(&info, read.end.position, &IndexRules { interval_bytes: 0, index_bytes_max: 1 << 20 });
        }
    }
}
