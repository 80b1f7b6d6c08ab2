//! A compacted topic over the wire: what it takes, what is left of it, and what a kill leaves.

use std::collections::BTreeMap;

use odradek_engine::record::{BatchBuilder, Compression, OpenBatch, Rules, headers, validate};
use odradek_engine::types::Timestamp;
use odradek_tools::log::{Checks, verify_partition};
use odradek_wire::ErrorCode;
use odradek_wire::Reader;
use odradek_wire::produce::ProduceResponse;

use crate::common::{
    Client, EARLIEST, LATEST, PRODUCE, TestNode, batch, now_ms, produce_request, reseal, wait_until,
};
use crate::metrics::commit;
use crate::settings::alter;
use crate::transactions::steps::{Producer, TOPIC, committed, coordinator};

const KEYS: u64 = 5;
const BATCHES: u64 = 60;

fn settings(policy: &'static str) -> [(&'static str, &'static str); 3] {
    [
        ("cleanup.policy", policy),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ]
}

/// A batch of one key, about 100 kB that no codec makes smaller.
fn keyed(number: u64) -> Vec<u8> {
    let mut seed = number + 1;
    let noise = (0..100_000).map(|_| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        (seed >> 56) as u8
    });
    let value: Vec<u8> = number.to_be_bytes().into_iter().chain(noise).collect();
    let codec = match number % 2 {
        0 => Compression::None,
        _ => Compression::Lz4,
    };
    let mut builder = BatchBuilder::new().compression(codec);
    let key = (number % KEYS).to_be_bytes();
    builder
        .append(Timestamp(now_ms()), Some(&key), Some(&value), &[])
        .expect("a record that fits");
    builder.build().expect("a batch")
}

/// The number of each key's records, by offset, as a consumer from the beginning sees them.
fn consume(client: &mut Client, topic: &str) -> BTreeMap<i64, (u64, u64)> {
    let mut all = BTreeMap::new();
    let mut next = 0;
    loop {
        let fetched = client.fetch(topic, 0, next, 1 << 20);
        assert_eq!(fetched.error, ErrorCode::None, "fetch at {next}");
        let before = next;
        for (pos, header) in headers(&fetched.bytes) {
            let size = header.size().expect("a size");
            let batch = &fetched.bytes[pos..pos + size];
            let info = validate(batch, &Rules::LOG).expect("a whole batch");
            let mut scratch = Vec::new();
            let open = OpenBatch::open(batch, info, &mut scratch).expect("it opens");
            for record in open.records() {
                let record = record.expect("a record");
                let number = |bytes: &[u8]| u64::from_be_bytes(*bytes.first_chunk().expect("8"));
                let (key, value) = (record.key.expect("a key"), record.value.expect("a value"));
                all.insert(open.offset_of(&record).0, (number(key), number(value)));
            }
            next = info.next_offset().0;
        }
        if next >= fetched.high_watermark {
            return all;
        }
        assert!(next > before, "nothing can be read at {next}");
    }
}

fn is_compacted(found: &BTreeMap<i64, (u64, u64)>) -> bool {
    // The active segment holds ten batches at most.
    found.len() <= KEYS as usize + 11
}

#[test]
fn the_last_record_of_every_key_stays_over_a_kill() {
    let mut node = TestNode::start(&[("log.cleaner.backoff.ms", "30")]);
    let mut client = node.client();
    let made = client.create_topic("t", 1, &settings("compact"));
    assert_eq!(made, ErrorCode::None);
    for number in 0..BATCHES {
        assert_eq!(client.store("t", 0, &keyed(number)), number as i64);
    }
    wait_until("it is compacted", || {
        is_compacted(&consume(&mut client, "t"))
    });
    let check = |client: &mut Client| {
        let found = consume(client, "t");
        assert!(is_compacted(&found));
        for (offset, (key, number)) in &found {
            assert_eq!((*offset as u64, *key), (*number, number % KEYS));
        }
        for last in BATCHES - KEYS..BATCHES {
            assert!(found.contains_key(&(last as i64)), "the last of a key");
        }
        assert_eq!(client.list_offsets("t", 0, EARLIEST).offset, 0);
        let end = client.list_offsets("t", 0, LATEST).offset;
        assert_eq!(end, BATCHES as i64);
    };
    check(&mut client);
    node.kill();
    node.run();
    let mut client = node.client();
    check(&mut client);
    assert_eq!(client.store("t", 0, &keyed(BATCHES)), BATCHES as i64);
    node.stop();
    let checks = Checks {
        records: true,
        gaps_allowed: false,
    };
    let report = verify_partition(&node.partition("t", 0), checks).expect("readable");
    assert_eq!(report.faults, [], "gaps only where the log says so");
    assert!(report.records < BATCHES);
}

