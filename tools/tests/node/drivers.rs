//! Where io_uring is forbidden the node serves all the same, and says why it costs more.

use crate::common::{Client, TestNode, batch};

/// Stores `count` records in each partition, behind those that `stored` counts.
fn store(client: impl Fn(usize) -> Client, stored: &mut [i64], count: u32) {
    for (partition, stored) in stored.iter_mut().enumerate() {
        let mut client = client(partition);
        for _ in 0..count {
            let value = value(partition, *stored);
            let offset = client.store("t", partition as i32, &batch(&[&value]));
            assert_eq!(offset, *stored);
            *stored += 1;
        }
    }
}

fn check(client: impl Fn(usize) -> Client, stored: &[i64]) {
    for (partition, stored) in stored.iter().enumerate() {
        let mut client = client(partition);
        let found = client.consume("t", partition as i32, 0);
        assert_eq!(found.len() as i64, *stored);
        for (record, number) in found.iter().zip(0..) {
            assert!(record.value == value(partition, number), "{number}");
        }
        // Again and again, so that a connection goes to where the partition is.
        for from in (0..*stored).step_by(3) {
            let rest = client.consume("t", partition as i32, from);
            assert_eq!(rest.len() as i64, stored - from);
        }
    }
}

/// Some larger than a buffer, and than a window.
fn value(partition: usize, number: i64) -> Vec<u8> {
    let len = (number as usize * 7919 + partition) % 90_000;
    vec![number as u8; len]
}

#[test]
fn without_io_uring_the_node_says_so_and_serves() {
    let settings = [
        ("shards", "2"),
        ("num.partitions", "2"),
        ("io.driver", "auto"),
    ];
    let mut node = TestNode::prepare(&settings);
    node.forbid(Some(libc::SYS_io_uring_setup));
    node.set("io.driver", "ring");
    let failure = node.try_run().expect_err("it must not start");
    for text in [
        "io.driver=ring: io_uring is refused: EPERM from a seccomp filter",
        "io.driver=auto",
    ] {
        assert!(failure.log.contains(text), "no {text:?} in {}", failure.log);
    }
    node.set("io.driver", "auto");
    node.run();
    let line = node.logged("io_uring is refused");
    for text in [
        "WARN",
        "EPERM",
        "seccomp",
        "io.driver=poll",
        "io_uring_setup",
    ] {
        assert!(line.contains(text), "no {text} in {line}");
    }
    node.logged("epoll, up to");
    node.create("t");
    let mut stored = [0; 2];
    store(|partition| node.leader("t", partition), &mut stored, 40);
    check(|partition| node.leader("t", partition), &stored);
    node.kill();

    // The node as one broker: connections go from one shard's driver to the other's.
    node.set("shards.advertise", "node");
    node.run();
    check(|_| node.client(), &stored);
    store(|_| node.client(), &mut stored, 20);
    node.stop();

    // What it has written is what io_uring finds, where that is allowed.
    node.forbid(None);
    node.set("io.driver", "ring");
    node.run();
    node.logged("io_uring: ");
    check(|_| node.client(), &stored);
    store(|_| node.client(), &mut stored, 1);
    node.stop();
    node.set("shards.advertise", "core");
    node.set("io.driver", "poll");
    node.run();
    assert!(
        !node.log().contains("io_uring is refused"),
        "{}",
        node.log()
    );
    check(|partition| node.leader("t", partition), &stored);
}
