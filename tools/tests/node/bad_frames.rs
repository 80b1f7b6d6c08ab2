//! Frames that are no requests: the connection that sent one ends, with a line in the log, and
//! nobody else notices.

use std::net::Shutdown;

use odradek_wire::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use odradek_wire::{ErrorCode, Message, Reader};

use crate::common::{
    Client, FETCH, METADATA, PRODUCE, TestNode, batch, fetch_request, frame, produce_request,
    raw_frame, wait_until,
};

/// Frames that no server can answer.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let records = batch(&[b"a record"]);
    let produce = frame(1, PRODUCE, &produce_request("healthy", 0, 1, &records));
    let header = |key: i16, version: i16| {
        let mut body = key.to_be_bytes().to_vec();
        body.extend(version.to_be_bytes());
        body.extend(7i32.to_be_bytes());
        body
    };
    let with = |key: i16, version: i16, rest: &[u8]| {
        let mut body = header(key, version);
        body.extend_from_slice(rest);
        raw_frame(&body)
    };
    let mut cut = produce.clone();
    cut.truncate(produce.len() / 2);
    let length = cut.len() as u32 - 4;
    cut[..4].copy_from_slice(&length.to_be_bytes());
    // Client id null, then what the request begins with.
    let null_id = [0xff, 0xff];
    // ListOffsets 1: the replica id, then the topics, which may not be null.
    let topics = |count: i32| [&null_id[..], &[0xff; 4], &count.to_be_bytes()].concat();
    vec![
        ("a length of 2 GiB", i32::MAX.to_be_bytes().to_vec()),
        ("a negative length", (-1i32).to_be_bytes().to_vec()),
        ("the least length", i32::MIN.to_be_bytes().to_vec()),
        ("one byte too long", 104_857_601i32.to_be_bytes().to_vec()),
        ("an empty frame", raw_frame(&[])),
        ("half a header", raw_frame(&[0, 3, 0])),
        ("an unknown API", with(999, 0, &null_id)),
        ("a negative API", with(-1, 0, &null_id)),
        ("an API of controllers only", with(52, 0, &null_id)),
        ("Produce 2", with(0, 2, &null_id)),
        ("Fetch 99", with(1, 99, &null_id)),
        ("a negative version", with(3, -1, &null_id)),
        ("a client id that lies", with(3, 1, &[0x7f, 0xff, b'x'])),
        ("a client id that is not text", with(3, 1, &[0, 1, 0xff])),
        ("a count of -2", with(2, 1, &topics(-2))),
        ("a count of 2^31 - 1", with(2, 1, &topics(i32::MAX))),
        (
            "a varint without end",
            with(3, 12, &[0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "a compact count of 2^32",
            with(3, 12, &[0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        ),
        ("half a produce request", cut),
        (
            "an HTTP request",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        (
            "a TLS hello",
            [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 500]].concat(),
        ),
    ]
}

#[test]
fn a_frame_that_lies_ends_its_connection_only() {
    let node = TestNode::start(&[]);
    node.create("healthy");
    let mut healthy = node.client();
    let mut stored = 0;
    for (what, bytes) in hostile() {
        let mut bad = node.client();
        bad.write(&bytes).expect("the frame can be sent");
        assert!(bad.closed(), "{what}");
        assert_eq!(
            healthy.store("healthy", 0, &batch(&[what.as_bytes()])),
            stored
        );
        stored += 1;
    }
    let line = node.logged("connection closed");
    assert!(line.contains("WARN"), "{line}");
    assert_eq!(healthy.consume("healthy", 0, 0).len() as i64, stored);
}

#[test]
fn a_frame_that_never_ends_is_dropped_with_its_connection() {
    let node = TestNode::start(&[]);
    node.create("healthy");
    let records = batch(&[&[7; 300_000]]);
    let whole = frame(1, PRODUCE, &produce_request("healthy", 0, 1, &records));
    let before = node.descriptors();
    for cut in [1, 3, 4, 5, 12, 40, 4096, 100_000, whole.len() - 1] {
        let mut bad = node.client();
        bad.write(&whole[..cut]).expect("the frame can be sent");
        bad.stream.shutdown(Shutdown::Write).expect("half a close");
        assert!(bad.closed(), "cut at {cut}");
    }
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
    assert_eq!(node.client().list_offsets("healthy", 0, -1).offset, 0);
}

#[test]
fn api_versions_answers_versions_that_it_does_not_know() {
    let node = TestNode::start(&[]);
    for version in [5i16, 99, i16::MAX, -1] {
        let mut client = node.client();
        // A header of version 2, as clients of newer versions send it.
        let mut body = 18i16.to_be_bytes().to_vec();
        body.extend(version.to_be_bytes());
        body.extend(77i32.to_be_bytes());
        body.extend([0, 1, b'x', 0, 2, b'a', 2, b'b', 0]);
        client.write(&raw_frame(&body)).expect("sent");
        let answer = client.read().expect("an answer");
        assert_eq!(answer[..4], 77i32.to_be_bytes());
        let mut reader = Reader::new(&answer[4..]);
        let response = ApiVersionsResponse::decode(&mut reader, 0).expect("version 0");
        reader.finish().expect("nothing more");
        assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
        let own = response.api_keys.iter().find(|api| api.api_key == 18);
        let own = own.expect("the versions of ApiVersions itself");
        assert_eq!(own.max_version, ApiVersionsRequest::MAX_VERSION);
        // The connection goes on.
        client.metadata("healthy", true);
    }
}

#[test]
fn thousands_of_hostile_frames_take_no_memory() {
    let node = TestNode::start(&[]);
    node.create("healthy");
    let frames = hostile();
    let mut healthy = node.client();
    healthy.store("healthy", 0, &batch(&[b"before"]));
    let before = node.descriptors();
    let mut open: Vec<Client> = Vec::new();
    for round in 0..4000 {
        let mut bad = node.client();
        let _ = bad.write(&frames[round % frames.len()].1);
        // Some stay open, and silent, for a while.
        open.push(bad);
        if open.len() > 100 {
            open.clear();
        }
    }
    drop(open);
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
    let rss = node.rss();
    assert!(rss < 200 << 20, "{} MiB resident", rss >> 20);
    assert_eq!(healthy.store("healthy", 0, &batch(&[b"after"])), 1);
    assert_eq!(healthy.consume("healthy", 0, 0).len(), 2);
}

#[test]
#[cfg_attr(odradek_asan, ignore = "its memory would be counted")]
fn announcing_much_and_sending_nothing_starves_nobody() {
    let node = TestNode::start(&[]);
    node.create("healthy");
    let mut silent: Vec<Client> = Vec::new();
    for _ in 0..50 {
        let mut client = node.client();
        // As large as allowed; the header, and no more.
        let mut head = 100_000_000i32.to_be_bytes().to_vec();
        head.extend([0, 0, 0, 9, 0, 0, 0, 1]);
        client.write(&head).expect("sent");
        silent.push(client);
    }
    let mut healthy = node.client();
    let large = batch(&[&[7; 900_000]]);
    for offset in 0..20 {
        assert_eq!(healthy.store("healthy", 0, &large), offset);
    }
    let rss = node.rss();
    assert!(rss < 400 << 20, "{} MiB resident", rss >> 20);
}

#[test]
fn a_reader_that_went_away_is_noticed_while_its_fetch_waits() {
    let node = TestNode::start(&[]);
    node.create("healthy");
    let before = node.descriptors();
    let mut waiting: Vec<Client> = Vec::new();
    for _ in 0..50 {
        let mut client = node.client();
        let mut request = fetch_request("healthy", 0, 0, 1 << 20);
        (request.max_wait_ms, request.min_bytes) = (i32::MAX, 1);
        client.send(FETCH, &request).expect("sent");
        waiting.push(client);
    }
    // They wait: all are connected, none is answered.
    wait_until("all are connected", || node.descriptors() >= before + 40);
    drop(waiting);
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
}

#[test]
fn requests_behind_a_waiting_fetch_are_answered_after_it() {
    let node = TestNode::start(&[]);
    node.create("healthy");
    let mut client = node.client();
    let mut request = fetch_request("healthy", 0, 0, 1 << 20);
    (request.max_wait_ms, request.min_bytes) = (i32::MAX, 1);
    let first = client.send(FETCH, &request).expect("sent");
    let second = client
        .send(
            METADATA,
            &odradek_wire::metadata::MetadataRequest::default(),
        )
        .expect("sent");
    let large = vec![7; 500_000];
    let records = batch(&[&large]);
    let produce = produce_request("healthy", 0, -1, &records);
    let third = client.send(PRODUCE, &produce).expect("sent");
    node.client().store("healthy", 0, &batch(&[b"wakes"]));
    let body = client
        .receive::<odradek_wire::fetch::FetchRequest<'_>>(FETCH, first)
        .expect("the fetch's answer");
    assert_eq!(
        crate::common::records(&crate::common::fetched(&body).bytes).len(),
        1
    );
    client
        .receive::<odradek_wire::metadata::MetadataRequest<'_>>(METADATA, second)
        .expect("the metadata");
    let body = client
        .receive::<odradek_wire::produce::ProduceRequest<'_>>(PRODUCE, third)
        .expect("the produce answer");
    assert_eq!(crate::common::produced(&body).offset, 1);
}
