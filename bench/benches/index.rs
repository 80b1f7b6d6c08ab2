//! What finding an offset or a time costs, in the index of a segment of 1 GiB.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use odradek_engine::log::index::{OffsetIndex, TimeIndex};
use odradek_engine::types::{Offset, Position, Timestamp};

/// An entry for each 4 KiB of 1 GiB.
const ENTRIES: u32 = (1 << 30) / 4096;
/// Records between entries.
const STEP: i64 = 4;

/// Each is asked for in turn: far apart, so that no cache line helps the next.
fn scattered(nth: &mut i64) -> i64 {
    *nth = (*nth + 104_729) % i64::from(ENTRIES);
    *nth * STEP + 1
}

fn offsets(c: &mut Criterion) {
    let mut index = OffsetIndex::new(Offset(0));
    for at in 1..=ENTRIES {
        index.append(
            Offset(i64::from(at) * STEP),
            Position(u64::from(at) * 4096 - 1),
        );
    }
    let mut nth = 0;
    c.bench_function("look up an offset among 262144", |b| {
        b.iter(|| black_box(index.lookup(Offset(scattered(&mut nth)))));
    });
}

fn times(c: &mut Criterion) {
    let mut index = TimeIndex::new(Offset(0));
    for at in 1..=i64::from(ENTRIES) {
        index.append(Timestamp(at * STEP), Offset(at));
    }
    let mut nth = 0;
    c.bench_function("look up a time among 262144", |b| {
        b.iter(|| black_box(index.lookup(Timestamp(scattered(&mut nth)))));
    });
}

criterion_group!(benches, offsets, times);
criterion_main!(benches);
