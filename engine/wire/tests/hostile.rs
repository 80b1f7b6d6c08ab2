//! Bytes that lie: decoding neither panics nor takes more memory than its budget, and what it
//! accepts it can write.

mod common;

use common::Random;
use odradek_wire::create_topics::CreateTopicsRequest;
use odradek_wire::metadata::MetadataRequest;
use odradek_wire::produce::{ProduceRequest, TopicProduceData};
use odradek_wire::response_header::ResponseHeader;
use odradek_wire::{DecodeError, Reader, Writer};

#[test]
fn every_truncation_is_an_error() {
    common::each_golden(|entry, golden| {
        for end in 0..golden.bytes.len() {
            let outcome = (entry.recode)(&golden.bytes[..end], golden.version);
            assert!(
                outcome.is_err(),
                "{} {}: {end} bytes",
                golden.name,
                golden.version
            );
        }
    });
}

#[test]
fn trailing_bytes_are_an_error() {
    common::each_golden(|entry, golden| {
        let longer = [golden.bytes.as_slice(), &[0]].concat();
        let outcome = (entry.recode)(&longer, golden.version);
        assert!(
            matches!(outcome, Err(DecodeError::Trailing { remaining: 1, .. })),
            "{} {}: {outcome:?}",
            golden.name,
            golden.version
        );
    });
}

/// Changes bytes of golden messages at random. What still decodes must encode, to a message that
/// is equal to the first: the round trip of arbitrary messages.
#[test]
fn what_decodes_encodes_to_the_same_message() {
    const SEED: u64 = 20_260_101;
    const ROUNDS: usize = 40;
    println!("seed {SEED}");
    let mut random = Random(SEED);
    let mut decoded = 0;
    common::each_golden(|entry, golden| {
        for _ in 0..ROUNDS {
            let mut bytes = golden.bytes.clone();
            if bytes.is_empty() {
                continue;
            }
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = match random.below(4) {
                    0 => 0xff,
                    1 => 0x7f,
                    2 => 0,
                    _ => random.next() as u8,
                };
            }
            let Ok(recoded) = (entry.recode)(&bytes, golden.version) else {
                continue;
            };
            let context = || format!("{} {}: {bytes:02x?}", golden.name, golden.version);
            let recoded = recoded.unwrap_or_else(|error| panic!("{error}: {}", context()));
            let again = (entry.recode)(&recoded, golden.version);
            assert_eq!(again, Ok(Ok(recoded.clone())), "{}", context());
            let equal = (entry.equal)(&bytes, &recoded, golden.version);
            assert_eq!(equal, Ok(true), "{}", context());
            decoded += 1;
        }
    });
    assert!(decoded > 10_000, "only {decoded} changed messages decoded");
}

#[test]
fn bytes_at_random_do_not_panic() {
    const SEED: u64 = 7;
    println!("seed {SEED}");
    let mut random = Random(SEED);
    for entry in common::entries() {
        for version in entry.versions.clone() {
            for length in [1, 8, 64, 300] {
                let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
                let _ = (entry.recode)(&bytes, version);
            }
        }
    }
}

#[test]
fn versions_unknown_are_refused() {
    for entry in common::entries() {
        for version in [i16::MIN, -1, entry.versions.end() + 1, i16::MAX] {
            let outcome = (entry.recode)(&[0; 512], version);
            assert!(
                matches!(outcome, Err(DecodeError::Version { .. })),
                "{}",
                entry.name
            );
        }
    }
}

#[test]
fn a_count_beyond_the_bytes_is_an_error() {
    // MetadataRequest 1: the count of topics, 32 bits.
    for count in [2, 1 << 20, i32::MAX] {
        let bytes = i32::to_be_bytes(count);
        let outcome = MetadataRequest::decode(&mut Reader::new(&bytes), 1);
        assert_eq!(
            outcome,
            Err(DecodeError::Count {
                field: "MetadataRequest.topics",
                position: 0,
                count: count.into(),
                remaining: 0
            })
        );
    }
    // Compact, the greatest: 2^32 - 2 elements.
    let outcome = MetadataRequest::decode(&mut Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xf]), 9);
    assert!(
        matches!(
            outcome,
            Err(DecodeError::Count {
                count: 0xffff_fffe,
                ..
            })
        ),
        "{outcome:?}"
    );
}

#[test]
fn a_length_of_two_gigabytes_is_an_error() {
    let mut w = Writer::default();
    w.i16(-1); // transactional id
    w.i16(1); // acks
    w.i32(1000); // timeout
    w.i32(1); // topics
    w.str(false, "t", "name").unwrap();
    w.i32(1); // partitions
    w.i32(0); // index
    w.i32(i32::MAX); // records
    let bytes = w.into_inner();
    let outcome = ProduceRequest::decode(&mut Reader::new(&bytes), 3);
    assert_eq!(
        outcome,
        Err(DecodeError::Truncated {
            what: "PartitionProduceData.records",
            position: bytes.len(),
            needed: i32::MAX as usize,
            remaining: 0
        })
    );
}

