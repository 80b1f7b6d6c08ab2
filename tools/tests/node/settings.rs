//! Settings changed while the node runs: what they do, where they show, that they stay.

use odradek_wire::alter_configs::{self, AlterConfigsRequest, AlterConfigsResponse};
use odradek_wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use odradek_wire::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use odradek_wire::{ErrorCode, Message, Reader};

use crate::common::{Client, EARLIEST, LATEST, TestNode, batch, batch_by, wait_until};

const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const SET: i8 = 0;
pub(crate) const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
const ALTER: i16 = IncrementalAlterConfigsRequest::MAX_VERSION;
const REPLACE: i16 = AlterConfigsRequest::MAX_VERSION;
const DESCRIBE: i16 = DescribeConfigsRequest::MAX_VERSION;

type Resource<'a> = (i8, &'a str);

pub(crate) fn try_alter(
    client: &mut Client,
    resource: Resource<'_>,
    changes: &[(&str, i8, &str)],
    validate_only: bool,
) -> (i16, String) {
    let configs = changes
        .iter()
        .map(|(name, operation, value)| AlterableConfig {
            name,
            config_operation: *operation,
            value: Some(value).filter(|_| *operation != DELETE).copied(),
        });
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: resource.0,
            resource_name: resource.1,
            configs: configs.collect(),
        }],
        validate_only,
    };
    let body = client.call(ALTER, &request).expect("an answer");
    let response = IncrementalAlterConfigsResponse::decode(&mut Reader::new(&body), ALTER);
    let one = &response.expect("readable").responses[0];
    assert_eq!((one.resource_type, one.resource_name), resource);
    (
        one.error_code,
        one.error_message.unwrap_or_default().to_owned(),
    )
}

pub(crate) fn alter(client: &mut Client, resource: Resource<'_>, changes: &[(&str, i8, &str)]) {
    let (error, why) = try_alter(client, resource, changes, false);
    assert_eq!(error, 0, "{changes:?}: {why}");
}

fn replace(client: &mut Client, resource: Resource<'_>, configs: &[(&str, &str)]) -> i16 {
    let configs = configs
        .iter()
        .map(|(name, value)| alter_configs::AlterableConfig {
            name,
            value: Some(value),
        });
    let request = AlterConfigsRequest {
        resources: vec![alter_configs::AlterConfigsResource {
            resource_type: resource.0,
            resource_name: resource.1,
            configs: configs.collect(),
        }],
        validate_only: false,
    };
    let body = client.call(REPLACE, &request).expect("an answer");
    let response = AlterConfigsResponse::decode(&mut Reader::new(&body), REPLACE);
    response.expect("readable").responses[0].error_code
}

/// A setting's value and source.
fn shown(client: &mut Client, resource: Resource<'_>, name: &str) -> (String, i8) {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: resource.0,
            resource_name: resource.1,
            configuration_keys: Some(vec![name]),
        }],
        ..DescribeConfigsRequest::default()
    };
    let body = client.call(DESCRIBE, &request).expect("an answer");
    let response = DescribeConfigsResponse::decode(&mut Reader::new(&body), DESCRIBE);
    let result = &response.expect("readable").results[0];
    assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    let entry = &result.configs[0];
    (
        entry.value.unwrap_or("null").to_owned(),
        entry.config_source,
    )
}

fn restart(node: &mut TestNode, round: usize) {
    match round {
        0 => node.kill(),
        _ => node.stop(),
    }
    node.run();
}

