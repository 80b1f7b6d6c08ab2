//! What checking bytes costs: CRC32C, and the rules of a batch.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use odradek_engine::record::{BatchBuilder, Rules, crc32c_append, validate};
use odradek_engine::types::Timestamp;

/// A batch of `count` records of 1 KiB.
fn batch(count: usize) -> Vec<u8> {
    let value = vec![0x6f; 1024];
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder
            .append(Timestamp(0), None, Some(&value), &[])
            .expect("small");
    }
    builder.build().expect("it has records")
}

fn crc(c: &mut Criterion) {
    let mut group = c.benchmark_group("crc32c");
    for (name, bytes) in [("100 B", 100), ("1 KiB", 1 << 10), ("1 MiB", 1 << 20)] {
        let chunk = vec![0x6f; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(name, |b| b.iter(|| crc32c_append(0, black_box(&chunk))));
        group.bench_function(format!("{name}, the crc32c crate"), |b| {
            b.iter(|| crc32c::crc32c(black_box(&chunk)));
        });
    }
    group.finish();
}

fn validation(c: &mut Criterion) {
    let mut group = c.benchmark_group("validate a batch");
    for count in [1, 1000] {
        let batch = batch(count);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(format!("{count} records"), |b| {
            b.iter(|| validate(black_box(&batch), &Rules::NODE).expect("valid"));
        });
    }
    group.finish();
}

criterion_group!(benches, crc, validation);
criterion_main!(benches);
