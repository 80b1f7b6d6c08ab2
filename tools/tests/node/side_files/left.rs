//! What a node has left behind, killed and stopped, and what its clients had seen of it.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use odradek_engine::record::BatchBuilder;
use odradek_engine::types::Timestamp;
use odradek_wire::ErrorCode;

use crate::common::{EARLIEST, LATEST, TestNode, batch_at, batch_by, wait_until};
use crate::deletion::try_delete;
use crate::metrics::commit;
use crate::transactions::steps::{
    PARTITIONS, Producer, TOPIC, committed, read_committed, stable_end, wait_for_stable,
};

pub(super) const PLAIN: &str = "plain";
const IDEMPOTENT: &str = "idempotent";
const COMPACTED: &str = "compacted";
pub(super) const TOPICS: [&str; 4] = [PLAIN, IDEMPOTENT, TOPIC, COMPACTED];
const BATCHES: i32 = 60;
/// Of these, written in the life that is killed.
const LATE: i32 = 20;
const TRANSACTIONS: i32 = 24;
const LATE_TRANSACTIONS: i32 = 6;
const KEYS: i64 = 7;
const TIME: i64 = 1_700_000_000_000;
/// Of the group that has committed an offset.
const GROUP: &str = "group";

/// A record's offset, time and value.
type Stored = (i64, i64, Vec<u8>);

/// What the tests' clients see of a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Of each partition: its name, its first offset, its records.
    logs: Vec<(String, i64, Vec<Stored>)>,
    /// Of each partition: its end for a reader of committed records, and the aborted transactions, by
    /// producer and first offset, as who reads from there is told.
    transactions: Vec<(i64, Vec<(i64, i64)>)>,
    /// The offset that is found for each of some records' times.
    times: Vec<i64>,
    group: Result<i64, i16>,
}

impl Seen {
    /// Of a partition: its first offset, and its records.
    pub(super) fn log(&self, topic: &str, index: i32) -> (i64, &[Stored]) {
        let topic = TOPICS.iter().position(|one| *one == topic);
        let at = topic.expect("a topic") * PARTITIONS as usize + index as usize;
        let (_, start, records) = &self.logs[at];
        (*start, records)
    }
}

fn partitions() -> impl Iterator<Item = (&'static str, i32)> {
    TOPICS
        .into_iter()
        .flat_map(|topic| (0..PARTITIONS).map(move |index| (topic, index)))
}

fn see(node: &TestNode) -> Seen {
    let mut client = node.client();
    let mut seen = Seen {
        logs: Vec::new(),
        transactions: Vec::new(),
        times: Vec::new(),
        group: Err(0),
    };
    for (topic, index) in partitions() {
        let name = format!("{topic}-{index}");
        let start = client.list_offsets(topic, index, EARLIEST).offset;
        let end = client.list_offsets(topic, index, LATEST).offset;
        let records = client.consume(topic, index, start);
        // From elsewhere, too, which is found by the index.
        for from in [start + 11, (start + end) / 2, end - 9] {
            let rest = client.consume(topic, index, from);
            let expected = records.iter().filter(|record| record.offset >= from);
            assert!(rest.iter().eq(expected), "{name} from {from}");
        }
        for record in records.iter().filter(|_| topic == PLAIN) {
            let listed = client.list_offsets(topic, index, record.time);
            seen.times.push(listed.offset);
        }
        let records = records.into_iter();
        let records = records.map(|record| (record.offset, record.time, record.value));
        seen.logs.push((name, start, records.collect()));
    }
    for index in 0..PARTITIONS {
        let (stable, mut aborted) = (stable_end(&mut client, index), Vec::new());
        for from in 0..stable {
            let told = read_committed(&mut client, index, from).aborted;
            aborted.extend(told.into_iter().filter(|(_, first)| *first == from));
        }
        seen.transactions.push((stable, aborted));
    }
    wait_until("the group is loaded", || {
        seen.group = committed(&mut client, GROUP);
        seen.group.is_ok()
    });
    seen
}

/// Every partition takes a record, at its end; an idempotent producer's last batch is known.
fn goes_on(node: &TestNode, seen: &Seen) {
    let mut client = node.client();
    for (topic, index) in partitions() {
        let (_, before) = seen.log(topic, index);
        let end = client.list_offsets(topic, index, LATEST).offset;
        let next = match topic {
            COMPACTED => keyed(end, index),
            IDEMPOTENT => {
                let again = client.store(topic, index, &idempotent(index, BATCHES - 1));
                assert_eq!(again, end - 1, "{topic}-{index}: it is there already");
                idempotent(index, BATCHES)
            }
            _ => batch_at(TIME, &[b"more"]),
        };
        assert_eq!(client.store(topic, index, &next), end, "{topic}-{index}");
        let after = before.last().map_or(0, |(offset, ..)| offset + 1);
        assert_eq!(client.consume(topic, index, after).len(), 1);
    }
    let mut producer = Producer::begin(node, "id", 2);
    producer.write(&[0, 1, 2, 3], "more");
    producer.end(true);
}

