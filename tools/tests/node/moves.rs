//! Partitions move between shards while they are written and read: nothing is lost, doubled or
//! reordered, whenever the node is killed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use odradek_wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};
use odradek_wire::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use odradek_wire::fetch::FetchRequest;
use odradek_wire::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use odradek_wire::produce::ProduceRequest;
use odradek_wire::{ErrorCode, Message, Reader};

use crate::common::{
    Client, Dice, EARLIEST, FETCH, LATEST, METADATA, PRODUCE, TestNode, batch, batch_by,
    fetch_request, fetched, produce_request, produced, records, wait_until,
};

const VERSION: i16 = AlterPartitionReassignmentsRequest::MAX_VERSION;
/// Batches that an idempotent producer has under way.
const WINDOW: usize = 5;

/// What the node answers for one partition.
pub fn try_move(
    client: &mut Client,
    topic: &str,
    index: i32,
    replicas: Option<&[i32]>,
) -> io::Result<(ErrorCode, Option<String>)> {
    let request = AlterPartitionReassignmentsRequest {
        topics: vec![ReassignableTopic {
            name: topic,
            partitions: vec![ReassignablePartition {
                partition_index: index,
                replicas: replicas.map(<[i32]>::to_vec),
            }],
        }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    let body = client.call(VERSION, &request)?;
    let response = AlterPartitionReassignmentsResponse::decode(&mut Reader::new(&body), VERSION);
    let response = response.expect("readable");
    assert_eq!(response.error_code, 0);
    let one = &response.responses[0].partitions[0];
    let code = ErrorCode::from_code(one.error_code).expect("a known code");
    Ok((code, one.error_message.map(str::to_owned)))
}

/// Moves a partition to a shard; other shards answer, too.
fn go(node: &TestNode, topic: &str, index: i32, shard: i32) {
    let mut client = Client::connect(&node.shards()[(shard as usize + 1) % node.shards().len()]);
    let id = leader_id(node, shard);
    let moved = try_move(&mut client, topic, index, Some(&[id])).expect("an answer");
    assert_eq!(moved, (ErrorCode::None, None), "{topic}-{index} to {id}");
}

/// Core mode: node.id x 1000 + shard.
fn leader_id(node: &TestNode, shard: i32) -> i32 {
    let (_, leaders) = node.client().metadata("t", false);
    leaders[0].0 / 1000 * 1000 + shard
}

fn shard_of(node: &TestNode, topic: &str, index: usize) -> (i32, i32) {
    let (error, leaders) = node.client().metadata(topic, false);
    assert_eq!(error, ErrorCode::None);
    (leaders[index].0 % 1000, leaders[index].1)
}

#[test]
fn files_stay_and_ownership_changes() {
    let mut node = TestNode::start(&[("shards", "3")]);
    assert_eq!(node.client().create_topic("t", 3, &[]), ErrorCode::None);
    let mut stored = [0; 3];
    let store = |node: &TestNode, stored: &mut [i64; 3]| {
        for (index, next) in stored.iter_mut().enumerate() {
            let mut leader = node.leader("t", index);
            assert_eq!(
                leader.store("t", index as i32, &batch(&[b"a", b"b"])),
                *next
            );
            *next += 2;
            assert_eq!(leader.list_offsets("t", index as i32, LATEST).offset, *next);
            assert_eq!(leader.list_offsets("t", index as i32, EARLIEST).offset, 0);
            let records = leader.consume("t", index as i32, 0);
            assert_eq!(records.len() as i64, *next);
            assert!(records.is_sorted_by_key(|record| record.epoch));
        }
    };
    store(&node, &mut stored);
    let files = |node: &TestNode| -> Vec<u64> {
        use std::os::unix::fs::MetadataExt;
        let logs = (0..3).flat_map(|index| node.files("t", index, "log"));
        let inodes = logs.map(|(_, path)| std::fs::metadata(path).expect("a file").ino());
        inodes.collect()
    };
    let before = files(&node);
    for round in 0..7 {
        for (index, next) in stored.iter_mut().enumerate() {
            let (shard, epoch) = shard_of(&node, "t", index);
            let to = (shard + 1 + round % 2) % 3;
            let mut old = node.leader("t", index);
            go(&node, "t", index as i32, to);
            assert_eq!(shard_of(&node, "t", index), (to, epoch + 1));
            // Whoever comes too late is sent on, but a producer's batch is taken there.
            let late = old.produce("t", index as i32, 1, &batch(&[b"late"]));
            assert_eq!((late.error, late.offset), (ErrorCode::None, *next));
            *next += 1;
            let fetched = old.fetch("t", index as i32, 0, 1 << 20);
            assert_eq!(fetched.error, ErrorCode::NotLeaderOrFollower);
        }
        store(&node, &mut stored);
        assert_eq!(files(&node), before, "files stay");
        assert_eq!(listed(&node), 3, "each in one shard's list");
        match round {
            2 => {
                node.stop();
                node.run();
            }
            4 => {
                node.kill();
                node.run();
            }
            _ => {}
        }
    }
    // It is there already: nothing changes.
    let there = shard_of(&node, "t", 0);
    go(&node, "t", 0, there.0);
    assert_eq!(shard_of(&node, "t", 0), there);
}

/// How many partitions all shards' DescribeLogDirs name, each only its own.
fn listed(node: &TestNode) -> usize {
    let mut all = 0;
    for (shard, address) in node.shards().iter().enumerate() {
        let version = DescribeLogDirsRequest::MAX_VERSION;
        let request = DescribeLogDirsRequest { topics: None };
        let body = Client::connect(address)
            .call(version, &request)
            .expect("an answer");
        let mut reader = Reader::new(&body);
        let response = DescribeLogDirsResponse::decode(&mut reader, version).expect("readable");
        let topics = response.results.iter().flat_map(|result| &result.topics);
        for one in topics
            .filter(|one| one.name == "t")
            .flat_map(|one| &one.partitions)
        {
            let owner = shard_of(node, "t", one.partition_index as usize).0;
            assert_eq!(owner, shard as i32, "partition {}", one.partition_index);
            all += 1;
        }
    }
    all
}

#[test]
fn moves_that_cannot_be_are_refused() {
    use ErrorCode::{InvalidReplicaAssignment, NoReassignmentInProgress, UnknownTopicOrPartition};
    let node = TestNode::start(&[("shards", "2")]);
    assert_eq!(node.client().create_topic("t", 1, &[]), ErrorCode::None);
    let first = leader_id(&node, 0);
    let mut client = node.client();
    let mut refused = |topic: &str, index, replicas: Option<&[i32]>, expected| {
        let (error, why) = try_move(&mut client, topic, index, replicas).expect("an answer");
        assert_eq!(error, expected, "{topic}-{index} to {replicas:?}");
        assert!(why.is_some(), "with a reason");
    };
    refused("u", 0, Some(&[first]), UnknownTopicOrPartition);
    refused("t", 1, Some(&[first]), UnknownTopicOrPartition);
    refused("t", 0, None, NoReassignmentInProgress);
    refused("t", 0, Some(&[]), InvalidReplicaAssignment);
    refused("t", 0, Some(&[first + 2]), InvalidReplicaAssignment);
    refused("t", 0, Some(&[first, first + 1]), InvalidReplicaAssignment);
    assert_eq!(shard_of(&node, "t", 0).1, 0, "no epoch began");
}

#[test]
fn whoever_waits_for_records_at_the_old_shard_is_sent_on_at_once() {
    let node = TestNode::start(&[("shards", "2")]);
    assert_eq!(node.client().create_topic("t", 1, &[]), ErrorCode::None);
    let (shard, _) = shard_of(&node, "t", 0);
    let mut reader = node.leader("t", 0);
    let mut request = fetch_request("t", 0, 0, 1000);
    (request.max_wait_ms, request.min_bytes) = (300_000, 1);
    let id = reader.send(FETCH, &request).expect("sent");
    go(&node, "t", 0, 1 - shard);
    let body = reader.receive::<FetchRequest<'_>>(FETCH, id);
    let fetched = fetched(&body.expect("an answer long before its time is over"));
    assert_eq!(fetched.error, ErrorCode::NotLeaderOrFollower);
}

/// Raises a flag when it goes, also in a panic: those who wait for it must not hide that.
pub struct Raise<'a>(pub &'a AtomicBool);

impl Drop for Raise<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Clients that do not look at the metadata are not refused, and what they have under way keeps its
/// order, wherever the partition goes meanwhile.
#[test]
fn a_producer_that_stays_with_the_first_owner_goes_on_in_order() {
    const REQUESTS: i32 = 3000;
    let node = TestNode::start(&[("shards", "3")]);
    assert_eq!(node.client().create_topic("t", 1, &[]), ErrorCode::None);
    let mut client = node.leader("t", 0);
    let mut twin = client.twin();
    let (answered, ended) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _end = Raise(&ended);
        scope.spawn(|| {
            for number in 0..REQUESTS {
                let mut value = number.to_be_bytes().to_vec();
                // Now and then one that does not fit into a receive buffer.
                value.resize(if number % 50 == 0 { 40_000 } else { 100 }, 0);
                let acks = if number % 3 == 0 { -1 } else { 1 };
                let records = batch(&[&value]);
                let request = produce_request("t", 0, acks, &records);
                twin.send(PRODUCE, &request).expect("sent");
                wait_until("not all is under way at once", || {
                    number as u64 <= answered.load(Ordering::Relaxed) + 200
                });
            }
        });
        scope.spawn(|| {
            let mut to = shard_of(&node, "t", 0).0;
            while !ended.load(Ordering::Relaxed) {
                to = (to + 1) % 3;
                go(&node, "t", 0, to);
            }
        });
        for number in 0..REQUESTS {
            let body = client.receive::<ProduceRequest<'_>>(PRODUCE, number + 1);
            let produced = produced(&body.expect("an answer"));
            let expected = (ErrorCode::None, i64::from(number));
            assert_eq!((produced.error, produced.offset), expected);
            answered.fetch_add(1, Ordering::Relaxed);
        }
    });
    let (_, epoch) = shard_of(&node, "t", 0);
    assert!(epoch >= 5, "{epoch} moves");
    let values = node.leader("t", 0).consume("t", 0, 0);
    for (number, record) in (0..REQUESTS).zip(values) {
        assert_eq!(record.value[..4], number.to_be_bytes());
    }
}

