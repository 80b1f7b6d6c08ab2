//! Requests that are as large as may be, and requests in thousands whose answers nobody reads:
//! memory stays bounded, the others are served.

use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use nix::sys::resource::Resource;
use odradek_wire::api_versions::ApiVersionsRequest;
use odradek_wire::metadata::MetadataRequest;
use odradek_wire::produce::ProduceRequest;
use odradek_wire::{ErrorCode, Request};

use crate::common::{
    Client, METADATA, PRODUCE, TestNode, batch, frame, produce_request, produced, wait_until,
};
use crate::metrics::{series, sum};

const API_VERSIONS: i16 = 3;

/// A batch of one record that makes a request of about so many bytes.
fn batch_of(bytes: usize) -> Vec<u8> {
    batch(&[&vec![7; bytes]])
}

#[test]
fn the_largest_request_is_stored_and_the_next_larger_is_not_read() {
    let node = TestNode::start(&[("message.max.bytes", "104857600")]);
    node.create("large");
    node.create("small");
    let records = batch_of(104_000_000);
    let rss = node.rss();
    let mut writers = Vec::new();
    for _ in 0..3 {
        let (mut client, records) = (node.client(), records.clone());
        writers.push(std::thread::spawn(move || {
            client.store("large", 0, &records)
        }));
    }
    let mut steady = node.client();
    let mut offset = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        assert_eq!(steady.store("small", 0, &batch(&[b"small"])), offset);
        offset += 1;
    }
    let mut offsets: Vec<i64> = Vec::new();
    for writer in writers {
        offsets.push(writer.join().expect("stored"));
    }
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 1, 2]);
    // One request more than memory.request.bytes, and what its record takes on its way to disk.
    let more = node.rss().saturating_sub(rss);
    assert!(more < 500 << 20, "{} MiB more", more >> 20);
    let fetched = steady.fetch("large", 0, 2, 104_857_600);
    assert_eq!(fetched.error, ErrorCode::None);
    assert!(!fetched.bytes.is_empty());
    let mut over = node.client();
    over.write(&104_857_601i32.to_be_bytes()).expect("sent");
    assert!(over.closed());
    let line = node.logged("socket.request.max.bytes");
    assert!(line.contains("104857601"), "{line}");
}

#[test]
fn a_large_request_that_is_too_large_for_its_topic_is_refused_with_the_reason() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut client = node.client();
    let produced = client.produce("t", 0, -1, &batch_of(100_000_000));
    assert_eq!(produced.error, ErrorCode::MessageTooLarge);
    assert_eq!(client.store("t", 0, &batch(&[b"fits"])), 0);
    wait_until("its memory is given back", || node.rss() < 200 << 20);
}

