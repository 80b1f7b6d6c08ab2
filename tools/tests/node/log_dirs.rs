//! Several log directories: where partitions are and are found again, one that fails, partitions
//! that move from one to another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use odradek_wire::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use odradek_wire::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use odradek_wire::elect_leaders::{ElectLeadersRequest, ElectLeadersResponse, TopicPartitions};
use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use odradek_wire::{ErrorCode, Message, Reader};

use crate::common::{Client, LATEST, METADATA, TestNode, batch, wait_for, wait_until};
use crate::faulty_disk::{Call, Fault, FaultyDisk, Rule};
use crate::metrics::{series, sum};
use crate::settings::{BROKER, DELETE, SET, alter};

const ALTER: i16 = AlterReplicaLogDirsRequest::MAX_VERSION;
const DESCRIBE: i16 = DescribeLogDirsRequest::MAX_VERSION;
const ELECT: i16 = ElectLeadersRequest::MAX_VERSION;

/// What the node tells of one directory.
#[derive(Debug, Default)]
struct Told {
    error: i16,
    total: i64,
    /// Partitions, and whether they are on their way here.
    partitions: BTreeMap<(String, i32), bool>,
    /// Bytes that are here of those that are.
    copied: BTreeMap<(String, i32), i64>,
}

/// By the directory's last name; what all shards tell.
fn told(node: &TestNode) -> BTreeMap<String, Told> {
    let mut all = BTreeMap::<String, Told>::new();
    for shard in node.shards() {
        let mut client = Client::connect(shard);
        let body = client.call(DESCRIBE, &DescribeLogDirsRequest { topics: None });
        let body = body.expect("an answer");
        let response = DescribeLogDirsResponse::decode(&mut Reader::new(&body), DESCRIBE);
        for result in response.expect("readable").results {
            let name = Path::new(result.log_dir).file_name().expect("a name");
            let told = all.entry(name.to_string_lossy().into_owned()).or_default();
            (told.error, told.total) = (result.error_code, result.total_bytes);
            for topic in &result.topics {
                for one in &topic.partitions {
                    let key = (topic.name.to_owned(), one.partition_index);
                    if one.is_future_key {
                        told.copied.insert(key.clone(), one.partition_size);
                    }
                    told.partitions.insert(key, one.is_future_key);
                }
            }
        }
    }
    all
}

/// In which directory a partition is.
fn place(node: &TestNode, topic: &str, index: i32) -> String {
    let key = (topic.to_owned(), index);
    let mut at = told(node).into_iter();
    let found = at.find(|(_, told)| told.partitions.get(&key) == Some(&false));
    found.expect("a directory").0
}

/// A node with these directories; the first one's is the metadata.
fn prepare(dirs: &[&Path], settings: &[(&str, &str)]) -> TestNode {
    let mut node = TestNode::prepare(settings);
    let dirs: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    node.set_data(&PathBuf::from(dirs.join(",")));
    node
}