/// A producer of batches that say whose they are and the how manieth.
struct Sender {
    id: i64,
    index: i32,
    acks: i16,
    window: usize,
    /// With a producer id and sequences.
    idempotent: bool,
    next: i32,
    pending: VecDeque<i32>,
    acknowledged: i32,
}

impl Sender {
    fn new(id: i64, index: i32, acks: i16, idempotent: bool) -> Sender {
        Sender {
            id,
            index,
            acks,
            window: if idempotent { WINDOW } else { 1 },
            idempotent,
            next: 0,
            pending: VecDeque::new(),
            acknowledged: 0,
        }
    }

    fn batch(&self, number: i32) -> Vec<u8> {
        let mut value = format!("{} {number} ", self.id).into_bytes();
        value.resize(300 + number as usize % 7 * 1000, b'.');
        match self.idempotent {
            true => batch_by(self.id, 0, number, &[&value]),
            false => batch(&[&value]),
        }
    }

    /// Sends until all end, or the node does.
    fn run(&mut self, node: &TestNode, life: &Life) {
        let mut links = Links::to(node);
        while !life.ended() {
            let sent = links.leader(self.index);
            if let Err(error) = sent.and_then(|leader| self.at(leader, life)) {
                return life.expects(&error);
            }
        }
    }

    /// Sends to one shard until it says that it is the wrong one.
    fn at(&mut self, leader: &mut Client, life: &Life) -> io::Result<()> {
        while !life.ended() {
            while self.pending.len() < self.window {
                self.pending.push_back(self.next);
                self.next += 1;
            }
            let mut ids = Vec::new();
            for number in &self.pending {
                let records = self.batch(*number);
                let request = produce_request("t", self.index, self.acks, &records);
                ids.push(leader.send(PRODUCE, &request)?);
            }
            let mut refused = false;
            for id in ids {
                let body = leader.receive::<ProduceRequest<'_>>(PRODUCE, id)?;
                match produced(&body).error {
                    ErrorCode::None => {
                        assert!(
                            !refused,
                            "a batch was taken before the one that precedes it"
                        );
                        self.pending.pop_front();
                        self.acknowledged += 1;
                        life.count.fetch_add(1, Ordering::Relaxed);
                    }
                    ErrorCode::NotLeaderOrFollower => refused = true,
                    // It came back in the middle of a window, of which the first was refused.
                    ErrorCode::OutOfOrderSequenceNumber if refused => {}
                    ErrorCode::KafkaStorageError => return Err(stops()),
                    other => panic!("{} sends to {}: {other:?}", self.id, self.index),
                }
            }
            if refused {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// What all who are at work know of a node's life.
#[derive(Default)]
struct Life {
    /// Batches that were acknowledged, moves that were answered.
    count: AtomicU64,
    moved: AtomicU64,
    /// The node has been told to end, or is about to be.
    told: AtomicBool,
    ended: AtomicBool,
}

impl Life {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Somebody could not go on: right, if the node was told to end.
    fn expects(&self, error: &io::Error) {
        assert!(self.told.load(Ordering::SeqCst), "nobody ends it: {error}");
    }
}

/// What KAFKA_STORAGE_ERROR means here.
fn stops() -> io::Error {
    io::Error::other("KAFKA_STORAGE_ERROR")
}

/// Connections to a node's shards, as a client keeps them.
struct Links<'a> {
    node: &'a TestNode,
    clients: BTreeMap<usize, Client>,
}

impl<'a> Links<'a> {
    fn to(node: &'a TestNode) -> Links<'a> {
        Links {
            node,
            clients: BTreeMap::new(),
        }
    }

    /// The connection to a shard, if the node is there.
    fn shard(&mut self, shard: usize) -> io::Result<&mut Client> {
        Ok(match self.clients.entry(shard) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(Client::try_connect(&self.node.shards()[shard])?),
        })
    }

    /// The connection to the shard that leads a partition of "t".
    fn leader(&mut self, index: i32) -> io::Result<&mut Client> {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some("t"),
                ..MetadataRequestTopic::default()
            }]),
            ..MetadataRequest::default()
        };
        let body = self.shard(0)?.call(METADATA, &request)?;
        let response = MetadataResponse::decode(&mut Reader::new(&body), METADATA);
        let response = response.expect("readable");
        let mut partitions = response.topics[0].partitions.iter();
        let found = partitions.find(|one| one.partition_index == index);
        self.shard(found.expect("the partition").leader_id as usize % 1000)
    }
}

