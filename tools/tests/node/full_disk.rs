//! A disk that fills up: what was acknowledged stays, what is there is served, and when there is
//! room again the node goes on without a restart.
//!
//! Needs a small file system of its own: root and a loop device.

use odradek_wire::ErrorCode;

use crate::common::{Client, LATEST, TestNode, batch, wait_until};
use crate::small_disk::SmallDisk;

/// Partitions of a topic that gets nothing while there is room.
const MANY: i32 = 20;

fn value(number: i64) -> Vec<u8> {
    let mut value = vec![7; 50_000];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// Everything acknowledged is there, in order, at its offset.
fn check(client: &mut Client, topic: &str, stored: &[(i64, i64)]) {
    let found = client.consume(topic, 0, 0);
    for (offset, number) in stored {
        let record = &found[*offset as usize];
        assert_eq!((record.offset, &record.value), (*offset, &value(*number)));
    }
}

#[test]
fn a_full_disk_loses_nothing_and_heals() {
    let Some(disk) = SmallDisk::new(64) else {
        return;
    };
    let mut node = TestNode::prepare(&[("log.segment.bytes", "1048576")]);
    node.set_data(&disk.path().join("data"));
    node.run();
    for topic in ["busy", "calm"] {
        node.create(topic);
    }
    let made = node.client().create_topic("many", MANY, &[]);
    assert_eq!(made, ErrorCode::None);
    let mut client = node.client();
    let calm: Vec<(i64, i64)> = (0..20).map(|n| (n, n)).collect();
    for (offset, number) in &calm {
        assert_eq!(client.store("calm", 0, &batch(&[&value(*number)])), *offset);
    }
    let mut stored = Vec::new();
    let mut number = 0;
    for round in 0..3 {
        disk.fill(3 << 20);
        let error = loop {
            // Alternately with acks=1 and acks=all.
            let acks = if number % 2 == 0 { 1 } else { -1 };
            let produced = client.produce("busy", 0, acks, &batch(&[&value(number)]));
            match produced.error {
                ErrorCode::None => stored.push((produced.offset, number)),
                error => break error,
            }
            number += 1;
            assert!(stored.len() < 2000, "the disk does not fill up");
        };
        assert_eq!(error, ErrorCode::KafkaStorageError);
        node.logged("free space");
        if round == 0 {
            // Each of many partitions finds it full, again and again: that is one line a second,
            // and one that says how many were kept back.
            wait_until("lines are kept back", || {
                for index in 0..MANY {
                    let produced = client.produce("many", index, -1, &batch(&[&value(0)]));
                    assert_eq!(produced.error, ErrorCode::KafkaStorageError, "{index}");
                }
                node.log()
                    .contains("more lines like the next were kept back")
            });
            node.seldom("free space", 1);
        }
        // While it is full: all that is there is read, and other clients are served.
        check(&mut client, "busy", &stored);
        check(&mut node.client(), "calm", &calm);
        assert_eq!(client.metadata("calm", false).0, ErrorCode::None);
        if round == 1 {
            // Over a kill with the disk full.
            node.kill();
            node.run();
            client = node.client();
            check(&mut client, "busy", &stored);
        }
        disk.free();
        wait_until("records are taken again", || {
            number += 1;
            let produced = client.produce("busy", 0, -1, &batch(&[&value(number)]));
            if produced.error == ErrorCode::None {
                stored.push((produced.offset, number));
            }
            produced.error == ErrorCode::None
        });
        check(&mut client, "busy", &stored);
        number += 1;
    }
    node.create("late");
    assert_eq!(client.store("late", 0, &batch(&[b"new"])), 0);
    let end = client.list_offsets("busy", 0, LATEST).offset;
    node.stop();
    node.run();
    let mut client = node.client();
    assert_eq!(client.list_offsets("busy", 0, LATEST).offset, end);
    check(&mut client, "busy", &stored);
    check(&mut client, "calm", &calm);
}
