//! What is sent is found: every record, in order, where it was told to be.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;

use crate::Scenario;
use crate::run::{LIMIT, Run, take, values};

pub const SCENARIOS: &[Scenario] = &[
    ("produce.acks_0", |r| {
        round_trip(r, 500, 100, &[("acks", "0")])
    }),
    ("produce.acks_1", |r| {
        round_trip(r, 500, 100, &[("acks", "1")])
    }),
    ("produce.acks_all", |r| {
        round_trip(r, 500, 100, &[("acks", "all")])
    }),
    ("produce.idempotent", |r| {
        round_trip(r, 2000, 100, &[("enable.idempotence", "true")])
    }),
    ("produce.gzip", |r| {
        round_trip(r, 500, 200, &[("compression.type", "gzip")])
    }),
    ("produce.snappy", |r| {
        round_trip(r, 500, 200, &[("compression.type", "snappy")])
    }),
    ("produce.lz4", |r| {
        round_trip(r, 500, 200, &[("compression.type", "lz4")])
    }),
    ("produce.zstd", |r| {
        round_trip(r, 500, 200, &[("compression.type", "zstd")])
    }),
    ("produce.large_messages", |r| round_trip(r, 4, 900_000, &[])),
    ("produce.too_large", too_large),
    ("produce.keys_headers_timestamps", keys_headers_timestamps),
    ("produce.by_key", by_key),
    ("produce.unknown_topic", unknown_topic),
    ("produce.unknown_partition", unknown_partition),
    ("produce.auto_created_topic", auto_created),
];

fn round_trip(r: &Run, count: usize, size: usize, settings: &[(&str, &str)]) {
    r.create(1, &[]);
    let sent = values(count, size);
    let without_offset = settings.contains(&("acks", "0"));
    for (number, told) in r.send(0, &sent, settings) {
        let (_, offset) = told.unwrap();
        assert!(
            without_offset || offset == number as i64,
            "message {number} told at {offset}"
        );
    }
    for (number, message) in take(&r.reader(1, Offset::Beginning, &[]), count)
        .iter()
        .enumerate()
    {
        assert_eq!(message.offset(), number as i64);
        assert_eq!(
            message.payload(),
            Some(sent[number].as_slice()),
            "value {number}"
        );
    }
}

fn too_large(r: &Run) {
    r.create(1, &[("max.message.bytes", "100000")]);
    let told = r.send(0, &[vec![0; 200_000]], &[]);
    assert_eq!(
        told[&0],
        Err(RDKafkaErrorCode::MessageSizeTooLarge),
        "200 kB into 100 kB"
    );
    assert_eq!(r.send(0, &values(1, 100), &[])[&0], Ok((0, 0)), "the next");
}

fn keys_headers_timestamps(r: &Run) {
    r.create(1, &[]);
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
        - 3_600_000;
    let producer: BaseProducer = r.config(&[]).create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "h",
            value: Some(&[0u8, 255]),
        })
        .insert(Header {
            key: "none",
            value: None::<&[u8]>,
        });
    let full = BaseRecord::to(&r.topic)
        .key("clé")
        .payload("v")
        .timestamp(at)
        .headers(headers);
    producer.send(full).map_err(|(e, _)| e).unwrap();
    let tombstone: BaseRecord<str, str> = BaseRecord::to(&r.topic).key("clé").timestamp(at + 1);
    producer.send(tombstone).map_err(|(e, _)| e).unwrap();
    producer.flush(LIMIT).unwrap();
    let got = take(&r.reader(1, Offset::Beginning, &[]), 2);
    assert_eq!(got[0].key(), Some("clé".as_bytes()));
    assert_eq!(got[0].payload(), Some("v".as_bytes()));
    assert_eq!(got[0].timestamp(), Timestamp::CreateTime(at));
    let headers = got[0].headers().unwrap();
    assert_eq!(headers.count(), 2);
    assert_eq!(
        headers.get(0),
        Header {
            key: "h",
            value: Some([0u8, 255].as_slice())
        }
    );
    assert_eq!(headers.get(1).value, None);
    assert_eq!(got[1].payload(), None, "a tombstone");
}

fn by_key(r: &Run) {
    r.create(6, &[]);
    let keys: Vec<[u8; 1]> = (0..31).map(|k| [k]).collect();
    let values: Vec<[u8; 2]> = (0..600u16).map(u16::to_le_bytes).collect();
    let records: Vec<(Option<i32>, Option<&[u8]>, &[u8])> = (0..600)
        .map(|i| (None, Some(&keys[i % 31][..]), &values[i][..]))
        .collect();
    let sent: BTreeMap<(i32, i64), usize> = r
        .send_records(&records, &[])
        .into_iter()
        .map(|(number, told)| (told.unwrap(), number))
        .collect();
    let partitions: std::collections::BTreeSet<i32> = sent.keys().map(|(p, _)| *p).collect();
    assert_eq!(partitions.len(), 6, "partitions used");
    for message in take(&r.reader(6, Offset::Beginning, &[]), 600) {
        let number = sent[&(message.partition(), message.offset())];
        assert_eq!(message.payload(), Some(&values[number][..]));
    }
}

fn unknown_topic(r: &Run) {
    let consumer: BaseConsumer = r
        .config(&[
            ("group.id", &r.topic),
            ("allow.auto.create.topics", "false"),
        ])
        .create()
        .unwrap();
    consumer.subscribe(&[&r.topic]).unwrap();
    let error = (0..100).find_map(|_| match consumer.poll(Duration::from_millis(200)) {
        Some(Err(error)) => error.rdkafka_error_code(),
        _ => None,
    });
    assert_eq!(error, Some(RDKafkaErrorCode::UnknownTopicOrPartition));
    let metadata = consumer.fetch_metadata(None, LIMIT).unwrap();
    assert!(
        metadata.topics().iter().all(|t| t.name() != r.topic),
        "the topic was created"
    );
}

fn unknown_partition(r: &Run) {
    r.create(2, &[]);
    let told = r.send(7, &values(1, 10), &[("message.timeout.ms", "3000")]);
    assert_eq!(told[&0], Err(RDKafkaErrorCode::UnknownPartition));
}

fn auto_created(r: &Run) {
    // One request at a time: the topic appears under the producer's feet.
    let sent = values(100, 100);
    r.send(0, &sent, &[("max.in.flight", "1")]);
    assert_eq!(take(&r.reader(1, Offset::Beginning, &[]), 100).len(), 100);
}