#[test]
fn a_varint_that_does_not_end_is_an_error() {
    for bytes in [[0xff; 5], [0x80; 5], [0xff, 0xff, 0xff, 0xff, 0x10]] {
        let outcome = MetadataRequest::decode(&mut Reader::new(&bytes), 9);
        assert_eq!(
            outcome,
            Err(DecodeError::Varint { position: 0 }),
            "{bytes:x?}"
        );
    }
}

#[test]
fn memory_is_bounded_by_the_budget_not_by_counts() {
    // One topic that claims as many partitions as there are bytes, in a frame of 1 MiB.
    let mut w = Writer::default();
    w.i16(-1);
    w.i16(1);
    w.i32(1000);
    w.i32(1);
    w.str(false, "t", "name").unwrap();
    w.i32(1 << 20);
    let mut bytes = w.into_inner();
    bytes.resize(bytes.len() + (1 << 20), 0);
    let budget = 1 << 20;
    let outcome = ProduceRequest::decode(&mut Reader::with_budget(&bytes, budget), 3);
    let Err(DecodeError::Budget {
        field,
        needed,
        left,
        ..
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(field, "TopicProduceData.partition_data");
    assert!(needed > 1 << 20);
    assert_eq!(left, budget - size_of::<TopicProduceData<'_>>());
}

#[test]
fn nested_counts_share_one_budget() {
    // Many topics, each with many assignments, none of which alone is beyond the budget.
    let mut w = Writer::default();
    let topics = 1000;
    w.i32(topics);
    for _ in 0..topics {
        w.str(false, "topic", "name").unwrap();
        w.i32(1);
        w.i16(1);
        w.i32(0);
        w.i32(100);
        for _ in 0..100 {
            w.str(false, "k", "config").unwrap();
            w.str(false, "v", "config").unwrap();
        }
    }
    w.i32(1000);
    w.bool(false);
    let bytes = w.into_inner();
    let whole = CreateTopicsRequest::decode(&mut Reader::new(&bytes), 2).unwrap();
    assert_eq!(whole.topics.len(), topics as usize);
    let outcome = CreateTopicsRequest::decode(&mut Reader::with_budget(&bytes, 1 << 20), 2);
    assert!(
        matches!(outcome, Err(DecodeError::Budget { .. })),
        "{outcome:?}"
    );
}

#[test]
fn text_that_is_not_utf8_is_an_error() {
    let mut w = Writer::default();
    w.i32(1);
    w.i16(2);
    w.raw(&[0xc3, 0x28]);
    let outcome = MetadataRequest::decode(&mut Reader::new(w.written()), 1);
    assert_eq!(
        outcome,
        Err(DecodeError::Utf8 {
            field: "MetadataRequestTopic.name",
            position: 4
        })
    );
}

#[test]
fn a_null_where_none_may_stand_is_an_error() {
    let mut w = Writer::default();
    w.i32(1);
    w.i16(-1);
    let outcome = MetadataRequest::decode(&mut Reader::new(w.written()), 1);
    assert_eq!(
        outcome,
        Err(DecodeError::Null {
            field: "MetadataRequestTopic.name",
            position: 4
        })
    );
}

#[test]
fn unknown_tagged_fields_are_skipped_within_their_bounds() {
    let header = |tags: &[u8]| {
        let bytes = [&[0, 0, 0, 7], tags].concat();
        let mut reader = Reader::new(&bytes);
        let header = ResponseHeader::decode(&mut reader, 1)?;
        reader.finish()?;
        Ok(header.correlation_id)
    };
    assert_eq!(header(&[2, 5, 3, 1, 2, 3, 9, 0]), Ok(7));
    assert!(matches!(
        header(&[1, 5, 3, 1, 2]),
        Err(DecodeError::Truncated { .. })
    ));
    assert!(matches!(
        header(&[2, 5, 1, 1]),
        Err(DecodeError::Truncated { .. })
    ));
    assert!(matches!(
        header(&[0xff, 0xff, 0xff, 0xff, 0x0f, 5, 0]),
        Err(DecodeError::Truncated { .. })
    ));
}

#[test]
fn a_known_tagged_field_keeps_to_its_size() {
    // BrokerRegistrationChangeRecord 0: broker id, epoch, then fenced (int8) as tag 0.
    use odradek_wire::metadata_records::BrokerRegistrationChangeRecord as Record;
    let record = |tags: &[u8]| {
        let bytes = [&[0; 12], tags].concat();
        Record::decode(&mut Reader::new(&bytes), 0).map(|record| record.fenced)
    };
    assert_eq!(record(&[1, 0, 1, 1]), Ok(1));
    assert!(matches!(
        record(&[1, 0, 2, 1, 1]),
        Err(DecodeError::TagSize {
            tag: 0,
            size: 2,
            used: 1,
            ..
        })
    ));
    assert!(matches!(
        record(&[1, 0, 0, 1]),
        Err(DecodeError::Truncated { .. })
    ));
}