fn value(number: i64) -> Vec<u8> {
    let mut value = vec![9; 20_000];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// So little that it stays in a journal for a while.
fn small(number: i64) -> Vec<u8> {
    value(number)[..100].to_vec()
}

fn check(client: &mut Client, topic: &str, index: i32, count: i64) {
    check_all(client, topic, index, count, value);
}

fn check_all(client: &mut Client, topic: &str, index: i32, count: i64, value: fn(i64) -> Vec<u8>) {
    let found = client.consume(topic, index, 0);
    assert_eq!(found.len() as i64, count, "{topic}-{index}");
    for (number, record) in (0..).zip(&found) {
        assert_eq!((record.offset, &record.value), (number, &value(number)));
    }
}

#[test]
fn partitions_spread_over_directories_and_are_found_again() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let [a, b] = ["a", "b"].map(|name| home.path().join(name));
    let mut node = prepare(&[&a, &b], &[("shards", "2")]);
    node.run();
    assert_eq!(node.client().create_topic("t", 6, &[]), ErrorCode::None);
    let store = |node: &TestNode, number: i64| {
        for index in 0..6 {
            let stored =
                node.leader("t", index)
                    .store("t", index as i32, &batch(&[&value(number)]));
            assert_eq!(stored, number);
        }
    };
    store(&node, 0);
    let counts = |node: &TestNode| -> Vec<usize> {
        let of_t = |told: Told| {
            told.partitions
                .keys()
                .filter(|(topic, _)| topic == "t")
                .count()
        };
        told(node).into_values().map(of_t).collect()
    };
    assert_eq!(counts(&node), [3, 3]);
    let ids = [&a, &b].map(|dir| {
        let text = std::fs::read_to_string(dir.join("meta.properties")).expect("formatted");
        let id = text.lines().find(|line| line.starts_with("directory.id="));
        id.expect("an id").to_owned()
    });
    assert_ne!(ids[0], ids[1]);
    assert!(!b.join("__cluster_metadata-0").exists());
    // Killed, then stopped, with one moved by hand.
    let index = (0..6).find(|index| place(&node, "t", *index) == "a");
    let index = index.expect("one in the first");
    node.kill();
    node.run();
    store(&node, 1);
    node.stop();
    let name = format!("t-{index}");
    std::fs::rename(a.join(&name), b.join(&name)).expect("moved");
    node.run();
    assert_eq!(counts(&node), [2, 4]);
    assert_eq!(place(&node, "t", index), "b");
    store(&node, 2);
    for index in 0..6 {
        check(&mut node.leader("t", index as usize), "t", index, 3);
    }
    // The next one goes where there are fewer.
    assert_eq!(node.client().create_topic("u", 2, &[]), ErrorCode::None);
    assert_eq!(
        (place(&node, "u", 0), place(&node, "u", 1)),
        ("a".into(), "a".into())
    );
    node.stop();
    // Without one of the directories its partitions are offline; with both of one it does not start.
    node.set_data(&a);
    node.run();
    let produced = node
        .client()
        .produce("t", index, -1, &batch(&[&value(3)]))
        .error;
    let elsewhere = node.leader_is_none("t", index);
    assert!(elsewhere, "{produced:?}");
    node.stop();
    std::fs::create_dir(a.join(&name)).expect("a directory");
    for file in std::fs::read_dir(b.join(&name)).expect("a directory") {
        let file = file.expect("an entry");
        std::fs::copy(file.path(), a.join(&name).join(file.file_name())).expect("a copy");
    }
    node.set_data(&PathBuf::from(format!("{},{}", a.display(), b.display())));
    let failure = node.try_run().expect_err("it does not start");
    assert!(
        failure.log.contains("is in two log directories"),
        "{}",
        failure.log
    );
    std::fs::remove_dir_all(a.join(&name)).expect("removed");
    // In the other order the metadata log is not where it is looked for.
    node.set_data(&PathBuf::from(format!("{},{}", b.display(), a.display())));
    let failure = node.try_run().expect_err("it does not start");
    assert!(failure.log.contains("metadata.log.dir"), "{}", failure.log);
    node.set("metadata.log.dir", &a.display().to_string());
    node.run();
    for index in 0..6 {
        check(&mut node.leader("t", index as usize), "t", index, 3);
    }
    node.stop();
}

/// The journals in a log directory.
fn journals(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    names.filter(|name| name.starts_with("journal")).collect()
}

/// How many partitions' record of this number is in a directory's journals.
fn in_journals(dir: &Path, number: i64) -> usize {
    let wanted = small(number);
    let count = |file: PathBuf| {
        let bytes = std::fs::read(file).expect("a journal's file");
        bytes
            .windows(16)
            .filter(|some| *some == &wanted[..16])
            .count()
    };
    let files = journals(dir).into_iter().flat_map(|name| {
        let entries = std::fs::read_dir(dir.join(name)).expect("a journal");
        entries.map(|entry| entry.expect("an entry").path())
    });
    files.map(count).sum()
}

/// Stores a record in each of six partitions, three in each directory, until journals have the last
/// one of each: they are made when they are needed. Gives how many each partition has.
fn until_in_journals(node: &TestNode, dirs: &[&Path], first: i64) -> i64 {
    let mut number = first;
    wait_until("the journals are used", || {
        for index in 0..6 {
            let records = batch(&[&small(number)]);
            let stored = node.leader("t", index).store("t", index as i32, &records);
            assert_eq!(stored, number);
        }
        number += 1;
        dirs.iter().all(|dir| in_journals(dir, number - 1) == 3)
    });
    number
}