#[test]
fn a_topics_settings_change_show_and_stay() {
    let mut node = TestNode::start(&[("shards", "2")]);
    let topic = (TOPIC, "t");
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 2, &[]), ErrorCode::None);
    // A text is bounded; one request cannot say more, but a list could grow.
    let name = "leader.replication.throttled.replicas";
    let longest = ["0:1"; 1 << 13].join(",");
    alter(&mut client, topic, &[(name, SET, &longest)]);
    let (error, why) = try_alter(&mut client, topic, &[(name, APPEND, "1:1")], false);
    assert_eq!(error, ErrorCode::InvalidConfig.code(), "{why}");
    assert!(why.contains("32771") && why.len() < 300, "{why}");
    assert_eq!(shown(&mut client, topic, name), (longest, 1));
    alter(&mut client, topic, &[(name, DELETE, "")]);
    let set = [
        ("retention.ms", SET, "7200000"),
        ("cleanup.policy", APPEND, "compact"),
    ];
    let (error, why) = try_alter(&mut client, topic, &set, true);
    assert_eq!(error, 0, "{why}");
    assert_eq!(
        shown(&mut client, topic, "retention.ms"),
        ("604800000".into(), 5)
    );
    alter(&mut client, topic, &set);
    for round in 0..3 {
        // By both shards.
        for index in 0..2 {
            let mut client = Client::connect(&node.shards()[index]);
            assert_eq!(
                shown(&mut client, topic, "retention.ms"),
                ("7200000".into(), 1)
            );
            let policy = shown(&mut client, topic, "cleanup.policy");
            assert_eq!(policy, ("delete,compact".into(), 1));
        }
        restart(&mut node, round);
    }
    let mut client = node.client();
    alter(
        &mut client,
        topic,
        &[
            ("retention.ms", DELETE, ""),
            ("cleanup.policy", SUBTRACT, "delete"),
        ],
    );
    assert_eq!(
        shown(&mut client, topic, "retention.ms"),
        ("604800000".into(), 5)
    );
    assert_eq!(
        shown(&mut client, topic, "cleanup.policy"),
        ("compact".into(), 1)
    );
    // The old way: all at once.
    assert_eq!(replace(&mut client, topic, &[("segment.ms", "5000")]), 0);
    assert_eq!(
        shown(&mut client, topic, "cleanup.policy"),
        ("delete".into(), 5)
    );
    assert_eq!(shown(&mut client, topic, "segment.ms"), ("5000".into(), 1));
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let node = TestNode::start(&[]);
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    let topic = (TOPIC, "t");
    let broker = (BROKER, "1000");
    let none = (TOPIC, "none");
    use ErrorCode::{InvalidConfig, InvalidRequest, UnknownTopicOrPartition};
    let cases: [(Resource<'_>, (&str, i8, &str), ErrorCode); 14] = [
        (topic, ("no.such", SET, "1"), InvalidConfig),
        (topic, ("retention.ms", SET, "abc"), InvalidConfig),
        (topic, ("retention.ms", SET, "-2"), InvalidConfig),
        (topic, ("retention.ms", APPEND, "5"), InvalidConfig),
        (topic, ("cleanup.policy", APPEND, "x"), InvalidConfig),
        (topic, ("retention.ms", 9, "5"), InvalidRequest),
        (none, ("retention.ms", SET, "5"), UnknownTopicOrPartition),
        (none, ("no.such", SET, "5"), InvalidConfig),
        (broker, ("no.such", SET, "5"), InvalidRequest),
        (broker, ("log.dirs", SET, "/tmp"), InvalidRequest),
        (
            broker,
            ("leader.replication.throttled.rate", SET, "-1"),
            InvalidRequest,
        ),
        (
            (BROKER, "77"),
            ("leader.replication.throttled.rate", SET, "1"),
            InvalidRequest,
        ),
        (
            (BROKER, "x"),
            ("leader.replication.throttled.rate", SET, "1"),
            InvalidRequest,
        ),
        ((99, "x"), ("retention.ms", SET, "1"), InvalidRequest),
    ];
    for (resource, change, expected) in cases {
        let good = ("retention.bytes", SET, "4000000000");
        let (error, why) = try_alter(&mut client, resource, &[good, change], false);
        assert_eq!(error, expected.code(), "{resource:?} {change:?}: {why}");
        assert!(!why.is_empty());
    }
    assert_eq!(
        shown(&mut client, topic, "retention.bytes"),
        ("-1".into(), 5)
    );
    let deleted = try_alter(&mut client, topic, &[("no.such", DELETE, "")], false);
    assert_eq!(deleted.0, 0, "what is not there can be deleted");
}

