//! Reading the node's settings: what is taken, what is warned of, what is refused.

use std::path::{Path, PathBuf};

use super::{load, refusal};
use odradek_engine::io::strategy::write::WriteStrategy;

use crate::config::choice::Advertise;
use crate::config::row::rows;
use crate::config::{Listener, Settings, ShardPorts};

fn listener(name: &str, host: &str, port: u16) -> Listener {
    Listener {
        name: name.to_owned(),
        host: host.to_owned(),
        port,
    }
}

#[test]
fn no_file_starts_a_node() {
    let (settings, warnings) = Settings::load(None, &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(settings.node_id, 1);
    assert_eq!(settings.listeners, [listener("PLAINTEXT", "", 9092)]);
    assert_eq!(settings.advertised, settings.listeners);
    assert_eq!(settings.metadata_dir.to_str(), Some("./data"));
    assert_eq!(settings.log_roll_ms, 7 * 24 * 3_600_000);
    assert_eq!(settings.log_retention_ms, 7 * 24 * 3_600_000);
    assert_eq!(settings.log_write_strategy, WriteStrategy::Direct);
    assert_eq!(settings.shards_advertise, Advertise::Core);
    assert_eq!(settings.memory_tail_bytes, 64 << 20);
}

#[test]
fn kafkas_shipped_file_starts_a_node() {
    let (settings, warnings) = load(include_str!("../testdata/server.properties"));
    assert_eq!(settings.listeners, [listener("PLAINTEXT", "", 9092)]);
    assert_eq!(
        settings.advertised,
        [listener("PLAINTEXT", "localhost", 9092)]
    );
    assert_eq!(settings.log_dirs, [Path::new("/tmp/kraft-combined-logs")]);
    let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = warnings
        .iter()
        .map(|warning| warning.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "controller.quorum.bootstrap.servers",
            "inter.broker.listener.name",
            "num.recovery.threads.per.data.dir",
            "share.coordinator.state.topic.min.isr",
            "share.coordinator.state.topic.replication.factor",
            "transaction.state.log.min.isr",
            "listeners",
        ],
        "{lines:#?}"
    );
    let opened =
        "listeners: CONTROLLER://:9093 is not opened: the controller is embedded in the node";
    assert_eq!(lines.last().map(String::as_str), Some(opened));
}

#[test]
fn every_setting_is_accepted_at_its_default() {
    for row in rows() {
        if let Some(default) = row.default {
            let (_, warnings) = load(&format!("{}={default}", row.name));
            assert_eq!(warnings, [], "{}", row.name);
        }
    }
}

#[test]
fn without_effect_is_one_line() {
    let (_, warnings) =
        load("num.io.threads = 16\nzookeeper.connect: host:2181\nnum.network.threads=3");
    let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "num.io.threads: 16 is accepted without effect: a shard is one thread; see shards",
            "zookeeper.connect: accepted without effect: Apache Kafka 4 does not have it any more",
        ]
    );
    let (_, warnings) = load("ssl.keystore.password=geheim");
    assert!(!warnings[0].to_string().contains("geheim"));
}

#[test]
fn families_are_known_by_their_prefix() {
    for name in [
        "listener.name.internal.ssl.keystore.location",
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config",
        "listener.name.plaintext.max.connections",
        "config.providers.file.class",
        "rsm.config.bucket",
        "metrics.context.resource",
    ] {
        let (_, warnings) = load(&format!("{name}=x"));
        assert_eq!(warnings.len(), 1, "{name}: {warnings:?}");
    }
    let near = "listener.name.internal.ssl.keystore.locatoin: no such setting; \
                did you mean listener.name.internal.ssl.keystore.location?";
    assert_eq!(
        refusal("listener.name.internal.ssl.keystore.locatoin=x"),
        near
    );
}

#[test]
fn the_nearest_name_is_proposed() {
    for (text, message) in [
        (
            "num.partitons=3",
            "num.partitons: no such setting; did you mean num.partitions?",
        ),
        (
            "log.dirss=x",
            "log.dirss: no such setting; did you mean log.dirs?",
        ),
        ("shard=2", "shard: no such setting; did you mean shards?"),
        (
            "ssl.keystore.pasword=x",
            "ssl.keystore.pasword: no such setting; did you mean ssl.keystore.password?",
        ),
        (
            "odradek.completely.different=1",
            "odradek.completely.different: no such setting",
        ),
    ] {
        assert_eq!(refusal(text), message);
    }
}