trait Leaders {
    /// Whether clients are told that a partition has no leader.
    fn leader_is_none(&self, topic: &str, index: i32) -> bool;
}

impl Leaders for TestNode {
    fn leader_is_none(&self, topic: &str, index: i32) -> bool {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(topic),
                ..MetadataRequestTopic::default()
            }]),
            ..MetadataRequest::default()
        };
        let body = self.client().call(METADATA, &request).expect("an answer");
        let response = MetadataResponse::decode(&mut Reader::new(&body), METADATA);
        let response = response.expect("readable");
        let partitions = &response.topics[0].partitions;
        let one = partitions.iter().find(|one| one.partition_index == index);
        let one = one.expect("the partition");
        let offline = one.error_code == ErrorCode::LeaderNotAvailable.code();
        assert_eq!(one.leader_id == -1, offline);
        assert_eq!(one.offline_replicas.len(), usize::from(offline));
        offline
    }
}

/// What an election among the replicas of these partitions of "t" comes to, or of all partitions.
fn elect(client: &mut Client, kind: i8, asked: Option<&[i32]>) -> BTreeMap<i32, ErrorCode> {
    let request = ElectLeadersRequest {
        election_type: kind,
        topic_partitions: asked.map(|indexes| {
            vec![TopicPartitions {
                topic: "t",
                partitions: indexes.to_vec(),
            }]
        }),
        timeout_ms: 30_000,
    };
    let body = client.call(ELECT, &request).expect("an answer");
    let response = ElectLeadersResponse::decode(&mut Reader::new(&body), ELECT).expect("readable");
    assert_eq!(response.error_code, 0);
    let [topic] = &response.replica_election_results[..] else {
        panic!("one topic: {response:?}");
    };
    assert_eq!(topic.topic, "t");
    let results = topic.partition_result.iter();
    let results = results.map(|one| {
        let error = ErrorCode::from_code(one.error_code).expect("an error code");
        (one.partition_id, error)
    });
    results.collect()
}

