//! The node as a process: what it says when it cannot start, and what a changed set-up keeps.

use std::fs;
use std::net::TcpListener;

use odradek_wire::ErrorCode;

use crate::commands::done;
use crate::common::{TestNode, batch, wait_until};
use crate::metrics::{commit, series};
use crate::transactions::steps::{
    Producer, TOPIC, coordinator, read_committed, stable_end, wait_for_stable,
};

/// Starts a node that cannot start: it says why, and its exit code says that it failed.
fn refused(node: &mut TestNode, wanted: &[&str]) {
    let failure = node.try_run().expect_err("it must not start");
    assert!(!failure.status.success(), "{failure:?}");
    assert!(
        failure.status.code().is_some(),
        "no signal ended it: {failure:?}"
    );
    for text in wanted {
        assert!(
            failure.log.contains(text),
            "no {text:?} in:\n{}",
            failure.log
        );
    }
    assert!(!failure.log.contains("panicked"), "{}", failure.log);
}

#[test]
fn a_port_that_is_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    for shards in ["1", "2"] {
        let mut node = TestNode::prepare(&[("shards", shards)]);
        node.set("listeners", &format!("PLAINTEXT://127.0.0.1:{port}"));
        refused(&mut node, &["cannot listen on", &port.to_string()]);
    }
}

#[test]
fn a_log_directory_that_is_none() {
    let mut node = TestNode::prepare(&[]);
    let file = node.home().join("file");
    fs::write(&file, "x").expect("written");
    node.set_data(&file);
    refused(&mut node, &["log directory", "file", "log.dirs"]);
    node.set_data(&file.join("below"));
    refused(&mut node, &["log directory", "below", "log.dirs"]);
    // Root may write anywhere but where nobody may.
    node.set_data(std::path::Path::new("/proc/odradek"));
    refused(&mut node, &["log directory", "/proc/odradek", "log.dirs"]);
}

#[test]
fn a_second_process_on_the_same_directory() {
    let node = TestNode::start(&[]);
    let mut second = TestNode::prepare(&[]);
    second.set_data(node.data());
    refused(&mut second, &["in use by another process", ".lock"]);
    node.create("t");
    assert_eq!(node.client().store("t", 0, &batch(&[b"fine"])), 0);
}

#[test]
fn a_directory_of_another_node() {
    let mut node = TestNode::start(&[("node.id", "7")]);
    node.stop();
    node.set("node.id", "8");
    refused(&mut node, &["meta.properties", "node.id=7", "node.id=8"]);
    node.set("node.id", "7");
    node.run();
}

#[test]
fn ill_settings() {
    for (key, value, wanted) in [
        ("shards", "zero", "shards"),
        ("shards", "0", "shards"),
        ("log.segment.bytes", "12", "log.segment.bytes"),
        ("log.write.strategy", "magic", "log.write.strategy"),
        ("listeners", "PLAINTEXT//nowhere", "listeners"),
        ("listeners", "SASL_SSL://127.0.0.1:0", "SASL_SSL"),
        ("log.segment.byte", "1048576", "log.segment.bytes"),
    ] {
        let mut node = TestNode::prepare(&[]);
        node.set(key, value);
        refused(&mut node, &[wanted]);
    }
}

#[test]
fn another_number_of_shards_serves_the_same_data() {
    let mut node = TestNode::start(&[("shards", "2"), ("num.partitions", "4")]);
    node.create("kept");
    node.create(TOPIC);
    // A transaction that is open all the time, on a shard that is not there all the time.
    done(&node, "topic move t --partition 3 --to 1");
    let mut open = Producer::begin(&node, "open", 2);
    open.client = node.leader(TOPIC, 3);
    open.write(&[3], "undecided");
    commit(&node, "group", "kept", 2, 3);
    let mut stored = [0i64; 4];
    for (round, shards) in ["2", "1", "3", "3", "2"].into_iter().enumerate() {
        if round > 0 {
            // Alternately cleanly stopped and killed.
            if round % 2 == 0 {
                node.kill()
            } else {
                node.stop()
            }
            node.set("shards", shards);
            node.run();
        }
        assert_eq!(node.shards().len().to_string(), shards);
        let (error, leaders) = node.client().metadata("kept", false);
        assert_eq!((error, leaders.len()), (ErrorCode::None, 4));
        wait_until("the group is loaded", || {
            let labels = r#"{group="group",topic="kept",partition="2"}"#;
            let name = format!("odradek_group_committed_offset{labels}");
            series(&node).get(&name) == Some(&3.0)
        });
        assert_eq!(stable_end(&mut node.leader(TOPIC, 3), 3), 0, "one is open");
        for (index, stored) in stored.iter_mut().enumerate() {
            let mut client = node.leader("kept", index);
            for _ in 0..5 {
                let offset = client.store("kept", index as i32, &batch(&[&[index as u8; 100]]));
                assert_eq!(offset, *stored, "partition {index}, {shards} shards");
                *stored += 1;
            }
            let found = client.consume("kept", index as i32, 0);
            assert_eq!(found.len() as i64, *stored);
            assert!(
                found
                    .iter()
                    .all(|record| record.value == [index as u8; 100])
            );
            let epochs: Vec<i32> = found.iter().map(|record| record.epoch).collect();
            assert!(epochs.is_sorted(), "{epochs:?}");
        }
        // Whoever asks the wrong shard is sent away, not answered wrongly.
        if node.shards().len() > 1 {
            let leader = leaders[0].0 as usize % 1000;
            let other = (leader + 1) % node.shards().len();
            let mut wrong = crate::common::Client::connect(&node.shards()[other]);
            let produced = wrong.produce("kept", 0, 1, &batch(&[b"x"]));
            assert_eq!(produced.error, ErrorCode::NotLeaderOrFollower);
            let fetched = wrong.fetch("kept", 0, 0, 1000);
            assert_eq!(fetched.error, ErrorCode::NotLeaderOrFollower);
            // It stays where it was moved to as long as there is such a shard.
            let last = node.shards().len() as i32 - 1;
            if round == 3 {
                assert_eq!(leaders[1].0 % 1000, last);
            }
            done(&node, &format!("topic move kept --partition 1 --to {last}"));
        }
    }
    open.client = coordinator(&node, "open");
    open.end(true);
    wait_for_stable(&mut node.leader(TOPIC, 3), 3, 2);
    let seen = read_committed(&mut node.leader(TOPIC, 3), 3, 0);
    assert!(seen.aborted.is_empty() && seen.bytes > 0, "{seen:?}");
}
