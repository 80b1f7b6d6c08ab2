//! Requests in numbers: pipelined, unanswered, large, many connections, readers that dawdle.

use std::io::Read;

use odradek_wire::ErrorCode;
use odradek_wire::produce::ProduceRequest;

use crate::common::{
    Client, FETCH, LATEST, PRODUCE, TestNode, batch, fetch_request, fetched, produce_request,
    produced, records, wait_until,
};

#[test]
fn pipelined_requests_keep_their_order() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut client = node.client();
    let mut twin = client.twin();
    let writer = std::thread::spawn(move || {
        for number in 0..2000u32 {
            let records = batch(&[&number.to_be_bytes()]);
            // acks differ; answers keep the order of the requests nevertheless.
            let acks = if number % 3 == 0 { -1 } else { 1 };
            let request = produce_request("t", 0, acks, &records);
            twin.send(PRODUCE, &request).expect("sent");
        }
    });
    for number in 0..2000 {
        let body = client
            .receive::<ProduceRequest<'_>>(PRODUCE, number + 1)
            .expect("an answer");
        let produced = produced(&body);
        assert_eq!(
            (produced.error, produced.offset),
            (ErrorCode::None, i64::from(number))
        );
    }
    writer.join().expect("the writer ends");
    for (number, record) in node.client().consume("t", 0, 0).iter().enumerate() {
        assert_eq!(record.value, (number as u32).to_be_bytes());
    }
}

#[test]
fn without_acks_there_is_no_answer_and_the_order_holds() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut client = node.client();
    for number in 0..1000u32 {
        let records = batch(&[&number.to_be_bytes()]);
        let request = produce_request("t", 0, 0, &records);
        client.send(PRODUCE, &request).expect("sent");
    }
    // The next answer is of the next request that has one.
    assert_eq!(client.store("t", 0, &batch(&[b"last"])), 1000);
    assert_eq!(client.consume("t", 0, 0).len(), 1001);
    // What cannot be stored ends the connection: the only way to tell.
    let request = produce_request("t", 0, 0, b"nonsense");
    client.send(PRODUCE, &request).expect("sent");
    assert!(client.closed());
    assert_eq!(node.client().list_offsets("t", 0, LATEST).offset, 1001);
}

#[test]
fn fifty_megabytes_to_a_reader_that_dawdles() {
    let node = TestNode::start(&[("log.segment.bytes", "8388608")]);
    node.create("t");
    let mut client = node.client();
    for number in 0..60u8 {
        client.store("t", 0, &batch(&[&[number; 1_000_000]]));
    }
    let rss = node.rss();
    // Several readers ask for everything and read a little at a time, taking turns with a client
    // that must not notice.
    let mut slow: Vec<Client> = (0..4)
        .map(|_| {
            let mut reader = node.client();
            let mut request = fetch_request("t", 0, 0, 50 << 20);
            request.min_bytes = 1;
            reader.send(FETCH, &request).expect("sent");
            reader
        })
        .collect();
    let mut got: Vec<Vec<u8>> = vec![Vec::new(); slow.len()];
    let mut ends = vec![None; slow.len()];
    let mut offset = 60;
    while ends.iter().any(|end| end.is_none_or(|end| end > 0)) {
        for (number, reader) in slow.iter_mut().enumerate() {
            let end = match ends[number] {
                Some(0) => continue,
                Some(end) => end,
                None => {
                    let mut length = [0; 4];
                    reader.stream.read_exact(&mut length).expect("a length");
                    u32::from_be_bytes(length) as usize
                }
            };
            let mut some = vec![0; end.min(2_000_000)];
            reader
                .stream
                .read_exact(&mut some)
                .expect("the answer goes on");
            got[number].extend(&some);
            ends[number] = Some(end - some.len());
        }
        assert_eq!(client.store("t", 0, &batch(&[b"meanwhile"])), offset);
        offset += 1;
    }
    for bytes in &got {
        // The header of this version is five bytes long.
        let fetched = fetched(&bytes[5..]);
        let found = records(&fetched.bytes);
        assert!(
            found.len() >= 8,
            "{} records of a segment of 8 MiB",
            found.len()
        );
        for (number, record) in found.iter().enumerate() {
            assert_eq!(record.offset, number as i64);
            assert!(record.value.iter().all(|byte| *byte == number as u8));
        }
    }
    // Slow readers hold no copies: their bytes stay in files and shared memory.
    let more = node.rss().saturating_sub(rss);
    assert!(more < 100 << 20, "{} MiB more", more >> 20);
    assert_eq!(node.client().consume("t", 0, 0).len() as i64, offset);
}

#[test]
fn a_reader_that_never_reads_holds_up_only_itself() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut client = node.client();
    for _ in 0..8 {
        client.store("t", 0, &batch(&[&[7; 1_000_000]]));
    }
    let before = node.descriptors();
    let mut stuck: Vec<Client> = Vec::new();
    for _ in 0..50 {
        let mut reader = node.client();
        // More requests than the node takes from a connection that reads nothing.
        let request = fetch_request("t", 0, 0, 8 << 20);
        for _ in 0..20 {
            reader.send(FETCH, &request).expect("sent");
        }
        stuck.push(reader);
    }
    for offset in 8..200 {
        assert_eq!(client.store("t", 0, &batch(&[b"fine"])), offset);
    }
    assert!(node.rss() < 400 << 20, "{} MiB", node.rss() >> 20);
    drop(stuck);
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
}

#[test]
fn five_hundred_connections() {
    let node = TestNode::start(&[("shards", "2"), ("num.partitions", "4")]);
    node.create("t");
    for index in 0..4 {
        node.leader("t", index as usize)
            .store("t", index, &batch(&[b"open"]));
    }
    let before = node.descriptors();
    let mut clients: Vec<(i32, Client)> = (0..500)
        .map(|number| {
            let index = number % 4;
            (index, node.leader("t", index as usize))
        })
        .collect();
    let records = batch(&[&[7; 1000]]);
    for round in 0..4 {
        // All ask before any is answered.
        for (index, client) in &mut clients {
            let request = produce_request("t", *index, -1, &records);
            let sent = client.send(PRODUCE, &request).expect("sent");
            assert_eq!(sent, round + 1);
        }
        for (_, client) in &mut clients {
            let body = client.receive::<ProduceRequest<'_>>(PRODUCE, round + 1);
            assert_eq!(produced(&body.expect("an answer")).error, ErrorCode::None);
        }
    }
    for index in 0..4 {
        let mut leader = node.leader("t", index as usize);
        assert_eq!(leader.consume("t", index, 0).len(), 501);
    }
    assert!(node.rss() < 256 << 20, "{} MiB", node.rss() >> 20);
    drop(clients);
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
}