#[test]
fn a_directory_that_fails_takes_its_partitions_and_no_others() {
    let Some(disk) = FaultyDisk::mount(false) else {
        return;
    };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let (a, b) = (home.path().join("a"), disk.path().join("b"));
    let mut node = prepare(&[&a, &b], &[("log.write.strategy", "direct")]);
    node.run();
    assert_eq!(node.client().create_topic("t", 4, &[]), ErrorCode::None);
    let mut client = node.client();
    for index in 0..4 {
        assert_eq!(client.store("t", index, &batch(&[&value(0)])), 0);
    }
    let (good, bad): (Vec<i32>, Vec<i32>) =
        (0..4).partition(|index| place(&node, "t", *index) == "a");
    assert_eq!((good.len(), bad.len()), (2, 2));
    // One write fails, once.
    let path = format!("/t-{}/", bad[0]);
    disk.inject(Rule::new(Call::DurableWrite, &path, Fault::Error(libc::EIO)).once());
    let produced = client.produce("t", bad[0], -1, &batch(&[&value(1)]));
    assert_eq!(produced.error, ErrorCode::KafkaStorageError);
    let mut stored = 1;
    wait_until("its neighbour is offline, too", || {
        let produced = client.produce("t", bad[1], -1, &batch(&[&value(stored)]));
        stored += i64::from(produced.error == ErrorCode::None);
        produced.error == ErrorCode::KafkaStorageError
    });
    for index in &bad {
        assert!(node.leader_is_none("t", *index));
        let fetched = client.fetch("t", *index, 0, 1 << 20);
        assert_eq!(fetched.error, ErrorCode::KafkaStorageError);
    }
    for index in &good {
        assert!(!node.leader_is_none("t", *index));
        assert_eq!(client.store("t", *index, &batch(&[&value(1)])), 1);
    }
    for (kind, error) in [
        (0, ErrorCode::PreferredLeaderNotAvailable),
        (1, ErrorCode::EligibleLeadersNotAvailable),
    ] {
        let without: BTreeMap<_, _> = bad.iter().map(|index| (*index, error)).collect();
        assert_eq!(elect(&mut client, kind, Some(&bad)), without);
        // Of all, those that have a leader are left out.
        assert_eq!(elect(&mut client, kind, None), without);
        let all = elect(&mut client, kind, Some(&[0, 1, 2, 3]));
        let led = good.iter().map(|index| all[index]);
        assert!(led.eq([ErrorCode::ElectionNotNeeded; 2]), "{all:?}");
    }
    let all = told(&node);
    assert_eq!((all["a"].error, all["a"].partitions.len()), (0, 2));
    let storage = ErrorCode::KafkaStorageError.code();
    assert_eq!((all["b"].error, all["b"].total), (storage, -1));
    assert!(all["b"].partitions.is_empty());
    let offline = sum(&series(&node), "odradek_log_directory_offline{");
    assert_eq!(offline, 1.0);
    let log = node.log();
    let lines = log
        .lines()
        .filter(|line| line.contains("has failed and is offline"));
    assert_eq!(lines.count(), 1, "{log}");
    // What is made now is made where it can be.
    assert_eq!(client.create_topic("u", 2, &[]), ErrorCode::None);
    for index in 0..2 {
        assert_eq!(client.store("u", index, &batch(&[&value(0)])), 0);
    }
    node.kill();
    // Still ill when it starts.
    disk.inject(Rule::new(Call::Open, "/b/", Fault::Error(libc::EIO)));
    node.run();
    let mut client = node.client();
    for index in &good {
        check(&mut client, "t", *index, 2);
    }
    for index in &bad {
        assert!(node.leader_is_none("t", *index));
    }
    node.stop();
    disk.repair();
    node.run();
    let mut client = node.client();
    for (index, stored) in bad.iter().zip([1, stored]) {
        let end = client.list_offsets("t", *index, LATEST).offset;
        assert!((stored..=stored + 1).contains(&end), "{end}");
        assert_eq!(client.store("t", *index, &batch(&[&value(end)])), end);
        check(&mut client, "t", *index, end + 1);
    }
    node.stop();
    // Without the metadata's directory the node ends, as without all of them.
    let mut node = prepare(&[&disk.path().join("m"), &home.path().join("c")], &[]);
    node.set("log.write.strategy", "direct");
    node.run();
    assert_eq!(node.client().create_topic("t", 2, &[]), ErrorCode::None);
    let index = (0..2).find(|index| place(&node, "t", *index) == "m");
    let index = index.expect("one there");
    disk.inject(Rule::new(
        Call::DurableWrite,
        "/m/t-",
        Fault::Error(libc::EIO),
    ));
    let _ = node
        .client()
        .try_produce("t", index, -1, &batch(&[&value(0)]));
    wait_until("the node ends", || !node.alive());
    node.logged("the directory of the metadata log");
    node.kill();
}