#[test]
fn ill_values_name_key_value_and_range() {
    for (text, message) in [
        (
            "num.partitions=0",
            "num.partitions=0: expected at least 1 (INT)",
        ),
        (
            "num.partitions=many",
            "num.partitions=many: expected a whole number from -2147483648 to 2147483647 (INT), at least 1",
        ),
        (
            "log.segment.bytes=3000000000",
            "log.segment.bytes=3000000000: expected a whole number from -2147483648 to 2147483647 (INT), at least 1048576",
        ),
        (
            "auto.create.topics.enable=yes",
            "auto.create.topics.enable=yes: expected true or false",
        ),
        ("shards=1001", "shards=1001: expected 1 to 1000 (INT)"),
        (
            "node.id=2147483",
            "node.id=2147483: expected 0 to 2147482 (INT)",
        ),
        (
            "compression.gzip.level=0",
            "compression.gzip.level=0: expected 1 to 9, or -1 (INT)",
        ),
        (
            "log.cleaner.min.cleanable.ratio=2",
            "log.cleaner.min.cleanable.ratio=2: expected 0 to 1 (DOUBLE)",
        ),
        (
            "log.write.strategy=mmap",
            "log.write.strategy=mmap: expected one of direct, buffered, buffered-dontcache (STRING)",
        ),
        (
            "log.cleanup.policy=shred",
            "log.cleanup.policy=shred: expected a list of compact, delete, or nothing (LIST)",
        ),
        (
            "process.roles=controller",
            "process.roles=controller: must name the broker",
        ),
        (
            "log.retention.ms=0",
            "log.retention.ms=0: expected at least 1, or -1 for ever",
        ),
        ("log.roll.ms=0", "log.roll.ms=0: expected at least 1"),
        ("log.dirs=,", "log.dirs=,: expected not empty (LIST)"),
        (
            "node.id=1\nbroker.id=2",
            "broker.id=2: must be the same as node.id=1",
        ),
        (
            "queued.max.request.bytes=5",
            "queued.max.request.bytes=5 is less than socket.request.max.bytes=104857600",
        ),
    ] {
        assert_eq!(refusal(text), message);
    }
    assert!(refusal("authorizer.class.name=x.Y").contains("nothing is authorised yet"));
}

#[test]
fn listeners_that_cannot_be_are_refused() {
    for (text, message) in [
        (
            "listeners=SSL://:9093",
            "listeners=SSL://:9093: SSL is not supported yet, only PLAINTEXT is",
        ),
        (
            "listeners=SASL_PLAINTEXT://:9093",
            "listeners=SASL_PLAINTEXT://:9093: SASL_PLAINTEXT is not supported yet, only PLAINTEXT is",
        ),
        (
            "listeners=:9092",
            "listeners=:9092: expected NAME://host:port, port from 0 to 65535",
        ),
        (
            "listeners=PLAINTEXT://:65536",
            "listeners=PLAINTEXT://:65536: expected NAME://host:port, port from 0 to 65535",
        ),
        (
            "listeners=OUT://:9092",
            "listeners=OUT://:9092: listener.security.protocol.map has no protocol for OUT",
        ),
        (
            "listeners=PLAINTEXT://:1,PLAINTEXT://:2",
            "listeners=PLAINTEXT://:2: the name PLAINTEXT is given twice",
        ),
        (
            "controller.listener.names=PLAINTEXT",
            "listeners=PLAINTEXT://:9092: no listener for clients is left",
        ),
        (
            "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
            "advertised.listeners=PLAINTEXT://0.0.0.0:9092: clients cannot connect to 0.0.0.0",
        ),
        (
            "advertised.listeners=OUT://h:9092",
            "advertised.listeners=OUT://h:9092: listeners has no OUT",
        ),
    ] {
        assert_eq!(refusal(text), message);
    }
    let map = "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT";
    assert_eq!(
        refusal(&format!("listeners=A://:9092,B://:9092\n{map}")),
        "listeners=B://:9092: port 9092 is already that of A"
    );
    let (settings, _) = load(&format!("listeners=a://[::1]:0,B://127.0.0.1:0\n{map}"));
    assert_eq!(
        settings.listeners,
        [listener("A", "::1", 0), listener("B", "127.0.0.1", 0)]
    );
}

