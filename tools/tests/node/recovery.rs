//! What a node finds again: after a clean stop, after a kill, after damage.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;

use odradek_tools::log::{Checks, verify_partition};
use odradek_wire::ErrorCode;

use crate::common::{Client, Dice, LATEST, Record, TestNode, batch, batch_ends, records};
use crate::metrics::{get, series, sum};

const SEGMENT: &str = "1048576";

/// Stores `count` batches of one to five records of random sizes; gives all values in order.
fn fill(client: &mut Client, topic: &str, count: usize, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for _ in 0..count {
        let values: Vec<Vec<u8>> = (0..1 + dice.below(5))
            .map(|_| {
                let len = dice.below(3000) as usize;
                dice.bytes(len)
            })
            .collect();
        let borrowed: Vec<&[u8]> = values.iter().map(|value| &value[..]).collect();
        let offset = client.store(topic, 0, &batch(&borrowed));
        assert_eq!(offset, all.len() as i64);
        all.extend(values);
    }
    all
}

fn values(records: &[Record]) -> Vec<&[u8]> {
    records.iter().map(|record| &record.value[..]).collect()
}

#[test]
fn a_clean_stop_loses_nothing_and_reads_nothing() {
    let mut dice = Dice::new("clean stop");
    let mut node = TestNode::start(&[("num.partitions", "3"), ("shards", "2")]);
    node.create("t");
    let stored = fill(&mut node.leader("t", 0), "t", 30, &mut dice);
    let (_, before) = node.client().metadata("t", false);
    for _ in 0..3 {
        node.stop();
        assert!(node.data().join(".kafka_cleanshutdown").exists());
        node.run();
        assert!(!node.data().join(".kafka_cleanshutdown").exists());
        let (_, after) = node.client().metadata("t", false);
        assert_eq!(after, before, "leaders and epochs stay");
        let mut client = node.leader("t", 0);
        assert_eq!(
            client.list_offsets("t", 0, LATEST).offset,
            stored.len() as i64
        );
        assert_eq!(values(&client.consume("t", 0, 0)), stored);
    }
    assert!(!node.log().contains("not clean"));
}

#[test]
fn a_kill_loses_nothing_acknowledged_and_raises_the_epoch() {
    let mut dice = Dice::new("kill");
    let mut node = TestNode::start(&[("log.segment.bytes", SEGMENT)]);
    node.create("t");
    let mut all: Vec<Vec<u8>> = Vec::new();
    for epoch in 0..4 {
        let mut client = node.client();
        assert_eq!(client.metadata("t", false).1, [(1000, epoch)]);
        for _ in 0..100 {
            let value = dice.bytes(4000);
            // Alternately with acks=1: it, too, survives a killed process.
            let acks = [1, -1][dice.below(2) as usize];
            let produced = client.produce("t", 0, acks, &batch(&[&value]));
            assert_eq!(
                (produced.error, produced.offset),
                (ErrorCode::None, all.len() as i64)
            );
            all.push(value);
        }
        node.kill();
        node.run();
        let found = node.client().consume("t", 0, 0);
        assert_eq!(values(&found), all);
        let epochs: Vec<i32> = found.iter().map(|record| record.epoch).collect();
        assert!(epochs.is_sorted() && epochs.last() == Some(&epoch));
    }
    let mut client = node.client();
    assert_eq!(client.list_offsets("t", 0, LATEST).offset, all.len() as i64);
    // Segments were rolled in the middle of epochs, and epochs began where none did. An epoch is on
    // disk when its first batch is.
    assert_eq!(
        client.store("t", 0, &batch(&[b"of epoch 4"])),
        all.len() as i64
    );
    node.kill();
    let checks = Checks {
        records: true,
        gaps_allowed: false,
    };
    let report = verify_partition(&node.partition("t", 0), checks).expect("readable");
    assert!(
        report.segments > 1 && report.faults.is_empty(),
        "{report:?}"
    );
    let path = node.partition("t", 0).join("leader-epoch-checkpoint");
    let checkpoint = fs::read_to_string(path).expect("the checkpoint");
    let last = checkpoint.trim_ascii_end().lines().last();
    assert_eq!(
        last,
        Some(format!("4 {}", all.len()).as_str()),
        "{checkpoint}"
    );
}

