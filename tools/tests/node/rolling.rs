//! Segments: rolled, indexed, let go, and found again.

use std::path::Path;

use odradek_wire::ErrorCode;

use crate::common::{
    Client, EARLIEST, LATEST, MAX_TIMESTAMP, TestNode, batch, batch_at, batch_ends, now_ms,
    wait_until,
};

/// The least that `log.segment.bytes` may be.
const SEGMENT: &str = "1048576";

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Batches of about 100 KB, stored one by one; times as given, 1 s apart.
fn fill(client: &mut Client, topic: &str, count: i64, time: i64) {
    for number in 0..count {
        let mut value = vec![b'v'; 100_000];
        value[..8].copy_from_slice(&number.to_be_bytes());
        let records = batch_at(time + number * 1000, &[&value]);
        client.store(topic, 0, &records);
    }
}

/// Offset index entries: relative offset, position.
fn index(path: &Path) -> Vec<(u32, u32)> {
    let bytes = read(path);
    assert_eq!(bytes.len() % 8, 0, "{}", path.display());
    let word = |at: &[u8]| u32::from_be_bytes(at.try_into().expect("four bytes"));
    let entries = bytes.chunks(8);
    entries.map(|e| (word(&e[..4]), word(&e[4..]))).collect()
}

/// Time index entries: timestamp, relative offset.
fn time_index(path: &Path) -> Vec<(i64, u32)> {
    let bytes = read(path);
    assert_eq!(bytes.len() % 12, 0, "{}", path.display());
    let entries = bytes.chunks(12);
    entries
        .map(|e| {
            let time = i64::from_be_bytes(e[..8].try_into().expect("eight bytes"));
            (
                time,
                u32::from_be_bytes(e[8..].try_into().expect("four bytes")),
            )
        })
        .collect()
}

#[test]
fn segments_roll_by_size_in_kafkas_format() {
    let mut node = TestNode::start(&[("log.segment.bytes", SEGMENT)]);
    node.create("t");
    let mut client = node.client();
    let start = now_ms() - 3_600_000;
    fill(&mut client, "t", 35, start);
    // Ten batches of 100 KB fit into a segment, the eleventh does not.
    let bases = |node: &TestNode, extension: &str| -> Vec<i64> {
        let files = node.files("t", 0, extension);
        files.into_iter().map(|(base, _)| base).collect()
    };
    assert_eq!(bases(&node, "log"), [0, 10, 20, 30]);
    wait_until("rolled segments are finished", || {
        bases(&node, "index") == [0, 10, 20]
    });
    for (base, path) in node.files("t", 0, "log").into_iter().take(3) {
        let bytes = read(&path);
        let ends = batch_ends(&bytes);
        assert_eq!(ends.len(), 10, "{}", path.display());
        assert_eq!(
            ends.last(),
            Some(&(bytes.len() as u64, base + 10)),
            "no padding is left"
        );
        let entries = index(&path.with_extension("index"));
        assert!(!entries.is_empty());
        for (offset, position) in &entries {
            // An entry names a batch's last offset and where that batch begins.
            let number = ends
                .iter()
                .position(|(_, next)| *next == base + i64::from(*offset) + 1);
            let number = number.expect("an offset of this segment");
            let begins = number.checked_sub(1).map_or(0, |before| ends[before].0);
            assert_eq!(u64::from(*position), begins);
        }
        let times = time_index(&path.with_extension("timeindex"));
        assert_eq!(
            times.last(),
            Some(&(start + (base + 9) * 1000, 9)),
            "sealed by the latest"
        );
        assert!(times.is_sorted());
    }
    assert!(!node.files("t", 0, "snapshot").is_empty());
    let check = |client: &mut Client| {
        for offset in [0, 9, 10, 11, 29, 30, 34] {
            let got = client.consume("t", 0, offset);
            assert_eq!(got[0].offset, offset);
            assert_eq!(got.len() as i64, 35 - offset);
            assert_eq!(got[0].value[..8], offset.to_be_bytes());
        }
        for offset in 0..35 {
            let time = start + offset * 1000;
            let listed = client.list_offsets("t", 0, time);
            assert_eq!((listed.offset, listed.time), (offset, time));
            assert_eq!(client.list_offsets("t", 0, time - 999).offset, offset);
        }
        assert_eq!(client.list_offsets("t", 0, start + 34_001).offset, -1);
        assert_eq!(client.list_offsets("t", 0, MAX_TIMESTAMP).offset, 34);
    };
    check(&mut client);
    node.stop();
    // A clean stop finishes the active segment, too.
    assert_eq!(bases(&node, "index"), [0, 10, 20, 30]);
    let last = node.files("t", 0, "log").pop().expect("a segment").1;
    let bytes = read(&last);
    assert_eq!(
        batch_ends(&bytes).last().expect("batches").0,
        bytes.len() as u64
    );
    node.run();
    check(&mut node.client());
    node.kill();
    node.run();
    check(&mut node.client());
}

