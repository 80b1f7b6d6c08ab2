//! Hostile bytes: nothing panics, and what the CRC covers cannot change unnoticed.

use proptest::prelude::*;

use super::super::*;
use crate::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

fn batch(compression: Compression, values: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new().compression(compression).producer(
        ProducerId(7),
        ProducerEpoch(1),
        Sequence(40),
    );
    for (n, value) in (0..).zip(values) {
        let header: (&[u8], Option<&[u8]>) = (b"h", (n % 2 == 0).then_some(value));
        let key = (n % 3 > 0).then_some(&b"key"[..]);
        builder
            .append(Timestamp(1000 + n), key, Some(value), &[header])
            .unwrap();
    }
    builder.build().unwrap()
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(&Compression::ALL[..])
}

fn values() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..20)
}

/// Everything that reads a batch.
fn read_all(bytes: &[u8]) {
    let mut scratch = Vec::new();
    for rules in [Rules::LOG, Rules::NODE, client()] {
        let _ = validate(bytes, &rules);
        for depth in [
            Depth::Header,
            Depth::Records {
                keys_required: true,
            },
        ] {
            let _ = validate_produce(bytes, &rules, depth, &mut scratch);
        }
        if let Some(header) = BatchHeader::view(bytes) {
            let _ = format!(
                "{header:?} {} {}",
                header.last_offset(),
                header.last_sequence()
            );
            // The CRC left aside, so that damage reaches what lies behind it.
            if let Ok(info) = validate_header(header, &rules)
                && let Ok(open) = OpenBatch::open(bytes, info, &mut scratch)
            {
                let _ = (info.next_offset(), info.last_sequence());
                let _ = open.check(&rules, false);
                for record in open.records().flatten() {
                    let _ = (open.offset_of(&record), open.timestamp_of(&record));
                    let _ = ControlType::of(&record, 0);
                    let _ = EndTransactionMarker::read(&record, 0);
                    assert_eq!(record.headers.count(), Iterator::count(record.headers));
                }
            }
        }
    }
    Batches::new(bytes).for_each(drop);
    headers(bytes).for_each(drop);
    let mut copy = bytes.to_vec();
    if let Some(header) = BatchHeader::view_mut(&mut copy) {
        let _ = header.set_max_timestamp(TimestampType::LogAppendTime, Timestamp(9));
    }
}

fn client() -> Rules {
    Rules {
        origin: Origin::Client,
        ..Rules::LOG
    }
}

proptest! {
    #[test]
    fn any_cut_is_noticed(codec in codec(), values in values(), cut: prop::sample::Index) {
        let batch = batch(codec, &values);
        let part = &batch[..cut.index(batch.len())];
        prop_assert!(validate(part, &Rules::LOG).is_err());
        prop_assert_eq!(headers(part).count(), 0);
        read_all(part);
    }

    #[test]
    fn any_flipped_bit_under_the_crc_is_noticed(
        codec in codec(),
        values in values(),
        at: prop::sample::Index,
        bit in 0..8,
    ) {
        let mut batch = batch(codec, &values);
        let at = 8 + at.index(batch.len() - 8);
        batch[at] ^= 1u8 << bit;
        // Base offset and leader epoch are outside: the log checks those.
        let outside = (12..16).contains(&at);
        prop_assert_eq!(validate(&batch, &Rules::LOG).is_ok(), outside);
        read_all(&batch);
    }

    #[test]
    fn damaged_records_behind_a_right_crc_never_panic(
        codec in codec(),
        values in values(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in 0..20usize,
    ) {
        let mut batch = batch(codec, &values);
        for (at, byte) in damage {
            let at = CRC_COVERS_FROM + at.index(batch.len() - CRC_COVERS_FROM);
            batch[at] = byte;
        }
        batch.truncate((batch.len() - cut).max(HEADER_BYTES));
        let length = (batch.len() - LENGTH_EXCLUDES_BYTES) as i32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c(&batch[CRC_COVERS_FROM..]);
        BatchHeader::view_mut(&mut batch).unwrap().set_crc(crc);
        read_all(&batch);
    }

    #[test]
    fn garbage_never_panics(mut bytes: Vec<u8>, magic in 0..4u8, length: i32) {
        read_all(&bytes);
        if bytes.len() > 17 {
            bytes[16] = magic;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            read_all(&bytes);
        }
    }

    #[test]
    fn stamping_keeps_the_crc_right(
        codec in codec(),
        values in values(),
        offset in 0..i64::MAX / 2,
        time in 0..i64::MAX,
        epoch in 0..i32::MAX,
        append_time: bool,
    ) {
        let mut batch = batch(codec, &values);
        let info = validate(&batch, &client()).unwrap();
        let stamped = stamp(BatchHeader::view_mut(&mut batch).unwrap(), &info, Stamp {
            base_offset: Offset(offset),
            leader_epoch: crate::types::Epoch(epoch),
            append_time: append_time.then_some(Timestamp(time)),
        }).unwrap();
        prop_assert_eq!(validate(&batch, &Rules::LOG), Ok(stamped));
        prop_assert_eq!(stamped.last_offset(), Offset(offset + values.len() as i64 - 1));
        let mut scratch = Vec::new();
        let latest = OpenBatch::open(&batch, stamped, &mut scratch).unwrap()
            .check(&Rules::LOG, false);
        let expected = if append_time { time } else { 999 + values.len() as i64 };
        prop_assert_eq!(latest, Ok(Timestamp(expected)));
    }
}