#[test]
fn many_in_flight_when_killed() {
    let mut node = TestNode::start(&[]);
    node.create("t");
    for round in 0..3 {
        let mut client = node.client();
        let before = client.list_offsets("t", 0, LATEST).offset;
        let mut sender = client.twin();
        // Sends without waiting; what was answered before the kill must be there after it.
        let writer = std::thread::spawn(move || {
            let records = batch(&[&[7; 2000]]);
            let request = crate::common::produce_request("t", 0, -1, &records);
            for _ in 0..100_000 {
                if sender.send(crate::common::PRODUCE, &request).is_err() {
                    break;
                }
            }
        });
        let mut acknowledged = before - 1;
        let mut answers = 0;
        while let Ok(answer) = client.read() {
            // The header of this version is five bytes long.
            let produced = crate::common::produced(&answer[5..]);
            assert_eq!(produced.error, ErrorCode::None);
            assert_eq!(produced.offset, acknowledged + 1, "in order, without gaps");
            acknowledged = produced.offset;
            answers += 1;
            if answers == 300 {
                node.kill();
            }
        }
        writer.join().expect("the writer ends");
        assert!(answers >= 300, "round {round}");
        node.run();
        let mut client = node.client();
        let end = client.list_offsets("t", 0, LATEST).offset;
        assert!(
            end > acknowledged,
            "{end} after {acknowledged} was acknowledged"
        );
        assert_eq!(client.consume("t", 0, 0).len() as i64, end);
    }
}

/// What is done to the active segment between two runs.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Cut,
    Garbage,
    Zeros,
    CutAndGarbage,
    Flip,
    StaleBatch,
    HugeLength,
}

#[test]
fn recovery_accepts_exactly_the_whole_batches() {
    let mut dice = Dice::new("damage");
    let kinds = [
        Damage::Cut,
        Damage::Garbage,
        Damage::Zeros,
        Damage::CutAndGarbage,
        Damage::Flip,
        Damage::StaleBatch,
        Damage::HugeLength,
    ];
    let mut node = TestNode::start(&[("num.partitions", "1")]);
    for round in 0..14 {
        let kind = kinds[round % kinds.len()];
        let topic = format!("t{round}");
        node.create(&topic);
        let all = fill(&mut node.client(), &topic, 12, &mut dice);
        node.kill();
        let (_, path) = node.files(&topic, 0, "log").pop().expect("a segment");
        let expected = damage(&path, kind, &mut dice);
        node.run();
        let mut client = node.client();
        let end = client.list_offsets(&topic, 0, LATEST).offset;
        assert_eq!(end, expected, "round {round}: {kind:?}");
        let found = client.consume(&topic, 0, 0);
        let keep = end as usize;
        assert_eq!(values(&found), all[..keep], "round {round}: {kind:?}");
        // What is stored next continues, and is found behind the damage after one more kill.
        assert_eq!(client.store(&topic, 0, &batch(&[b"next"])), end);
        node.kill();
        node.run();
        let found = node.client().consume(&topic, 0, 0);
        assert_eq!(found.len() as i64, end + 1, "round {round}: {kind:?}");
        assert_eq!(found.last().expect("a record").value, b"next");
    }
}

/// Damages a segment file; gives the log end offset that must be found then.
fn damage(path: &std::path::Path, kind: Damage, dice: &mut Dice) -> i64 {
    let bytes = fs::read(path).expect("the segment");
    let ends = batch_ends(&bytes);
    let data = ends.last().expect("batches").0;
    let file = OpenOptions::new().write(true).open(path).expect("writable");
    let whole = |upto: u64| {
        let kept = ends.iter().rev().find(|(end, _)| *end <= upto);
        kept.map_or(0, |(_, next)| *next)
    };
    let append = |file: &File, at: u64, bytes: &[u8]| {
        file.set_len(at).expect("cut");
        file.write_all_at(bytes, at).expect("written");
    };
    match kind {
        Damage::Cut => {
            let at = dice.below(data);
            file.set_len(at).expect("cut");
            whole(at)
        }
        Damage::Garbage => {
            let len = 1 + dice.below(200_000) as usize;
            append(&file, data, &dice.bytes(len));
            whole(data)
        }
        Damage::Zeros => {
            let len = 1 + dice.below(3 << 20) as usize;
            append(&file, data, &vec![0; len]);
            whole(data)
        }
        Damage::CutAndGarbage => {
            let at = dice.below(data);
            append(&file, at, &dice.bytes(5000));
            whole(at)
        }
        Damage::Flip => {
            // Anywhere: the batch that holds the byte, and all after it, are gone.
            let at = dice.below(data);
            let flipped = bytes[at as usize] ^ (1 << dice.below(8));
            file.write_all_at(&[flipped], at).expect("written");
            let number = ends.iter().position(|(end, _)| *end > at).expect("a batch");
            let begins = number.checked_sub(1).map_or(0, |before| ends[before].0);
            whole(begins)
        }
        Damage::StaleBatch => {
            // A whole batch of the log's own past, with a right CRC and a wrong offset.
            let old = bytes[..ends[0].0 as usize].to_vec();
            append(&file, data, &old);
            whole(data)
        }
        Damage::HugeLength => {
            let mut head = vec![0; 61];
            head[..8].copy_from_slice(&whole(data).to_be_bytes());
            head[8..12].copy_from_slice(&0x7fff_ff00i32.to_be_bytes());
            head[16] = 2;
            append(&file, data, &head);
            whole(data)
        }
    }
}

