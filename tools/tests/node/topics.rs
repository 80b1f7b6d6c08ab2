//! Topics and their directories: settings of their own, deletion, and the same name again.

use odradek_wire::ErrorCode;

use odradek_engine::record::{BatchBuilder, Compression, headers};
use odradek_engine::types::{ProducerEpoch, ProducerId, Sequence};

use crate::common::{EARLIEST, LATEST, TestNode, batch, build, wait_until};
use crate::settings::{BROKER, SET, alter};

/// Offsets, times, sequences and checksums are right in the topic's codec, too.
#[test]
fn batches_are_stored_in_the_codec_that_their_topic_asks_for() {
    use Compression::{Gzip, Lz4, None, Zstd};
    let mut node = TestNode::start(&[]);
    let cases = [
        ("zstd", Lz4, Zstd),
        ("gzip", None, Gzip),
        ("uncompressed", Gzip, None),
        ("lz4", Lz4, Lz4),
        ("producer", Zstd, Zstd),
    ];
    let time = 1_700_000_000_000;
    let values: Vec<Vec<u8>> = (0..50u8).map(|n| vec![n; 400]).collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    let batch_of = |codec, sequence| {
        let builder = BatchBuilder::new().compression(codec);
        let sequence = Sequence(sequence);
        let builder = builder.producer(ProducerId(7), ProducerEpoch(0), sequence);
        build(builder, time, &values)
    };
    let settings = |asked| {
        [
            ("compression.type", asked),
            ("message.timestamp.before.max.ms", "9223372036854775807"),
            ("max.message.bytes", "5000"),
        ]
    };
    for (asked, sent, stored) in cases {
        let mut client = node.client();
        let mut settings = settings(asked).to_vec();
        settings.retain(|(name, _)| stored != None || *name != "max.message.bytes");
        assert_eq!(client.create_topic(asked, 1, &settings), ErrorCode::None);
        for round in 0..3 {
            let records = batch_of(sent, 50 * round);
            let answer = client.produce(asked, 0, -1, &records);
            match sent {
                // More than the topic allows before it is compressed.
                None => assert_eq!(answer.error, ErrorCode::MessageTooLarge),
                _ => assert_eq!(
                    (answer.error, answer.offset),
                    (ErrorCode::None, 50 * i64::from(round))
                ),
            }
            // What was stored is known again.
            if sent != None {
                assert_eq!(client.produce(asked, 0, -1, &records).offset, answer.offset);
            }
        }
    }
    let check = |node: &TestNode| {
        for (asked, sent, stored) in cases.iter().filter(|case| case.1 != None) {
            let fetched = node.client().fetch(asked, 0, 0, 1 << 20);
            for (_, header) in headers(&fetched.bytes) {
                let codec = header.attributes().compression();
                assert_eq!(codec, Ok(*stored), "{asked} of {sent:?}");
                assert_eq!(header.max_timestamp().0, time);
                assert_eq!(header.producer_id(), ProducerId(7));
            }
            let found = node.client().consume(asked, 0, 0);
            assert_eq!(found.len(), 150, "{asked}");
            for (number, record) in found.iter().enumerate() {
                assert_eq!((record.offset, record.time), (number as i64, time));
                assert_eq!(record.value, values[number % 50]);
            }
        }
    };
    check(&node);
    node.kill();
    node.run();
    check(&node);
    // A batch that outgrows its topic in the other codec.
    let mut client = node.client();
    let settings = settings("uncompressed");
    assert_eq!(client.create_topic("small", 1, &settings), ErrorCode::None);
    let refused = client.produce("small", 0, 1, &batch_of(Gzip, 0));
    assert_eq!(refused.error, ErrorCode::MessageTooLarge);
}

/// As a topic asks, or the node for topics that do not; from one batch to the next.
#[test]
fn batches_are_compressed_at_the_level_that_is_asked_for() {
    const TOPIC: i8 = 2;
    let node = TestNode::start(&[]);
    let mut client = node.client();
    // Words in an order that repeats after long: who looks longer finds more.
    let mut seed = 1u32;
    let text: Vec<u8> = (0..20_000)
        .flat_map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("word{} ", (seed >> 24) % 97).into_bytes()
        })
        .collect();
    let records = batch(&[&text]);
    for (codec, low, high) in [
        ("gzip", "1", "9"),
        ("zstd", "-1000", "19"),
        ("lz4", "1", "17"),
    ] {
        let level = format!("compression.{codec}.level");
        let node_wide = format!("{codec}-by-the-node");
        let settings = [("compression.type", codec)];
        assert_eq!(
            client.create_topic(&node_wide, 1, &settings),
            ErrorCode::None
        );
        let settings = [("compression.type", codec), (&level, low)];
        assert_eq!(client.create_topic(codec, 1, &settings), ErrorCode::None);
        let mut sizes = Vec::new();
        for (offset, asked) in [(0, low), (1, high)] {
            alter(&mut client, (BROKER, ""), &[(&level, SET, asked)]);
            alter(&mut client, (TOPIC, codec), &[(&level, SET, asked)]);
            let mut of_both = Vec::new();
            for topic in [codec, &node_wide] {
                assert_eq!(client.store(topic, 0, &records), offset);
                let fetched = client.fetch(topic, 0, offset, 1 << 20);
                assert_eq!(client.consume(topic, 0, offset)[0].value, text);
                of_both.push(fetched.bytes.len());
            }
            assert_eq!(of_both[0], of_both[1], "{codec} at {asked}");
            sizes.push(of_both[0]);
        }
        match codec {
            // Its library has one level, as the setting's documentation says.
            "lz4" => assert_eq!(sizes[1], sizes[0]),
            _ => assert!(sizes[1] < sizes[0] * 19 / 20, "{codec}: {sizes:?}"),
        }
    }
}

