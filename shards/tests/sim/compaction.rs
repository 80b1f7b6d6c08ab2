//! Compaction beside readers and appends, cut off at any moment: what a log shows after it, or after
//! the half of it and another start, is what was written, and of every key at least the last record.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::sim::{SimDriver, SimWorld};
use odradek_engine::log::LogRules;
use odradek_engine::log::compaction::CompactionRules;
use odradek_engine::log::index::IndexRules;
use odradek_engine::record::{BatchBuilder, OpenBatch, Origin, Rules, headers, validate};
use odradek_engine::task::Executor;
use odradek_engine::types::{Epoch, Offset, Timestamp};
use odradek_shards::broker::Broker;
use odradek_shards::partition::{
    CleanError, Ground, Mark, Means, Opening, Pace, Partition, PartitionName, Share,
};
use odradek_sim::plan::Rng;

use super::clean_start::{create, hosted, live};
use super::durable::ground;

const KEYS: u64 = 12;
const BATCHES: usize = 70;
const DIRECTORY: &str = "/data/t-0";

/// Key and value of each record that was ever written, by offset.
type Written = Rc<RefCell<BTreeMap<i64, (u8, Vec<u8>)>>>;

async fn open(ground: &Rc<Ground>, epoch: i32) -> Rc<Partition> {
    let opening = Opening {
        name: PartitionName {
            topic: "t".into(),
            index: 0,
        },
        directory: PathBuf::from(DIRECTORY),
        epoch: Epoch(epoch),
        rules: LogRules {
            segment_bytes: 2_500,
            roll_ms: i64::MAX,
            index: IndexRules {
                interval_bytes: 300,
                index_bytes_max: 1 << 20,
            },
            retention_bytes: -1,
            retention_ms: -1,
        },
        always_durable: false,
        log_start: Offset(0),
        topic_id: "id".into(),
        is_topic: None,
        key: None,
        promised: Offset(0),
        checkpoint: None,
    };
    let opened = Partition::open(ground, opening).await;
    opened.unwrap_or_else(|error| panic!("{error}"))
}

fn append(partition: &Partition, written: &Written, rng: &mut Rng) {
    let mut builder = BatchBuilder::new();
    let first = partition.standing().next.0;
    for offset in first..first + rng.range(1, 4) as i64 {
        let key = rng.range(0, KEYS - 1) as u8;
        let value = [&[key], &offset.to_be_bytes()[..], &[7; 40]].concat();
        builder
            .append(Timestamp(1), Some(&[key]), Some(&value), &[])
            .expect("a record");
        written.borrow_mut().insert(offset, (key, value));
    }
    let bytes = builder.build().expect("a batch");
    let info = validate(&bytes, &Rules::NODE).expect("valid");
    let appended = partition.append(&bytes, &info, Origin::Node, None, Timestamp(1));
    appended.expect("appended");
}

/// Checks what a read from `from` shows; gives the records from there on, and where to go on.
fn look(bytes: &[u8], from: i64, written: &Written) -> (Vec<i64>, i64) {
    let (mut seen, mut next) = (Vec::new(), from);
    for (pos, header) in headers(bytes) {
        let size = header.size().expect("a size");
        let batch = &bytes[pos..pos + size];
        let info = validate(batch, &Rules::LOG).expect("a whole batch");
        assert!(info.last_offset().0 >= next, "a batch from before {next}");
        let mut scratch = Vec::new();
        let open = OpenBatch::open(batch, info, &mut scratch).expect("it opens");
        for record in open.records() {
            let record = record.expect("a record");
            let offset = open.offset_of(&record).0;
            let (key, value) = &written.borrow()[&offset];
            assert_eq!(record.key, Some(&[*key][..]), "offset {offset}");
            assert_eq!(record.value, Some(&value[..]), "offset {offset}");
            if offset >= from {
                seen.push(offset);
            }
        }
        next = info.next_offset().0;
    }
    (seen, next)
}

/// All offsets that a consumer from the beginning gets.
async fn read_all(partition: &Partition, written: &Written) -> Vec<i64> {
    let (mut seen, mut next) = (Vec::new(), 0);
    let end = partition.standing().visible.0;
    while next < end {
        let bytes = partition.copy(Offset(next), 900).await.expect("readable");
        let (some, after) = look(&bytes, next, written);
        assert!(after > next, "nothing can be read at {next}, before {end}");
        seen.extend(some);
        next = after;
    }
    seen
}

fn check(seen: &[i64], written: &Written, end: i64) {
    let written = written.borrow();
    let mut latest = BTreeMap::new();
    for (offset, (key, _)) in written.range(..end) {
        latest.insert(*key, *offset);
    }
    for (key, offset) in latest {
        assert!(
            seen.contains(&offset),
            "the last record of key {key}, at {offset}"
        );
    }
    assert!(seen.is_sorted());
}

