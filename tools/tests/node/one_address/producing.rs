//! Produce requests to one address: split, answered in order, each partition in its own order.

use std::sync::atomic::{AtomicBool, Ordering};

use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::{ErrorCode, Reader, Records};

use super::{PARTITIONS, TOPIC, moves, start};
use crate::common::{
    Client, LATEST, PRODUCE, TestNode, batch, batch_by, produce_request, produced,
};
use crate::moves::{Raise, try_move};

/// Batches for these partitions, in this order.
fn request<'a>(acks: i16, batches: &'a [(i32, Vec<u8>)]) -> ProduceRequest<'a> {
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: TOPIC,
            partition_data: batches
                .iter()
                .map(|(index, records)| PartitionProduceData {
                    index: *index,
                    records: Records::Bytes(records),
                })
                .collect(),
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    }
}

/// Partition, error and offset of each answer.
fn answers(body: &[u8]) -> Vec<(i32, i16, i64)> {
    let response = ProduceResponse::decode(&mut Reader::new(body), PRODUCE).expect("readable");
    let partitions = response.responses[0].partition_responses.iter();
    partitions
        .map(|one| (one.index, one.error_code, one.base_offset))
        .collect()
}

fn values(node: &TestNode, index: i32) -> Vec<Vec<u8>> {
    let records = node.client().consume(TOPIC, index, 0);
    records.into_iter().map(|record| record.value).collect()
}

#[test]
fn pipelined_requests_to_all_partitions_are_answered_and_stored_in_order() {
    let node = start();
    let mut client = node.client();
    let mut twin = client.twin();
    const REQUESTS: i32 = 2400;
    let writer = std::thread::spawn(move || {
        let large = vec![7; 40_000];
        for number in 0..REQUESTS {
            // Now and then one that does not fit into a receive buffer.
            let mut value = number.to_be_bytes().to_vec();
            if number % 50 == 0 {
                value.extend(&large);
            }
            // The last of each is visible once it is acknowledged.
            let durable = number % 3 == 0 || number >= REQUESTS - PARTITIONS;
            let acks = if durable { -1 } else { 1 };
            let records = batch(&[&value]);
            let request = produce_request(TOPIC, number % PARTITIONS, acks, &records);
            twin.send(PRODUCE, &request).expect("sent");
        }
    });
    for number in 0..REQUESTS {
        let body = client
            .receive::<ProduceRequest<'_>>(PRODUCE, number + 1)
            .expect("an answer");
        let produced = produced(&body);
        let offset = i64::from(number / PARTITIONS);
        assert_eq!((produced.error, produced.offset), (ErrorCode::None, offset));
    }
    writer.join().expect("the writer ends");
    for index in 0..PARTITIONS {
        let values = values(&node, index);
        assert_eq!(values.len() as i32, REQUESTS / PARTITIONS);
        for (number, value) in (0..).zip(values) {
            let sent = number * PARTITIONS + index;
            assert_eq!(value[..4], sent.to_be_bytes());
        }
    }
}

#[test]
fn one_request_for_all_partitions_is_split_and_joined() {
    let node = start();
    let mut client = node.client();
    for round in 0..40 {
        // Each round in another order; one partition that is not there, one batch that is ill.
        let mut batches: Vec<(i32, Vec<u8>)> = (0..PARTITIONS)
            .map(|index| (index * 3 + round) % PARTITIONS)
            .map(|index| (index, batch(&[&[index as u8], &[round as u8]])))
            .collect();
        batches.insert(2, (99, batch(&[b"nowhere"])));
        let ill = batches[5].0;
        let last = batches[5].1.len() - 1;
        batches[5].1[last] ^= 1;
        let body = client.call(PRODUCE, &request(-1, &batches));
        let answers = answers(&body.expect("an answer"));
        let indexes: Vec<i32> = answers.iter().map(|one| one.0).collect();
        let asked: Vec<i32> = batches.iter().map(|one| one.0).collect();
        assert_eq!(indexes, asked);
        for (index, error, offset) in answers {
            let expected = match index {
                99 => ErrorCode::UnknownTopicOrPartition,
                _ if index == ill => ErrorCode::CorruptMessage,
                _ => ErrorCode::None,
            };
            assert_eq!(error, expected.code(), "partition {index}");
            assert_eq!(offset >= 0, expected == ErrorCode::None);
        }
        // The ill one is stored by itself, so that all partitions are equally long.
        client.store(TOPIC, ill, &batch(&[&[ill as u8], &[round as u8]]));
    }
    for index in 0..PARTITIONS {
        let values = values(&node, index);
        let expected: Vec<Vec<u8>> = (0..40)
            .flat_map(|round| [vec![index as u8], vec![round]])
            .collect();
        assert_eq!(values, expected, "partition {index}");
    }
}

#[test]
fn large_batches_for_several_shards_in_one_request() {
    let node = start();
    let mut client = node.client();
    let batches: Vec<(i32, Vec<u8>)> = (0..PARTITIONS)
        .map(|index| (index, batch(&[&vec![index as u8; 900_000]])))
        .collect();
    // More than may be in flight at once.
    for round in 0..20 {
        let body = client.call(PRODUCE, &request(-1, &batches));
        let answers = answers(&body.expect("an answer"));
        let expected: Vec<_> = (0..PARTITIONS).map(|index| (index, 0, round)).collect();
        assert_eq!(answers, expected);
    }
    for index in 0..PARTITIONS {
        let values = values(&node, index);
        assert_eq!(values.len(), 20);
        let whole = |value: &Vec<u8>| {
            value.len() == 900_000 && value.iter().all(|byte| *byte == index as u8)
        };
        assert!(values.iter().all(whole));
    }
}