/// Follows a partition wherever it goes; gives every value it saw, which come in order of offsets.
fn follow(node: &TestNode, index: i32, life: &Life) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    let mut links = Links::to(node);
    while !life.ended() {
        let read = links.leader(index).and_then(|leader| {
            while !life.ended() && follow_at(leader, index, &mut seen)? {}
            Ok(())
        });
        if let Err(error) = read {
            life.expects(&error);
            break;
        }
    }
    seen
}

/// One fetch; whether its shard still leads the partition.
fn follow_at(leader: &mut Client, index: i32, seen: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    let next = seen.len() as i64;
    let mut request = fetch_request("t", index, next, 4 << 20);
    (request.max_wait_ms, request.min_bytes) = (50, 1);
    let fetched = fetched(&leader.call(FETCH, &request)?);
    match fetched.error {
        ErrorCode::None => {}
        ErrorCode::NotLeaderOrFollower => return Ok(false),
        ErrorCode::KafkaStorageError => return Err(stops()),
        other => panic!("reading {index} at {next}: {other:?}"),
    }
    for record in records(&fetched.bytes) {
        if record.offset >= next {
            assert_eq!(record.offset, seen.len() as i64, "offsets without gaps");
            seen.push(record.value);
        }
    }
    Ok(true)
}

/// The numbers that a sender's values have, as they stand in the log.
fn numbers(values: &[Vec<u8>], id: i64) -> Vec<i32> {
    let text = values.iter().map(|value| String::from_utf8_lossy(value));
    let mut numbers = Vec::new();
    for value in text {
        let mut words = value.split(' ');
        if words.next() == Some(&id.to_string()) {
            numbers.push(words.next().expect("a number").parse().expect("a number"));
        }
    }
    numbers
}

