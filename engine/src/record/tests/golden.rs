//! Batches that Apache Kafka 4.3.1 wrote (`golden/GoldenBatches.java` says how).
//!
//! Each is read and then built again from what was meant. Uncompressed batches come out byte for
//! byte the same; of compressed ones the header and the opened records do, since compressors
//! differ.

use super::super::*;
use crate::types::{Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

const GOLDEN: &[u8] = include_bytes!("golden/batches.bin");
const TIME: i64 = 1_700_000_000_000;

/// The same records as the Java program's.
fn build(compression: Compression, kind: i64) -> BatchBuilder {
    let mut builder = BatchBuilder::new()
        .compression(compression)
        .base_offset(Offset(1000 * kind))
        .leader_epoch(Epoch(5));
    if kind == 1 || kind == 2 {
        let first = Sequence(i32::MAX - 2);
        builder = builder.producer(ProducerId(4711), ProducerEpoch(3), first);
    }
    if kind == 2 {
        builder = builder.transactional().append_time(Timestamp(TIME + 99));
    }
    let count = if kind == 3 { 300 } else { 6 };
    for i in 0..count {
        let key = (i % 3 != 0).then(|| format!("key-{i}"));
        let repeat = if kind == 3 { 40 + i % 4 } else { i % 4 };
        let value = (i % 5 != 4).then(|| format!("value-{i} {}", "abcdefgh".repeat(repeat)));
        let header = format!("h{i}");
        let headers: [(&[u8], Option<&[u8]>); 2] =
            [(b"header-0", Some(header.as_bytes())), (b"header-1", None)];
        // Under append time Java's builder leaves the records' own times, the batch's rules.
        let time = Timestamp(TIME + (i as i64 * 7) % 11);
        let key = key.as_deref().map(str::as_bytes);
        let value = value.as_deref().map(str::as_bytes);
        builder.append(time, key, value, &headers[..i % 3]).unwrap();
    }
    builder
}

fn marker(commit: bool) -> BatchBuilder {
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(77))
        .leader_epoch(Epoch(5))
        .producer(ProducerId(4711), ProducerEpoch(3), Sequence::NONE)
        .transactional()
        .control();
    let marker = EndTransactionMarker {
        commit,
        coordinator_epoch: Epoch(21),
    };
    builder.append_marker(Timestamp(TIME), marker).unwrap();
    builder
}

fn expected() -> Vec<BatchBuilder> {
    let mut expected = Vec::new();
    for compression in Compression::ALL {
        let kinds = if compression == Compression::None {
            3
        } else {
            4
        };
        expected.extend((0..kinds).map(|kind| build(compression, kind)));
    }
    expected.extend([marker(true), marker(false)]);
    expected
}

#[test]
fn kafkas_batches_are_ours() {
    let mut theirs = Batches::new(GOLDEN);
    for mut builder in expected() {
        let theirs = theirs.next().unwrap().unwrap();
        let ours = builder.build().unwrap();
        let their_info = validate(theirs, &Rules::NODE).unwrap();
        let our_info = validate(&ours, &Rules::NODE).unwrap();
        if their_info.compression == Compression::None {
            assert_eq!(theirs, ours, "{their_info:?}");
            continue;
        }
        let size = their_info.size;
        assert_eq!(their_info, BatchInfo { size, ..our_info });
        let (mut their_scratch, mut our_scratch) = (Vec::new(), Vec::new());
        let theirs = OpenBatch::open(theirs, their_info, &mut their_scratch).unwrap();
        let ours = OpenBatch::open(&ours, our_info, &mut our_scratch).unwrap();
        assert_eq!(
            theirs.check(&Rules::NODE, false),
            Ok(our_info.max_timestamp)
        );
        assert!(theirs.records().eq(ours.records()), "{their_info:?}");
        assert_eq!(theirs.records_bytes(), ours.records_bytes());
    }
    assert!(theirs.next().is_none() && theirs.rest().is_empty());
}

#[test]
fn kafkas_long_batches_take_several_blocks() {
    let infos = Batches::new(GOLDEN).map(|batch| validate(batch.unwrap(), &Rules::NODE).unwrap());
    assert_eq!(infos.filter(|info| info.record_count == 300).count(), 4);
}
