//! A file system that turns read-only, and a device that fails below it: the node lives, says so
//! without flooding its log, answers what needs no disk, and after the repair has all that it
//! acknowledged.

use odradek_wire::ErrorCode;

use crate::common::{TestNode, batch, wait_until};
use crate::metrics::{get, series, sum};
use crate::small_disk::SmallDisk;

fn value(number: i64) -> Vec<u8> {
    let mut value = vec![3; 20_000];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// Stores, breaks the disk, looks how the node bears it, repairs, and looks what is left.
fn survives(disk: &SmallDisk, fail: impl FnOnce(&SmallDisk)) {
    let mut node = TestNode::prepare(&[("log.segment.bytes", "1048576")]);
    node.set_data(&disk.path().join("data"));
    node.run();
    for topic in ["busy", "calm"] {
        node.create(topic);
    }
    let mut client = node.client();
    let mut stored = Vec::new();
    for number in 0..100 {
        assert_eq!(client.store("busy", 0, &batch(&[&value(number)])), number);
        stored.push((number, number));
    }
    client.store("calm", 0, &batch(&[b"calm"]));
    fail(disk);
    let mut number = 100;
    wait_until("writing fails", || {
        let produced = client.produce("busy", 0, -1, &batch(&[&value(number)]));
        match produced.error {
            ErrorCode::None => stored.push((produced.offset, number)),
            error => assert_eq!(error, ErrorCode::KafkaStorageError),
        }
        number += 1;
        produced.error != ErrorCode::None
    });
    // Many go on trying, and asking.
    for _ in 0..300 {
        let produced = client.produce("busy", 0, -1, &batch(&[&value(number)]));
        assert_eq!(produced.error, ErrorCode::KafkaStorageError);
        assert_eq!(client.metadata("calm", false).0, ErrorCode::None);
    }
    // Whether there is room for the metadata is the disk's affair; an answer there is.
    let made = node.client().create_topic("late", 1, &[]);
    assert_eq!(get(&node, "/healthz").0, 200);
    assert!(sum(&series(&node), "odradek_partitions_offline{") >= 1.0);
    let lines = node.log().lines().count();
    assert!(lines < 60, "{lines} lines in the log:\n{}", node.log());
    assert!(node.alive());
    node.kill();
    disk.repair();
    node.run();
    let mut client = node.client();
    let found = client.consume("busy", 0, 0);
    for (offset, number) in &stored {
        let record = &found[*offset as usize];
        assert_eq!((record.offset, &record.value), (*offset, &value(*number)));
    }
    assert_eq!(client.consume("calm", 0, 0).len(), 1);
    let end = found.len() as i64;
    assert_eq!(client.store("busy", 0, &batch(&[b"again"])), end);
    let expected = match made {
        ErrorCode::None => ErrorCode::TopicAlreadyExists,
        _ => ErrorCode::None,
    };
    assert_eq!(client.create_topic("late", 1, &[]), expected);
    node.stop();
}

#[test]
fn a_file_system_that_turns_read_only() {
    if let Some(disk) = SmallDisk::new(64) {
        survives(&disk, SmallDisk::turn_read_only);
    }
}

#[test]
fn a_device_that_fails_below_the_file_system() {
    if let Some(disk) = SmallDisk::on_memory(64) {
        survives(&disk, SmallDisk::break_device);
    }
}