fn senders() -> Vec<Sender> {
    vec![
        Sender::new(100, 0, -1, true),
        Sender::new(101, 1, 1, true),
        Sender::new(102, 0, 1, false),
        Sender::new(103, 1, -1, false),
    ]
}

/// One life of the node: everybody at work while partitions move. Gives the moves that were
/// answered.
fn live(
    node: &TestNode,
    senders: &mut [Sender],
    dice: &mut Dice,
    enough: impl Fn(u64, u64) -> bool,
    end: Option<&dyn Fn()>,
) -> u64 {
    let life = Life::default();
    let mut steps: Vec<(i32, i32)> = (0..10_000)
        .map(|_| (dice.below(2) as i32, dice.below(3) as i32))
        .collect();
    std::thread::scope(|scope| {
        let life = &life;
        for sender in senders.iter_mut() {
            scope.spawn(move || sender.run(node, life));
        }
        let followers = [0, 1].map(|index| scope.spawn(move || follow(node, index, life)));
        scope.spawn(move || {
            let Ok(mut client) = Client::try_connect(&node.shards()[0]) else {
                return;
            };
            while let Some((index, to)) = steps.pop() {
                let id = 1000 + to;
                match try_move(&mut client, "t", index, Some(&[id])) {
                    Ok((ErrorCode::KafkaStorageError, _)) => return life.expects(&stops()),
                    Err(error) => return life.expects(&error),
                    Ok(answer) => assert_eq!(answer, (ErrorCode::None, None)),
                }
                life.moved.fetch_add(1, Ordering::Relaxed);
                if life.ended() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(dice_pause(index, to)));
            }
        });
        wait_until("enough has happened", || {
            enough(
                life.count.load(Ordering::Relaxed),
                life.moved.load(Ordering::Relaxed),
            )
        });
        if let Some(end) = end {
            life.told.store(true, Ordering::SeqCst);
            end();
        }
        let much = life.count.load(Ordering::Relaxed) > 1000;
        life.ended.store(true, Ordering::Relaxed);
        for (index, follower) in (0..).zip(followers) {
            let seen = follower.join().expect("a follower");
            assert!(!much || !seen.is_empty(), "partition {index} was read");
        }
    });
    life.moved.load(Ordering::Relaxed)
}

