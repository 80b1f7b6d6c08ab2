//! How fast one core compacts, apart from its disk: bytes of a log to learn the keys of, and bytes
//! to go over and drop what is superseded; and what noting a key costs while the map fills up.
//!
//! `ODRADEK_COMPACTION_KEYS` sets how many keys the large map holds (50000000 takes 1.3 GB).
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a benchmark reads clocks

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use odradek_engine::log::compaction::{
    Cleaner, Indexer, KeyMap, Retention, SLOT_BYTES, Transactions,
};
use odradek_engine::record::{BatchBuilder, BatchInfo, Compression, Rules, validate};
use odradek_engine::types::{Map, Offset, Timestamp};

const VALUE_BYTES: usize = 100;
const RECORDS_PER_BATCH: u64 = 100;
const BATCHES: u64 = 2_000;

/// A log of batches of 100 records of 16-byte keys: every key comes four times.
fn log(codec: Compression) -> Vec<Vec<u8>> {
    let keys = BATCHES * RECORDS_PER_BATCH / 4;
    let mut builder = BatchBuilder::new().compression(codec);
    let mut number = 0u64;
    let batches = (0..BATCHES).map(|_| {
        for _ in 0..RECORDS_PER_BATCH {
            // All keys in another order each time.
            let key = (number % keys) * 7919 % keys;
            let key = format!("key-{key:012}");
            let mut value = [b'v'; VALUE_BYTES];
            value[..8].copy_from_slice(&number.to_be_bytes());
            builder
                .append(Timestamp(1), Some(key.as_bytes()), Some(&value), &[])
                .expect("small");
            number += 1;
        }
        builder.build().expect("it has records")
    });
    batches.collect()
}

fn check(batch: &[u8]) -> BatchInfo {
    validate(batch, &Rules::LOG).expect("valid")
}

fn map(keys: u64) -> KeyMap {
    KeyMap::new(usize::MAX / 2, 0.9, keys, Offset(0), (1, 2))
}

fn learn(log: &[Vec<u8>]) -> (KeyMap, Offset) {
    let map = map(BATCHES * RECORDS_PER_BATCH);
    let mut indexer = Indexer::new(map, Offset(0), []);
    for batch in log {
        let indexed = indexer.batch(batch, &check(batch));
        black_box(indexed.expect("it opens"));
    }
    indexer.finish()
}

fn clean(log: &[Vec<u8>], map: KeyMap, end: Offset) -> u64 {
    let retention = Retention {
        now: Timestamp(1),
        delete_retention_ms: 1,
    };
    let mut cleaner = Cleaner::new(map, end, retention, Transactions::default(), Map::default());
    let mut out = Vec::with_capacity(2 << 20);
    for batch in log {
        let stays = cleaner.batch(batch, &check(batch), false, &mut out);
        black_box(stays.expect("it opens"));
        if out.len() > 1 << 20 {
            out.clear();
        }
    }
    cleaner.stats().records_written
}

fn passes(c: &mut Criterion) {
    let mut group = c.benchmark_group("compaction");
    group.sample_size(10);
    for codec in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let log = log(codec);
        let opened = BATCHES * RECORDS_PER_BATCH * (VALUE_BYTES as u64 + 16);
        let stored: u64 = log.iter().map(|batch| batch.len() as u64).sum();
        let bytes = if codec == Compression::None {
            stored
        } else {
            opened
        };
        group.throughput(Throughput::Bytes(bytes));
        let learned = BenchmarkId::new("learn the keys", codec.name());
        group.bench_function(learned, |b| b.iter(|| learn(&log).0.len()));
        let whole = BenchmarkId::new("learn the keys and drop three of four", codec.name());
        group.bench_function(whole, |b| {
            b.iter(|| {
                let (map, end) = learn(&log);
                let kept = clean(&log, map, end);
                assert_eq!(kept, BATCHES * RECORDS_PER_BATCH / 4);
            });
        });
    }
    group.finish();
}

fn keys(c: &mut Criterion) {
    let keys = std::env::var("ODRADEK_COMPACTION_KEYS");
    let keys: u64 = keys.map_or(1_000_000, |keys| keys.parse().expect("a number of keys"));
    let mut group = c.benchmark_group("key map");
    group.sample_size(10);
    group.throughput(Throughput::Elements(keys));
    group.bench_function(format!("{keys} keys until it is full"), |b| {
        b.iter(|| {
            let mut map = map(keys);
            assert!(map.bytes() as u64 <= (keys as f64 / 0.9) as u64 * SLOT_BYTES as u64 + 96);
            for key in 0..keys {
                let hash = map.hash(&key.to_be_bytes());
                assert!(map.put(hash, Offset(key as i64)));
            }
            map.len()
        });
    });
    group.bench_function(format!("{keys} keys, 16 announced at a time"), |b| {
        b.iter(|| {
            let mut map = map(keys);
            for first in (0..keys).step_by(16) {
                let some = first..keys.min(first + 16);
                let hashes = some.map(|key| (key, map.hash(&key.to_be_bytes())));
                let hashes: Vec<_> = hashes.inspect(|(_, hash)| map.fetch(*hash)).collect();
                for (key, hash) in hashes {
                    assert!(map.put(hash, Offset(key as i64)));
                }
            }
            map.len()
        });
    });
    group.finish();
}

criterion_group!(benches, passes, keys);
criterion_main!(benches);
