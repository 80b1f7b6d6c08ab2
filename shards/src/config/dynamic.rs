//! Settings of the node that may change while it runs.
//!
//! A *throttle* is one broker's (one shard's): it is stored and shown for its id alone. Every
//! other setting is the node's, whatever shard's id it was set by; only those may change that the
//! node really follows: the defaults of topics' own settings, those of the log cleaner, how many
//! connections there may be, and for how long a producer is remembered.
//!
//! Source: Kafka `DynamicBrokerConfig`.

use super::layers::Given;
use super::row::{Known, Role, Update, known};
use super::topic::TOPIC;
use super::{ConfigError, Settings};

/// Bytes per second at which replicas are copied, per broker. Those between brokers are accepted for
/// the tools that set them around every reassignment.
const THROTTLES: &[&str] = &[
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    COPY_RATE,
];

/// The one between log directories.
const COPY_RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// How many connections there may be, and how fast they come: `net::Gate` follows them.
const CONNECTIONS: &[&str] = &[
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
];

/// Asked whenever they are needed.
const ASKED: &[&str] = &["producer.id.expiration.ms"];

/// Whether a setting is one shard's, and not the node's.
pub fn is_throttle(name: &str) -> bool {
    THROTTLES.contains(&name)
}

/// Bytes a second at which a broker copies partitions between its log directories: what is given for
/// its id alone, else what holds for all.
pub fn copy_rate(settings: &Settings, own: &Given) -> i64 {
    // It was checked when it was given.
    let given = own.get(COPY_RATE).and_then(|text| text.trim().parse().ok());
    given.unwrap_or(settings.replica_alter_log_dirs_io_max_bytes_per_second)
}

/// What is given for one id: its throttles, and what is the node's.
pub fn split(given: &Given) -> (Given, Given) {
    let owned = given
        .iter()
        .map(|(name, text)| (name.clone(), text.clone()));
    owned.partition(|(name, _)| is_throttle(name))
}

/// Whether a setting may be given this text while the node runs. Its range is not checked.
///
/// # Errors
/// Why not: unknown, read-only in Kafka, too, or without effect here.
pub fn check_changeable(name: &str, text: &str) -> Result<(), ConfigError> {
    let refuse = |reason: &str| Err(ConfigError::invalid(name, text, reason));
    let Known::Row(row) = known(name)? else {
        return refuse("it has no effect here");
    };
    let followed = || {
        let mut nodes = TOPIC.iter().flat_map(|topic| topic.node);
        nodes.any(|(node, _)| *node == name)
    };
    match (row.update, row.role) {
        _ if is_throttle(name) => Ok(()),
        (Update::ReadOnly, _) => refuse("cannot change while the node runs"),
        _ if followed() || CONNECTIONS.contains(&name) || ASKED.contains(&name) => Ok(()),
        // Asked before each cleaning.
        (_, Role::Implemented { .. }) if name.starts_with("log.cleaner.") => Ok(()),
        (_, Role::Idle(why)) => refuse(&format!("it has no effect here: {}", why.text())),
        _ => refuse("takes effect at a start only: set it in server.properties"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_change_is_what_the_node_follows() {
        for name in [
            "log.retention.ms",
            "log.retention.hours",
            "message.max.bytes",
            "log.segment.bytes",
            "leader.replication.throttled.rate",
            "log.cleaner.backoff.ms",
            "max.connections",
            "producer.id.expiration.ms",
        ] {
            let known_read_only = name == "log.retention.hours";
            assert_eq!(
                check_changeable(name, "1").is_err(),
                known_read_only,
                "{name}"
            );
        }
        for (name, text) in [
            ("log.dirs", "cannot change"),
            ("num.io.threads", "no effect"),
            ("listeners", "start only"),
            ("no.such", "no such setting"),
        ] {
            let why = check_changeable(name, "1").unwrap_err().to_string();
            assert!(why.contains(text), "{why}");
        }
    }
}
