//! The rules of a produce request, one by one.

use super::super::*;
use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

const NOW: i64 = 1_000_000;

fn rules() -> Rules {
    Rules {
        origin: Origin::Client,
        batch_bytes_max: 10_000,
        timestamps: TimestampRule {
            timestamp_type: TimestampType::CreateTime,
            now: Timestamp(NOW),
            before_max_ms: 1000,
            after_max_ms: 500,
        },
        zstd_allowed: true,
    }
}

fn append(builder: &mut BatchBuilder, time: i64, key: Option<&[u8]>, value: &[u8]) {
    builder
        .append(Timestamp(time), key, Some(value), &[])
        .unwrap();
}

fn build(mut builder: BatchBuilder, times: &[i64]) -> Vec<u8> {
    for &time in times {
        append(&mut builder, time, Some(b"k"), b"v");
    }
    builder.build().unwrap()
}

fn check(bytes: &[u8], rules: &Rules, depth: Depth) -> Result<BatchInfo, RecordError> {
    validate_produce(bytes, rules, depth, &mut Vec::new())
}

fn header(bytes: &[u8]) -> Result<BatchInfo, RecordError> {
    check(bytes, &rules(), Depth::Header)
}

fn full(bytes: &[u8]) -> Result<BatchInfo, RecordError> {
    let depth = Depth::Records {
        keys_required: false,
    };
    check(bytes, &rules(), depth)
}

/// Sets a field of a batch and makes the CRC right again.
fn with(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
    BatchHeader::view_mut(&mut batch).unwrap().set_crc(crc);
    batch
}

fn good() -> Vec<u8> {
    build(BatchBuilder::new(), &[NOW, NOW + 3, NOW + 1])
}

const LAST_OFFSET_DELTA: usize = 23;
const MAX_TIMESTAMP: usize = 35;
const RECORD_COUNT: usize = 57;

#[test]
fn a_good_batch_is_described() {
    let builder = BatchBuilder::new().producer(ProducerId(9), ProducerEpoch(2), Sequence(i32::MAX));
    let batch = build(builder, &[NOW, NOW + 3, NOW + 1]);
    let info = header(&batch).unwrap();
    assert_eq!(info, full(&batch).unwrap());
    assert_eq!(info.size, batch.len());
    assert_eq!((info.record_count, info.last_offset_delta), (3, 2));
    assert_eq!((info.offset_count(), info.next_offset()), (3, Offset(3)));
    assert_eq!(info.base_timestamp, Timestamp(NOW));
    assert_eq!(info.max_timestamp, Timestamp(NOW + 3));
    assert_eq!(info.last_sequence(), Sequence(1));
    assert!(info.has_producer_id() && !info.is_control() && !info.is_transactional());
}

#[test]
fn exactly_one_batch() {
    assert_eq!(header(&[]), Err(RecordError::NoBatch));
    let twice = [good(), good()].concat();
    assert_eq!(header(&twice), Err(RecordError::ManyBatches));
    assert_eq!(Batches::new(&twice).count(), 2);
    let mut cut = good();
    cut.pop();
    assert_eq!(header(&cut), Err(RecordError::NoBatch));
    let with_rest = [good(), vec![0; 5]].concat();
    assert!(header(&with_rest).is_ok(), "Kafka trims a cut-off tail");
}

