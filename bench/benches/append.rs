//! What an append costs between the request and the disk: check, stamp, copy into the tail, index,
//! plan the write.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use odradek_engine::bytes::Pool;
use odradek_engine::log::index::IndexRules;
use odradek_engine::log::{Log, LogRules, Recovered};
use odradek_engine::record::{BatchBuilder, Origin, Rules, validate};
use odradek_engine::types::{Epoch, Timestamp};

const DEPTH: usize = 8;

fn batch(count: usize, record_bytes: usize) -> Vec<u8> {
    let value = vec![0x6f; record_bytes];
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder
            .append(Timestamp(0), None, Some(&value), &[])
            .expect("small");
    }
    builder.build().expect("it has records")
}

fn log() -> Log {
    let rules = LogRules {
        segment_bytes: 1 << 30,
        roll_ms: i64::MAX,
        index: IndexRules {
            interval_bytes: 4096,
            index_bytes_max: 10 << 20,
        },
        retention_bytes: -1,
        retention_ms: -1,
    };
    Log::new(&Pool::new(), true, rules, Recovered::empty())
}

/// Appends `batch` once; writes are completed as soon as they are planned.
fn append(log: &mut Log, batch: &[u8]) {
    let info = validate(batch, &Rules::NODE).expect("valid");
    let now = Timestamp(1);
    log.append(batch, &info, Origin::Client, Epoch(0), None, now)
        .expect("the same bytes");
    while let Some(plan) = log.plan_write(DEPTH) {
        black_box(&plan.parts);
        log.wrote(plan.id);
    }
    while log.tail_bytes() > 8 << 20 && log.evict(log.next()).is_some() {}
}

fn appends(c: &mut Criterion) {
    let mut group = c.benchmark_group("append");
    for (name, batch) in [("1 MiB", batch(1000, 1024)), ("one record", batch(1, 64))] {
        let mut log = log();
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(name, |b| b.iter(|| append(&mut log, &batch)));
    }
    group.finish();
}

criterion_group!(benches, appends);
criterion_main!(benches);
