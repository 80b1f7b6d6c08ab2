//! The codecs against Java's own serialisation: each message that Kafka's classes wrote decodes,
//! and encodes to the same bytes.

mod common;

use std::collections::BTreeSet;

use odradek_wire::{APIS, ErrorCode, Listener, request_header_version, response_header_version};

#[test]
fn messages_of_java_come_out_as_they_went_in() {
    common::each_golden(|entry, golden| {
        let recoded = (entry.recode)(&golden.bytes, golden.version);
        assert_eq!(
            recoded,
            Ok(Ok(golden.bytes.clone())),
            "{} version {}",
            golden.name,
            golden.version
        );
    });
}

#[test]
fn every_message_is_held_against_java_at_every_version() {
    let mut seen = BTreeSet::new();
    common::each_golden(|entry, golden| {
        seen.insert((entry.name, golden.version));
    });
    let coded: BTreeSet<_> = common::entries()
        .flat_map(|entry| {
            entry
                .versions
                .clone()
                .map(move |version| (entry.name, version))
        })
        .collect();
    assert_eq!(seen, coded);
}

#[test]
fn apis_are_those_of_java() {
    let mut keys = BTreeSet::new();
    for line in include_str!("apis.txt").lines() {
        let mut words = line.split(' ');
        let key: i16 = words.next().and_then(|word| word.parse().ok()).expect(line);
        let api = odradek_wire::api(key).expect(line);
        keys.insert(key);
        assert_eq!(
            java_name(api.name),
            words.next().expect(line).to_ascii_lowercase()
        );
        let advertised = words.next().expect(line);
        assert_eq!(
            api.listeners.contains(&Listener::Broker),
            advertised != "-",
            "{line}"
        );
        if let Some((first, last)) = advertised.split_once('-').filter(|_| advertised != "-") {
            // Kafka advertises Produce from 0, for clients that take more for no compression.
            let expected = if key == 0 {
                "0".to_string()
            } else {
                api.min_version.to_string()
            };
            assert_eq!(first, expected, "{line}");
            assert_eq!(last, api.max_version.to_string(), "{line}");
        }
        for headers in words {
            let numbers: Vec<i16> = headers.split(':').map(|n| n.parse().expect(line)).collect();
            let [version, request, response] = numbers.as_slice() else {
                panic!("{line}");
            };
            assert_eq!(
                request_header_version(key, *version),
                Some(*request),
                "{line}"
            );
            assert_eq!(
                response_header_version(key, *version),
                Some(*response),
                "{line}"
            );
        }
    }
    assert_eq!(keys, APIS.iter().map(|api| api.key).collect());
}

/// Java's class of an API is named as its schema, but for the case.
fn java_name(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[test]
fn error_codes_are_found_by_their_number() {
    for error in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_code(error.code()), Some(*error));
    }
    assert_eq!(
        ErrorCode::from_code(3),
        Some(ErrorCode::UnknownTopicOrPartition)
    );
    assert_eq!(
        ErrorCode::UnknownTopicOrPartition.to_string(),
        "UNKNOWN_TOPIC_OR_PARTITION"
    );
    assert!(ErrorCode::NotLeaderOrFollower.retriable());
    assert!(!ErrorCode::None.retriable());
    assert_eq!(ErrorCode::from_code(i16::MAX), None);
}