#[test]
fn shards_get_ports() {
    let ports = |text: &str, cpus| {
        let layout = load(text)
            .0
            .shard_layout(cpus)
            .map_err(|error| error.to_string())?;
        Ok::<_, String>((layout.count, layout.ports))
    };
    assert_eq!(ports("", 2), Ok((2, vec![ShardPorts::From(19_092)])));
    assert_eq!(ports("", 1), Ok((1, vec![ShardPorts::Listener])));
    assert_eq!(
        ports("shards=4\nshards.port.base=0", 2),
        Ok((4, vec![ShardPorts::Free]))
    );
    assert_eq!(
        ports("listeners=PLAINTEXT://127.0.0.1:0", 2),
        Ok((2, vec![ShardPorts::Free]))
    );
    assert_eq!(ports("", 4_000).unwrap().0, 1_000);
    let two =
        "listeners=A://:9092,B://:9095\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\n";
    assert_eq!(
        ports(&format!("{two}shards.port.base=20000"), 3),
        Ok((3, vec![ShardPorts::From(20_000), ShardPorts::From(20_003)]))
    );
    for (text, cpus, message) in [
        (
            "shards.port.base=65535".to_owned(),
            2,
            "shards.port.base: 2 shards of PLAINTEXT would need ports 65535 to 65536, past 65535",
        ),
        (
            format!("{two}shards.port.base=9090"),
            3,
            "shards.port.base: ports 9090 to 9092 of A's shards hold A's port 9092",
        ),
        (
            two.to_owned(),
            8,
            "shards.port.base: ports 19092 to 19099 of A's shards overlap B's, 19095 to 19102",
        ),
    ] {
        assert_eq!(ports(&text, cpus), Err(message.to_owned()));
    }
    assert_eq!(
        ports("shards.advertise=node", 2),
        Ok((2, vec![ShardPorts::Listener]))
    );
    assert_eq!(
        ports("shards.advertise=node\nshards=1", 2),
        Ok((1, vec![ShardPorts::Listener]))
    );
}

#[test]
fn the_node_or_each_shard_is_a_broker() {
    let ids = |text: &str| {
        let (settings, _) = load(text);
        let ids = [settings.broker_id(0), settings.broker_id(3)];
        (ids, settings.stored_id())
    };
    assert_eq!(ids("node.id=7"), ([7000, 7003], 7000));
    assert_eq!(ids("node.id=7\nshards.advertise=node"), ([7, 7], 7000));
}

#[test]
fn finer_units_come_first() {
    let retention = |text: &str| load(text).0.log_retention_ms;
    assert_eq!(retention("log.retention.hours=2"), 7_200_000);
    assert_eq!(
        retention("log.retention.hours=2\nlog.retention.minutes=3"),
        180_000
    );
    assert_eq!(retention("log.retention.ms=4\nlog.retention.minutes=3"), 4);
    assert_eq!(retention("log.retention.hours=-1"), -1);
    assert_eq!(load("log.roll.hours=1").0.log_roll_ms, 3_600_000);
    assert_eq!(load("log.roll.hours=1\nlog.roll.ms=5").0.log_roll_ms, 5);
    assert_eq!(load("broker.id=7").0.node_id, 7);
}

#[test]
fn the_command_line_overrides_and_java_syntax_is_read() {
    let text = "! note\n# note\nnum.partitions : 3\n  broker.rack = a\\u00e9\\\n     b\nlog.dirs=/x,/y\nnode.id=1\nnode.id=2\n";
    let overrides = [("num.partitions".to_owned(), "5".to_owned())];
    let (settings, warnings) = Settings::load(Some(text), &overrides).unwrap();
    assert_eq!((settings.num_partitions, settings.node_id), (5, 2));
    assert_eq!(settings.broker_rack.as_deref(), Some("aéb"));
    let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(settings.log_dirs, ["/x", "/y"].map(PathBuf::from));
    assert_eq!(settings.metadata_dir, Path::new("/x"));
    let twice = "node.id: given again in line 8; the last one counts";
    assert_eq!(lines, [twice]);
    assert!(refusal("node.id=\\u00zz").starts_with("line 1: "));
}