#[test]
fn a_deleted_topic_takes_its_directory_along_and_its_name_begins_anew() {
    let mut node = TestNode::start(&[("shards", "2"), ("auto.create.topics.enable", "false")]);
    let first = |node: &TestNode| {
        assert_eq!(node.client().create_topic("t", 3, &[]), ErrorCode::None);
        for index in 0..3 {
            let mut leader = node.leader("t", index);
            for offset in 0..10 {
                let stored = leader.store("t", index as i32, &batch(&[&[7; 2000]]));
                assert_eq!(stored, offset, "partition {index}");
            }
        }
    };
    let gone = |node: &TestNode| {
        wait_until("the directories are gone", || {
            (0..3).all(|index| !node.partition("t", index).exists())
        });
        let mut client = node.client();
        assert_eq!(
            client.metadata("t", false).0,
            ErrorCode::UnknownTopicOrPartition
        );
        let produced = client.produce("t", 0, 1, &batch(&[b"x"]));
        assert_eq!(produced.error, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(
            client.fetch("t", 0, 0, 1000).error,
            ErrorCode::UnknownTopicOrPartition
        );
    };
    for round in 0..3 {
        first(&node);
        if round == 1 {
            // Nothing of it is open on the next start.
            node.stop();
            node.run();
        }
        assert_eq!(node.client().delete_topic("t"), ErrorCode::None);
        gone(&node);
        if round == 2 {
            node.kill();
            node.run();
            gone(&node);
        }
    }
    first(&node);
    node.kill();
    node.run();
    let mut leader = node.leader("t", 1);
    assert_eq!(leader.list_offsets("t", 1, EARLIEST).offset, 0);
    assert_eq!(leader.list_offsets("t", 1, LATEST).offset, 10);
    let unknown = node.client().delete_topic("never");
    assert_eq!(unknown, ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn a_topic_keeps_its_own_settings() {
    let mut node = TestNode::start(&[("log.retention.check.interval.ms", "50")]);
    let mut client = node.client();
    let settings = [("segment.bytes", "1048576"), ("retention.bytes", "1048576")];
    assert_eq!(client.create_topic("small", 1, &settings), ErrorCode::None);
    assert_eq!(client.create_topic("large", 1, &[]), ErrorCode::None);
    for _ in 0..2 {
        let mut client = node.client();
        for _ in 0..30 {
            client.store("small", 0, &batch(&[&[7; 100_000]]));
            client.store("large", 0, &batch(&[&[7; 100_000]]));
        }
        let end = client.list_offsets("small", 0, LATEST).offset;
        wait_until("old records go", || {
            client.list_offsets("small", 0, EARLIEST).offset >= end - 20
        });
        assert_eq!(client.list_offsets("large", 0, EARLIEST).offset, 0);
        node.stop();
        node.run();
    }
    let refused = node
        .client()
        .create_topic("bad", 1, &[("segment.bytes", "12")]);
    assert_eq!(refused, ErrorCode::InvalidConfig);
}

#[test]
fn a_client_that_reads_a_topic_is_told_when_it_goes() {
    let node = TestNode::start(&[]);
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    client.store("t", 0, &batch(&[b"x"]));
    let mut reader = node.client();
    let mut request = crate::common::fetch_request("t", 0, 1, 1 << 20);
    (request.max_wait_ms, request.min_bytes) = (25_000, 1);
    let waiting = reader.send(crate::common::FETCH, &request).expect("sent");
    // It waits once a later request of another connection has been served.
    client.list_offsets("t", 0, LATEST);
    assert_eq!(client.delete_topic("t"), ErrorCode::None);
    let start = std::time::Instant::now();
    let body = reader
        .receive::<odradek_wire::fetch::FetchRequest<'_>>(crate::common::FETCH, waiting)
        .expect("an answer");
    assert!(
        start.elapsed().as_secs() < 20,
        "at once, not when its patience is over"
    );
    assert_eq!(
        crate::common::fetched(&body).error,
        ErrorCode::UnknownTopicOrPartition
    );
}

#[test]
fn topics_that_cannot_be_made_by_asking_for_them_are_told_of_seldom() {
    let node = TestNode::start(&[]);
    node.create("a.b");
    let mut client = node.client();
    for _ in 0..200 {
        let (error, _) = client.metadata("a_b", true);
        assert_eq!(error, ErrorCode::UnknownTopicOrPartition);
    }
    let line = node.logged("automatic creation failed");
    assert!(line.contains("a.b") && line.contains("WARN"), "{line}");
    node.seldom("automatic creation failed", 1);
}