#[test]
fn what_only_a_journal_has_is_put_back_where_its_partition_is() {
    let Some(disk) = FaultyDisk::mount(false) else {
        return;
    };
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let (a, b) = (home.path().join("a"), disk.path().join("b"));
    let settings = [
        ("shards", "2"),
        ("log.durable.method", "journal"),
        ("log.journal.bytes", "1048576"),
    ];
    let mut node = prepare(&[&a, &b], &settings);
    node.run();
    assert_eq!(node.client().create_topic("t", 6, &[]), ErrorCode::None);
    let (good, bad): (Vec<i32>, Vec<i32>) =
        (0..6).partition(|index| place(&node, "t", *index) == "a");
    assert_eq!((good.len(), bad.len()), (3, 3));
    let check = |node: &TestNode, index: i32, count: i64| {
        let mut client = node.leader("t", index as usize);
        check_all(&mut client, "t", index, count, small);
    };
    let by_hand = |index: i32, from: &Path, to: &Path| {
        let name = format!("t-{index}");
        std::fs::create_dir(to.join(&name)).expect("a directory");
        for file in std::fs::read_dir(from.join(&name)).expect("a directory") {
            let file = file.expect("an entry");
            std::fs::copy(file.path(), to.join(&name).join(file.file_name())).expect("a copy");
        }
        std::fs::remove_dir_all(from.join(&name)).expect("removed");
    };
    let count = until_in_journals(&node, &[&a, &b], 0);
    node.kill();
    disk.lose_power();
    // Two swap places.
    by_hand(good[0], &a, &b);
    by_hand(bad[0], &b, &a);
    let (good, bad) = ([bad[0], good[1], good[2]], [good[0], bad[1], bad[2]]);
    node.run();
    for (of, directory) in [(good, "a"), (bad, "b")] {
        for index in of {
            assert_eq!(place(&node, "t", index), directory);
            check(&node, index, count);
        }
    }
    let count = until_in_journals(&node, &[&a, &b], count);
    // A full disk has not failed, and with what its journal holds a partition waits for a start.
    let full = format!("/t-{}/", bad[1]);
    for call in [Call::Write, Call::DurableWrite, Call::Allocate] {
        disk.inject(Rule::new(call, &full, Fault::Error(libc::ENOSPC)));
    }
    let large = batch(&[&[1; 200_000]]);
    let mut client = node.leader("t", bad[1] as usize);
    let produced = client.produce("t", bad[1], -1, &large);
    assert_eq!(produced.error, ErrorCode::KafkaStorageError);
    node.logged("the partition is offline until the node is started again");
    assert!(!node.log().contains("has failed and is offline"));
    check(&node, bad[2], count);
    // What the journal holds goes to the segment before the partition moves; that fails.
    let path = format!("/t-{}/", bad[0]);
    for call in [Call::Write, Call::DurableWrite] {
        disk.inject(Rule::new(call, &path, Fault::Error(libc::EIO)));
    }
    assert_eq!(send(&node, "t", bad[0], &a), ErrorCode::None);
    wait_until("the directory has failed", || {
        bad.iter().all(|index| node.leader_is_none("t", *index))
    });
    for index in good {
        check(&node, index, count);
    }
    node.stop();
    assert_eq!(journals(&a), [""; 0]);
    let held = journals(&b);
    assert_eq!(held.len(), 2);
    disk.repair();
    disk.lose_power();
    // Without its directory, then with it.
    disk.inject(Rule::new(Call::Open, "/b/", Fault::Error(libc::EIO)));
    node.run();
    assert!(bad.iter().all(|index| node.leader_is_none("t", *index)));
    for index in good {
        check(&node, index, count);
    }
    node.kill();
    assert_eq!(journals(&b), held);
    disk.repair();
    node.run();
    for index in 0..6 {
        check(&node, index, count);
    }
    node.stop();
    for dir in [&a, &b] {
        assert_eq!(journals(dir), [""; 0]);
    }
}

/// Asks for a partition to be in a directory.
fn send(node: &TestNode, topic: &str, index: i32, to: &Path) -> ErrorCode {
    let path = to.display().to_string();
    let request = AlterReplicaLogDirsRequest {
        dirs: vec![AlterReplicaLogDir {
            path: &path,
            topics: vec![AlterReplicaLogDirTopic {
                name: topic,
                partitions: vec![index],
            }],
        }],
    };
    let mut client = node.leader(topic, index as usize);
    let body = client.call(ALTER, &request).expect("an answer");
    let response = AlterReplicaLogDirsResponse::decode(&mut Reader::new(&body), ALTER);
    let code = response.expect("readable").results[0].partitions[0].error_code;
    ErrorCode::from_code(code).expect("a known code")
}

/// Nothing beside the partitions of "t", and each of them once.
fn is_tidy(dirs: &[&Path], partitions: usize) -> bool {
    let names = dirs.iter().flat_map(|dir| {
        let entries = std::fs::read_dir(dir).expect("a directory");
        entries.map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
    });
    let mut names: Vec<String> = names.filter(|name| name.starts_with("t-")).collect();
    names.sort_unstable();
    names
        .into_iter()
        .eq((0..partitions).map(|index| format!("t-{index}")))
}

