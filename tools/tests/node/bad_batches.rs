//! Requests that can be read and must be refused: the Kafka error for each, and nothing stored.

use odradek_engine::record::{BatchBuilder, Compression};
use odradek_wire::ErrorCode;
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::{Reader, Records};

use crate::common::{
    EARLIEST, LATEST, MAX_TIMESTAMP, PRODUCE, TestNode, batch, batch_at, build, fetch_request,
    fetched, now_ms, reseal,
};

fn changed(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = batch.to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    changed
}

fn resealed(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = changed(batch, at, bytes);
    reseal(&mut changed);
    changed
}

#[test]
fn batches_that_lie_are_refused() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut client = node.client();
    let good = batch(&[b"one", b"two", b"three"]);
    let length = good.len() as i32 - 12;
    let lies = |delta: i32| (length + delta).to_be_bytes();
    let far = now_ms() + 3 * 3_600_000;
    let control = build(BatchBuilder::new().control(), now_ms(), &[b"x"]);
    let bad = [
        (
            "a wrong CRC",
            changed(&good, 17, &[1, 2, 3, 4]),
            ErrorCode::CorruptMessage,
        ),
        (
            "a flipped bit",
            changed(&good, good.len() - 1, &[0xff]),
            ErrorCode::CorruptMessage,
        ),
        (
            "magic 0",
            changed(&good, 16, &[0]),
            ErrorCode::InvalidRecord,
        ),
        (
            "magic 1",
            changed(&good, 16, &[1]),
            ErrorCode::InvalidRecord,
        ),
        (
            "magic 3",
            changed(&good, 16, &[3]),
            ErrorCode::CorruptMessage,
        ),
        (
            "magic -1",
            changed(&good, 16, &[0xff]),
            ErrorCode::CorruptMessage,
        ),
        (
            "two batches",
            [&good[..], &good[..]].concat(),
            ErrorCode::InvalidRecord,
        ),
        ("no batch", Vec::new(), ErrorCode::InvalidRecord),
        (
            "a length one too long",
            changed(&good, 8, &lies(1)),
            ErrorCode::InvalidRecord,
        ),
        (
            "a length of 2 GiB",
            changed(&good, 8, &i32::MAX.to_be_bytes()),
            ErrorCode::InvalidRecord,
        ),
        (
            "a negative length",
            changed(&good, 8, &(-1i32).to_be_bytes()),
            ErrorCode::CorruptMessage,
        ),
        (
            "a length of 0",
            changed(&good, 8, &[0; 4]),
            ErrorCode::CorruptMessage,
        ),
        (
            "half a batch",
            good[..good.len() / 2].to_vec(),
            ErrorCode::InvalidRecord,
        ),
        (
            "half a header",
            good[..30].to_vec(),
            ErrorCode::InvalidRecord,
        ),
        (
            "a delta that skips",
            resealed(&good, 23, &7i32.to_be_bytes()),
            ErrorCode::InvalidRecord,
        ),
        (
            "a negative delta",
            resealed(&good, 23, &(-1i32).to_be_bytes()),
            ErrorCode::InvalidRecord,
        ),
        (
            "no records",
            resealed(&good, 57, &0i32.to_be_bytes()),
            ErrorCode::InvalidRecord,
        ),
        (
            "-1 records",
            resealed(&good, 57, &(-1i32).to_be_bytes()),
            ErrorCode::InvalidRecord,
        ),
        (
            "an unknown codec",
            resealed(&good, 21, &[0, 7]),
            ErrorCode::UnsupportedCompressionType,
        ),
        ("a control batch", control, ErrorCode::InvalidRecord),
        (
            "a time to come",
            batch_at(far, &[b"x"]),
            ErrorCode::InvalidTimestamp,
        ),
        (
            "too large a batch",
            batch(&[&vec![7; 1_100_000]]),
            ErrorCode::MessageTooLarge,
        ),
    ];
    let mut wrong = Vec::new();
    for (what, bytes, error) in &bad {
        let produced = client.produce("t", 0, -1, bytes);
        if (produced.error, produced.offset) != (*error, -1) || produced.why.is_none() {
            wrong.push((what, error, produced));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(client.store("t", 0, &good), 0, "nothing bad was stored");
    assert_eq!(client.consume("t", 0, 0).len(), 3);
}

#[test]
fn full_validation_opens_the_batch() {
    let node = TestNode::start(&[("record.validation", "full")]);
    node.create("t");
    let mut client = node.client();
    let good = batch(&[b"one", b"two", b"three"]);
    let zipped = build(
        BatchBuilder::new().compression(Compression::Gzip),
        now_ms(),
        &[b"abc"],
    );
    let bad = [
        ("a record length that lies", resealed(&good, 61, &[0x7e])),
        ("a negative record length", resealed(&good, 61, &[0x01])),
        ("more records than there are", {
            let delta = resealed(&good, 23, &3i32.to_be_bytes());
            resealed(&delta, 57, &4i32.to_be_bytes())
        }),
        ("fewer records than there are", {
            let delta = resealed(&good, 23, &1i32.to_be_bytes());
            resealed(&delta, 57, &2i32.to_be_bytes())
        }),
        ("damaged compression", resealed(&zipped, 70, &[0xff; 4])),
        (
            "compression of something else",
            resealed(&good, 21, &[0, 4]),
        ),
    ];
    for (what, bytes) in &bad {
        let produced = client.produce("t", 0, -1, bytes);
        assert_eq!(
            produced.error,
            ErrorCode::InvalidRecord,
            "{what}: {produced:?}"
        );
    }
    assert_eq!(client.store("t", 0, &zipped), 0);
    assert_eq!(client.store("t", 0, &good), 1);
}

#[test]
fn a_bad_partition_does_not_spoil_the_good_one() {
    let node = TestNode::start(&[("num.partitions", "2")]);
    node.create("t");
    let mut client = node.client();
    let good = batch(&[b"good"]);
    let bad = changed(&good, 17, &[1, 2, 3, 4]);
    let one = |index, records| PartitionProduceData { index, records };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![
            TopicProduceData {
                name: "t",
                partition_data: vec![
                    one(0, Records::Bytes(&bad)),
                    one(1, Records::Bytes(&good)),
                    one(2, Records::Bytes(&good)),
                    one(-1, Records::Bytes(&good)),
                    one(i32::MAX, Records::Bytes(&good)),
                    one(0, Records::Null),
                ],
                ..TopicProduceData::default()
            },
            TopicProduceData {
                name: "nowhere",
                partition_data: vec![one(0, Records::Bytes(&good))],
                ..TopicProduceData::default()
            },
        ],
        ..ProduceRequest::default()
    };
    let body = client.call(PRODUCE, &request).expect("an answer");
    let response = ProduceResponse::decode(&mut Reader::new(&body), PRODUCE).expect("readable");
    let errors = |topic: usize| -> Vec<i16> {
        let partitions = response.responses[topic].partition_responses.iter();
        partitions.map(|one| one.error_code).collect()
    };
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let expected = [
        ErrorCode::CorruptMessage.code(),
        0,
        unknown,
        unknown,
        unknown,
        ErrorCode::InvalidRecord.code(),
    ];
    assert_eq!(errors(0), expected);
    assert_eq!(errors(1), [unknown]);
    assert_eq!(client.list_offsets("t", 0, LATEST).offset, 0);
    assert_eq!(client.list_offsets("t", 1, LATEST).offset, 1);
}