/// Moves come one upon the other, or some milliseconds apart.
fn dice_pause(index: i32, to: i32) -> u64 {
    (index + to) as u64 % 3 * 4
}

/// Every sender's numbers, in the log: all that was acknowledged, once and in order.
fn judge(node: &TestNode, senders: &[Sender]) {
    for sender in senders {
        let mut leader = node.leader("t", sender.index as usize);
        // What was acknowledged is shown to whoever asks where the end is.
        leader.list_offsets("t", sender.index, LATEST);
        let records = leader.consume("t", sender.index, 0);
        let values: Vec<_> = records.into_iter().map(|record| record.value).collect();
        let found = numbers(&values, sender.id);
        assert!(
            found.is_sorted_by(|a, b| a < b),
            "{}: once and in order",
            sender.id
        );
        let gaps = (0..sender.acknowledged)
            .zip(&found)
            .find(|(n, found)| n != *found);
        let acknowledged = sender.acknowledged as usize;
        assert!(
            gaps.is_none() && found.len() >= acknowledged,
            "{}: {gaps:?}, {} of {acknowledged}",
            sender.id,
            found.len()
        );
    }
}

const SETTINGS: [(&str, &str); 4] = [
    ("shards", "3"),
    ("node.id", "1"),
    ("log.segment.bytes", "1048576"),
    ("log.retention.check.interval.ms", "20"),
];

