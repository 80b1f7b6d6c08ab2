//! What a kill costs: with a checkpoint only what was written since is read, and a checkpoint that
//! is lost, damaged or wrong costs time and nothing else.

use std::fs;
use std::path::PathBuf;

use odradek_engine::log::checkpoint::Checkpoint;
use odradek_engine::log::state_file;
use odradek_wire::ErrorCode;

use crate::common::{LATEST, TestNode, batch_at, batch_ends, records, wait_until};

/// The state files are called after the same thing.
const TOPIC: &str = "checkpoints";
const TIME: i64 = 1_700_000_000_000;
const BYTES: usize = 60_000;

fn value(offset: i64) -> Vec<u8> {
    vec![offset as u8; BYTES]
}

/// Stores records of 60 KB, one in a batch, a second apart.
fn store(node: &TestNode, offsets: std::ops::Range<i64>) {
    let mut client = node.client();
    for offset in offsets {
        let records = batch_at(TIME + offset * 1000, &[&value(offset)]);
        assert_eq!(client.store(TOPIC, 0, &records), offset);
    }
}

fn path(node: &TestNode) -> PathBuf {
    node.data().join("checkpoints.0")
}

/// The checkpoints in the state file, if there is one.
fn checkpoints(node: &TestNode) -> Vec<(state_file::Key, Checkpoint)> {
    let bytes = fs::read(path(node)).unwrap_or_default();
    let entries = state_file::read(&bytes).unwrap_or_default();
    let read = |bytes| Checkpoint::decode(bytes).expect("the node's own");
    entries
        .into_iter()
        .map(|(key, bytes)| (key, read(bytes)))
        .collect()
}

/// A node with 100 records in its checkpoint and 5 after it, killed.
fn killed() -> TestNode {
    let mut node = TestNode::start(&[
        ("log.flush.offset.checkpoint.interval.ms", "50"),
        ("log.retention.ms", "-1"),
    ]);
    node.create(TOPIC);
    store(&node, 0..100);
    wait_until("the checkpoint is written", || {
        let found = checkpoints(&node);
        found.iter().any(|(_, one)| one.end.offset.0 == 100)
    });
    let kept = fs::read(path(&node)).expect("the state file");
    store(&node, 100..105);
    node.kill();
    // A later one may have been written before the kill.
    fs::write(path(&node), kept).expect("written");
    node
}

/// Opens the partition and looks at every record, also from the middle and by time.
fn whole(node: &TestNode, end: i64) {
    let mut client = node.client();
    assert_eq!(client.list_offsets(TOPIC, 0, LATEST).offset, end);
    for offset in [50, 99, 100, end - 1, 0] {
        let fetched = client.fetch(TOPIC, 0, offset, 1000);
        assert_eq!(fetched.error, ErrorCode::None);
        let first = &records(&fetched.bytes)[0];
        assert_eq!((first.offset, &first.value), (offset, &value(offset)));
    }
    for offset in [0, 30, 99, 100, end - 1] {
        let listed = client.list_offsets(TOPIC, 0, TIME + offset * 1000 - 500);
        assert_eq!(listed.offset, offset);
    }
    whole_until(node, end);
}

/// Of the line about the recovery.
const RECOVERED: &str = "partition=checkpoints-0 read_bytes=";