/// Sizes differ from partition to partition, so that one's index is wrong for another.
fn padding(index: i32) -> Vec<u8> {
    vec![b'a' + index as u8; 400 + 150 * index as usize]
}

fn plain(index: i32, number: i32) -> Vec<u8> {
    batch_at(TIME + i64::from(number) * 1000, &[&padding(index)])
}

fn idempotent(index: i32, number: i32) -> Vec<u8> {
    batch_by(1000 + i64::from(index), 0, number, &[&padding(index)])
}

fn keyed(number: i64, index: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let key = (number % KEYS).to_be_bytes();
    let value = [&number.to_be_bytes()[..], &padding(index)].concat();
    builder
        .append(Timestamp(TIME), Some(&key), Some(&value), &[])
        .expect("a record that fits");
    builder.build().expect("a batch")
}

fn prepare() -> TestNode {
    TestNode::prepare(&[
        ("shards", "2"),
        ("shards.advertise", "node"),
        ("offsets.topic.num.partitions", "4"),
        ("transaction.state.log.num.partitions", "4"),
        ("log.durable.method", "journal"),
        ("log.journal.bytes", "1048576"),
        ("log.flush.offset.checkpoint.interval.ms", "50"),
        ("metadata.log.max.record.bytes.between.snapshots", "1"),
        ("log.retention.ms", "-1"),
        ("log.cleaner.backoff.ms", "30"),
        ("log.cleaner.min.cleanable.ratio", "0.01"),
    ])
}

/// What a node has left.
pub(super) struct Left {
    _node: TestNode,
    pub(super) seen: Seen,
    /// Its directory after a kill.
    pub(super) killed: PathBuf,
    /// That one, after a start and a clean stop.
    pub(super) stopped: PathBuf,
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.is_ok_and(|status| status.success()), "{from:?}");
}

fn fill(node: &TestNode) {
    let mut client = node.client();
    for topic in TOPICS {
        let policy = match topic == COMPACTED {
            true => "compact",
            false => "delete",
        };
        let settings = [
            ("cleanup.policy", policy),
            ("internal.segment.bytes", "8192"),
            ("index.interval.bytes", "1024"),
        ];
        let made = client.create_topic(topic, PARTITIONS, &settings);
        assert_eq!(made, ErrorCode::None, "{topic}");
    }
    let kept = || metadata_snapshots(node).len();
    wait_until("a snapshot of the metadata is kept", || kept() > 0);
    write(node, 0..BATCHES - LATE, 0..TRANSACTIONS - LATE_TRANSACTIONS);
    for index in 0..PARTITIONS {
        let start = i64::from(3 + index);
        let deleted = try_delete(&mut client, PLAIN, index, start);
        assert_eq!(deleted, (ErrorCode::None, start));
    }
    commit(node, GROUP, TOPIC, 0, 6);
    wait_until("it is compacted", || {
        let mut count = |index| client.consume(COMPACTED, index, 0).len();
        (0..PARTITIONS).all(|index| count(index) < BATCHES as usize / 2)
    });
    // The node has made topics of its own meanwhile.
    wait_until("a second one is kept", || kept() > 1);
}

/// The metadata's snapshots, the newest last.
pub(super) fn metadata_snapshots(node: &TestNode) -> Vec<PathBuf> {
    ending(&node.partition("__cluster_metadata", 0), ".checkpoint")
}

/// Records of these numbers, and these transactions, of which every third is aborted.
fn write(node: &TestNode, numbers: Range<i32>, transactions: Range<i32>) {
    let mut client = node.client();
    for index in 0..PARTITIONS {
        for number in numbers.clone() {
            for (topic, batch) in [
                (PLAIN, plain(index, number)),
                (IDEMPOTENT, idempotent(index, number)),
                (COMPACTED, keyed(i64::from(number), index)),
            ] {
                let at = client.store(topic, index, &batch);
                assert_eq!(at, i64::from(number), "{topic}-{index}");
            }
        }
    }
    let mut producer = Producer::begin(node, "id", 2);
    for number in transactions.clone() {
        for index in 0..PARTITIONS {
            let value = String::from_utf8(padding(index)).expect("letters");
            producer.write(&[index], &value);
        }
        producer.end(number % 3 != 0);
    }
    for index in 0..PARTITIONS {
        wait_for_stable(&mut client, index, 2 * i64::from(transactions.end));
    }
}

