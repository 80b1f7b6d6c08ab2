//! Our DescribeConfigs beside the recorded answers of an Apache Kafka 4.3.1 broker started on
//! the same file (`testdata/describe.properties`, `testdata/describe.tsv`).

use std::collections::BTreeMap;

use super::load;
use crate::config::Given;
use crate::config::describe::{
    ConfigEntry, ConfigSource, describe_broker, describe_broker_defaults, describe_topic,
};

const FILE: &str = include_str!("../testdata/describe.properties");
const ANSWERS: &str = include_str!("../testdata/describe.tsv");

/// Settings whose default is ours: the default's line among the synonyms differs.
const OTHER_DEFAULT: &[&str] = &[
    "controller.listener.names",
    "log.dir",
    "node.id",
    "process.roles",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
];

fn given(pairs: &[(&str, &str)]) -> Given {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn source(source: ConfigSource) -> &'static str {
    match source {
        ConfigSource::DynamicTopicConfig => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::DynamicBrokerConfig => "DYNAMIC_BROKER_CONFIG",
        ConfigSource::DynamicDefaultBrokerConfig => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::StaticBrokerConfig => "STATIC_BROKER_CONFIG",
        ConfigSource::DefaultConfig => "DEFAULT_CONFIG",
        ConfigSource::ClientMetricsConfig => "CLIENT_METRICS_CONFIG",
    }
}

/// An entry as the recorded lines have it, without the resource.
fn line(entry: &ConfigEntry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|s| format!("{}={}@{}", s.name, text(&s.value), source(s.source)))
        .collect();
    format!(
        "{}\t{}\t{}\t{}\t{}{}\t{}",
        entry.name,
        text(&entry.value),
        source(entry.source),
        entry.kind.name(),
        if entry.is_sensitive { "S" } else { "" },
        if entry.read_only { "R" } else { "" },
        synonyms.join(" ; ")
    )
}

fn answers(resource: &str) -> Vec<&'static str> {
    let lines = ANSWERS.lines().filter_map(|line| line.split_once('\t'));
    lines
        .filter(|(kind, _)| *kind == resource)
        .map(|(_, line)| line)
        .collect()
}

/// As Kafka's controller does at its start.
fn cluster() -> Given {
    given(&[("min.insync.replicas", "1")])
}

#[test]
fn a_topic_is_described_as_kafka_does() {
    let settings = load(FILE).0.with_dynamic(Given::new(), cluster()).unwrap();
    let topic = given(&[
        ("retention.ms", "1234"),
        ("segment.bytes", "2097152"),
        ("cleanup.policy", "compact"),
    ]);
    let ours: Vec<String> = describe_topic(&settings, &topic)
        .unwrap()
        .iter()
        .map(line)
        .collect();
    assert_eq!(ours, answers("TOPIC"));
}

#[test]
fn a_broker_is_described_as_kafka_does() {
    let settings = load(FILE).0.with_dynamic(Given::new(), cluster()).unwrap();
    let ours: BTreeMap<String, String> = describe_broker(&settings)
        .unwrap()
        .iter()
        .map(|entry| (entry.name.clone(), line(entry)))
        .collect();
    let mut compared = 0;
    // The last line is the answer for the resource without a name.
    let (defaults, broker) = answers("BROKER")
        .split_last()
        .map(|(l, r)| (*l, r.to_vec()))
        .unwrap();
    for answer in broker {
        let name = answer.split('\t').next().unwrap();
        if !OTHER_DEFAULT.contains(&name) {
            assert_eq!(ours[name], answer);
            compared += 1;
        }
    }
    assert!(compared > 330, "{compared}");
    let entries = describe_broker_defaults(&settings).unwrap();
    assert_eq!(entries.iter().map(line).collect::<Vec<_>>(), [defaults]);
}

#[test]
fn layers_decide_in_kafkas_order() {
    let settings = load(FILE).0;
    let broker = given(&[("log.retention.ms", "777")]);
    let cluster = given(&[("log.roll.ms", "888")]);
    let settings = settings.with_dynamic(broker, cluster).unwrap();
    assert_eq!(
        (settings.log_retention_ms, settings.log_roll_ms),
        (777, 888)
    );
    let topic = given(&[("retention.ms", "1234")]);
    let lines: Vec<String> = describe_topic(&settings, &topic)
        .unwrap()
        .iter()
        .map(line)
        .collect();
    // Recorded from the same broker after the same changes.
    for expected in [
        "retention.ms\t1234\tDYNAMIC_TOPIC_CONFIG\tLONG\t\tretention.ms=1234@DYNAMIC_TOPIC_CONFIG ; \
         log.retention.ms=777@DYNAMIC_BROKER_CONFIG ; log.retention.hours=48@STATIC_BROKER_CONFIG ; \
         log.retention.hours=168@DEFAULT_CONFIG",
        "segment.ms\t888\tDYNAMIC_DEFAULT_BROKER_CONFIG\tLONG\t\t\
         log.roll.ms=888@DYNAMIC_DEFAULT_BROKER_CONFIG ; log.roll.ms=3600000@STATIC_BROKER_CONFIG ; \
         log.roll.hours=168@DEFAULT_CONFIG",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}\nnot in {lines:#?}"
        );
    }
}

#[test]
fn passwords_are_never_shown_and_our_words_are() {
    let settings = load("ssl.keystore.password=geheim").0;
    let entries = describe_broker(&settings).unwrap();
    assert!(!format!("{entries:?}").contains("geheim"));
    let shards = entries.iter().find(|entry| entry.name == "shards").unwrap();
    assert!(
        shards
            .documentation
            .as_ref()
            .unwrap()
            .starts_with("Number of shards")
    );
    let entry = entries
        .iter()
        .find(|entry| entry.name == "ssl.keystore.password")
        .unwrap();
    let why = "No effect here: only PLAINTEXT listeners are supported yet.";
    assert_eq!(
        (entry.is_sensitive, entry.documentation.as_deref()),
        (true, Some(why))
    );
    let topic = describe_topic(&settings, &given(&[])).unwrap();
    let said = |name: &str| {
        let entry = topic.iter().find(|entry| entry.name == name).unwrap();
        entry.documentation.clone().unwrap()
    };
    for name in [
        "compression.lz4.level",
        "file.delete.delay.ms",
        "local.retention.ms",
        "remote.log.copy.disable",
    ] {
        assert!(said(name).contains(". No effect here: "), "{name}");
    }
    assert!(!said("retention.ms").contains("No effect"));
}

#[test]
fn what_cannot_change_while_running_is_refused() {
    let settings = load("").0;
    for (broker, cluster, message) in [
        (
            "num.partitions=3",
            "",
            "num.partitions=3: cannot change while the node runs",
        ),
        (
            "",
            "listeners=PLAINTEXT://:1",
            "listeners=PLAINTEXT://:1: can only be set for one broker",
        ),
        (
            "log.roll.mss=3",
            "",
            "log.roll.mss: no such setting; did you mean log.roll.ms?",
        ),
        (
            "",
            "log.roll.ms=x",
            "log.roll.ms=x: expected a whole number",
        ),
    ] {
        let pair = |text: &str| {
            text.split_once('=')
                .map(|pair| given(&[pair]))
                .unwrap_or_default()
        };
        let error = settings
            .with_dynamic(pair(broker), pair(cluster))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
