//! Fetches from one address: joined in order, woken from any shard, in sessions that move along.

use std::io::Read;

use odradek_wire::Reader;
use odradek_wire::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic,
};
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};

use super::{PARTITIONS, TOPIC, moves, start, store_everywhere};
use crate::common::{
    Client, FETCH, LATEST, LIST_OFFSETS, PRODUCE, batch, fetch_request, fetched, produce_request,
    records,
};

#[test]
fn a_fetch_waits_for_more_where_there_is_something_already() {
    let node = start();
    for index in 0..PARTITIONS {
        node.client().store(TOPIC, index, &batch(&[b"first"]));
        let mut reader = node.client();
        let mut asked = fetch_request(TOPIC, index, 0, 1 << 20);
        (asked.max_wait_ms, asked.min_bytes) = (300_000, 20_000);
        let id = reader.send(FETCH, &asked).expect("sent");
        for _ in 0..30 {
            node.client().store(TOPIC, index, &batch(&[&[7; 1000]]));
        }
        let body = reader.receive::<FetchRequest<'_>>(FETCH, id);
        let fetched = fetched(&body.expect("an answer long before its time is over"));
        assert!(fetched.bytes.len() >= 20_000, "{}", fetched.bytes.len());
    }
}

/// A fetch of these partitions from these offsets.
fn request(session: (i32, i32), wanted: &[(i32, i64)]) -> FetchRequest<'static> {
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_id: session.0,
        session_epoch: session.1,
        topics: vec![FetchTopic {
            topic: TOPIC,
            partitions: wanted
                .iter()
                .map(|(partition, fetch_offset)| FetchPartition {
                    partition: *partition,
                    fetch_offset: *fetch_offset,
                    partition_max_bytes: 1 << 20,
                    ..FetchPartition::default()
                })
                .collect(),
            ..FetchTopic::default()
        }]
        .into_iter()
        .filter(|topic| !topic.partitions.is_empty())
        .collect(),
        ..FetchRequest::default()
    }
}

struct Answer {
    session: i32,
    /// Partition, error, high watermark, bytes.
    partitions: Vec<(i32, i16, i64, Vec<u8>)>,
}

impl Answer {
    fn read(body: &[u8]) -> Answer {
        let response = FetchResponse::decode(&mut Reader::new(body), FETCH).expect("readable");
        assert_eq!(response.error_code, 0);
        let partitions = response.responses.iter().flat_map(|one| &one.partitions);
        Answer {
            session: response.session_id,
            partitions: partitions
                .map(|one| {
                    let bytes = one.records.bytes().unwrap_or_default().to_vec();
                    let index = one.partition_index;
                    (index, one.error_code, one.high_watermark, bytes)
                })
                .collect(),
        }
    }

    fn indexes(&self) -> Vec<i32> {
        self.partitions.iter().map(|one| one.0).collect()
    }

    /// The values of each partition.
    fn values(&self) -> Vec<Vec<String>> {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let partitions = self.partitions.iter();
        partitions
            .map(|one| {
                let records = records(&one.3);
                records.iter().map(|record| text(&record.value)).collect()
            })
            .collect()
    }
}

fn fetch(client: &mut Client, request: &FetchRequest<'_>) -> Answer {
    Answer::read(&client.call(FETCH, request).expect("an answer"))
}