/// What was acknowledged is there before anything is spoiled.
fn is_whole(seen: &Seen) {
    let all = 0..i64::from(BATCHES);
    for index in 0..PARTITIONS {
        let (start, records) = seen.log(PLAIN, index);
        assert_eq!(start, i64::from(3 + index));
        let offsets = records.iter().map(|(offset, ..)| *offset);
        assert!(offsets.eq(start..all.end));
        let (_, records) = seen.log(IDEMPOTENT, index);
        let offsets = records.iter().map(|(offset, ..)| *offset);
        assert!(offsets.eq(all.clone()));
        let (_, records) = seen.log(COMPACTED, index);
        for (offset, _, value) in records {
            let number = value.first_chunk().map(|bytes| i64::from_be_bytes(*bytes));
            assert_eq!(number, Some(*offset));
        }
        let last = records.iter().rev().map(|(offset, ..)| *offset);
        let last = last.take(KEYS as usize);
        assert!(last.eq(all.clone().rev().take(KEYS as usize)));
        let (stable, aborted) = &seen.transactions[index as usize];
        let aborted = aborted.len() as i32;
        assert_eq!(
            (*stable, aborted),
            (2 * i64::from(TRANSACTIONS), TRANSACTIONS / 3)
        );
    }
    assert_eq!(seen.group, Ok(6));
}

/// Made once for the tests that run beside each other.
pub(super) fn left() -> Arc<Left> {
    static LEFT: Mutex<Weak<Left>> = Mutex::new(Weak::new());
    let mut last = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(left) = last.upgrade() {
        return left;
    }
    let left = Arc::new(leave());
    *last = Arc::downgrade(&left);
    left
}

fn leave() -> Left {
    let mut node = prepare();
    node.run();
    fill(&node);
    // What is compacted when would be another thing every time.
    node.stop();
    node.set("log.cleaner.enable", "false");
    node.run();
    write(
        &node,
        BATCHES - LATE..BATCHES,
        TRANSACTIONS - LATE_TRANSACTIONS..TRANSACTIONS,
    );
    let seen = see(&node);
    is_whole(&seen);
    node.kill();
    let (killed, stopped) = (node.home().join("killed"), node.home().join("stopped"));
    copy(node.data(), &killed);
    node.run();
    same(&see(&node), &seen, "after a kill");
    node.stop();
    copy(node.data(), &stopped);
    Left {
        _node: node,
        seen,
        killed,
        stopped,
    }
}

/// A node on a copy of this, not started.
pub(super) fn on(kept: &Path) -> TestNode {
    let mut node = prepare();
    node.set("log.cleaner.enable", "false");
    copy(kept, node.data());
    node
}

/// In words that can be read.
fn same(seen: &Seen, expected: &Seen, case: &str) {
    for ((name, start, found), (_, begins, records)) in seen.logs.iter().zip(&expected.logs) {
        assert_eq!(start, begins, "{case}: {name} begins");
        let offsets = |all: &[Stored]| all.iter().map(|(offset, ..)| *offset).collect::<Vec<_>>();
        assert_eq!(offsets(found), offsets(records), "{case}: {name}");
        assert!(found == records, "{case}: {name}: other records");
    }
    assert_eq!(seen.times, expected.times, "{case}: times");
    assert_eq!(seen.transactions, expected.transactions, "{case}");
    assert_eq!(seen.group, expected.group, "{case}");
}

/// Starts it, looks at all there is, goes on, and starts it once more.
pub(super) fn finds_all(left: &Left, node: &mut TestNode, case: &str) {
    println!("{case}");
    node.run();
    same(&see(node), &left.seen, case);
    goes_on(node, &left.seen);
    node.stop();
    node.run();
    let mut client = node.client();
    for (topic, index) in partitions() {
        let (start, before) = left.seen.log(topic, index);
        let now = client.consume(topic, index, start);
        let now = now.iter().take(before.len());
        let now = now.map(|record| (record.offset, record.time, &record.value));
        let before = before.iter();
        let before = before.map(|(offset, time, value)| (*offset, *time, value));
        assert!(now.eq(before), "{case}, the next start: {topic}-{index}");
    }
    node.stop();
}

/// The files of a directory whose names end so, in order.
pub(super) fn ending(directory: &Path, end: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    found.sort();
    found
}