#[test]
fn a_partition_moves_between_directories_while_it_is_written() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let [a, b] = ["a", "b"].map(|name| home.path().join(name));
    let mut node = prepare(&[&a, &b], &[("log.segment.bytes", "1048576")]);
    node.run();
    assert_eq!(node.client().create_topic("t", 1, &[]), ErrorCode::None);
    let many: Vec<Vec<u8>> = (0..1500).map(value).collect();
    for some in many.chunks(30) {
        let some: Vec<&[u8]> = some.iter().map(Vec::as_slice).collect();
        node.client().store("t", 0, &batch(&some));
    }
    let mut next = 1500;
    let mut at = 0;
    assert_eq!(place(&node, "t", 0), "a");
    assert_eq!(
        send(&node, "t", 0, &home.path().join("c")),
        ErrorCode::LogDirNotFound
    );
    // Where it is: nothing happens.
    assert_eq!(send(&node, "t", 0, &a), ErrorCode::None);
    // There and back, then until two moves were cut short.
    let (mut kills, mut rounds) = (0, 0);
    while kills < 2 {
        let kill = rounds >= 2;
        rounds += 1;
        assert!(rounds < 30, "no move could be cut short");
        let to = [&b, &a][at];
        let stop = AtomicBool::new(false);
        let address = node.shards()[0].clone();
        let mut killed = false;
        // Before anything can be killed.
        let mut client = Client::connect(&address);
        let (stored, unknown) = std::thread::scope(|scope| {
            let producing = scope.spawn(|| {
                let mut next = next;
                while !stop.load(Ordering::Relaxed) {
                    match client.try_produce("t", 0, -1, &batch(&[&value(next)])) {
                        Ok(produced) if produced.error == ErrorCode::None => {
                            assert_eq!(produced.offset, next);
                            next += 1;
                        }
                        // It is being handed over: the next attempt finds it.
                        Ok(produced) => {
                            assert_eq!(produced.error, ErrorCode::NotLeaderOrFollower)
                        }
                        Err(_) => return (next, true),
                    }
                }
                (next, false)
            });
            assert_eq!(send(&node, "t", 0, to), ErrorCode::None);
            let there = to
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let key = ("t".to_owned(), 0);
            wait_until("it moves", || {
                let all = told(&node);
                killed = kill && all[&there].partitions.get(&key) == Some(&true);
                killed || all[&there].partitions.get(&key) == Some(&false)
            });
            if killed {
                node.kill();
            }
            stop.store(true, Ordering::Relaxed);
            producing.join().expect("the producer")
        });
        if killed {
            kills += 1;
            // From now on the journal has what must be copied, too.
            node.set("log.durable.method", "journal");
            node.set("log.journal.bytes", "1048576");
            node.run();
        }
        next = stored;
        let mut client = node.client();
        let end = client.list_offsets("t", 0, LATEST).offset;
        assert!(end == next || unknown && end == next + 1, "{end}, {next}");
        next = end;
        // A move that was cut short goes on.
        let there = to
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        wait_until("it has moved", || place(&node, "t", 0) == there);
        wait_until("nothing is left behind", || is_tidy(&[&a, &b], 1));
        check(&mut client, "t", 0, next);
        at = 1 - at;
    }
    node.stop();
    node.run();
    check(&mut node.client(), "t", 0, next);
    node.stop();
}

const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// Bytes that are copied of a partition on its way.
fn copied(node: &TestNode, topic: &str, index: i32) -> Option<i64> {
    let key = (topic.to_owned(), index);
    told(node)
        .values()
        .find_map(|told| told.copied.get(&key).copied())
}