/// The node's own topics: what is known of a group or of a transactional id is what came last.
#[test]
fn offsets_of_groups_and_states_of_transactions_are_compacted_and_survive_a_kill() {
    const GROUPS: &str = "__consumer_offsets";
    const TRANSACTIONS: &str = "__transaction_state";
    const TIMES: i64 = 300;
    // Few records fill a segment, and fewer than so many are in the one that is written to.
    const SEGMENT: &str = "8192";
    const FEW: usize = 100;
    let mut node = TestNode::start(&[
        ("log.cleaner.backoff.ms", "30"),
        ("num.partitions", "4"),
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.segment.bytes", SEGMENT),
        ("transaction.state.log.num.partitions", "1"),
        ("transaction.state.log.segment.bytes", SEGMENT),
    ]);
    node.create(TOPIC);
    // Once at the beginning, and again and again.
    commit(&node, "still", TOPIC, 0, 7);
    let mut still = Producer::begin(&node, "still", 2);
    still.write(&[0], "first");
    still.end(true);
    for number in 0..TIMES {
        commit(&node, "busy", TOPIC, 0, number);
        Producer::begin(&node, "busy", 2);
    }
    let is_small = |client: &mut Client, topic| {
        let found = client.consume(topic, 0, 0).len();
        found < FEW && client.list_offsets(topic, 0, LATEST).offset >= TIMES
    };
    let mut client = node.client();
    for topic in [GROUPS, TRANSACTIONS] {
        wait_until("it is compacted", || is_small(&mut client, topic));
        node.logged(&format!("compacted {topic}-0 up to offset"));
    }
    node.kill();
    node.run();
    let mut client = node.client();
    for topic in [GROUPS, TRANSACTIONS] {
        assert!(
            is_small(&mut client, topic),
            "{topic} is as small as before"
        );
    }
    assert_eq!(committed(&mut client, "still"), Ok(7));
    assert_eq!(committed(&mut client, "busy"), Ok(TIMES - 1));
    still.client = coordinator(&node, "still");
    still.write(&[0], "second");
    still.end(true);
    let busy = Producer::begin(&node, "busy", 2);
    assert_eq!(i64::from(busy.epoch), TIMES);
    node.stop();
}

/// A batch of one record, says its header; what is compressed in it are zeros without end.
fn bomb(codec: Compression, times: usize, zeros: usize) -> Vec<u8> {
    let mut part = Vec::new();
    codec.compress(&vec![0; zeros], &mut part);
    let mut bytes = batch(&[b"x"])[..61].to_vec();
    // Frames, or members, one after the other.
    bytes.extend(part.repeat(times));
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] |= codec.id();
    reseal(&mut bytes);
    bytes
}

/// The most of it that was ever in memory, bytes.
fn rss_peak(node: &TestNode) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid()));
    let status = status.expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib.expect("VmHWM").trim().parse().expect("a number");
    kib * 1024
}

/// No batch opens to more than 256 MiB; this much may be taken for that, and for the rest.
const OPENED_MAX: u64 = 640 << 20;