#[test]
fn limits_of_an_open_partition_follow_at_once() {
    let node = TestNode::start(&[("log.retention.check.interval.ms", "50")]);
    let mut client = node.client();
    let topic = (TOPIC, "t");
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    let large = batch(&[&[7; 100_000]]);
    client.store("t", 0, &large);
    alter(&mut client, topic, &[("max.message.bytes", SET, "1000")]);
    let refused = client.produce("t", 0, -1, &large);
    assert_eq!(refused.error, ErrorCode::MessageTooLarge);
    alter(&mut client, topic, &[("max.message.bytes", DELETE, "")]);
    for _ in 0..30 {
        client.store("t", 0, &large);
    }
    assert_eq!(client.list_offsets("t", 0, EARLIEST).offset, 0);
    let sizes = [
        ("segment.bytes", SET, "1048576"),
        ("retention.bytes", SET, "1048576"),
    ];
    alter(&mut client, topic, &sizes);
    for _ in 0..20 {
        client.store("t", 0, &large);
    }
    let end = client.list_offsets("t", 0, LATEST).offset;
    wait_until("old records go", || {
        client.list_offsets("t", 0, EARLIEST).offset >= end - 25
    });
}

#[test]
fn the_nodes_settings_are_the_nodes_and_throttles_a_shards() {
    let mut node = TestNode::start(&[("shards", "2"), ("log.retention.check.interval.ms", "50")]);
    let mut client = node.client();
    let large = batch(&[&[7; 100_000]]);
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    let mut leader = node.leader("t", 0);
    for _ in 0..30 {
        leader.store("t", 0, &large);
    }
    let rate = "leader.replication.throttled.rate";
    let (first, second, all) = ((BROKER, "1000"), (BROKER, "1001"), (BROKER, ""));
    alter(
        &mut client,
        second,
        &[(rate, SET, "77"), ("log.segment.bytes", SET, "1048576")],
    );
    alter(&mut client, all, &[("log.retention.bytes", SET, "1048576")]);
    for round in 0..2 {
        let mut client = node.client();
        assert_eq!(shown(&mut client, second, rate), ("77".into(), 2));
        assert_eq!(
            shown(&mut client, first, "log.segment.bytes"),
            ("1048576".into(), 2)
        );
        assert_eq!(
            shown(&mut client, second, "log.segment.bytes"),
            ("1048576".into(), 2)
        );
        assert_eq!(
            shown(&mut client, first, "log.retention.bytes"),
            ("1048576".into(), 3)
        );
        assert_eq!(
            shown(&mut client, (TOPIC, "t"), "retention.bytes"),
            ("1048576".into(), 3)
        );
        // Topics without a setting of their own follow.
        let mut leader = node.leader("t", 0);
        for _ in 0..20 {
            leader.store("t", 0, &large);
        }
        let end = leader.list_offsets("t", 0, LATEST).offset;
        wait_until("old records go", || {
            leader.list_offsets("t", 0, EARLIEST).offset >= end - 25
        });
        restart(&mut node, round);
    }
    // They are the same where the node is one broker.
    node.stop();
    node.set("shards.advertise", "node");
    node.run();
    let mut client = node.client();
    let whole = (BROKER, "1");
    let segment = "log.segment.bytes";
    assert_eq!(shown(&mut client, whole, segment), ("1048576".into(), 2));
    alter(&mut client, whole, &[(segment, SET, "2097152")]);
    node.stop();
    node.set("shards.advertise", "core");
    node.run();
    let mut client = node.client();
    assert_eq!(shown(&mut client, second, segment), ("2097152".into(), 2));
    alter(&mut client, first, &[("log.segment.bytes", DELETE, "")]);
    alter(&mut client, second, &[(rate, DELETE, "")]);
    assert_eq!(
        shown(&mut client, second, "log.segment.bytes"),
        ("1073741824".into(), 5)
    );
}

#[test]
fn how_long_a_producer_is_remembered_changes_live() {
    let node = TestNode::start(&[("log.retention.check.interval.ms", "20")]);
    let mut client = node.client();
    assert_eq!(client.create_topic("t", 1, &[]), ErrorCode::None);
    let mut send = |sequence| {
        let batch = batch_by(7, 0, sequence, &[b"x"]);
        client.produce("t", 0, -1, &batch).error
    };
    assert_eq!(send(0), ErrorCode::None);
    // Who is remembered may leave none out; of who is not, any number is the first.
    assert_eq!(send(5), ErrorCode::OutOfOrderSequenceNumber);
    let mut admin = node.client();
    let name = "producer.id.expiration.ms";
    alter(&mut admin, (BROKER, ""), &[(name, SET, "1")]);
    wait_until("the producer is forgotten", || send(5) == ErrorCode::None);
}