/// What the line about the recovery of the last start says was read.
fn read_bytes(node: &TestNode) -> u64 {
    let line = node.logged(RECOVERED);
    let (_, rest) = line.split_once("read_bytes=").expect("how much was read");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn after_a_kill_only_the_tail_is_read() {
    let mut node = killed();
    node.run();
    assert_eq!(node.client().list_offsets(TOPIC, 0, LATEST).offset, 105);
    let tail = read_bytes(&node);
    assert!(tail > 5 * BYTES as u64 && tail < 6 * BYTES as u64, "{tail}");
    whole(&node, 105);
    // Killed again before anything was written, and once more after a clean stop: what is known
    // is carried along.
    node.kill();
    node.run();
    whole(&node, 105);
    assert!(read_bytes(&node) <= tail);
    node.stop();
    node.run();
    whole(&node, 105);
    node.kill();
    node.run();
    whole(&node, 105);
    // A life that wrote nothing leaves nothing to recover.
    assert!(!node.log().contains(RECOVERED), "{}", node.log());
    store(&node, 105..110);
    whole(&node, 110);
    node.kill();
    node.run();
    whole(&node, 110);
    assert!(read_bytes(&node) <= tail);
}

#[test]
fn a_segment_with_a_gap_gets_its_whole_index_when_it_rolls() {
    let mut node = killed();
    node.set("log.segment.bytes", "6400000");
    node.run();
    // Past the end of the segment; nobody has looked below the checkpoint.
    store(&node, 105..115);
    wait_until("the segment is finished", || {
        !node.files(TOPIC, 0, "index").is_empty()
    });
    let (base, index) = node.files(TOPIC, 0, "index").remove(0);
    assert_eq!(base, 0);
    let entries = fs::read(index).expect("the index");
    let first = u32::from_be_bytes(entries[4..8].try_into().expect("four bytes"));
    assert!(first < 2 * BYTES as u32 + 1000, "begins at {first}");
    let (_, log) = node.files(TOPIC, 0, "log").remove(0);
    let batches = batch_ends(&fs::read(log).expect("the segment")).len();
    assert_eq!(entries.len() / 8, batches - 1, "every batch but the first");
    whole(&node, 115);
}

/// An earlier segment is read again, which tells nothing of epochs that began after it; the last one
/// is not, below its checkpoint.
#[test]
fn epochs_below_the_checkpoint_outlive_the_reading_of_an_earlier_segment() {
    let mut node = killed();
    node.set("log.segment.bytes", "6400000");
    node.run();
    store(&node, 105..115);
    node.kill();
    node.run();
    store(&node, 115..120);
    wait_until("the checkpoint is written", || {
        let found = checkpoints(&node);
        found.iter().any(|(_, one)| one.end.offset.0 == 120)
    });
    node.kill();
    let (base, index) = node.files(TOPIC, 0, "index").remove(0);
    assert_eq!(base, 0);
    fs::remove_file(index).expect("removed");
    node.run();
    whole(&node, 120);
    // What is known of epochs is written with the first write.
    store(&node, 120..121);
    node.kill();
    node.run();
    whole(&node, 121);
}

#[test]
fn a_damaged_state_file_is_survived() {
    let mut node = killed();
    let good = fs::read(path(&node)).expect("the state file");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    let damaged = [
        Some(flipped),
        Some(good[..good.len() - 1].to_vec()),
        Some(Vec::new()),
        Some(vec![0xff; 5000]),
        None,
    ];
    for bytes in damaged {
        match &bytes {
            Some(bytes) => fs::write(path(&node), bytes).expect("written"),
            None => fs::remove_file(path(&node)).expect("removed"),
        }
        node.run();
        whole(&node, 105);
        assert!(read_bytes(&node) > 105 * BYTES as u64);
        assert_eq!(node.log().contains("is not used"), bytes.is_some());
        node.kill();
    }
}

#[test]
fn a_state_file_that_lies_is_survived() {
    let mut node = killed();
    let good = checkpoints(&node);
    type Lie = fn(&mut Checkpoint);
    let lies: [(&str, Lie); 8] = [
        ("in the middle of a batch", |one| one.end.position.0 -= 1000),
        ("a batch that begins in the middle", |one| {
            one.batch.0 += 1000
        }),
        ("an offset too high", |one| one.end.offset.0 += 3),
        ("an offset too low", |one| one.end.offset.0 -= 3),
        ("past the file's end", |one| {
            one.batch.0 += 1 << 30;
            one.end.position.0 += 1 << 30;
        }),
        ("two batches for one", |one| one.batch.0 -= BYTES as u64),
        ("another epoch", |one| one.epoch.0 += 1),
        ("a producer snapshot that is none", |one| {
            one.producers.truncate(7)
        }),
    ];
    for (what, lie) in lies {
        let mut entries = good.clone();
        for (_, one) in &mut entries {
            lie(one);
        }
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(key, one)| {
                let mut bytes = Vec::new();
                one.encode(&mut bytes);
                (key, bytes)
            })
            .collect();
        let entries = entries.iter().map(|(key, bytes)| (key, &bytes[..]));
        fs::write(path(&node), state_file::write(entries).0).expect("written");
        node.run();
        whole(&node, 105);
        assert!(node.log().contains("read whole"), "{what}");
        assert!(read_bytes(&node) > 105 * BYTES as u64, "{what}");
        node.kill();
    }
}

#[test]
fn damage_before_the_checkpoint_s_segment_ends_the_log_there() {
    let mut node = TestNode::start(&[
        ("log.flush.offset.checkpoint.interval.ms", "50"),
        ("log.retention.ms", "-1"),
        ("log.segment.bytes", "1048576"),
    ]);
    node.create(TOPIC);
    // Segments of 17 records.
    store(&node, 0..40);
    wait_until("the checkpoint is written", || {
        let found = checkpoints(&node);
        found.iter().any(|(_, one)| one.end.offset.0 == 40)
    });
    node.kill();
    // As if the node had ended before the middle segment was finished, and its last batch were
    // damaged.
    let segments = node.files(TOPIC, 0, "log");
    let (base, middle) = &segments[1];
    let _ = fs::remove_file(middle.with_extension("index"));
    let mut bytes = fs::read(middle).expect("the segment");
    let (last, end) = *batch_ends(&bytes).last().expect("batches");
    bytes[last as usize - 10] ^= 1;
    fs::write(middle, bytes).expect("written");
    assert_eq!((*base, end), (segments[1].0, segments[2].0));
    node.run();
    whole_until(&node, end - 1);
    assert_eq!(
        node.client().store(TOPIC, 0, &batch_at(TIME, &[b"next"])),
        end - 1
    );
}

/// Reads every record.
fn whole_until(node: &TestNode, end: i64) {
    let mut client = node.client();
    assert_eq!(client.list_offsets(TOPIC, 0, LATEST).offset, end);
    let all = client.consume(TOPIC, 0, 0);
    let values = all.iter().map(|record| &record.value);
    assert!(values.eq((0..end).map(value).collect::<Vec<_>>().iter()));
}
