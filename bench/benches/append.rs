//! What an append costs between the request and the disk: check, stamp, copy into the tail, index,
//! plan the write.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

mod common;

use common::{append, batch, log};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn appends(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for (name, batch) in [("1 MiB", batch(1000, 1024)), ("one record", batch(1, 64))] {
        let mut log = log();
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(name, |b| b.iter(|| append(&mut log, &batch, 8 << 20)));
    }
    group.finish();
}

criterion_group!(benches, appends);
criterion_main!(benches);
