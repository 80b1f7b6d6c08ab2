//! Every topic setting of Apache Kafka 4.3.1, once, resolved against the node's.
//!
//! A topic's own value decides; else the first of the node's settings that correspond to it and
//! have a value (`ServerTopicConfigSynonyms`), brought to the same unit; else the default.
//! Settings marked with a reason are validated and stored but have no effect yet.

use super::choice::{CompressionType, TimestampType};
use super::idle::Why;
use super::layers::Given;
use super::row::{Role, Row, Update};
use super::settings::{RETENTION, ROLL, ROLL_JITTER, Settings};
use super::value::{Check, Field, Value};
use super::{ConfigError, suggest};
use Check::{Among, Any, AtLeast, Between, Fraction, GzipLevel, OneOf, ThrottledReplicas};

/// A topic setting.
#[derive(Debug)]
pub struct TopicRow {
    /// Name, type, default, range and meaning.
    pub row: Row,
    /// The node's settings it falls back to, and their unit in that of this one.
    pub node: &'static [(&'static str, i64)],
    /// Why it has no effect yet; `None`: it has.
    pub idle: Option<Why>,
}

impl TopicRow {
    /// What it means, and why it does nothing here if that is so.
    pub fn documentation(&self) -> Option<String> {
        let meaning = self.row.documentation()?;
        Some(match self.idle {
            Some(why) => format!("{meaning} {}", why.told()),
            None => meaning,
        })
    }
}