#[test]
fn partitions_of_all_shards_come_joined_in_the_order_asked() {
    let node = start();
    let mut client = node.client();
    store_everywhere(&mut client, 0);
    for round in 0..40 {
        let order: Vec<i32> = (0..PARTITIONS)
            .map(|index| (index * 3 + round) % PARTITIONS)
            .collect();
        let mut wanted: Vec<(i32, i64)> = order.iter().map(|index| (*index, 0)).collect();
        wanted.insert(3, (99, 0));
        wanted[6].1 = 1000;
        let answer = fetch(&mut client, &request((0, -1), &wanted));
        let asked: Vec<i32> = wanted.iter().map(|one| one.0).collect();
        assert_eq!(answer.indexes(), asked);
        for (number, values) in answer.values().iter().enumerate() {
            let error = answer.partitions[number].1;
            match number {
                // UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE
                3 => assert_eq!(error, 3),
                6 => assert_eq!(error, 1),
                _ => assert_eq!((error, values), (0, &vec![format!("{}:0", asked[number])])),
            }
        }
    }
    // Offsets, too, come in the order asked.
    let order = [5, 0, 7, 2, 1, 6, 3, 4];
    let offsets = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: TOPIC,
            partitions: order
                .iter()
                .map(|index| ListOffsetsPartition {
                    partition_index: *index,
                    timestamp: LATEST,
                    ..ListOffsetsPartition::default()
                })
                .collect(),
        }],
        ..ListOffsetsRequest::default()
    };
    client.store(TOPIC, 7, &batch(&[b"one more"]));
    let body = client.call(LIST_OFFSETS, &offsets).expect("offsets");
    let response = ListOffsetsResponse::decode(&mut Reader::new(&body), LIST_OFFSETS);
    let listed: Vec<(i32, i64)> = response.expect("readable").topics[0]
        .partitions
        .iter()
        .map(|one| (one.partition_index, one.offset))
        .collect();
    let expected = order.map(|index| (index, if index == 7 { 2 } else { 1 }));
    assert_eq!(listed, expected);
}

#[test]
fn an_answer_holds_no_more_than_was_asked_for() {
    let node = start();
    let mut client = node.client();
    for index in 0..PARTITIONS {
        client.store(TOPIC, index, &batch(&[&vec![index as u8; 200_000]]));
    }
    let wanted: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    for (max, least) in [(1, 1), (500_000, 2), (50 << 20, 8)] {
        let mut request = request((0, -1), &wanted);
        request.max_bytes = max;
        let answer = fetch(&mut client, &request);
        let sizes: Vec<usize> = answer.partitions.iter().map(|one| one.3.len()).collect();
        let whole = sizes.iter().filter(|size| **size > 200_000).count();
        assert_eq!(whole, least, "{sizes:?}");
        // The first batch is whole, whatever its size.
        assert!(sizes[0] > 200_000);
        assert!(
            sizes.iter().sum::<usize>() <= (max as usize).max(sizes[0]),
            "{sizes:?}"
        );
    }
}

#[test]
fn a_fetch_that_waits_hears_of_records_on_any_shard() {
    let node = start();
    let mut writer = node.client();
    let wanted: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    for index in 0..PARTITIONS {
        let mut reader = node.client();
        let mut offsets = wanted.clone();
        offsets
            .iter_mut()
            .for_each(|one| one.1 = i64::from(one.0 < index));
        let mut request = request((0, -1), &offsets);
        request.max_wait_ms = 25_000;
        reader.send(FETCH, &request).expect("sent");
        let value = format!("{index}");
        writer.store(TOPIC, index, &batch(&[value.as_bytes()]));
        let answer = Answer::read(
            &reader
                .receive::<FetchRequest<'_>>(FETCH, 1)
                .expect("an answer"),
        );
        assert_eq!(answer.values()[index as usize], [value]);
    }
    // Nothing comes: the answer does, when its time is over.
    let end: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 1)).collect();
    let mut request = request((0, -1), &end);
    request.max_wait_ms = 50;
    let answer = fetch(&mut writer, &request);
    assert!(
        answer
            .partitions
            .iter()
            .all(|one| one.3.is_empty() && one.1 == 0)
    );
}

