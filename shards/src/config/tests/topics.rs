//! Topics' settings: what Apache Kafka 4.3.1 answered to the same texts, accepted or refused.

use super::load;
use crate::config::choice::CompressionType;
use crate::config::{Given, TopicConfig};

fn resolve(node: &str, topic: &[(&str, Option<&str>)]) -> Result<TopicConfig, String> {
    let resolved = TopicConfig::from_request(&load(node).0, topic.iter().copied());
    resolved
        .map(|(config, _)| config)
        .map_err(|error| error.to_string())
}

#[test]
fn a_topic_falls_back_to_the_node() {
    let node = "log.retention.hours=1\nlog.segment.bytes=2097152\ncompression.type=zstd\n\
                log.flush.scheduler.interval.ms=5\nlog.roll.ms=6\nmessage.max.bytes=7";
    let config = resolve(node, &[("segment.bytes", Some("1048576"))]).unwrap();
    assert_eq!(config.retention_ms, 3_600_000);
    assert_eq!(config.segment_size(), 1_048_576);
    assert_eq!(config.compression_type, CompressionType::Zstd);
    assert_eq!(
        (config.flush_ms, config.segment_ms, config.max_message_bytes),
        (5, 6, 7)
    );
    assert!(config.deletes() && !config.compacts());
    let small = resolve("", &[("internal.segment.bytes", Some("512"))]).unwrap();
    assert_eq!(small.segment_size(), 512);
    assert_eq!(
        resolve("log.retention.minutes=-5", &[])
            .unwrap()
            .retention_ms,
        -1
    );
}

#[test]
fn what_kafka_accepts() {
    for (name, text) in [
        ("cleanup.policy", ""),
        ("cleanup.policy", "delete,delete"),
        ("cleanup.policy", "compact, delete"),
        ("local.retention.ms", "999999999999"),
        ("min.compaction.lag.ms", "9000000000000000000"),
        ("segment.bytes", " 2097152 "),
        ("segment.bytes", "+2097152"),
        ("follower.replication.throttled.replicas", "*"),
        ("follower.replication.throttled.replicas", "0:1,1:2"),
        ("min.cleanable.dirty.ratio", "1e-1"),
        ("preallocate", "TRUE"),
    ] {
        assert!(resolve("", &[(name, Some(text))]).is_ok(), "{name}={text}");
    }
}

#[test]
fn what_kafka_refuses() {
    for (name, text, message) in [
        (
            "retention.ms",
            Some("abc"),
            "retention.ms=abc: expected a whole number",
        ),
        (
            "retention.ms",
            Some(""),
            "retention.ms=: expected a whole number",
        ),
        (
            "retention.ms",
            Some("-2"),
            "retention.ms=-2: expected at least -1 (LONG)",
        ),
        (
            "retention.ms",
            None,
            "retention.ms=null: a topic's setting needs a value",
        ),
        (
            "segment.bytes",
            Some("5"),
            "segment.bytes=5: expected at least 1048576 (INT)",
        ),
        (
            "segment.bytes",
            Some("3000000000"),
            "segment.bytes=3000000000: expected a whole number",
        ),
        (
            "segment.bytes",
            Some("0x200000"),
            "segment.bytes=0x200000: expected a whole number",
        ),
        (
            "cleanup.policy",
            Some("foo"),
            "cleanup.policy=foo: expected a list of compact, delete",
        ),
        ("nope", Some("1"), "nope: no such setting"),
        (
            "retention.mss",
            Some("1"),
            "retention.mss: no such setting; did you mean retention.ms?",
        ),
        (
            "message.format.version",
            Some("2.0"),
            "message.format.version: no such setting",
        ),
        (
            "compression.type",
            Some("brotli"),
            "compression.type=brotli: expected one of",
        ),
        (
            "min.insync.replicas",
            Some("0"),
            "min.insync.replicas=0: expected at least 1 (INT)",
        ),
        (
            "preallocate",
            Some("yes"),
            "preallocate=yes: expected true or false",
        ),
        (
            "min.cleanable.dirty.ratio",
            Some("2"),
            "min.cleanable.dirty.ratio=2: expected 0 to 1",
        ),
        (
            "compression.gzip.level",
            Some("0"),
            "compression.gzip.level=0: expected 1 to 9, or -1",
        ),
        (
            "remote.storage.enable",
            Some("true"),
            "remote.storage.enable=true: there is no tiered",
        ),
        (
            "follower.replication.throttled.replicas",
            Some("x"),
            "follower.replication.throttled.replicas=x: expected *",
        ),
        (
            "message.timestamp.type",
            Some("logappendtime"),
            "message.timestamp.type=logappendtime: expected one of",
        ),
    ] {
        let error = resolve("", &[(name, text)]).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
    let lags = [
        ("min.compaction.lag.ms", Some("10")),
        ("max.compaction.lag.ms", Some("5")),
    ];
    let message = "min.compaction.lag.ms=10 is more than max.compaction.lag.ms=5";
    assert_eq!(resolve("", &lags), Err(message.to_owned()));
}

#[test]
fn stored_settings_resolve_as_the_request_did() {
    let settings = load("").0;
    let (config, given) =
        TopicConfig::from_request(&settings, [("retention.ms", Some("5"))]).unwrap();
    assert_eq!(
        given,
        Given::from([("retention.ms".to_owned(), "5".to_owned())])
    );
    assert_eq!(TopicConfig::resolve(&settings, &given), Ok(config));
}

#[test]
fn stored_settings_that_do_not_fit_are_left_out_and_told() {
    let settings = load("log.cleaner.max.compaction.lag.ms=5").0;
    let given = [
        ("retention.ms", "7"),
        ("retention.mz", "8"),
        ("segment.bytes", "9"),
        ("min.compaction.lag.ms", "10"),
    ];
    let given = Given::from(given.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let (config, refused) = TopicConfig::of_stored(&settings, &given);
    let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(
        refused[0].starts_with("retention.mz: no such setting"),
        "{refused:?}"
    );
    assert!(refused[1].starts_with("segment.bytes=9: "), "{refused:?}");
    let fitting = [("retention.ms", "7"), ("min.compaction.lag.ms", "10")];
    let default = TopicConfig::resolve(&load("").0, &Given::new()).unwrap();
    assert_eq!(config.segment_bytes, default.segment_bytes);
    for (name, text) in fitting {
        let alone = Given::from([(name.to_owned(), text.to_owned())]);
        assert!(TopicConfig::of_stored(&settings, &alone).1.is_empty());
    }
    assert_eq!((config.retention_ms, config.min_compaction_lag_ms), (7, 10));
}