#[test]
fn odd_questions_get_kafkas_errors() {
    let node = TestNode::start(&[]);
    node.create("t");
    let mut client = node.client();
    let good = batch_at(1_000_000, &[b"one", b"two"]);
    for acks in [7, 2, -2, i16::MIN, i16::MAX] {
        let produced = client.produce("t", 0, acks, &good);
        assert_eq!(
            produced.error,
            ErrorCode::InvalidRequiredAcks,
            "acks={acks}"
        );
    }
    assert_eq!(client.store("t", 0, &good), 0);
    assert_eq!(
        client.produce("no", 0, 1, &good).error,
        ErrorCode::UnknownTopicOrPartition
    );
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "a b",
        "../../etc",
        "ä",
        "a\0b",
        &"x".repeat(250),
    ] {
        let (error, _) = client.metadata(name, true);
        assert_eq!(error, ErrorCode::InvalidTopicException, "{name:?}");
    }
    assert_eq!(client.metadata(&"x".repeat(249), true).0, ErrorCode::None);
    for offset in [-1, i64::MIN, 3, i64::MAX] {
        let fetched = client.fetch("t", 0, offset, 1 << 20);
        assert_eq!(
            fetched.error,
            ErrorCode::OffsetOutOfRange,
            "offset {offset}"
        );
    }
    for (topic, index) in [("t", 1), ("t", -1), ("t", i32::MIN), ("no", 0)] {
        let fetched = client.fetch(topic, index, 0, 1 << 20);
        assert_eq!(
            fetched.error,
            ErrorCode::UnknownTopicOrPartition,
            "{topic}-{index}"
        );
        let listed = client.list_offsets(topic, index, LATEST);
        assert_eq!(
            listed.error,
            ErrorCode::UnknownTopicOrPartition,
            "{topic}-{index}"
        );
    }
    // A fetch too small for the first batch gets it nevertheless (KIP-74).
    for bytes in [0, 1, i32::MAX] {
        let fetched = client.fetch("t", 0, 0, bytes);
        assert_eq!(fetched.error, ErrorCode::None, "{bytes} bytes");
        assert_eq!(
            crate::common::records(&fetched.bytes).len(),
            2,
            "{bytes} bytes"
        );
    }
    let mut backwards = fetch_request("t", 0, 0, -1);
    (backwards.max_wait_ms, backwards.min_bytes) = (i32::MIN, i32::MIN);
    let body = client
        .call(crate::common::FETCH, &backwards)
        .expect("an answer");
    assert_eq!(fetched(&body).error, ErrorCode::None);
    let ends = [
        EARLIEST,
        LATEST,
        MAX_TIMESTAMP,
        0,
        1_000_000,
        1_000_001,
        i64::MAX,
    ];
    let offsets = ends.map(|time| client.list_offsets("t", 0, time).offset);
    assert_eq!(offsets, [0, 2, 0, 0, 0, -1, -1]);
    for time in [-7, -100, i64::MIN] {
        let listed = client.list_offsets("t", 0, time);
        assert_eq!(
            listed.error,
            ErrorCode::UnsupportedVersion,
            "timestamp {time}"
        );
    }
    assert_eq!(client.list_offsets("t", 0, LATEST).offset, 2);
}