#[test]
fn a_session_tells_what_changed_and_moves_with_its_connection() {
    let node = start();
    let mut writer = node.client();
    store_everywhere(&mut writer, 0);
    let mut client = node.client();
    let all: Vec<(i32, i64)> = (0..PARTITIONS).map(|index| (index, 0)).collect();
    let first = fetch(&mut client, &request((0, 0), &all));
    assert_eq!(first.indexes().len() as i32, PARTITIONS);
    assert_ne!(first.session, 0);
    let id = first.session;
    let next: Vec<(i32, i64)> = all.iter().map(|one| (one.0, 1)).collect();
    let quiet = fetch(&mut client, &request((id, 1), &next));
    assert_eq!((quiet.session, quiet.indexes()), (id, vec![]));
    writer.store(TOPIC, 5, &batch(&[b"news"]));
    let news = fetch(&mut client, &request((id, 2), &[]));
    assert_eq!((news.session, news.indexes()), (id, vec![5]));
    assert_eq!(news.values(), [["news"]]);
    // Now it asks for one partition alone, after another: the connection goes from shard to
    // shard, and the session with it.
    let (mut epoch, mut asked) = (3, None);
    for index in [0, 1, 2, 3] {
        for round in 0..200i64 {
            let offset = 1 + round;
            writer.store(TOPIC, index, &batch(&[b"more"]));
            let mut request = request((id, epoch), &[(index, offset)]);
            if asked != Some(index) {
                let others = (0..PARTITIONS).filter(|other| *other != index);
                request.forgotten_topics_data = vec![ForgottenTopic {
                    topic: TOPIC,
                    partitions: others.collect(),
                    ..ForgottenTopic::default()
                }];
                asked = Some(index);
            }
            let answer = fetch(&mut client, &request);
            assert_eq!((answer.session, answer.indexes()), (id, vec![index]));
            assert_eq!(answer.values(), [["more"]]);
            epoch += 1;
        }
    }
    assert!(moves(&node) >= 2, "{} moves", moves(&node));
}

#[test]
fn forty_megabytes_from_any_shard_to_a_reader_that_dawdles() {
    let mut node = super::prepare();
    node.set("log.segment.bytes", "8388608");
    node.set("memory.tail.bytes", "4194304");
    node.run();
    let mut client = node.client();
    client.create_topic(TOPIC, PARTITIONS, &[]);
    for index in 0..4 {
        for number in 0..40u8 {
            let value = vec![number ^ index as u8; 1_000_000];
            client.store(TOPIC, index, &batch(&[&value]));
        }
    }
    let rss = node.rss();
    // From files, and from memory; of its own shard and of others.
    for (from, count) in [(0, 7), (38, 2)] {
        let readers = (0..4).map(|index| {
            let mut reader = node.client();
            let mut request = fetch_request(TOPIC, index, from, 50 << 20);
            request.min_bytes = 1;
            reader.send(FETCH, &request).expect("sent");
            reader
        });
        let mut readers: Vec<Client> = readers.collect();
        // Nobody has read anything yet, and everybody else is served.
        store_in_all(&mut client);
        for (index, reader) in (0u8..).zip(&mut readers) {
            let mut length = [0; 4];
            reader.stream.read_exact(&mut length).expect("a length");
            let mut body = vec![0; u32::from_be_bytes(length) as usize];
            for part in body.chunks_mut(3_000_000) {
                reader.stream.read_exact(part).expect("the answer goes on");
                store_in_all(&mut client);
            }
            // The header of this version is five bytes long.
            let found = records(&fetched(&body[5..]).bytes);
            assert!(found.len() >= count, "{} records", found.len());
            for (number, record) in (from as u8..40).zip(found) {
                assert_eq!(record.offset, i64::from(number));
                assert_eq!(record.value.len(), 1_000_000);
                assert!(record.value.iter().all(|byte| *byte == number ^ index));
            }
        }
    }
    let more = node.rss().saturating_sub(rss);
    assert!(more < 100 << 20, "{} MiB more", more >> 20);
}

fn store_in_all(client: &mut Client) {
    let records = batch(&[b"meanwhile"]);
    for index in 4..PARTITIONS {
        let request = produce_request(TOPIC, index, 1, &records);
        client.call(PRODUCE, &request).expect("an answer");
    }
}