const RULES: CompactionRules = CompactionRules {
    min_dirty_ratio: 0.0,
    min_lag_ms: 0,
    max_lag_ms: i64::MAX,
    delete_retention_ms: 1 << 40,
    codec: None,
};

/// Cleans until nothing is left to be cleaned.
async fn compact(partition: &Partition, map_bytes: usize) -> Result<(), CleanError> {
    let pace = Pace::new();
    let means = Means {
        map_bytes,
        map_load: 0.9,
        chunk_bytes: 0,
        pace: &pace,
        share: Share::Small,
    };
    loop {
        let found = partition.cleanable(&RULES, Timestamp(5)).await;
        let Some(found) = found.expect("its checkpoint can be read") else {
            return Err(CleanError::Stopped);
        };
        if !found.is_due(&RULES) {
            return Ok(());
        }
        partition
            .compact(found, &RULES, Timestamp(5), &means)
            .await?;
    }
}

/// What a life is about, and how it went.
#[derive(Clone, Default)]
struct Life {
    written: Written,
    /// When the cleaning began, and when it ended; nanoseconds.
    began: Rc<Cell<u64>>,
    ended: Rc<Cell<u64>>,
    reads: Rc<Cell<u64>>,
}

/// Writes, then cleans while others read; for so long, then it is killed, or the power is cut.
fn busy(world: &SimWorld, seed: u64, life: &Life, length: Option<u64>, cut: bool) {
    let mut rng = Rng::new(seed);
    let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    let ground = ground(&io, &spawner, &mut rng);
    let life = life.clone();
    executor.run(async move {
        let partition = open(&ground, 0).await;
        for number in 0..BATCHES {
            append(&partition, &life.written, &mut rng);
            if number % 9 == 0 {
                io.sleep(Duration::from_micros(rng.range(1, 200))).await;
            }
        }
        let end = partition.standing().next;
        let stored = partition.wait(Mark::Visible, end).done().await;
        stored.expect("stored");
        // Until the rolled segments are finished.
        io.sleep(Duration::from_millis(50)).await;
        life.began.set(io.now());
        for _ in 0..3 {
            let (partition, io, life) = (partition.clone(), io.clone(), life.clone());
            let mut rng = rng.fork();
            let reading = async move {
                loop {
                    let standing = partition.standing();
                    let from = rng.range(0, standing.visible.0 as u64 - 1) as i64;
                    let bytes = partition.copy(Offset(from), rng.range(1, 3_000)).await;
                    let (_, after) = look(&bytes.expect("readable"), from, &life.written);
                    assert!(after > from, "nothing can be read at {from}");
                    life.reads.set(life.reads.get() + 1);
                    io.sleep(Duration::from_micros(rng.range(0, 30))).await;
                }
            };
            spawner.spawn(reading).detach();
        }
        let cleaning = {
            let (partition, io, life) = (partition.clone(), io.clone(), life.clone());
            let map_bytes = rng.pick(&[4 * 24, 9 * 24, 4096]);
            async move {
                match compact(&partition, map_bytes).await {
                    // One batch has more keys than that.
                    Ok(()) | Err(CleanError::Memory { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                life.ended.set(io.now());
            }
        };
        let cleaning = spawner.spawn(cleaning);
        match length {
            Some(length) => io.sleep(Duration::from_nanos(length)).await,
            None => cleaning.await,
        }
    });
    match cut {
        true => world.power_cut(),
        false => world.kill_process(),
    }
    drop(executor);
}

/// Opens it again: it shows what it must; cleans it to the end, and again shows what it must.
fn judge(world: &SimWorld, seed: u64, life: &Life) {
    let written = life.written.clone();
    for epoch in [1, 2] {
        let written = written.clone();
        let io = Io::new(Box::new(SimDriver::new(world)), Pool::new());
        let executor = Executor::new(io.clone());
        let ground = ground(&io, &executor.spawner(), &mut Rng::new(seed));
        executor.run(async move {
            let partition = open(&ground, epoch).await;
            let end = partition.standing().next.0;
            let all = written
                .borrow()
                .keys()
                .next_back()
                .map_or(0, |last| last + 1);
            assert_eq!(end, all, "all was durable");
            let names = io.list(&PathBuf::from(DIRECTORY)).await.expect("listed");
            let left = |name: &&String| name.ends_with(".cleaned") || name.ends_with(".swap");
            assert_eq!(names.iter().find(left), None);
            check(&read_all(&partition, &written).await, &written, end);
            compact(&partition, 1 << 16).await.expect("cleaned");
            let seen = read_all(&partition, &written).await;
            check(&seen, &written, end);
            let closed = partition.with_log(|log| log.compactable().1).0;
            let mut keys = BTreeMap::new();
            for offset in seen.iter().filter(|offset| **offset < closed) {
                let (key, _) = &written.borrow()[offset];
                let earlier = keys.insert(*key, *offset);
                assert_eq!(earlier, None, "key {key} twice, again at {offset}");
            }
            for from in 0..end {
                let bytes = partition.copy(Offset(from), 1).await.expect("readable");
                let (_, after) = look(&bytes, from, &written);
                assert!(after > from, "nothing can be read at {from}");
            }
        });
        world.kill_process();
        drop(executor);
    }
}

#[test]
fn a_log_survives_whatever_cuts_its_compaction_off() {
    const CUTS: u64 = 24;
    for seed in 0..12 {
        let whole = Life::default();
        let world = SimWorld::new(seed);
        world.make_dir("/data");
        busy(&world, seed, &whole, None, false);
        assert!(whole.reads.get() > 0, "seed {seed}: nobody read meanwhile");
        judge(&world, seed, &whole);
        let took = whole.ended.get() - whole.began.get();
        for cut in 0..CUTS {
            let life = Life::default();
            let world = SimWorld::new(seed);
            world.make_dir("/data");
            busy(&world, seed, &life, Some(took * cut / CUTS), cut % 2 == 0);
            judge(&world, seed, &life);
        }
    }
}

/// A topic of the node is cleaned without anybody asking for it, and stays so over a stop.
#[test]
fn a_node_compacts_its_compacted_topics() {
    async fn fill(broker: Rc<Broker>, written: Written) {
        let config = [
            ("cleanup.policy", "compact"),
            ("internal.segment.bytes", "2500"),
        ];
        create(&broker, 1, &config).await;
        let partition = hosted(&broker, 0).await.partition.clone();
        let mut rng = Rng::new(5);
        for _ in 0..BATCHES {
            append(&partition, &written, &mut rng);
        }
        let end = partition.standing().next;
        let stored = partition.wait(Mark::Visible, end).done().await;
        stored.expect("stored");
        let before = partition.with_log(|log| log.bytes());
        let began = broker.io.now();
        while partition.with_log(|log| log.bytes()) > before / 2 {
            broker.io.sleep(Duration::from_secs(1)).await;
            let waited = broker.io.now() - began;
            assert!(waited < 60_000_000_000, "it is not compacted");
        }
        check(&read_all(&partition, &written).await, &written, end.0);
    }
    let world = SimWorld::new(1);
    world.make_dir("/data");
    let written = Written::default();
    let of_life = written.clone();
    live(&world, true, |broker, _| fill(broker, of_life));
    live(&world, true, |broker, _| async move {
        let partition = hosted(&broker, 0).await.partition.clone();
        let end = partition.standing().next.0;
        check(&read_all(&partition, &written).await, &written, end);
        assert_eq!(written.borrow().keys().next_back(), Some(&(end - 1)));
    });
}

/// How often a cleaning goes on after having let others go on, where a batch has so many records of so
/// many bytes.
fn turns_of_a_cleaning(records: u32, bytes: usize) -> u64 {
    let world = SimWorld::new(3);
    world.make_dir("/data");
    let io = Io::new(Box::new(SimDriver::new(&world)), Pool::new());
    let executor = Executor::new(io.clone());
    let ground = ground(&io, &executor.spawner(), &mut Rng::new(3));
    executor.run(async move {
        let partition = open(&ground, 0).await;
        for records in [records, 1] {
            let mut builder = BatchBuilder::new();
            for key in 0..records {
                let value = vec![0; bytes];
                let key = key.to_be_bytes();
                builder
                    .append(Timestamp(1), Some(&key), Some(&value), &[])
                    .expect("a record");
            }
            let bytes = builder.build().expect("a batch");
            let info = validate(&bytes, &Rules::NODE).expect("valid");
            let appended = partition.append(&bytes, &info, Origin::Node, None, Timestamp(1));
            appended.expect("appended");
            let end = partition.standing().next;
            let stored = partition.wait(Mark::Visible, end).done().await;
            stored.expect("stored");
        }
        io.sleep(Duration::from_millis(50)).await;
        let mut cleaning = pin!(compact(&partition, 1 << 20));
        let mut polls = 0;
        poll_fn(|context| {
            polls += 1;
            cleaning.as_mut().poll(context)
        })
        .await
        .expect("cleaned");
        polls
    })
}

/// However many records a batch has: between some hundreds others go on.
#[test]
fn a_long_batch_is_gone_over_in_stretches() {
    const RECORDS: u32 = 20_000;
    let many = turns_of_a_cleaning(RECORDS, 10);
    // As much to read and to write.
    let one = turns_of_a_cleaning(1, RECORDS as usize * 20);
    let stretches = 2 * (u64::from(RECORDS) / 1_024 - 1);
    assert!(
        many >= one + stretches,
        "{many} turns for {RECORDS} records, {one} for one of their size"
    );
}