#[test]
#[cfg_attr(odradek_asan, ignore = "its memory would be counted")]
fn batches_that_open_to_gigabytes_are_refused_and_break_no_compaction() {
    let bombs = [
        bomb(Compression::Zstd, 64, 64 << 20),
        bomb(Compression::Gzip, 120, 8 << 20),
    ];
    assert!(bombs.iter().all(|bomb| bomb.len() < 1_000_000));
    // Where nobody opens batches they get into a log.
    let mut node = TestNode::start(&[("log.cleaner.backoff.ms", "30")]);
    let mut client = node.client();
    for topic in ["bombs", "beside"] {
        let made = client.create_topic(topic, 1, &settings("delete"));
        assert_eq!(made, ErrorCode::None);
    }
    for (offset, bomb) in (0..).zip(&bombs) {
        assert_eq!(client.store("bombs", 0, bomb), offset);
    }
    for number in 0..BATCHES {
        client.store("bombs", 0, &keyed(number));
        client.store("beside", 0, &keyed(number));
    }
    node.stop();
    node.set("record.validation", "full");
    node.run();
    let before = node.rss();
    let mut client = node.client();
    for bomb in &bombs {
        let refused = client.produce("bombs", 0, -1, bomb);
        assert_eq!(refused.error, ErrorCode::MessageTooLarge);
    }
    // The topic comes to be compacted, which opens every batch.
    for topic in ["bombs", "beside"] {
        alter(&mut client, (2, topic), &[("cleanup.policy", 0, "compact")]);
    }
    let line = node.logged("is not compacted any more");
    assert!(line.contains("bombs-0"), "{line}");
    wait_until("the other topic is compacted", || {
        is_compacted(&consume(&mut client, "beside"))
    });
    let end = BATCHES as i64 + 2;
    assert_eq!(client.list_offsets("bombs", 0, LATEST).offset, end);
    let fetched = client.fetch("bombs", 0, 0, 1 << 20);
    assert!(fetched.bytes[61..].starts_with(&bombs[0][61..]));
    let refused = client.produce("bombs", 0, -1, &bombs[0]);
    assert_eq!(refused.error, ErrorCode::MessageTooLarge);
    assert_eq!(client.store("bombs", 0, &keyed(0)), end);
    let more = rss_peak(&node).saturating_sub(before);
    assert!(more < OPENED_MAX, "{} MiB more", more >> 20);
    wait_until("the memory is given back", || {
        node.rss() < before + (128 << 20)
    });
}

#[test]
fn a_record_without_a_key_is_named() {
    let node = TestNode::start(&[]);
    let mut client = node.client();
    let made = client.create_topic("t", 1, &settings("delete,compact"));
    assert_eq!(made, ErrorCode::None);
    let mut builder = BatchBuilder::new();
    for key in [Some(&b"k"[..]), None, Some(&b""[..]), None] {
        builder
            .append(Timestamp(now_ms()), key, Some(b"v"), &[])
            .expect("a record");
    }
    let records = builder.build().expect("a batch");
    let request = produce_request("t", 0, -1, &records);
    let body = client.call(PRODUCE, &request).expect("an answer");
    let answer = ProduceResponse::decode(&mut Reader::new(&body), PRODUCE).expect("readable");
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
    let why = "Compacted topic cannot accept message without key in topic partition t-0.";
    let told: Vec<_> = answer
        .record_errors
        .iter()
        .map(|one| (one.batch_index, one.batch_index_error_message))
        .collect();
    assert_eq!(told, [(1, Some(why)), (3, Some(why))]);
    let message = answer.error_message.expect("a message");
    assert!(message.contains("due to 2 record errors"), "{message}");
    assert_eq!(client.list_offsets("t", 0, LATEST).offset, 0);
    // Of whatever else is wrong the batch itself is told.
    let (error, why) = (batch(&[b"v"]), "due to 1 record errors");
    let request = produce_request("t", 0, -1, &error);
    let body = client.call(PRODUCE, &request).expect("an answer");
    let answer = ProduceResponse::decode(&mut Reader::new(&body), PRODUCE).expect("readable");
    let message = answer.responses[0].partition_responses[0].error_message;
    assert!(
        message.is_some_and(|text| text.contains(why)),
        "{message:?}"
    );
}
