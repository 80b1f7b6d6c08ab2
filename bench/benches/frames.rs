//! What telling requests apart costs, in the bytes of one receive.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use odradek_shards::net::cut;

const REQUEST_BYTES: usize = 186;
const MAX: i32 = 100 << 20;

fn frames(c: &mut Criterion) {
    let count = (16 << 10) / REQUEST_BYTES;
    let mut received = Vec::new();
    for _ in 0..count {
        received.extend_from_slice(&(REQUEST_BYTES as u32 - 4).to_be_bytes());
        received.resize(received.len() + REQUEST_BYTES - 4, 0x6f);
    }
    // The last one is not whole.
    received.truncate(received.len() - 1);
    let cut_all = |mut bytes: &[u8]| {
        let mut found = 0;
        while let Some(request) = cut(bytes, MAX).expect("no request is too long") {
            black_box(request);
            bytes = &bytes[4 + request.len()..];
            found += 1;
        }
        found
    };
    assert_eq!(cut_all(&received), count - 1);
    let mut group = c.benchmark_group("cut requests");
    group.throughput(Throughput::Elements(count as u64 - 1));
    group.bench_function("186 B in 16 KiB", |b| {
        b.iter(|| cut_all(black_box(&received)))
    });
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
