//! What a produce request costs before any I/O: decoding, and validation with stamping.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use odradek_engine::record::{BatchBuilder, BatchHeader, Rules, Stamp, stamp, validate};
use odradek_engine::types::{Epoch, Offset, Timestamp};
use odradek_wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use odradek_wire::{Reader, Records, Writer};

const VERSION: i16 = 12;

const STAMP: Stamp = Stamp {
    base_offset: Offset(1 << 40),
    leader_epoch: Epoch(7),
    append_time: None,
};

fn batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder
        .append(Timestamp(0), None, Some(&[0x6f; 64]), &[])
        .expect("small");
    builder.build().expect("it has a record")
}

fn decode(c: &mut Criterion) {
    let batch = batch();
    let request = ProduceRequest {
        transactional_id: None,
        acks: 1,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: "bench",
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Records::Bytes(&batch),
            }],
            ..Default::default()
        }],
    };
    let mut writer = Writer::new(Vec::new());
    request.encode(&mut writer, VERSION).expect("it is whole");
    let bytes = writer.into_inner();
    c.bench_function("decode a one-record produce request", |b| {
        b.iter(|| ProduceRequest::decode(&mut Reader::new(black_box(&bytes)), VERSION));
    });
}

fn accept(c: &mut Criterion) {
    let mut batch = batch();
    c.bench_function("validate and stamp a one-record batch", |b| {
        b.iter(|| {
            let info = validate(black_box(&batch), &Rules::NODE).expect("valid");
            let header = BatchHeader::view_mut(&mut batch).expect("it was just validated");
            stamp(header, &info, STAMP).expect("it was just validated")
        });
    });
}

criterion_group!(benches, decode, accept);
criterion_main!(benches);
