//! Positions, times, and groups.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::Scenario;
use crate::run::{LIMIT, Run, take, until, values};

pub const SCENARIOS: &[Scenario] = &[
    ("consume.seek", seek),
    ("consume.small_fetches", small_fetches),
    ("group.commit_and_resume", commit_and_resume),
    ("group.two_share_range", |r| two_share(r, "range")),
    ("group.two_share_cooperative", |r| {
        two_share(r, "cooperative-sticky")
    }),
];

fn seek(r: &Run) {
    r.create(1, &[]);
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
        - 3_600_000;
    let producer: BaseProducer = r.config(&[]).create().unwrap();
    for n in 0..100u8 {
        let record: BaseRecord<[u8], [u8]> =
            BaseRecord::to(&r.topic).payload(std::slice::from_ref(&n));
        producer
            .send(record.timestamp(at + i64::from(n)))
            .map_err(|(e, _)| e)
            .unwrap();
        if n % 10 == 9 {
            producer.flush(LIMIT).unwrap();
        }
    }
    for (start, first) in [
        (Offset::Beginning, 0),
        (Offset::Offset(57), 57),
        (Offset::OffsetTail(3), 97),
    ] {
        let got = take(&r.reader(1, start, &[]), 100 - first);
        assert_eq!(got[0].offset(), first as i64, "{start:?}");
        assert_eq!(got[0].payload(), Some(&[first as u8][..]));
    }
    let reader = r.reader(1, Offset::Beginning, &[]);
    assert_eq!(
        reader.fetch_watermarks(&r.topic, 0, LIMIT).unwrap(),
        (0, 100)
    );
    let mut times = TopicPartitionList::new();
    for (time, offset) in [
        (at + 42, Offset::Offset(42)),
        (at - 1, Offset::Offset(0)),
        (at + 999, Offset::End),
    ] {
        times
            .add_partition_offset(&r.topic, 0, Offset::Offset(time))
            .unwrap();
        let told = reader.offsets_for_times(times.clone(), LIMIT).unwrap();
        assert_eq!(told.elements()[0].offset(), offset, "of a time");
        times = TopicPartitionList::new();
    }
    take(&reader, 100);
    reader.seek(&r.topic, 0, Offset::Offset(90), LIMIT).unwrap();
    assert_eq!(take(&reader, 10)[0].offset(), 90, "after a seek");
    // A position that is not there is reset, here to the beginning.
    let far = r.reader(
        1,
        Offset::Offset(1_000_000),
        &[("auto.offset.reset", "earliest")],
    );
    assert_eq!(take(&far, 100)[0].offset(), 0, "after a reset");
    // From the end it sees only what comes.
    let last = r.reader(1, Offset::End, &[]);
    until("a record that came later", || {
        r.send(0, &[b"later".to_vec()], &[]);
        last.poll(Duration::from_millis(200))
            .is_some_and(|m| m.unwrap().payload() == Some(b"later"))
    });
}

fn small_fetches(r: &Run) {
    r.create(1, &[]);
    let sent = values(100, 100);
    for part in sent.chunks(10) {
        r.send(0, part, &[]);
    }
    let one = [
        ("fetch.message.max.bytes", "1"),
        ("fetch.max.bytes", "1000"),
        ("message.max.bytes", "1000")
    ];
    for (number, message) in take(&r.reader(1, Offset::Beginning, &one), 100)
        .iter()
        .enumerate()
    {
        assert_eq!(message.payload(), Some(sent[number].as_slice()));
    }
}

fn member(r: &Run, assignor: &str) -> BaseConsumer {
    let consumer: BaseConsumer = r
        .config(&[
            ("group.id", &r.topic),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("heartbeat.interval.ms", "200"),
            ("partition.assignment.strategy", assignor),
        ])
        .create()
        .unwrap();
    consumer.subscribe(&[&r.topic]).unwrap();
    consumer
}

fn committed(r: &Run, consumer: &BaseConsumer, partitions: i32) -> Vec<Offset> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&r.topic, 0, partitions - 1);
    let told = consumer.committed_offsets(asked, LIMIT).unwrap();
    told.elements().iter().map(|e| e.offset()).collect()
}

fn commit_and_resume(r: &Run) {
    r.create(3, &[]);
    for partition in 0..3 {
        r.send(partition, &values(50, 20), &[]);
    }
    let first = member(r, "range");
    take(&first, 150);
    first.commit_consumer_state(CommitMode::Sync).unwrap();
    drop(first);
    for partition in 0..3 {
        r.send(partition, &[b"new".to_vec()], &[]);
    }
    let second = member(r, "range");
    assert_eq!(committed(r, &second, 3), [Offset::Offset(50); 3]);
    for message in take(&second, 3) {
        assert_eq!(
            (message.offset(), message.payload()),
            (50, Some(&b"new"[..]))
        );
    }
}

fn two_share(r: &Run, assignor: &str) {
    r.create(4, &[]);
    let first = member(r, assignor);
    let second = member(r, assignor);
    let mut seen = Vec::new();
    let mut poll = |consumer: &BaseConsumer| {
        if let Some(message) = consumer.poll(Duration::from_millis(20)) {
            let message = message.unwrap();
            seen.push((message.partition(), message.offset()));
        }
        seen.len()
    };
    let owned = |consumer: &BaseConsumer| consumer.assignment().unwrap().count();
    until("both have half", || {
        poll(&first);
        poll(&second);
        owned(&first) == 2 && owned(&second) == 2
    });
    for partition in 0..4 {
        r.send(partition, &values(50, 20), &[]);
    }
    until("all came", || {
        (0..50).any(|_| poll(&first) + poll(&second) >= 400)
    });
    first.commit_consumer_state(CommitMode::Sync).unwrap();
    second.commit_consumer_state(CommitMode::Sync).unwrap();
    drop(first);
    until("the other has all", || {
        poll(&second);
        owned(&second) == 4
    });
    assert_eq!(committed(r, &second, 4), [Offset::Offset(50); 4]);
    assert_eq!(seen.len(), 200, "records, counting repeated ones");
    assert_eq!(
        seen.into_iter().collect::<BTreeSet<_>>().len(),
        200,
        "records"
    );
}