#[test]
fn nothing_is_lost_doubled_or_reordered_under_load() {
    for durable in ["true", "false"] {
        let mut settings = SETTINGS.to_vec();
        settings.push(("durable.acks.all", durable));
        let mut node = TestNode::start(&settings);
        assert_eq!(node.client().create_topic("t", 2, &[]), ErrorCode::None);
        let mut senders = senders();
        let enough = |count, moved| count > 2000 && moved >= 150;
        live(
            &node,
            &mut senders,
            &mut Dice::new("moves under load"),
            enough,
            None,
        );
        judge(&node, &senders);
        // All of it stands in the files, too.
        node.stop();
        node.run();
        judge(&node, &senders);
    }
}

#[test]
fn a_kill_in_the_middle_of_moves_loses_nothing() {
    let mut node = TestNode::start(&SETTINGS);
    assert_eq!(node.client().create_topic("t", 2, &[]), ErrorCode::None);
    // The plain ones do not know what became of their last batch: they would send it twice.
    let mut senders = senders();
    senders.retain(|sender| sender.idempotent);
    let mut dice = Dice::new("kills");
    for round in 0..8 {
        let moves = 3 + round;
        let pid = node.pid();
        let kill = || {
            // SAFETY: kill touches no memory; the child has not been waited for.
            assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
        };
        let enough = |_, moved| moved >= moves;
        live(&node, &mut senders, &mut dice, enough, Some(&kill));
        node.kill();
        node.run();
        judge(&node, &senders);
    }
}

#[test]
fn a_stop_in_the_middle_of_moves_loses_nothing() {
    let mut node = TestNode::start(&SETTINGS);
    assert_eq!(node.client().create_topic("t", 2, &[]), ErrorCode::None);
    let mut senders = senders();
    senders.retain(|sender| sender.idempotent);
    let mut dice = Dice::new("stops");
    for round in 0..6 {
        let pid = node.pid();
        let stop = || {
            // SAFETY: kill touches no memory; the child has not been waited for.
            assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGTERM) }, 0);
        };
        let enough = |_, moved| moved >= 3 + round;
        live(&node, &mut senders, &mut dice, enough, Some(&stop));
        node.stop();
        node.run();
        judge(&node, &senders);
    }
}

#[test]
fn topics_that_move_can_be_deleted() {
    let node = TestNode::start(&SETTINGS);
    for round in 0..10 {
        assert_eq!(node.client().create_topic("t", 3, &[]), ErrorCode::None);
        for index in 0..3 {
            node.leader("t", index)
                .store("t", index as i32, &batch(&[&[7; 9000]]));
        }
        std::thread::scope(|scope| {
            let node = &node;
            let (answered, moves) = mpsc::channel();
            let mover = scope.spawn(move || {
                let mut client = node.client();
                for step in 0.. {
                    let id = [1000 + step % 3];
                    let moved = try_move(&mut client, "t", step % 2, Some(&id));
                    match moved.expect("an answer").0 {
                        ErrorCode::None => answered.send(()).expect("its moves are counted"),
                        ErrorCode::UnknownTopicOrPartition => return,
                        other => panic!("{other:?}"),
                    }
                }
            });
            // After so many of them, during the next.
            for _ in 0..round {
                moves.recv().expect("a move");
            }
            assert_eq!(node.client().delete_topic("t"), ErrorCode::None);
            mover.join().expect("the mover");
        });
        wait_until("the directories are gone", || {
            (0..3).all(|index| !node.partition("t", index).exists())
        });
    }
}