#[test]
fn damage_in_a_middle_segment_ends_the_log_there() {
    let mut node = TestNode::start(&[("log.segment.bytes", SEGMENT)]);
    node.create("t");
    let mut client = node.client();
    for _ in 0..25 {
        client.store("t", 0, &batch(&[&[7; 100_000]]));
    }
    drop(client);
    node.kill();
    // Without its index the middle segment is read again; its fifth batch is damaged.
    let (base, path) = node.files("t", 0, "log")[1].clone();
    assert_eq!(base, 10);
    let _ = fs::remove_file(path.with_extension("index"));
    let ends = batch_ends(&fs::read(&path).expect("the segment"));
    let file = OpenOptions::new()
        .write(true)
        .open(&path)
        .expect("writable");
    file.write_all_at(&[0xff; 8], ends[4].0 - 100)
        .expect("written");
    node.run();
    let mut client = node.client();
    assert_eq!(client.list_offsets("t", 0, LATEST).offset, 14);
    let line = node.logged(&format!("position {} of segment 10", ends[3].0));
    assert!(
        line.contains("partition=t-0") && line.contains("offset 14"),
        "{line}"
    );
    assert_eq!(client.consume("t", 0, 0).len(), 14);
    assert_eq!(client.store("t", 0, &batch(&[b"next"])), 14);
    // What did not continue the log is kept for a person to look at.
    let aside = fs::read_dir(node.partition("t", 0)).expect("the partition");
    let aside = aside.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".aside")
    });
    assert_eq!(aside.count(), 1);
}

#[test]
fn lost_indexes_are_made_again() {
    let mut node = TestNode::start(&[("log.segment.bytes", SEGMENT)]);
    node.create("t");
    let mut client = node.client();
    for number in 0..25 {
        client.store("t", 0, &batch(&[&[number; 100_000]]));
    }
    node.stop();
    for (number, (_, path)) in node.files("t", 0, "index").into_iter().enumerate() {
        match number {
            0 => fs::remove_file(path).expect("removed"),
            1 => fs::write(path, b"not an index").expect("written"),
            _ => fs::remove_file(path.with_extension("timeindex")).expect("removed"),
        }
    }
    for (_, path) in node.files("t", 0, "snapshot") {
        let mut file = OpenOptions::new()
            .append(true)
            .open(path)
            .expect("writable");
        file.write_all(b"garbage").expect("written");
    }
    node.run();
    let mut client = node.client();
    assert_eq!(client.list_offsets("t", 0, LATEST).offset, 25);
    for offset in 0..25 {
        let fetched = client.fetch("t", 0, offset, 1000);
        assert_eq!(records(&fetched.bytes)[0].value[0], offset as u8);
    }
    assert_eq!(client.store("t", 0, &batch(&[b"next"])), 25);
}

/// How many partitions are open, of how many, as `/readyz` says; all of them where it says no more
/// than that the node is ready.
fn opened(node: &TestNode, all: usize) -> usize {
    let (status, body) = get(node, "/readyz");
    assert_eq!(status, 200, "{body}");
    let Some(line) = body.lines().nth(1) else {
        assert_eq!(body, "ok\n");
        return all;
    };
    let numbers: Vec<usize> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(numbers[1..], [all], "{body}");
    numbers[0]
}

#[test]
fn how_far_recovery_has_come_is_told() {
    const ALL: usize = 300;
    let mut node = TestNode::start(&[("shards", "2"), ("num.partitions", "300")]);
    node.create("t");
    let (_, leaders) = node.client().metadata("t", false);
    let store = |node: &TestNode, indices: std::ops::Range<usize>| {
        let mut clients: Vec<Client> = node.shards().iter().map(|at| Client::connect(at)).collect();
        for index in indices {
            let client = &mut clients[leaders[index].0 as usize % 1000];
            client.store("t", index as i32, &batch(&[b"one"]));
        }
    };
    store(&node, 0..ALL);
    assert_eq!(opened(&node, ALL), ALL);
    node.kill();
    node.run();
    // They recover when they are used.
    let mut last = opened(&node, ALL);
    assert_eq!(last, 0);
    for begin in [0, 100, 200] {
        store(&node, begin..begin + 100);
        let now = opened(&node, ALL);
        assert!(now == begin + 100 && now > last, "{now} after {last}");
        let told = series(&node);
        assert_eq!(sum(&told, "odradek_partitions_open{"), now as f64);
        assert_eq!(sum(&told, "odradek_partitions{"), ALL as f64);
        last = now;
    }
    // Each shard says where it stands a second after it has begun.
    for shard in [0, 1] {
        let all = leaders.iter().filter(|leader| leader.0 % 1000 == shard);
        let all = all.count();
        node.logged(&format!("{all} of {all} partitions of this shard are open"));
    }
}