#[test]
fn segments_roll_by_time() {
    let node = TestNode::start(&[("log.roll.ms", "200")]);
    node.create("t");
    let mut client = node.client();
    client.store("t", 0, &batch(&[b"first"]));
    let mut stored = 1;
    // The next batch after the time is over begins a segment; an idle one does not roll.
    wait_until("a second segment", || {
        client.store("t", 0, &batch(&[b"next"]));
        stored += 1;
        node.files("t", 0, "log").len() >= 2
    });
    assert_eq!(client.consume("t", 0, 0).len(), stored);
}

#[test]
fn retention_by_bytes_moves_the_start() {
    let settings = [
        ("log.segment.bytes", SEGMENT),
        ("log.retention.bytes", "2097152"),
        ("log.retention.check.interval.ms", "50"),
    ];
    let mut node = TestNode::start(&settings);
    node.create("t");
    let mut client = node.client();
    fill(&mut client, "t", 45, now_ms());
    // Five segments, the last of half the size: what is left holds at least two MiB.
    let kept = |node: &TestNode| node.files("t", 0, "log").first().map(|(base, _)| *base);
    wait_until("old segments go", || kept(&node) == Some(20));
    let check = |client: &mut Client| {
        assert_eq!(client.list_offsets("t", 0, EARLIEST).offset, 20);
        assert_eq!(client.list_offsets("t", 0, LATEST).offset, 45);
        for offset in [0, 19] {
            let fetched = client.fetch("t", 0, offset, 1 << 20);
            assert_eq!(
                fetched.error,
                ErrorCode::OffsetOutOfRange,
                "offset {offset}"
            );
        }
        let fetched = client.fetch("t", 0, 20, 1 << 20);
        assert_eq!((fetched.error, fetched.log_start), (ErrorCode::None, 20));
        assert_eq!(client.consume("t", 0, 20).len(), 25);
        assert_eq!(
            client.list_offsets("t", 0, 0).offset,
            20,
            "times begin at the start"
        );
    };
    check(&mut client);
    wait_until("nothing of the old segments is left behind", || {
        let directory = std::fs::read_dir(node.partition("t", 0)).expect("the partition");
        directory.into_iter().all(|entry| {
            let name = entry.expect("an entry").file_name();
            let name = name.to_str().expect("text");
            let base: Option<i64> = name.split('.').next().and_then(|stem| stem.parse().ok());
            base.is_none_or(|base| base >= 20)
        })
    });
    node.stop();
    node.run();
    check(&mut node.client());
    node.kill();
    node.run();
    check(&mut node.client());
    let mut client = node.client();
    assert_eq!(client.store("t", 0, &batch(&[b"more"])), 45);
}

#[test]
fn retention_by_time_empties_the_log_and_keeps_the_end() {
    let settings = [
        ("log.segment.bytes", SEGMENT),
        ("log.retention.ms", "60000"),
    ];
    // A look at retention while the logs are filled would roll them before their time.
    let mut node = TestNode::start(&settings);
    node.create("old");
    node.create("mixed");
    let mut client = node.client();
    let hour_ago = now_ms() - 3_600_000;
    fill(&mut client, "old", 15, hour_ago);
    // A record of today in the second segment keeps it; the first one goes.
    fill(&mut client, "mixed", 15, hour_ago);
    client.store("mixed", 0, &batch(&[b"today"]));
    node.stop();
    node.set("log.retention.check.interval.ms", "50");
    node.run();
    // Nobody has used either since the start.
    wait_until("what nobody asks for expires, too", || {
        let kept = |topic| node.files(topic, 0, "log");
        kept("old").iter().all(|(base, _)| *base >= 15) && kept("mixed")[0].0 == 10
    });
    let mut client = node.client();
    let earliest = |client: &mut Client, topic| client.list_offsets(topic, 0, EARLIEST).offset;
    wait_until("the old log is empty", || {
        earliest(&mut client, "old") == 15
    });
    wait_until("the first segment goes", || {
        earliest(&mut client, "mixed") == 10
    });
    let check = |client: &mut Client, end: i64| {
        assert_eq!(client.list_offsets("old", 0, EARLIEST).offset, 15);
        assert_eq!(client.list_offsets("old", 0, LATEST).offset, end);
        assert_eq!(client.consume("old", 0, 15).len() as i64, end - 15);
        let fetched = client.fetch("old", 0, 14, 1 << 20);
        assert_eq!(fetched.error, ErrorCode::OffsetOutOfRange);
        assert_eq!(client.consume("mixed", 0, 10).len(), 6);
    };
    check(&mut client, 15);
    // An emptied log goes on at once.
    node.create("goes-on");
    fill(&mut client, "goes-on", 15, hour_ago);
    wait_until("it is empty, too", || {
        earliest(&mut client, "goes-on") == 15
    });
    for offset in 15..30 {
        assert_eq!(client.store("goes-on", 0, &batch(&[&[7; 100_000]])), offset);
    }
    assert_eq!(client.consume("goes-on", 0, 15).len(), 15);
    node.stop();
    node.run();
    check(&mut node.client(), 15);
    node.kill();
    node.run();
    check(&mut node.client(), 15);
    let mut client = node.client();
    assert_eq!(
        client.store("old", 0, &batch(&[b"after"])),
        15,
        "offsets go on"
    );
    check(&mut client, 16);
}