#[test]
fn sequences_are_checked_and_duplicates_answered() {
    use crate::common::batch_by;
    let mut node = TestNode::start(&[]);
    node.create("t");
    let mut client = node.client();
    for sequence in 0..8 {
        assert_eq!(
            client.store("t", 0, &batch_by(5, 0, sequence, &[b"x"])),
            i64::from(sequence)
        );
    }
    let again = |client: &mut crate::common::Client, from: i32| {
        for sequence in from..8 {
            let produced = client.produce("t", 0, -1, &batch_by(5, 0, sequence, &[b"x"]));
            assert_eq!(
                (produced.error, produced.offset),
                (ErrorCode::None, i64::from(sequence))
            );
        }
        let gap = client.produce("t", 0, -1, &batch_by(5, 0, 9, &[b"x"]));
        assert_eq!(gap.error, ErrorCode::OutOfOrderSequenceNumber);
    };
    // Five batches are remembered, also by a start that reads nothing but what the last stop left.
    again(&mut client, 3);
    node.kill();
    node.run();
    again(&mut node.client(), 3);
    for _ in 0..2 {
        node.stop();
        node.run();
        again(&mut node.client(), 3);
    }
    node.kill();
    node.run();
    again(&mut node.client(), 3);
    let mut client = node.client();
    assert_eq!(client.store("t", 0, &batch_by(5, 0, 8, &[b"x"])), 8);
    assert_eq!(
        client.store("t", 0, &batch_by(5, 1, 0, &[b"x"])),
        9,
        "a new epoch begins at 0"
    );
    let old = client.produce("t", 0, -1, &batch_by(5, 0, 9, &[b"x"]));
    assert_eq!(old.error, ErrorCode::InvalidProducerEpoch);
    assert_eq!(client.consume("t", 0, 0).len(), 10);
}
