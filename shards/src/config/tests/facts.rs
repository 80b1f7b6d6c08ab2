//! The tables against what `testdata/DumpConfig.java` read from Apache Kafka 4.3.1's jars.

use crate::config::idle::REMOVED;
use crate::config::row::{Role, Row, Update, row, rows};
use crate::config::topic::{TOPIC, topic_row};
use crate::config::value::{Check, Kind};

const FACTS: &str = include_str!("../testdata/settings.tsv");

/// Defaults that are ours, with the reason.
const OTHER_DEFAULT: &[(&str, &str)] = &[
    (
        "controller.listener.names",
        "Kafka has none and demands one; the controller is embedded",
    ),
    (
        "log.dir",
        "/tmp does not keep data; ./data is beside the newcomer's shell",
    ),
    (
        "node.id",
        "Kafka has none and demands one; a node starts without any file",
    ),
    (
        "socket.receive.buffer.bytes",
        "100 KiB would keep the system from growing it: long ways and large batches suffer",
    ),
    (
        "socket.send.buffer.bytes",
        "100 KiB would keep the system from growing it: long ways and large answers suffer",
    ),
    (
        "process.roles",
        "Kafka has none and demands them; a node is always both",
    ),
];

/// Ranges that are narrower here, with the reason.
const OTHER_RANGE: &[(&str, &str)] = &[
    ("broker.id", "as node.id, or -1"),
    (
        "default.replication.factor",
        "the wire has 16 bits for it; zero replicas cannot be",
    ),
    (
        "group.max.session.timeout.ms",
        "a negative timeout means nothing",
    ),
    (
        "group.min.session.timeout.ms",
        "a negative timeout means nothing",
    ),
    (
        "group.initial.rebalance.delay.ms",
        "a negative delay means nothing",
    ),
    (
        "internal.segment.bytes",
        "a segment holds at least one byte",
    ),
    ("node.id", "node.id x 1000 + shard must be a broker id"),
    (
        "offset.metadata.max.bytes",
        "a negative length means nothing",
    ),
    (
        "socket.receive.buffer.bytes",
        "-1 is the system's; less means nothing",
    ),
    (
        "socket.send.buffer.bytes",
        "-1 is the system's; less means nothing",
    ),
];

/// One line: scope, name, type, default, internal, update, range.
fn facts(scope: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let lines = FACTS
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    lines.filter(move |line| line[0] == scope)
}

fn listed(list: &[(&str, &str)], name: &str) -> bool {
    list.iter().any(|(listed, _)| *listed == name)
}

/// Kafka's way of writing a range.
fn range(check: Check) -> String {
    match check {
        Check::Any => String::new(),
        Check::AtLeast(min) => format!("[{min},...]"),
        Check::Between(min, max) => format!("[{min},...,{max}]"),
        Check::Fraction(min, max) => format!("[{min},...,{max}]"),
        Check::OneOf(names) | Check::Among(names) | Check::SomeAmong(names) => {
            format!("[{}]", names.join(", "))
        }
        Check::OneOfAnyCase(names) => format!("(case insensitive) [{}]", names.join(", ")),
        Check::GzipLevel => "[1,...,9] or -1".to_owned(),
        Check::ThrottledReplicas => {
            "[partitionId]:[brokerId],[partitionId]:[brokerId],...".to_owned()
        }
        Check::NotEmpty => "not empty".to_owned(),
    }
}

fn compare(fact: &[&str], row: &Row) {
    let name = fact[1];
    let default = row.default.unwrap_or("<null>");
    let kafka_default = fact[3].replace("<none>", "<null>");
    assert_eq!(fact[2], row.kind.name(), "type of {name}");
    assert_eq!(
        default != kafka_default,
        listed(OTHER_DEFAULT, name),
        "default of {name}"
    );
    assert_eq!(row.internal, fact[4] == "internal", "internal: {name}");
    // Kafka writes nothing, or words, for lists and texts that must not be empty.
    let words = matches!(row.check, Check::NotEmpty)
        || ["non-null string", "non-empty list", "non-empty string"].contains(&fact[6]);
    let same = words || range(row.check) == fact[6];
    assert_eq!(
        !same,
        listed(OTHER_RANGE, name),
        "range of {name}: {} / {}",
        row.check,
        fact[6]
    );
}

#[test]
fn every_kafka_setting_is_known_with_kafkas_facts() {
    let mut count = 0;
    for fact in facts("broker") {
        let row = row(fact[1]).unwrap_or_else(|| panic!("{} is unknown", fact[1]));
        compare(&fact, row);
        let update = match row.update {
            Update::ReadOnly => "read-only",
            Update::PerBroker => "per-broker",
            Update::ClusterWide => "cluster-wide",
        };
        assert_eq!(update, fact[5], "update of {}", fact[1]);
        count += 1;
    }
    assert_eq!(count, 360, "settings in the dump");
}

#[test]
fn every_topic_setting_is_known_with_kafkas_facts() {
    for fact in facts("topic") {
        let row = topic_row(fact[1]).unwrap_or_else(|error| panic!("{error}"));
        compare(&fact, &row.row);
    }
    assert_eq!(facts("topic").count(), TOPIC.len());
    for topic in TOPIC {
        for (node, _) in topic.node {
            assert!(
                row(node).is_some(),
                "{} falls back to {node}",
                topic.row.name
            );
        }
    }
}

#[test]
fn a_name_stands_in_one_table_and_every_default_is_in_its_range() {
    let implemented = crate::config::table::IMPLEMENTED.len();
    let idle = crate::config::idle::IDLE.len();
    assert_eq!(rows().count(), implemented + idle);
    for row in rows().chain(TOPIC.iter().map(|topic| &topic.row)) {
        assert!(!REMOVED.contains(&row.name), "{}", row.name);
        if let Some(default) = row.default {
            let parsed = row.parse(default);
            let unset = matches!(row.check, Check::NotEmpty) && default.is_empty();
            assert!(parsed.is_ok() || unset, "{parsed:?}");
            assert_eq!(
                row.default_value()
                    .map(|value| value.to_string())
                    .as_deref(),
                Some(default)
            );
        }
    }
}

#[test]
fn settings_unknown_to_kafka_are_ours() {
    let kafka: Vec<&str> = facts("broker").map(|fact| fact[1]).collect();
    let ours: Vec<&str> = rows()
        .filter(|row| !row.internal && !kafka.contains(&row.name))
        .map(|row| row.name)
        .collect();
    let expected = [
        "durable.acks.all",
        "durable.lag.max.ms",
        "io.driver",
        "io.spin.us",
        "log.durable.method",
        "log.journal.bytes",
        "log.read.strategy",
        "log.write.depth",
        "log.write.strategy",
        "memory.request.bytes",
        "memory.tail.bytes",
        "metrics.listener",
        "metrics.partitions.enable",
        "record.validation",
        "replication.factor.excess",
        "shards",
        "shards.advertise",
        "shards.port.base",
    ];
    assert_eq!(ours, expected);
    let implemented =
        |name: &&str| matches!(row(name).map(|r| r.role), Some(Role::Implemented { .. }));
    assert!(ours.iter().all(implemented));
    assert!(rows().all(|row| row.kind != Kind::Unknown));
}