macro_rules! topics {
    ($($(#[doc = $doc:literal])+
        $vis:vis $field:ident: $type:ty = $name:literal, $default:expr, $check:expr, $node:expr, $idle:expr;)+) => {
        /// A topic's settings, each within its range.
        #[derive(Debug, Clone, PartialEq)]
        pub struct TopicConfig { $($(#[doc = $doc])+ $vis $field: $type,)+ }

        /// Every topic setting.
        pub static TOPIC: &[TopicRow] = &[$(TopicRow {
            row: Row {
                name: $name,
                kind: <$type as Field>::KIND,
                default: $default,
                check: $check,
                update: Update::ClusterWide,
                internal: {
                    const DEFAULT: Option<&str> = $default;
                    DEFAULT.is_none()
                },
                role: Role::Implemented { section: "", meaning: concat!($($doc, "\n"),+) },
            },
            node: $node,
            idle: $idle,
        },)+];

        impl TopicConfig {
            fn read(settings: &Settings, topic: &Given) -> Result<Self, ConfigError> {
                Ok(Self { $($field: field(settings, topic, $name)?,)+ })
            }
        }
    };
}

topics! {
    /// What becomes of old segments: delete removes them, compact keeps the last record of each key.
    /// Nothing: they stay.
    pub cleanup_policy: Vec<String> = "cleanup.policy", Some("delete"), Among(&["compact", "delete"]), &[("log.cleanup.policy", 1)], None;
    /// Codec in which batches are stored; producer keeps each as it came.
    pub compression_type: CompressionType = "compression.type", Some("producer"), OneOf(CompressionType::NAMES), &[("compression.type", 1)], None;
    /// Level at which the node compresses with gzip.
    pub compression_gzip_level: i32 = "compression.gzip.level", Some("-1"), GzipLevel, &[("compression.gzip.level", 1)], None;
    /// Level at which the node compresses with lz4.
    pub compression_lz4_level: i32 = "compression.lz4.level", Some("9"), Between(1, 17), &[("compression.lz4.level", 1)], Some(Why::OneLevel);
    /// Level at which the node compresses with zstd.
    pub compression_zstd_level: i32 = "compression.zstd.level", Some("3"), Between(-131_072, 22), &[("compression.zstd.level", 1)], None;
    /// Milliseconds for which compaction keeps the mark of a deleted key.
    pub delete_retention_ms: i64 = "delete.retention.ms", Some("86400000"), AtLeast(0), &[("log.cleaner.delete.retention.ms", 1)], None;
    /// Milliseconds between a segment's removal from the log and the deletion of its files in Kafka.
    pub file_delete_delay_ms: i64 = "file.delete.delay.ms", Some("60000"), AtLeast(0), &[("log.segment.delete.delay.ms", 1)], Some(Why::Removal);
    /// Records after which a log is flushed before the last of them is acknowledged, if that is not
    /// done sooner: durable.acks.all and durable.lag.max.ms decide, too.
    pub flush_messages: i64 = "flush.messages", Some("9223372036854775807"), AtLeast(1), &[("log.flush.interval.messages", 1)], None;
    /// Milliseconds after which a log is flushed, if that is sooner than durable.lag.max.ms.
    pub flush_ms: i64 = "flush.ms", Some("9223372036854775807"), AtLeast(0), &[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)], None;
    /// Replicas whose fetching is throttled.
    pub follower_replication_throttled_replicas: Vec<String> = "follower.replication.throttled.replicas", Some(""), ThrottledReplicas, &[], Some(Why::Replication);
    /// Bytes of log between two entries of the offset index.
    pub index_interval_bytes: i32 = "index.interval.bytes", Some("4096"), AtLeast(0), &[("log.index.interval.bytes", 1)], None;
    /// Segment size in bytes below the least that segment.bytes allows; for tests.
    pub(super) internal_segment_bytes: Option<i32> = "internal.segment.bytes", None, AtLeast(1), &[], None;
    /// Replicas to which replication is throttled.
    pub leader_replication_throttled_replicas: Vec<String> = "leader.replication.throttled.replicas", Some(""), ThrottledReplicas, &[], Some(Why::Replication);
    /// Bytes of a tiered partition that are kept locally.
    pub local_retention_bytes: i64 = "local.retention.bytes", Some("-2"), AtLeast(-2), &[("log.local.retention.bytes", 1)], Some(Why::Tiered);
    /// Milliseconds for which a tiered partition's records are kept locally.
    pub local_retention_ms: i64 = "local.retention.ms", Some("-2"), AtLeast(-2), &[("log.local.retention.ms", 1)], Some(Why::Tiered);
    /// Longest time in milliseconds for which a record may escape compaction.
    pub max_compaction_lag_ms: i64 = "max.compaction.lag.ms", Some("9223372036854775807"), AtLeast(1), &[("log.cleaner.max.compaction.lag.ms", 1)], None;
    /// Largest record batch in bytes.
    pub max_message_bytes: i32 = "max.message.bytes", Some("1048588"), AtLeast(0), &[("message.max.bytes", 1)], None;
    /// Milliseconds by which a producer's timestamp may lie after the node's clock.
    pub message_timestamp_after_max_ms: i64 = "message.timestamp.after.max.ms", Some("3600000"), AtLeast(0), &[("log.message.timestamp.after.max.ms", 1)], None;
    /// Milliseconds by which a producer's timestamp may lie before the node's clock.
    pub message_timestamp_before_max_ms: i64 = "message.timestamp.before.max.ms", Some("9223372036854775807"), AtLeast(0), &[("log.message.timestamp.before.max.ms", 1)], None;
    /// Whose clock stamps records: CreateTime the producer's, LogAppendTime the node's.
    pub message_timestamp_type: TimestampType = "message.timestamp.type", Some("CreateTime"), OneOf(TimestampType::NAMES), &[("log.message.timestamp.type", 1)], None;
    /// Share of a log that is not compacted at which compaction begins.
    pub min_cleanable_dirty_ratio: f64 = "min.cleanable.dirty.ratio", Some("0.5"), Fraction(0.0, 1.0), &[("log.cleaner.min.cleanable.ratio", 1)], None;
    /// Shortest time in milliseconds for which a record is left uncompacted.
    pub min_compaction_lag_ms: i64 = "min.compaction.lag.ms", Some("0"), AtLeast(0), &[("log.cleaner.min.compaction.lag.ms", 1)], None;
    /// Replicas that must be in sync for a write with acks=all.
    pub min_insync_replicas: i32 = "min.insync.replicas", Some("1"), AtLeast(1), &[("min.insync.replicas", 1)], None;
    /// Whether a segment's file has its whole length from the first; else it grows ahead of its tail.
    pub preallocate: bool = "preallocate", Some("false"), Any, &[("log.preallocate", 1)], None;
    /// Whether copying to remote storage is paused.
    pub remote_log_copy_disable: bool = "remote.log.copy.disable", Some("false"), Any, &[], Some(Why::Tiered);
    /// Whether remote data is deleted when remote storage is switched off.
    pub remote_log_delete_on_disable: bool = "remote.log.delete.on.disable", Some("false"), Any, &[], Some(Why::Tiered);
    /// Whether old segments go to remote storage; true is refused.
    pub remote_storage_enable: bool = "remote.storage.enable", Some("false"), Any, &[], Some(Why::Tiered);
    /// Bytes of a partition that are kept; -1: all.
    pub retention_bytes: i64 = "retention.bytes", Some("-1"), Any, &[("log.retention.bytes", 1)], None;
    /// Milliseconds for which records are kept; -1: for ever.
    pub retention_ms: i64 = "retention.ms", Some("604800000"), AtLeast(-1), RETENTION, None;
    /// Size in bytes at which a new segment begins.
    pub segment_bytes: i32 = "segment.bytes", Some("1073741824"), AtLeast(1_048_576), &[("log.segment.bytes", 1)], None;
    /// Largest index file in bytes; a full index begins a new segment.
    pub segment_index_bytes: i32 = "segment.index.bytes", Some("10485760"), AtLeast(4), &[("log.index.size.max.bytes", 1)], None;
    /// Most milliseconds by which a roll may be brought forward at random.
    pub segment_jitter_ms: i64 = "segment.jitter.ms", Some("0"), AtLeast(0), ROLL_JITTER, None;
    /// Milliseconds after which a new segment begins even if the old one is not full.
    pub segment_ms: i64 = "segment.ms", Some("604800000"), AtLeast(1), ROLL, None;
    /// Whether a replica out of sync may become leader.
    pub unclean_leader_election_enable: bool = "unclean.leader.election.enable", Some("false"), Any, &[("unclean.leader.election.enable", 1)], Some(Why::Replication);
}

impl TopicConfig {
    /// Validates a topic's own settings and resolves the rest; what fails is answered with
    /// INVALID_CONFIG and the error's text.
    ///
    /// # Errors
    /// An unknown name, an ill value, remote storage, or compaction lags that contradict each
    /// other (`LogConfig.validate`).
    pub fn resolve(settings: &Settings, topic: &Given) -> Result<Self, ConfigError> {
        for name in topic.keys() {
            topic_row(name)?;
        }
        let config = Self::read(settings, topic)?;
        if config.remote_storage_enable {
            let reason = "there is no tiered storage here";
            return Err(ConfigError::invalid(
                "remote.storage.enable",
                "true",
                reason,
            ));
        }
        let (min, max) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
        if min > max {
            return Err(ConfigError::Conflict(format!(
                "min.compaction.lag.ms={min} is more than max.compaction.lag.ms={max}"
            )));
        }
        Ok(config)
    }

    /// Resolves settings that were stored: what this version does not know or allow counts as not
    /// given, and is told. Another version may have allowed it, and a topic is no less readable for
    /// it (Kafka's `LogConfig.fromProps` validates nothing either). Compaction lags that contradict
    /// each other since the node's were changed stand as they are.
    pub fn of_stored(settings: &Settings, topic: &Given) -> (Self, Vec<ConfigError>) {
        let (mut kept, mut refused) = (Given::new(), Vec::new());
        for (name, text) in topic {
            match topic_row(name).and_then(|topic| topic.row.parse(text)) {
                Ok(_) => {
                    kept.insert(name.clone(), text.clone());
                }
                Err(error) => refused.push(error),
            }
        }
        let config = Self::read(settings, &kept).expect("of checked values");
        (config, refused)
    }

    /// [`resolve`](Self::resolve) for texts off the wire, where a value may be null.
    ///
    /// # Errors
    /// Also a null value. A name given twice counts as it was given last.
    pub fn from_request<'a>(
        settings: &Settings,
        topic: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<(Self, Given), ConfigError> {
        let mut given = Given::new();
        for (name, text) in topic {
            let Some(text) = text else {
                return Err(ConfigError::invalid(
                    name,
                    "null",
                    "a topic's setting needs a value",
                ));
            };
            given.insert(name.to_owned(), text.to_owned());
        }
        Ok((Self::resolve(settings, &given)?, given))
    }

    /// Size in bytes at which a segment rolls.
    pub fn segment_size(&self) -> i32 {
        self.internal_segment_bytes.unwrap_or(self.segment_bytes)
    }

    /// Whether old segments are deleted.
    pub fn deletes(&self) -> bool {
        self.cleanup_policy.iter().any(|policy| policy == "delete")
    }

    /// Whether the log is to be compacted.
    pub fn compacts(&self) -> bool {
        self.cleanup_policy.iter().any(|policy| policy == "compact")
    }
}

/// The topic setting of exactly this name.
///
/// # Errors
/// [`ConfigError::Unknown`], with the nearest topic setting.
pub fn topic_row(name: &str) -> Result<&'static TopicRow, ConfigError> {
    if let Some(found) = TOPIC.iter().find(|topic| topic.row.name == name) {
        return Ok(found);
    }
    let names = TOPIC.iter().map(|topic| topic.row.name);
    let nearest = suggest::nearest(name, names).map(str::to_owned);
    Err(ConfigError::Unknown {
        name: name.to_owned(),
        nearest,
    })
}

/// The value in force for a topic; `None` is Kafka's null.
pub(super) fn value(
    settings: &Settings,
    topic: &Given,
    row: &TopicRow,
) -> Result<Option<Value>, ConfigError> {
    if let Some(text) = topic.get(row.row.name) {
        return row.row.parse(text).map(Some);
    }
    for (name, unit) in row.node {
        let Some(node) = super::row::row(name) else {
            continue;
        };
        match settings.layers().value(node)? {
            // Every negative retention is "for ever".
            Some(Value::Whole(number)) if number < 0 && row.row.name == "retention.ms" => {
                return Ok(Some(Value::Whole(-1)));
            }
            Some(Value::Whole(number)) => {
                return Ok(Some(Value::Whole(number.saturating_mul(*unit))));
            }
            Some(value) => return Ok(Some(value)),
            None => {}
        }
    }
    Ok(row.row.default_value())
}

fn field<T: Field>(settings: &Settings, topic: &Given, name: &str) -> Result<T, ConfigError> {
    let value = value(settings, topic, topic_row(name)?)?;
    let shown = value.as_ref().map(Value::to_string).unwrap_or_default();
    T::from_value(value).ok_or_else(|| ConfigError::invalid(name, &shown, "not usable"))
}
