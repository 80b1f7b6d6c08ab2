//! What administrators ask.

use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{
    AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::Scenario;
use crate::run::{LIMIT, Run, until, values};

pub const SCENARIOS: &[Scenario] = &[
    ("admin.topics", topics),
    ("admin.configs", configs),
    ("admin.groups", groups),
    ("script.administration", script),
];

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)))
}

fn topics(r: &Run) {
    r.create(2, &[]);
    let admin = r.admin();
    let again = NewTopic::new(&r.topic, 2, TopicReplication::Fixed(1));
    let created = block_on(admin.create_topics([&again], &options())).unwrap();
    assert_eq!(
        created[0].as_ref().unwrap_err().1,
        RDKafkaErrorCode::TopicAlreadyExists
    );
    let grown =
        block_on(admin.create_partitions([&NewPartitions::new(&r.topic, 4)], &options())).unwrap();
    grown[0].as_ref().unwrap();
    r.ready(4);
    let consumer: BaseConsumer = r.config(&[]).create().unwrap();
    let metadata = consumer.fetch_metadata(Some(&r.topic), LIMIT).unwrap();
    assert_eq!(metadata.brokers().len(), r.brokers);
    assert_eq!(metadata.topics()[0].partitions().len(), 4);
    let none = format!("{}-none", r.topic);
    let deleted = block_on(admin.delete_topics(&[&r.topic, &none], &options())).unwrap();
    deleted[0].as_ref().unwrap();
    assert_eq!(
        deleted[1].as_ref().unwrap_err().1,
        RDKafkaErrorCode::UnknownTopicOrPartition
    );
    until("it has left the list", || {
        let metadata = consumer.fetch_metadata(None, LIMIT).unwrap();
        metadata.topics().iter().all(|t| t.name() != r.topic)
    });
}

fn configs(r: &Run) {
    r.create(1, &[("retention.ms", "7200000")]);
    let admin = r.admin();
    let resource = ResourceSpecifier::Topic(&r.topic);
    let shown = |name: &str| {
        let told = block_on(admin.describe_configs([&resource], &options())).unwrap();
        let entry = told[0].as_ref().unwrap().get(name).unwrap();
        (entry.value.clone().unwrap(), format!("{:?}", entry.source))
    };
    assert_eq!(
        shown("retention.ms"),
        ("7200000".into(), "DynamicTopic".into())
    );
    // It replaces all that was set.
    let change = AlterConfig::new(resource.clone()).set("max.message.bytes", "100000");
    block_on(admin.alter_configs([&change], &options())).unwrap()[0]
        .as_ref()
        .unwrap();
    until("it shows", || shown("max.message.bytes").0 == "100000");
    assert_eq!(
        shown("retention.ms"),
        ("604800000".into(), "Default".into())
    );
    let ill = AlterConfig::new(resource.clone()).set("retention.ms", "often");
    // The crate does not pass on what was answered; nothing changes.
    let _ = block_on(admin.alter_configs([&ill], &options()));
    assert_eq!(shown("retention.ms").0, "604800000");
}

fn groups(r: &Run) {
    r.create(1, &[]);
    r.send(0, &values(10, 10), &[]);
    let consumer: BaseConsumer = r
        .config(&[
            ("group.id", &r.topic),
            ("client.id", "the-client"),
            ("auto.offset.reset", "earliest"),
        ])
        .create()
        .unwrap();
    consumer.subscribe(&[&r.topic]).unwrap();
    until("it is stable", || {
        let _ = consumer.poll(Duration::from_millis(50));
        let list = consumer.fetch_group_list(Some(&r.topic), LIMIT).unwrap();
        list.groups().first().is_some_and(|g| g.state() == "Stable")
    });
    let list = consumer.fetch_group_list(Some(&r.topic), LIMIT).unwrap();
    let group = &list.groups()[0];
    assert_eq!(
        (group.protocol_type(), group.protocol()),
        ("consumer", "range")
    );
    assert_eq!(group.members()[0].client_id(), "the-client");
    let all = consumer.fetch_group_list(None, LIMIT).unwrap();
    assert!(
        all.groups().iter().any(|g| g.name() == r.topic),
        "not in the list"
    );
}

/// What is answered, right and wrong, in one transcript.
fn script(r: &Run) {
    let admin = r.admin();
    let code = |result: Option<RDKafkaErrorCode>| result.map_or("ok".into(), |e| format!("{e:?}"));
    for (suffix, partitions, replicas, setting) in [
        ("", 3, 1, ("retention.ms", "3600000")),
        ("", 3, 1, ("retention.ms", "3600000")),
        (" d", 1, 1, ("retention.ms", "3600000")),
        ("-e", 1, 1, ("retention.ms", "odd")),
        ("-f", 1, 1, ("no.such", "1")),
    ] {
        let name = format!("{}{suffix}", r.topic);
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(replicas))
            .set(setting.0, setting.1);
        let told = block_on(admin.create_topics([&topic], &options())).unwrap();
        r.say(format!(
            "create {name}: {}",
            code(told[0].as_ref().err().map(|e| e.1))
        ));
    }
    r.ready(3);
    for partition in 0..4 {
        let told = r.send(partition, &values(2, 10), &[("message.timeout.ms", "3000")]);
        r.say(format!(
            "produce to partition {partition}: {:?}",
            told.values().collect::<Vec<_>>()
        ));
    }
    let consumer: BaseConsumer = r.config(&[("group.id", &r.topic)]).create().unwrap();
    for partition in 0..4 {
        let told = consumer.fetch_watermarks(&r.topic, partition, LIMIT);
        r.say(format!(
            "watermarks of {partition}: {:?}",
            told.map_err(|e| crate::run::code(&e))
        ));
    }
    for (topic, partition) in [
        (r.topic.clone(), 0),
        (r.topic.clone(), 99),
        (format!("{}-none", r.topic), 0),
    ] {
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset(&topic, partition, Offset::Offset(1))
            .unwrap();
        let told = consumer.commit(&offsets, rdkafka::consumer::CommitMode::Sync);
        r.say(format!(
            "commit of {topic}-{partition}: {}",
            code(told.err().map(|e| crate::run::code(&e)))
        ));
        let told = consumer
            .committed_offsets(offsets, LIMIT)
            .map(|t| t.elements()[0].offset());
        r.say(format!(
            "committed of {topic}-{partition}: {:?}",
            told.map_err(|e| crate::run::code(&e))
        ));
    }
    for count in [4, 4, 1] {
        let grown =
            block_on(admin.create_partitions([&NewPartitions::new(&r.topic, count)], &options()))
                .unwrap();
        r.say(format!(
            "{count} partitions: {}",
            code(grown[0].as_ref().err().map(|e| e.1))
        ));
        // Kafka's controller answers a little before its broker knows.
        until("it has grown", || {
            let metadata = consumer.fetch_metadata(Some(&r.topic), LIMIT).unwrap();
            metadata.topics()[0].partitions().len() == 4
        });
    }
    let none = format!("{}-none", r.topic);
    for name in [&r.topic, &none] {
        let told = block_on(admin.describe_configs([&ResourceSpecifier::Topic(name)], &options()))
            .unwrap();
        r.say(format!(
            "settings of {name}: {}",
            code(told[0].as_ref().err().copied())
        ));
    }
    let gone = block_on(admin.delete_topics(&[&r.topic, &none], &options())).unwrap();
    for answer in gone {
        r.say(match answer {
            Ok(name) => format!("delete {name}: ok"),
            Err((name, e)) => format!("delete {name}: {e:?}"),
        });
    }
}
