//! Metadata is kept in snapshots: what they hold is there after a kill, a damaged one costs nothing,
//! and without any the node says what is missing instead of starting empty.

use std::fs;
use std::path::PathBuf;

use crate::common::{LATEST, TestNode, wait_until};

const METADATA: &str = "__cluster_metadata";

fn snapshots(node: &TestNode) -> Vec<PathBuf> {
    let files = fs::read_dir(node.partition(METADATA, 0)).expect("the directory");
    let paths = files.map(|file| file.expect("an entry").path());
    let mut found: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "checkpoint"))
        .collect();
    found.sort();
    found
}

/// Creates topics until two more snapshots were kept.
fn create(node: &TestNode, count: &mut usize) {
    let before = snapshots(node);
    for _ in 0..2 {
        let newest = snapshots(node).pop();
        node.create(&format!("topic-{count}"));
        *count += 1;
        wait_until("a snapshot is kept", || snapshots(node).pop() != newest);
    }
    wait_until("older ones go", || {
        let after = snapshots(node);
        after.len() == 2 && after.iter().all(|path| !before.contains(path))
    });
}

fn all_there(node: &TestNode, count: usize) {
    let mut client = node.client();
    for number in 0..count {
        let topic = format!("topic-{number}");
        assert_eq!(client.list_offsets(&topic, 0, LATEST).offset, 0, "{topic}");
    }
}

#[test]
fn metadata_is_kept_in_snapshots() {
    let bytes = "metadata.log.max.record.bytes.between.snapshots";
    let mut node = TestNode::start(&[(bytes, "1")]);
    let mut count = 0;
    create(&node, &mut count);
    create(&node, &mut count);
    node.kill();
    node.run();
    all_there(&node, count);
    create(&node, &mut count);
    node.stop();
    let newest = snapshots(&node).pop().expect("two");
    let mut damaged = fs::read(&newest).expect("a snapshot");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&newest, damaged).expect("written");
    node.run();
    node.logged("is not used");
    all_there(&node, count);
    node.stop();
    for snapshot in snapshots(&node) {
        fs::remove_file(snapshot).expect("removed");
    }
    let failure = node.try_run().expect_err("metadata is missing");
    let said = format!("{failure:?}");
    assert!(said.contains("no snapshot beside it"), "{said}");
}