/// Writes the same request again and again, never reading, until the node takes no more or `stop`;
/// how many whole ones were written.
fn pour(client: &mut Client, request: &[u8], stop: &AtomicBool) -> usize {
    client
        .stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a timeout");
    let mut written = 0;
    while !stop.load(Relaxed) {
        match client.stream.write(&request[written % request.len()..]) {
            Ok(more) => written += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    // The rest of what was begun must not be missing: it is sent when the answers are read.
    written
}

fn never_reads<'a, Q: Request<'a>>(version: i16, request: &Q, clients: usize) {
    let node = TestNode::start(&[("num.partitions", "50"), ("memory.tail.bytes", "8388608")]);
    node.create("t");
    node.create("u");
    let mut steady = node.client();
    assert_eq!(steady.store("t", 0, &batch(&[b"first"])), 0);
    let rss = node.rss();
    let bytes = frame(1, version, request);
    let stop = Arc::new(AtomicBool::new(false));
    let mut pouring = Vec::new();
    for _ in 0..clients {
        let (mut client, bytes, stop) = (node.client(), bytes.clone(), stop.clone());
        pouring.push(std::thread::spawn(move || {
            let written = pour(&mut client, &bytes, &stop);
            (client, written)
        }));
    }
    let mut offset = 1;
    while pouring.iter().any(|one| !one.is_finished()) {
        assert_eq!(steady.store("t", 0, &batch(&[b"steady"])), offset);
        offset += 1;
    }
    let more = node.rss().saturating_sub(rss);
    assert!(more < 100 << 20, "{} MiB more", more >> 20);
    let mut poured: Vec<_> = pouring.into_iter().map(|one| one.join().unwrap()).collect();
    // Whoever reads at last gets every answer.
    let (mut reader, written) = poured.pop().expect("a client");
    let whole = written / bytes.len();
    assert!(whole > 500, "{whole} requests");
    for _ in 0..whole {
        let answer = reader.read().expect("an answer");
        assert_eq!(answer[..4], 1i32.to_be_bytes());
    }
    drop((reader, poured));
    assert_eq!(steady.store("t", 0, &batch(&[b"last"])), offset);
}

#[test]
#[cfg_attr(odradek_asan, ignore = "its memory would be counted")]
fn thousands_of_tiny_requests_whose_answers_nobody_reads() {
    never_reads(API_VERSIONS, &ApiVersionsRequest::default(), 20);
}

#[test]
#[cfg_attr(odradek_asan, ignore = "its memory would be counted")]
fn thousands_of_requests_with_large_answers_that_nobody_reads() {
    never_reads(METADATA, &MetadataRequest::default(), 20);
}

#[test]
#[cfg_attr(odradek_asan, ignore = "its memory would be counted")]
fn thousands_of_records_whose_acknowledgements_nobody_reads() {
    let records = batch(&[b"poured"]);
    never_reads(PRODUCE, &produce_request("u", 0, 1, &records), 20);
}

#[test]
fn a_flood_on_one_connection_leaves_room_for_the_others() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut flood = node.client();
    let mut twin = flood.twin();
    let records = batch(&[b"flood"]);
    let count = 100_000;
    let writer = std::thread::spawn(move || {
        let one = frame(7, PRODUCE, &produce_request("t", 0, 1, &records));
        let many = one.repeat(100);
        for _ in 0..count / 100 {
            twin.write(&many).expect("sent");
        }
    });
    let done = Arc::new(AtomicBool::new(false));
    let (mut steady, over) = (node.client(), done.clone());
    let served = std::thread::spawn(move || {
        let mut served = 0;
        while !over.load(Relaxed) {
            let request = ApiVersionsRequest::default();
            steady.call(API_VERSIONS, &request).expect("an answer");
            served += 1;
        }
        served
    });
    for _ in 0..count {
        assert_eq!(
            produced(&flood.read().expect("an answer")[5..]).error,
            ErrorCode::None
        );
    }
    done.store(true, Relaxed);
    writer.join().expect("written");
    let served = served.join().expect("served");
    // Each of its turns comes after a bounded number of the flood's.
    assert!(served > count / 2000, "{served} answers beside {count}");
}

#[test]
#[cfg_attr(odradek_asan, ignore = "its memory would be counted")]
fn where_the_system_gives_little_memory_the_largest_requests_are_refused() {
    let mut node = TestNode::prepare(&[("memory.tail.bytes", "8388608")]);
    node.limit(Resource::RLIMIT_DATA, 1 << 30);
    node.limit(Resource::RLIMIT_MEMLOCK, 0);
    node.run();
    node.create("t");
    let mut steady = node.client();
    // More than may be, by what they announce.
    let mut heads: Vec<Client> = Vec::new();
    for _ in 0..50 {
        let mut client = node.client();
        let mut head = 100_000_000i32.to_be_bytes().to_vec();
        head.extend([0, 0, 0, 9, 0, 0, 0, 1]);
        client.write(&head).expect("sent");
        heads.push(client);
    }
    let refusal = "the system has no memory for a request of 100000000 bytes";
    node.logged(refusal);
    let large = batch(&[&[7; 900_000]]);
    for offset in 0..50 {
        assert_eq!(steady.store("t", 0, &large), offset);
    }
    drop(heads);
    // Of fifty that were.
    node.seldom(refusal, 1);
    let mut client = node.client();
    assert_eq!(client.consume("t", 0, 0).len(), 50);
    let refused = client.produce("t", 0, -1, &batch_of(100_000_000));
    assert_eq!(refused.error, ErrorCode::MessageTooLarge);
}

#[test]
fn tails_of_many_partitions_stay_within_their_memory_together() {
    const PARTITIONS: i32 = 200;
    let count = PARTITIONS.to_string();
    let settings = [("memory.tail.bytes", "1048576"), ("num.partitions", &count)];
    let node = TestNode::start(&settings);
    node.create("t");
    let mut client = node.client();
    let records = batch_of(1_000);
    // Each gets as much as would have it take a block of 64 KiB.
    for round in 0..60 {
        let mut sent = Vec::new();
        for index in 0..PARTITIONS {
            let request = produce_request("t", index, 1, &records);
            sent.push(client.send(PRODUCE, &request).expect("sent"));
        }
        for (index, correlation) in sent.into_iter().enumerate() {
            let body = client.receive::<ProduceRequest>(PRODUCE, correlation);
            let produced = produced(&body.expect("an answer"));
            let (error, offset) = (produced.error, produced.offset);
            assert_eq!((error, offset), (ErrorCode::None, round), "{index}");
        }
    }
    let held = sum(&series(&node), "odradek_tail_memory_bytes{");
    // Of each the page that is being filled stays.
    assert!(held <= 2e6, "{held} bytes");
}
