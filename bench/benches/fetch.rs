//! What planning a fetch costs: of the tail, which is in memory, and of what is only in the file.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

mod common;

use std::hint::black_box;

use common::{append, batch, log};
use criterion::{Criterion, criterion_group, criterion_main};
use odradek_engine::log::{ReadLimits, ReadPlan};
use odradek_engine::types::Offset;

fn plans(c: &mut Criterion) {
    let mut log = log();
    let batch = batch(10, 1024);
    for _ in 0..4000 {
        append(&mut log, &batch, 8 << 20);
    }
    let end = log.next();
    let limits = ReadLimits {
        bytes_max: 1 << 20,
        first_whole: true,
        end,
        tail: true,
    };
    let tail = Offset(end.0 - 200);
    assert!(matches!(
        log.plan_read(tail, limits, None),
        ReadPlan::Range { file: (_, 0), .. }
    ));
    c.bench_function("plan a fetch of the tail", |b| {
        b.iter(|| black_box(log.plan_read(black_box(tail), limits, None)));
    });
    assert!(matches!(
        log.plan_read(Offset(15), limits, None),
        ReadPlan::Search { .. }
    ));
    c.bench_function("plan the search for a fetch of the file", |b| {
        b.iter(|| black_box(log.plan_read(black_box(Offset(15)), limits, None)));
    });
}

criterion_group!(benches, plans);
criterion_main!(benches);
