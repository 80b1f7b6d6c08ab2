//! Logs and batches that several benchmarks need.
#![allow(dead_code)] // each uses a part

use odradek_engine::bytes::Pool;
use odradek_engine::log::index::IndexRules;
use odradek_engine::log::{Log, LogRules, Recovered};
use odradek_engine::record::{BatchBuilder, Origin, Rules, validate};
use odradek_engine::types::{Epoch, Timestamp};

const DEPTH: usize = 8;

/// `count` records of so many bytes of value.
pub fn batch(count: usize, record_bytes: usize) -> Vec<u8> {
    let value = vec![0x6f; record_bytes];
    let mut builder = BatchBuilder::new();
    for _ in 0..count {
        builder
            .append(Timestamp(0), None, Some(&value), &[])
            .expect("small");
    }
    builder.build().expect("it has records")
}

/// An empty log, with Kafka's defaults.
pub fn log() -> Log {
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

/// Appends `batch` once; writes are completed as soon as they are planned, and the tail keeps
/// `tail_bytes`.
pub fn append(log: &mut Log, batch: &[u8], tail_bytes: usize) {
    let info = validate(batch, &Rules::NODE).expect("valid");
    let now = Timestamp(1);
    log.append(batch, &info, Origin::Client, Epoch(0), None, now)
        .expect("the same bytes");
    while let Some(plan) = log.plan_write(DEPTH) {
        std::hint::black_box(&plan.parts);
        log.wrote(plan.id);
    }
    while log.tail_bytes() > tail_bytes && log.evict(log.next()).is_some() {}
}
