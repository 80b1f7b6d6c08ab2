//! Every kind of file that is no segment, spoiled in every way: the node starts, and everything that
//! was acknowledged is there, once, in order; or it says which file keeps it from starting.
//!
//! A node with plain, idempotent, transactional and compacted topics is killed, and its directory is
//! kept; then it is started and stopped, and that is kept, too. Each case spoils a copy of one of
//! these. Partitions do not share the files beside their logs, so one start has several of them
//! spoiled in several ways.
//!
//! What no check can find out is left out: Kafka's formats have none of their own, but for snapshots.
//! A digit that is another digit; an index by time, a list of aborted transactions or a snapshot that
//! is another log's, or one of the former two that is cut between two entries, or such a list that is
//! gone or empty, as where nothing was aborted; an older snapshot of the metadata by a later one's name.
//! A node that was stopped leaves no journal, and one of a node that was killed may be all that there is
//! of a record.

mod left;

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::EARLIEST;
use crate::transactions::steps::PARTITIONS;

use left::{PLAIN, TOPICS, ending, finds_all, left, metadata_snapshots, on};

/// How a file is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Deleted,
    Emptied,
    Halved,
    Zeroed,
    Flipped,
    /// It is that of another partition, shard or node.
    Anothers,
}

const WAYS: [Way; 6] = [
    Way::Deleted,
    Way::Emptied,
    Way::Halved,
    Way::Zeroed,
    Way::Flipped,
    Way::Anothers,
];

/// Spoils a file. Whether it is another now: there may be no other like it, or an equal one.
fn spoil(path: &Path, way: Way, other: Option<&PathBuf>) -> bool {
    let before = fs::read(path).expect("a file");
    let middle = before.len() / 2;
    let mut after = before.clone();
    match way {
        Way::Deleted => {
            fs::remove_file(path).expect("removed");
            return true;
        }
        Way::Emptied => after.clear(),
        // Never between two entries of an index: their sizes are even.
        Way::Halved => after.truncate(middle | 1),
        Way::Zeroed => after.fill(0),
        Way::Flipped => {
            if let Some(byte) = after.get_mut(middle) {
                // Makes no digit another.
                *byte ^= 0x40;
            }
        }
        Way::Anothers => match other {
            Some(other) => after = fs::read(other).expect("a file"),
            None => return false,
        },
    }
    fs::write(path, &after).expect("written");
    after != before
}

/// Spoils what ends so beside every partition's log, each partition in a way of its own.
fn beside_logs(end: &str, ways: &[Way]) {
    let left = left();
    let topics = TOPICS
        .into_iter()
        .chain(["__consumer_offsets", "__transaction_state"]);
    let partitions: Vec<(&str, i32)> = topics
        .flat_map(|topic| (0..PARTITIONS).map(move |index| (topic, index)))
        .collect();
    // Each topic has each way in one of the two, at least.
    for (kept, shift) in [(&left.killed, 0), (&left.stopped, ways.len() / 2)] {
        let mut node = on(kept);
        let mut spoiled = 0;
        for (number, (topic, index)) in partitions.iter().enumerate() {
            let way = ways[(number + shift) % ways.len()];
            let other = kept.join(format!("{topic}-{}", (index + 1) % PARTITIONS));
            let others = ending(&other, end);
            for path in ending(&node.partition(topic, *index), end) {
                let name = path.file_name();
                let same = others.iter().find(|other| other.file_name() == name);
                let other = same.or(others.last());
                spoiled += usize::from(spoil(&path, way, other));
            }
        }
        // Some kinds are beside one topic's logs only.
        let least = PARTITIONS as usize;
        assert!(spoiled >= least, "{end} of {kept:?}: {spoiled} files");
        finds_all(&left, &mut node, &format!("{end} of {kept:?}"));
    }
}

#[test]
fn indexes_by_offset() {
    beside_logs(".index", &WAYS);
}

#[test]
fn indexes_by_time() {
    beside_logs(".timeindex", &WAYS[..5]);
}

#[test]
fn indexes_of_aborted_transactions() {
    beside_logs(".txnindex", &WAYS[2..5]);
}

#[test]
fn snapshots_of_producers() {
    beside_logs(".snapshot", &WAYS[..5]);
}

#[test]
fn checkpoints_of_leader_epochs() {
    beside_logs("leader-epoch-checkpoint", &WAYS);
}