#[test]
fn copies_keep_to_their_rate_which_may_change_meanwhile() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let [a, b] = ["a", "b"].map(|name| home.path().join(name));
    let mut node = prepare(&[&a, &b], &[("log.segment.bytes", "1048576")]);
    node.run();
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    let mut stored = 0;
    let mut store = |client: &mut Client, count| {
        for _ in 0..count {
            assert_eq!(client.store("t", 0, &batch(&[&value(stored)])), stored);
            stored += 1;
        }
        stored
    };
    store(&mut client, 300);
    let (all, own) = ((BROKER, ""), (BROKER, "1000"));
    // For all, until there is another for this one; for this one, until there is none.
    for (slow, fast) in [
        ((all, SET, "1"), (own, SET, "100000000")),
        ((own, SET, "1"), (own, DELETE, "")),
    ] {
        let set = |(broker, operation, rate)| {
            alter(&mut node.client(), broker, &[(RATE, operation, rate)]);
        };
        set(slow);
        let from = place(&node, "t", 0);
        let to = if from == "a" { &b } else { &a };
        assert_eq!(send(&node, "t", 0, to), ErrorCode::None);
        let part = wait_for("it begins", || {
            copied(&node, "t", 0).filter(|bytes| *bytes > 0)
        });
        // One read goes at once, and the next when that is made up for: days later.
        let most = 1 << 20;
        assert!(part <= most, "{part} bytes");
        store(&mut client, 100);
        assert_eq!(copied(&node, "t", 0), Some(part));
        assert_eq!(place(&node, "t", 0), from);
        set(fast);
        wait_until("it has moved", || place(&node, "t", 0) != from);
        // What holds for all is in the way no more.
        alter(&mut client, all, &[(RATE, DELETE, "")]);
    }
    let stored = store(&mut client, 1);
    check(&mut client, "t", 0, stored);
    wait_until("nothing is left behind", || is_tidy(&[&a, &b], 1));
    node.stop();
}

#[test]
fn what_was_answered_outlasts_a_kill_also_while_it_waits_for_its_turn() {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let [a, b] = ["a", "b"].map(|name| home.path().join(name));
    let mut node = prepare(&[&a, &b], &[("log.segment.bytes", "1048576")]);
    node.run();
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 3, &[]), ErrorCode::None);
    for number in 0..300 {
        client.store("t", 0, &batch(&[&value(number)]));
    }
    for index in [1, 2] {
        client.store("t", index, &batch(&[&value(0)]));
    }
    let places = |node: &TestNode| [0, 1, 2].map(|index| place(node, "t", index));
    let path = |name: &str| if name == "a" { &a } else { &b };
    let other = |name: &str| if name == "a" { "b" } else { "a" };
    let set = |node: &TestNode, operation, rate| {
        alter(&mut node.client(), (BROKER, ""), &[(RATE, operation, rate)]);
    };
    let begins = |node: &TestNode| {
        wait_until("it begins", || {
            copied(node, "t", 0).is_some_and(|bytes| bytes > 0)
        });
    };
    let first = places(&node);
    // The first takes days, and one after the other is moved.
    set(&node, SET, "1");
    for index in 0..3 {
        let to = path(other(&first[index as usize]));
        assert_eq!(send(&node, "t", index, to), ErrorCode::None);
    }
    begins(&node);
    // The last one is called off.
    assert_eq!(send(&node, "t", 2, path(&first[2])), ErrorCode::None);
    node.kill();
    node.run();
    wait_until("they are on their way again", || {
        [0, 1]
            .iter()
            .all(|index| copied(&node, "t", *index).is_some())
    });
    assert_eq!(copied(&node, "t", 2), None);
    set(&node, DELETE, "");
    let wanted = [other(&first[0]), other(&first[1]), &*first[2]];
    wait_until("they have moved", || places(&node) == wanted);
    wait_until("nothing is left behind", || is_tidy(&[&a, &b], 3));
    // One that is on its way is called off: nothing of it is left when that is answered.
    set(&node, SET, "1");
    assert_eq!(send(&node, "t", 0, path(&first[0])), ErrorCode::None);
    begins(&node);
    assert_eq!(send(&node, "t", 0, path(other(&first[0]))), ErrorCode::None);
    assert!(is_tidy(&[&a, &b], 3));
    node.kill();
    node.run();
    assert_eq!(places(&node), wanted);
    assert_eq!(copied(&node, "t", 0), None);
    let mut client = node.client();
    for (index, count) in [(0, 300), (1, 1), (2, 1)] {
        check(&mut client, "t", index, count);
    }
    node.stop();
}