/// Nobody is refused and nothing changes its order, in requests for one partition or for all.
#[test]
fn partitions_move_while_a_connection_writes_to_all() {
    const ROUNDS: i32 = 120;
    let node = start();
    let mut client = node.client();
    let mut twin = client.twin();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = Raise(&ended);
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let of = |index: i32| (index, batch(&[&[index as u8, round as u8]]));
                let batches: Vec<_> = (0..PARTITIONS).map(of).collect();
                twin.send(PRODUCE, &request(1, &batches)).expect("sent");
                for (index, records) in &batches {
                    let request = produce_request(TOPIC, *index, -1, records);
                    twin.send(PRODUCE, &request).expect("sent");
                }
            }
        });
        scope.spawn(|| {
            let mut mover = node.client();
            let mut step = 0;
            while !ended.load(Ordering::Relaxed) {
                let to = 1000 + step * 3 % 4;
                let moved = try_move(&mut mover, TOPIC, step % PARTITIONS, Some(&[to]));
                assert_eq!(moved.expect("an answer"), (ErrorCode::None, None));
                step += 1;
            }
        });
        let mut id = 0;
        let mut receive = || {
            id += 1;
            let body = client.receive::<ProduceRequest<'_>>(PRODUCE, id);
            answers(&body.expect("an answer"))
        };
        for round in 0..i64::from(ROUNDS) {
            let all: Vec<_> = (0..PARTITIONS).map(|index| (index, 0, 2 * round)).collect();
            assert_eq!(receive(), all);
            for index in 0..PARTITIONS {
                assert_eq!(receive(), [(index, 0, 2 * round + 1)]);
            }
        }
    });
    for index in 0..PARTITIONS {
        let expected: Vec<Vec<u8>> = (0..2 * ROUNDS)
            .map(|number| vec![index as u8, (number / 2) as u8])
            .collect();
        assert_eq!(values(&node, index), expected, "partition {index}");
    }
}

#[test]
fn without_acks_nothing_is_answered_but_what_fails_ends_the_connection() {
    let node = start();
    let mut client = node.client();
    let each = |value: &[u8]| -> Vec<(i32, Vec<u8>)> {
        (0..PARTITIONS)
            .map(|index| (index, batch(&[value])))
            .collect()
    };
    for number in 0..100u32 {
        let batches = each(&number.to_be_bytes());
        client.send(PRODUCE, &request(0, &batches)).expect("sent");
        for (index, records) in &batches {
            let request = produce_request(TOPIC, *index, 0, records);
            client.send(PRODUCE, &request).expect("sent");
        }
    }
    for index in 0..PARTITIONS {
        // The next answer is of the next request that has one; the order holds.
        assert_eq!(client.store(TOPIC, index, &batch(&[b"last"])), 200);
    }
    let mut batches = each(b"fine");
    batches[3].1 = b"nonsense".to_vec();
    client.send(PRODUCE, &request(0, &batches)).expect("sent");
    assert!(client.closed());
    for index in 0..PARTITIONS {
        // One that the connection's shard owns, or not.
        let mut client = node.client();
        let request = produce_request(TOPIC, index, 0, b"nonsense");
        client.send(PRODUCE, &request).expect("sent");
        assert!(client.closed());
    }
    let mut client = node.client();
    assert_eq!(client.list_offsets(TOPIC, 3, LATEST).offset, 201);
    assert_eq!(client.list_offsets(TOPIC, 4, LATEST).offset, 202);
}

/// Sequences admit no gap and no change of order, also where the connection moves.
#[test]
fn an_idempotent_producer_keeps_its_order_while_its_connection_moves() {
    let node = start();
    let mut client = node.client();
    let mut twin = client.twin();
    const EACH: i32 = 300;
    let writer = std::thread::spawn(move || {
        for index in 0..PARTITIONS {
            for sequence in 0..EACH {
                let records = batch_by(77, 0, sequence, &[&sequence.to_be_bytes()]);
                let request = produce_request(TOPIC, index, -1, &records);
                twin.send(PRODUCE, &request).expect("sent");
            }
        }
    });
    for number in 0..PARTITIONS * EACH {
        let body = client
            .receive::<ProduceRequest<'_>>(PRODUCE, number + 1)
            .expect("an answer");
        let produced = produced(&body);
        assert_eq!(produced.error, ErrorCode::None, "{produced:?}");
        assert_eq!(produced.offset, i64::from(number % EACH));
    }
    writer.join().expect("the writer ends");
    // Wherever it began: it has gone to at least two other shards.
    assert!(moves(&node) >= 2, "{} moves", moves(&node));
}

#[test]
fn a_connection_that_keeps_to_one_partition_goes_there_once() {
    let node = start();
    for index in 0..PARTITIONS {
        let before = moves(&node);
        let mut client: Client = node.client();
        for offset in 0..100 {
            assert_eq!(client.store(TOPIC, index, &batch(&[b"x"])), offset);
        }
        assert!(moves(&node) <= before + 1);
    }
}