#[test]
fn whose_a_directory_is() {
    beside_logs("partition.metadata", &WAYS);
}

#[test]
fn checkpoints_of_compaction() {
    for end in ["offset-gaps-checkpoint", "cleaner-offset-checkpoint"] {
        beside_logs(end, &WAYS);
    }
}

/// A deletion is forgotten with its file; nothing else is.
#[test]
fn checkpoints_of_log_starts() {
    const FILE: &str = "log-start-offset-checkpoint";
    let left = left();
    for (kept, shift) in [
        (&left.killed, 0),
        (&left.killed, 4),
        (&left.stopped, 0),
        (&left.stopped, 4),
    ] {
        let mut node = on(kept);
        let way = |index: i32| WAYS[(index as usize + shift) % WAYS.len()];
        let path = |index: i32| format!("{PLAIN}-{index}/{FILE}");
        for index in 0..PARTITIONS {
            let other = kept.join(path((index + 1) % PARTITIONS));
            assert!(spoil(
                &node.data().join(path(index)),
                way(index),
                Some(&other)
            ));
        }
        node.run();
        let mut client = node.client();
        for index in 0..PARTITIONS {
            let case = format!("{:?} in {kept:?}, {PLAIN}-{index}", way(index));
            let (start, records) = left.seen.log(PLAIN, index);
            let now = client.list_offsets(PLAIN, index, EARLIEST).offset;
            assert!(now == 0 || now == start, "{case}: begins at {now}");
            let found = client.consume(PLAIN, index, start);
            let found = found.iter().map(|record| (record.offset, &record.value));
            let expected = records.iter().map(|(offset, _, value)| (*offset, value));
            assert!(found.eq(expected), "{case}");
            if way(index) != Way::Deleted {
                node.logged(&format!("{} is damaged", path(index)));
            }
        }
    }
}

/// Both shards' at once.
#[test]
fn state_files_of_shards() {
    let left = left();
    for kept in [&left.killed, &left.stopped] {
        for (number, ways) in WAYS.chunks(2).enumerate() {
            let mut node = on(kept);
            let path = |shard: usize| format!("checkpoints.{shard}");
            for shard in [0, 1] {
                let way = ways[(number + shard) % ways.len()];
                let other = kept.join(path(1 - shard));
                assert!(spoil(&node.data().join(path(shard)), way, Some(&other)));
            }
            finds_all(&left, &mut node, &format!("{ways:?} of {kept:?}"));
        }
    }
}

#[test]
fn snapshots_of_the_metadata() {
    let left = left();
    for kept in [&left.killed, &left.stopped] {
        for way in &WAYS[..5] {
            let mut node = on(kept);
            let found = metadata_snapshots(&node);
            assert!(found.len() > 1, "{found:?}");
            assert!(spoil(&found[found.len() - 1], *way, None));
            finds_all(&left, &mut node, &format!("{way:?} of {kept:?}"));
        }
    }
}

/// As Kafka, the node starts with the file that it knows, or says what is wrong with it; it is never
/// another cluster afterwards.
#[test]
fn meta_properties() {
    const FILE: &str = "meta.properties";
    let left = left();
    let anothers = "version=1\nnode.id=7\ncluster.id=x\ndirectory.id=y\n";
    for way in WAYS {
        let mut node = on(&left.stopped);
        let other = node.home().join("another");
        fs::write(&other, anothers).expect("written");
        assert!(spoil(&node.data().join(FILE), way, Some(&other)));
        let text = fs::read_to_string(node.data().join(FILE)).unwrap_or_default();
        match node.try_run() {
            Ok(()) => {
                assert!(text.contains("cluster.id="), "{way:?}: another cluster");
                node.stop();
                finds_all(&left, &mut node, &format!("{FILE}: {way:?}"));
            }
            Err(failure) => assert!(failure.log.contains(FILE), "{way:?}: {}", failure.log),
        }
    }
}

/// It holds nothing that is read; without it every log is looked at.
#[test]
fn marker_of_a_clean_stop() {
    let left = left();
    let mut node = on(&left.stopped);
    let path = node.data().join(".kafka_cleanshutdown");
    assert!(spoil(&path, Way::Deleted, None));
    finds_all(&left, &mut node, "without its marker");
}
