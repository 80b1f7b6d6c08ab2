//! Connections that move, end while they move, and are many.

use odradek_wire::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use odradek_wire::metadata::{MetadataRequest, MetadataResponse};
use odradek_wire::produce::ProduceRequest;
use odradek_wire::{ErrorCode, Reader};

use super::{PARTITIONS, SHARDS, TOPIC, moves, start, store_everywhere};
use crate::common::{
    Client, FETCH, METADATA, PRODUCE, batch, fetch_request, frame, produce_request, produced,
    wait_until,
};

#[test]
fn clients_see_one_broker() {
    let node = start();
    assert_eq!(node.shards(), [node.bootstrap()]);
    let (_, port) = node.bootstrap().rsplit_once(':').expect("host and port");
    let port: i32 = port.parse().expect("a port");
    let mut client = node.client();
    let request = MetadataRequest::default();
    let body = client.call(METADATA, &request).expect("metadata");
    let response = MetadataResponse::decode(&mut Reader::new(&body), METADATA).expect("readable");
    let brokers: Vec<(i32, i32)> = response
        .brokers
        .iter()
        .map(|b| (b.node_id, b.port))
        .collect();
    assert_eq!((brokers, response.controller_id), (vec![(1, port)], 1));
    let (_, leaders) = client.metadata(TOPIC, false);
    assert_eq!(leaders.len() as i32, PARTITIONS);
    assert!(leaders.iter().all(|(leader, _)| *leader == 1));
    let request = DescribeClusterRequest {
        endpoint_type: 1,
        ..DescribeClusterRequest::default()
    };
    let body = client.call(1, &request).expect("the cluster");
    let response = DescribeClusterResponse::decode(&mut Reader::new(&body), 1).expect("readable");
    let brokers: Vec<(i32, i32)> = response
        .brokers
        .iter()
        .map(|b| (b.broker_id, b.port))
        .collect();
    assert_eq!(brokers, [(1, port)]);
}

/// Requests enough for a move and one more, the peer gone before it can be answered.
#[test]
fn peers_that_leave_in_the_middle_of_a_move_leave_nothing_behind() {
    let node = start();
    store_everywhere(&mut node.client(), 0);
    let before = node.descriptors();
    let mut sent = vec![0i64; PARTITIONS as usize];
    for number in 0..300 {
        let index = number % PARTITIONS;
        let records = batch(&[&[7; 500]]);
        let request = produce_request(TOPIC, index, -1, &records);
        let mut client = node.client();
        // A count around that of the first move, all at once; some read every answer, others
        // none, some leave in the middle of a request.
        let count = 14 + number % 7;
        let mut bytes = Vec::new();
        for correlation in 0..count {
            bytes.extend(frame(correlation, PRODUCE, &request));
        }
        let half = frame(count, PRODUCE, &request);
        if number % 3 == 0 {
            bytes.extend(&half[..half.len() / 2]);
        }
        client.write(&bytes).expect("sent");
        if number % 2 == 0 {
            for correlation in 0..count {
                let body = client.receive::<ProduceRequest<'_>>(PRODUCE, correlation);
                assert_eq!(produced(&body.expect("an answer")).error, ErrorCode::None);
            }
            sent[index as usize] += i64::from(count);
        }
    }
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
    assert!(moves(&node) > 20, "{} moves", moves(&node));
    let mut client = node.client();
    for index in 0..PARTITIONS {
        let records = client.consume(TOPIC, index, 0).len() as i64;
        assert!(records > sent[index as usize], "{records} of {sent:?}");
    }
}

/// Answers that are on their way when nobody waits for them any more, with what they hold.
#[test]
fn what_was_asked_of_other_shards_is_forgotten_with_its_connection() {
    let node = start();
    let mut client = node.client();
    let large = batch(&[&[7; 900_000]]);
    for index in 0..PARTITIONS {
        for _ in 0..4 {
            client.store(TOPIC, index, &large);
        }
    }
    let before = node.descriptors();
    let rss = node.rss();
    for round in 0..60 {
        let mut client = node.client();
        if round % 3 == 0 {
            // Answered at once, or waiting when its peer leaves.
            let mut request = fetch_request(TOPIC, round % PARTITIONS, 0, 8 << 20);
            request.max_wait_ms = 300_000;
            request.min_bytes = 1 + round % 2 * (50 << 20);
            client.send(FETCH, &request).expect("sent");
            continue;
        }
        for index in 0..PARTITIONS {
            let request = produce_request(TOPIC, index, -1, &large);
            client.send(PRODUCE, &request).expect("sent");
        }
    }
    // Each partition's file may have been opened to send from.
    let most = before + PARTITIONS as usize;
    wait_until("the connections are given back", || {
        node.descriptors() <= most
    });
    // A node whose room was not given back would take no more.
    for _ in 0..20 {
        for index in 0..PARTITIONS {
            client.store(TOPIC, index, &large);
        }
    }
    let more = node.rss().saturating_sub(rss);
    // Tails and pools of four shards.
    assert!(more < (SHARDS << 20) * 150, "{} MiB more", more >> 20);
}

#[test]
fn three_hundred_connections() {
    let node = start();
    store_everywhere(&mut node.client(), 0);
    let before = node.descriptors();
    let mut clients: Vec<(i32, Client)> = (0..300)
        .map(|number| (number % PARTITIONS, node.client()))
        .collect();
    let records = batch(&[&[7; 1000]]);
    const ROUNDS: i32 = 24;
    for round in 0..ROUNDS {
        // All ask before any is answered.
        for (index, client) in &mut clients {
            let request = produce_request(TOPIC, *index, -1, &records);
            assert_eq!(client.send(PRODUCE, &request).expect("sent"), round + 1);
        }
        for (_, client) in &mut clients {
            let body = client.receive::<ProduceRequest<'_>>(PRODUCE, round + 1);
            assert_eq!(produced(&body.expect("an answer")).error, ErrorCode::None);
        }
    }
    // Three of four began elsewhere.
    assert!(moves(&node) > 100, "{} moves", moves(&node));
    let mut all = 0;
    for index in 0..PARTITIONS {
        all += node.client().consume(TOPIC, index, 1).len() as i32;
    }
    assert_eq!(all, 300 * ROUNDS);
    assert!(node.rss() < 512 << 20, "{} MiB", node.rss() >> 20);
    drop(clients);
    wait_until("the connections are given back", || {
        node.descriptors() <= before
    });
}