#[test]
fn formats_and_lengths() {
    for (magic, error, code) in [
        (0, RecordError::OldFormat { magic: 0 }, 87),
        (1, RecordError::OldFormat { magic: 1 }, 87),
        (3, RecordError::UnknownFormat { magic: 3 }, 2),
        (-1, RecordError::UnknownFormat { magic: -1 }, 2),
    ] {
        let mut batch = good();
        batch[16] = magic as u8;
        assert_eq!(header(&batch), Err(error.clone()));
        assert_eq!(validate(&batch, &rules()), Err(error.clone()));
        assert_eq!(error.code(), code);
    }
    for length in [i32::MIN, -1, 0, 13] {
        let mut batch = good();
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(header(&batch), Err(RecordError::Length { length }));
    }
    let mut batch = good();
    batch[8..12].copy_from_slice(&48i32.to_be_bytes());
    assert_eq!(
        validate(&batch, &Rules::LOG),
        Err(RecordError::Length { length: 48 })
    );
    let mut batch = good();
    batch[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(header(&batch), Err(RecordError::NoBatch));
    assert!(matches!(
        validate(&batch, &Rules::LOG),
        Err(RecordError::TooLarge { .. })
    ));
}

#[test]
fn sizes_and_sums() {
    let mut builder = BatchBuilder::new();
    append(&mut builder, NOW, None, &[0; 10_000]);
    let error = header(&builder.build().unwrap()).unwrap_err();
    assert!(matches!(error, RecordError::TooLarge { bytes, bytes_max: 10_000 } if bytes > 10_000));
    assert_eq!(error.code(), 10);
    let mut batch = good();
    *batch.last_mut().unwrap() ^= 1;
    let error = header(&batch).unwrap_err();
    assert!(matches!(error, RecordError::Crc { .. }));
    assert_eq!(error.code(), 2);
}

#[test]
fn counts_and_offsets() {
    for count in [0, -1, i32::MIN] {
        let batch = with(good(), RECORD_COUNT, &count.to_be_bytes());
        assert_eq!(header(&batch), Err(RecordError::Count { count }));
    }
    for last_offset_delta in [-1, 1, 3, i32::MAX, i32::MIN] {
        let batch = with(good(), LAST_OFFSET_DELTA, &last_offset_delta.to_be_bytes());
        let count = 3;
        let error = RecordError::OffsetRange {
            last_offset_delta,
            count,
        };
        assert_eq!(header(&batch), Err(error));
    }
    // After compaction a log has gaps, and batches without records.
    let gap = with(good(), LAST_OFFSET_DELTA, &9i32.to_be_bytes());
    assert_eq!(validate(&gap, &Rules::LOG).unwrap().offset_count(), 10);
    let emptied = with(gap, RECORD_COUNT, &0i32.to_be_bytes());
    assert!(validate(&emptied, &Rules::LOG).is_ok());
    assert!(validate(&emptied, &Rules::NODE).is_err());
    let far = build(BatchBuilder::new().base_offset(Offset(1)), &[NOW]);
    assert_eq!(header(&far), Err(RecordError::BaseOffset { offset: 1 }));
    for offset in [i64::MAX, -1] {
        let mut batch = good();
        batch[..8].copy_from_slice(&offset.to_be_bytes());
        assert_eq!(
            validate(&batch, &Rules::LOG),
            Err(RecordError::BaseOffset { offset })
        );
    }
}

#[test]
fn control_sequences_and_codecs() {
    let control = build(BatchBuilder::new().control(), &[NOW]);
    assert_eq!(header(&control), Err(RecordError::ControlBatch));
    assert!(validate(&control, &Rules::NODE).unwrap().is_control());
    let builder = BatchBuilder::new().producer(ProducerId(1), ProducerEpoch(0), Sequence::NONE);
    let error = RecordError::MissingSequence { sequence: -1 };
    assert_eq!(header(&build(builder, &[NOW])), Err(error));
    for id in 5..8u8 {
        let batch = with(good(), CRC_COVERS_FROM, &[0, id]);
        let error = header(&batch).unwrap_err();
        assert_eq!(error, RecordError::UnknownCodec { id });
        assert_eq!(error.code(), 76);
    }
    let zstd = build(BatchBuilder::new().compression(Compression::Zstd), &[NOW]);
    assert!(header(&zstd).is_ok());
    let old_request = Rules {
        zstd_allowed: false,
        ..rules()
    };
    let error = check(&zstd, &old_request, Depth::Header).unwrap_err();
    assert_eq!(error.code(), 76);
}

#[test]
fn timestamps() {
    for (times, good) in [
        (&[NOW - 1000, NOW + 500][..], true),
        (&[NOW, NOW - 1001], false),
        (&[NOW, NOW + 501, NOW], false),
        (&[-1], true),
    ] {
        let batch = build(BatchBuilder::new(), times);
        let result = full(&batch);
        assert_eq!(result.is_ok(), good, "{times:?}: {result:?}");
        assert!(result.is_ok() || result.unwrap_err().code() == 32);
    }
    let late = build(BatchBuilder::new(), &[NOW, NOW + 501]);
    assert_eq!(header(&late).unwrap_err().code(), 32);
    let early = build(BatchBuilder::new(), &[NOW - 1001, NOW]);
    assert_eq!(header(&early).unwrap_err().code(), 32);
    let mut append_time_topic = rules();
    append_time_topic.timestamps.timestamp_type = TimestampType::LogAppendTime;
    assert!(check(&early, &append_time_topic, Depth::Header).is_ok());
    let claimed = build(BatchBuilder::new().append_time(Timestamp(NOW)), &[NOW]);
    assert_eq!(header(&claimed), Err(RecordError::TimestampType));
}

#[test]
fn a_missing_maximum_timestamp_is_found_and_stamped() {
    for compression in Compression::ALL {
        let builder = BatchBuilder::new().compression(compression);
        let batch = build(builder, &[NOW, NOW + 3, NOW + 1]);
        let mut batch = with(batch, MAX_TIMESTAMP, &(-1i64).to_be_bytes());
        let info = header(&batch).unwrap();
        assert_eq!(info.max_timestamp, Timestamp(NOW + 3));
        let marks = Stamp {
            base_offset: Offset(5),
            leader_epoch: crate::types::Epoch(1),
            append_time: None,
        };
        let stamped = stamp(BatchHeader::view_mut(&mut batch).unwrap(), &info, marks);
        assert_eq!(validate(&batch, &Rules::LOG), stamped);
    }
}

#[test]
fn records_must_keep_to_their_batch() {
    let keyless = {
        let mut builder = BatchBuilder::new();
        append(&mut builder, NOW, Some(b""), b"");
        append(&mut builder, NOW, None, b"");
        builder.build().unwrap()
    };
    let compacted = Depth::Records {
        keys_required: true,
    };
    assert_eq!(
        check(&keyless, &rules(), compacted),
        Err(RecordError::MissingKey { index: 1 })
    );
    assert!(full(&keyless).is_ok());
    // length, attributes, timestamp delta, offset delta, key "k", value "v", no headers
    let records = |bytes: &[u8], count: i32| {
        let mut batch = good();
        batch.truncate(HEADER_BYTES);
        batch.extend_from_slice(bytes);
        let length = (batch.len() - LENGTH_EXCLUDES_BYTES) as i32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        let batch = with(batch, LAST_OFFSET_DELTA, &(count - 1).to_be_bytes());
        with(batch, RECORD_COUNT, &count.to_be_bytes())
    };
    let fine = [16, 0, 0, 0, 2, b'k', 2, b'v', 0];
    assert!(full(&records(&fine, 1)).is_ok());
    let error = |bytes: &[u8], count| full(&records(bytes, count)).unwrap_err();
    for count in [2, i32::MAX] {
        assert_eq!(error(&fine, count), RecordError::Count { count });
    }
    let trailing = [&fine[..], &[0]].concat();
    assert_eq!(error(&trailing, 1), RecordError::TrailingBytes { bytes: 1 });
    let delta = [16, 0, 0, 2, 2, b'k', 2, b'v', 0];
    assert_eq!(
        error(&delta, 1),
        RecordError::RecordOffset { index: 0, delta: 1 }
    );
    for (what, bytes) in [
        ("too few records", &[0; 7][..]),
        ("negative length", &[1, 0, 0, 0, 0, 0, 0]),
        ("too long", &[18, 0, 0, 0, 2, b'k', 2, b'v', 0]),
        ("too short", &[14, 0, 0, 0, 2, b'k', 2, b'v', 0]),
        ("byte left", &[18, 0, 0, 0, 2, b'k', 2, b'v', 0, 0]),
        ("key past the end", &[16, 0, 0, 0, 100, b'k', 2, b'v', 0]),
        ("negative header count", &[16, 0, 0, 0, 2, b'k', 2, b'v', 1]),
        ("headers missing", &[16, 0, 0, 0, 2, b'k', 2, b'v', 2]),
        (
            "header without key",
            &[20, 0, 0, 0, 2, b'k', 2, b'v', 2, 1, 0],
        ),
    ] {
        let error = error(bytes, 1);
        assert!(
            matches!(error, RecordError::Record { index: 0, .. }),
            "{what}"
        );
        assert_eq!(error.code(), 87);
    }
}

#[test]
fn markers_are_written_and_read() {
    for commit in [false, true] {
        let marker = EndTransactionMarker {
            commit,
            coordinator_epoch: crate::types::Epoch(12),
        };
        let mut builder = BatchBuilder::new().control().transactional();
        builder.append_marker(Timestamp(NOW), marker).unwrap();
        let batch = builder.build().unwrap();
        let info = validate(&batch, &Rules::NODE).unwrap();
        assert!(info.is_control() && info.is_transactional());
        let mut scratch = Vec::new();
        let open = OpenBatch::open(&batch, info, &mut scratch).unwrap();
        let record = open.records().next().unwrap().unwrap();
        assert_eq!(EndTransactionMarker::read(&record, 0), Ok(marker));
    }
}

#[test]
fn a_builder_goes_on_where_it_finished() {
    let producer = (ProducerId(1), ProducerEpoch(0), Sequence(i32::MAX - 1));
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(10))
        .producer(producer.0, producer.1, producer.2);
    assert_eq!(builder.build(), Err(RecordError::Count { count: 0 }));
    let mut out = Vec::new();
    for _ in 0..2 {
        append(&mut builder, NOW, None, b"a");
        append(&mut builder, NOW, None, b"b");
        builder.finish(&mut out).unwrap();
    }
    let found: Vec<_> = headers(&out)
        .map(|(_, header)| (header.base_offset(), header.base_sequence()))
        .collect();
    assert_eq!(
        found,
        [
            (Offset(10), Sequence(i32::MAX - 1)),
            (Offset(12), Sequence(0))
        ]
    );
}