/// Kafka believes an index by time: one entry of it that is another decides over a segment there.
#[test]
fn what_one_entry_of_an_index_calls_old_is_kept_if_its_batches_are_not() {
    const HOUR: i64 = 3_600_000;
    let mut node = TestNode::start(&[
        ("log.segment.bytes", SEGMENT),
        ("log.retention.ms", "36000000"),
    ]);
    let mut client = node.client();
    for topic in ["lone", "last", "old"] {
        node.create(topic);
    }
    let now = now_ms();
    // All of one time: the index has one entry.
    for number in 0..15 {
        client.store("lone", 0, &batch_at(now, &[&vec![number; 100_000]]));
    }
    // Old but for the last of a segment.
    fill(&mut client, "last", 9, now - 24 * HOUR);
    client.store("last", 0, &batch_at(now, &[&[9; 100_000]]));
    client.store("last", 0, &batch_at(now, &[b"active"]));
    fill(&mut client, "old", 15, now - 24 * HOUR);
    node.stop();
    let spoil = |path: &Path, entry: usize, time: i64| {
        let mut bytes = read(path);
        assert_eq!(bytes.len(), (entry + 1) * 12, "{}", path.display());
        bytes[entry * 12..][..8].copy_from_slice(&time.to_be_bytes());
        std::fs::write(path, bytes).expect("written");
    };
    for (_, path) in node.files("lone", 0, "timeindex") {
        spoil(&path, 0, now - 24 * HOUR);
    }
    let (_, path) = &node.files("last", 0, "timeindex")[0];
    let times = time_index(path);
    let [.., (before, _), (last, _)] = times[..] else {
        panic!("{times:?}");
    };
    assert_eq!(last, now);
    spoil(path, times.len() - 1, before + 1);
    node.set("log.retention.check.interval.ms", "50");
    node.run();
    let mut client = node.client();
    let mut begins = |topic| client.list_offsets(topic, 0, EARLIEST).offset;
    wait_until("what is old goes", || begins("old") == 15);
    // What comes now goes in a later pass, before which all have had their turn.
    let mut filler = node.client();
    fill(&mut filler, "old", 15, now - 24 * HOUR);
    wait_until("so does what is older than it came", || begins("old") == 30);
    assert_eq!((begins("lone"), begins("last")), (0, 0));
    assert_eq!(filler.consume("lone", 0, 0).len(), 15);
    assert_eq!(filler.consume("last", 0, 0).len(), 11);
    node.stop();
}

#[test]
fn times_that_go_back_are_found() {
    let node = TestNode::start(&[("log.segment.bytes", SEGMENT)]);
    node.create("t");
    let mut client = node.client();
    let base = now_ms() - 10_000_000;
    let times = [5000, 1000, 9000, 2000, 2000, 7000, 1000];
    for (number, time) in times.iter().enumerate() {
        let value = vec![number as u8; 400_000];
        client.store("t", 0, &batch_at(base + time, &[&value]));
    }
    // The first record, by offset, that is at least as late.
    for asked in [0, 1, 1000, 1001, 4999, 5000, 5001, 6000, 9000, 9001] {
        let found = times.iter().position(|time| *time >= asked);
        let listed = client.list_offsets("t", 0, base + asked);
        let expected = found.map_or((-1, -1), |at| (at as i64, base + times[at]));
        assert_eq!((listed.offset, listed.time), expected, "from {asked} on");
    }
    let latest = client.list_offsets("t", 0, MAX_TIMESTAMP);
    assert_eq!((latest.offset, latest.time), (2, base + 9000));
}
