//! Every setting the node implements, once: field, type, name, default, range, meaning.
//!
//! The struct [`Values`], the rows that validation and DescribeConfigs read, and the text of
//! `config/server.properties` all come from this one table; the doc comment *is* the meaning.
//! A default of `None` is Kafka's null: another setting, or the node, decides then.
//! Where a default differs from Apache Kafka's, the tests list it with the reason.

use odradek_engine::io::DriverChoice;
use odradek_engine::io::strategy::{read::ReadStrategy, write::Durability, write::WriteStrategy};

use super::choice::{Advertise, CompressionType, FactorExcess, RecordValidation, TimestampType};
use super::layers::Layers;
use super::row::{Role, Row, Update};
use super::value::{Check, Field};
use super::{ConfigError, NODE_ID_MAX, SHARDS_MAX};
use Check::{Among, Any, AtLeast, Between, Fraction, GzipLevel, NotEmpty, OneOf, SomeAmong};
use Update::{ClusterWide, PerBroker, ReadOnly};

/// Whether it is one of Kafka's internal settings.
macro_rules! internal {
    () => {
        false
    };
    (internal) => {
        true
    };
}

macro_rules! settings {
    ($($section:literal { $($(#[doc = $doc:literal])+
        $vis:vis $field:ident: $type:ty = $name:literal, $default:expr, $check:expr, $update:expr
        $(, $internal:ident)?;)+ })+) => {
        /// The implemented settings' values, as given or by default, each within its range.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Values { $($($(#[doc = $doc])+ $vis $field: $type,)+)+ }

        /// The implemented settings, in the order of `config/server.properties`.
        pub static IMPLEMENTED: &[Row] = &[$($(Row {
            name: $name,
            kind: <$type as Field>::KIND,
            default: $default,
            check: $check,
            update: $update,
            internal: internal!($($internal)?),
            role: Role::Implemented { section: $section, meaning: concat!($($doc, "\n"),+) },
        },)+)+];

        impl Values {
            /// Reads every field from the layers.
            pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
                Ok(Self { $($($field: layers.field($name)?,)+)+ })
            }
        }
    };
}

settings! {
"Node" {
    /// Number of this node, unique in its cluster. With more than one shard, shard k is known to
    /// clients as broker node.id x 1000 + k.
    pub node_id: i32 = "node.id", Some("1"), Between(0, NODE_ID_MAX), ReadOnly;
    /// Older name of node.id. If both are given they must be the same; -1 stands for "not given".
    pub(super) broker_id: i32 = "broker.id", Some("-1"), Between(-1, NODE_ID_MAX), ReadOnly;
    /// Roles of the node. It is always a broker with its own embedded controller, so the list must
    /// name the broker.
    pub process_roles: Vec<String> = "process.roles", Some("broker,controller"), SomeAmong(&["broker", "controller"]), ReadOnly;
    /// Rack that Metadata reports for every broker of this node. No value: no rack.
    pub broker_rack: Option<String> = "broker.rack", None, Any, ReadOnly;
    /// Number of shards: threads with a ring of their own, each pinned to a core. No value: the
    /// CPUs the process is allowed to use.
    pub shards: Option<i32> = "shards", None, Between(1, SHARDS_MAX), ReadOnly;
    /// How shards reach disks and sockets: ring by io_uring, poll by epoll and a few threads, auto
    /// by io_uring unless the system refuses it, as Docker's default seccomp profile does.
    pub io_driver: DriverChoice = "io.driver", Some("auto"), OneOf(DriverChoice::NAMES), ReadOnly;
    /// How long a shard looks for completions before it sleeps, microseconds: what comes meanwhile is
    /// taken at once, which saves the system waking it; a core is busy meanwhile with nothing. With
    /// io.driver=ring.
    pub io_spin_us: i32 = "io.spin.us", Some("0"), Between(0, 10_000), ReadOnly;
    /// What clients see: core makes every shard a broker with a port of its own, node makes the
    /// node one broker under the listener's port, with id node.id: requests go on to the shards
    /// they concern, which costs more. It can be switched between starts.
    pub shards_advertise: Advertise = "shards.advertise", Some("core"), OneOf(Advertise::NAMES), ReadOnly;
    /// First of the ports under which shards are advertised; shard k has this one + k. No value: the
    /// listener's port + 10000. 0: any contiguous free range, printed at start. Several listeners
    /// take consecutive ranges. With one shard no such port is opened.
    pub shards_port_base: Option<i32> = "shards.port.base", None, Between(0, 65_535), ReadOnly;
    /// Bytes of recently written records that a shard keeps in memory to serve consumers at the
    /// tail without touching the disk.
    pub memory_tail_bytes: i64 = "memory.tail.bytes", Some("67108864"), AtLeast(1_048_576), ReadOnly;
    /// Bytes of requests that a shard holds at once; past it the shard stops reading its sockets.
    pub memory_request_bytes: i64 = "memory.request.bytes", Some("67108864"), AtLeast(1_048_576), ReadOnly;
}
"Network" {
    /// Addresses to listen on, as NAME://host:port. An empty host is every address, port 0 any free
    /// port. Only PLAINTEXT is supported yet.
    pub(super) listeners_given: Vec<String> = "listeners", Some("PLAINTEXT://:9092"), NotEmpty, PerBroker;
    /// Addresses that clients are told, as NAME://host:port, for listeners of those names. No value:
    /// the listeners themselves. Where each shard has a port of its own only the host is used.
    pub(super) advertised_given: Option<Vec<String>> = "advertised.listeners", None, NotEmpty, ReadOnly;
    /// Security protocol of each listener name.
    pub(super) protocol_map: String = "listener.security.protocol.map",
        Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), Any, PerBroker;
    /// Listeners of these names are a Kafka controller's. They are not opened: the controller is
    /// embedded in the node.
    pub(super) controller_listener_names: Vec<String> = "controller.listener.names", Some(""), Any, ReadOnly;
    /// Class that decides who may do what. There is none yet: anything but the empty value is
    /// refused, so that a file which asks for protection does not start an open node.
    pub(super) authorizer_class_name: String = "authorizer.class.name", Some(""), Any, ReadOnly;
    /// Largest request in bytes; a connection that announces more is closed.
    pub socket_request_max_bytes: i32 = "socket.request.max.bytes", Some("104857600"), AtLeast(1), ReadOnly;
    /// SO_SNDBUF of client connections in bytes; -1 leaves it to the system, which grows it as needed.
    pub socket_send_buffer_bytes: i32 = "socket.send.buffer.bytes", Some("-1"), AtLeast(-1), ReadOnly;
    /// SO_RCVBUF of client connections in bytes; -1 leaves it to the system, which grows it as needed.
    pub socket_receive_buffer_bytes: i32 = "socket.receive.buffer.bytes", Some("-1"), AtLeast(-1), ReadOnly;
    /// Connections that may wait to be accepted, for each shard and port.
    pub socket_listen_backlog_size: i32 = "socket.listen.backlog.size", Some("50"), AtLeast(1), ReadOnly;
    /// Milliseconds after which a silent connection is closed; negative: never.
    pub connections_max_idle_ms: i64 = "connections.max.idle.ms", Some("600000"), Any, ReadOnly;
    /// Connections of the node at once; others wait until somebody leaves.
    pub max_connections: i32 = "max.connections", Some("2147483647"), AtLeast(0), ClusterWide;
    /// Connections of the node at once from one address; one too many is closed.
    pub max_connections_per_ip: i32 = "max.connections.per.ip", Some("2147483647"), AtLeast(0), ClusterWide;
    /// Addresses, or hosts by name, that may have another number of connections than that, as
    /// host:count, separated by commas.
    pub(super) max_connections_per_ip_overrides: String = "max.connections.per.ip.overrides", Some(""), Any, ClusterWide;
    /// Connections that the node accepts in a second; others wait to be accepted.
    pub max_connection_creation_rate: i32 = "max.connection.creation.rate", Some("2147483647"), AtLeast(0), ClusterWide;
    /// Bytes of waiting requests before a shard stops reading its sockets, if that is less than
    /// memory.request.bytes; -1: only that bounds them.
    pub queued_max_request_bytes: i64 = "queued.max.request.bytes", Some("-1"), Any, ReadOnly;
    /// Partitions that one DescribeTopicPartitions answer may hold.
    pub max_request_partition_size_limit: i32 = "max.request.partition.size.limit", Some("2000"), AtLeast(1), ReadOnly;
    /// Most bytes that one Fetch answer may hold, whatever the client asks.
    pub fetch_max_bytes: i32 = "fetch.max.bytes", Some("57671680"), AtLeast(1024), ReadOnly;
    /// Incremental fetch sessions kept at once.
    pub max_incremental_fetch_session_cache_slots: i32 = "max.incremental.fetch.session.cache.slots", Some("1000"), AtLeast(0), ReadOnly;
}
"Quotas of clients" {
    /// Windows over which rates of bytes and of request time are reckoned.
    pub quota_window_num: i32 = "quota.window.num", Some("11"), AtLeast(1), ReadOnly;
    /// Seconds that each of them lasts.
    pub quota_window_size_seconds: i32 = "quota.window.size.seconds", Some("1"), AtLeast(1), ReadOnly;
    /// Windows of changes of metadata: a client may make at once what its quota grants in all of them.
    pub controller_quota_window_num: i32 = "controller.quota.window.num", Some("11"), AtLeast(1), ReadOnly;
    /// Seconds that each of them lasts.
    pub controller_quota_window_size_seconds: i32 = "controller.quota.window.size.seconds", Some("1"), AtLeast(1), ReadOnly;
}
"Metrics" {
    /// Address at which the node answers HTTP requests for /metrics (Prometheus' text format),
    /// /healthz and /readyz, as host:port. Port 0 is any free one, printed at start. Empty: none.
    pub(super) metrics_listener_given: String = "metrics.listener", Some("127.0.0.1:9644"), Any, ReadOnly;
    /// Whether the metrics hold series for every partition (size, offsets) and for every partition
    /// that a group has committed (offset, lag).
    pub metrics_partitions_enable: bool = "metrics.partitions.enable", Some("true"), Any, ReadOnly;
    /// Bytes of one push of a client's metrics (KIP-714), as it is sent. Opened it may have 4 MiB.
    pub telemetry_max_bytes: i32 = "telemetry.max.bytes", Some("1048576"), AtLeast(1), ReadOnly;
}
"Topics" {
    /// Whether producing to, or asking for, a topic that does not exist creates it.
    pub auto_create_topics_enable: bool = "auto.create.topics.enable", Some("true"), Any, ReadOnly;
    /// Whether topics can be deleted.
    pub delete_topic_enable: bool = "delete.topic.enable", Some("true"), Any, ReadOnly;
    /// Partitions of a topic whose creator named no number.
    pub num_partitions: i32 = "num.partitions", Some("1"), AtLeast(1), ReadOnly;
    /// Replicas of a topic whose creator named no number.
    pub default_replication_factor: i32 = "default.replication.factor", Some("1"), Between(1, 32_767), ReadOnly;
    /// What happens to a replication factor above the number of nodes but not above the number of
    /// brokers advertised: clamp makes it the number of nodes, refuse answers an error.
    pub replication_factor_excess: FactorExcess = "replication.factor.excess", Some("clamp"), OneOf(FactorExcess::NAMES), ReadOnly;
    /// Replicas that must be in sync for a write with acks=all.
    pub min_insync_replicas: i32 = "min.insync.replicas", Some("1"), AtLeast(1), ClusterWide;
    /// Whether a replica out of sync may become leader.
    pub unclean_leader_election_enable: bool = "unclean.leader.election.enable", Some("false"), Any, ClusterWide;
    /// Codec in which batches are stored; producer keeps each as it came.
    pub compression_type: CompressionType = "compression.type", Some("producer"), OneOf(CompressionType::NAMES), ClusterWide;
    /// Level at which the node compresses with gzip.
    pub compression_gzip_level: i32 = "compression.gzip.level", Some("-1"), GzipLevel, ClusterWide;
    /// Level at which the node compresses with lz4. No effect here: its library has one level.
    pub compression_lz4_level: i32 = "compression.lz4.level", Some("9"), Between(1, 17), ClusterWide;
    /// Level at which the node compresses with zstd.
    pub compression_zstd_level: i32 = "compression.zstd.level", Some("3"), Between(-131_072, 22), ClusterWide;
}
"Durability and writing" {
    /// Whether acks=all waits until the records would survive a loss of power. false: it waits only
    /// until they would survive a killed process.
    pub durable_acks_all: bool = "durable.acks.all", Some("true"), Any, ReadOnly;
    /// Milliseconds after which every written byte is made to survive a loss of power, whether or
    /// not anyone waits for it.
    pub durable_lag_max_ms: i64 = "durable.lag.max.ms", Some("1000"), AtLeast(1), ReadOnly;
    /// Records after which a partition is flushed before the last of them is acknowledged, if that is
    /// not done sooner.
    pub log_flush_interval_messages: i64 = "log.flush.interval.messages", Some("9223372036854775807"), AtLeast(1), ClusterWide;
    /// Milliseconds after which a partition is flushed, if that is sooner than durable.lag.max.ms. No
    /// value: log.flush.scheduler.interval.ms.
    pub(super) log_flush_interval_ms_given: Option<i64> = "log.flush.interval.ms", None, Any, ClusterWide;
    /// The same, where log.flush.interval.ms has no value.
    pub(super) log_flush_scheduler_interval_ms: i64 = "log.flush.scheduler.interval.ms", Some("9223372036854775807"), Any, ReadOnly;
    /// Whether a segment's file has its whole length from the first write on; else it grows ahead.
    pub log_preallocate: bool = "log.preallocate", Some("false"), Any, ClusterWide;
    /// Milliseconds between two writings of the state file, from which recovery after a kill learns
    /// what need not be read; sooner where much is written.
    pub log_flush_offset_checkpoint_interval_ms: i32 = "log.flush.offset.checkpoint.interval.ms", Some("60000"), AtLeast(0), ReadOnly;
    /// How batches are written: direct goes around the page cache, buffered through it,
    /// buffered-dontcache through it without staying there (Linux 6.14, where the file system has it).
    pub log_write_strategy: WriteStrategy = "log.write.strategy", Some("direct"), OneOf(WriteStrategy::NAMES), ReadOnly;
    /// What makes written batches survive a loss of power: dsync marks each write (RWF_DSYNC),
    /// fdatasync flushes the file after writes have completed, auto takes dsync for direct writes and
    /// fdatasync for others. journal writes small batches of all a shard's partitions into one file,
    /// durably, and into their segments later: for many partitions that get little each. A partition
    /// whose disk fills up while the journal holds batches of it is offline until the next start, also
    /// when there is room again; the start puts them back.
    pub log_durable_method: Durability = "log.durable.method", Some("auto"), OneOf(Durability::NAMES), ReadOnly;
    /// Bytes that the journal of a shard may take in each log directory, with
    /// log.durable.method=journal.
    pub log_journal_bytes: i64 = "log.journal.bytes", Some("268435456"), AtLeast(1_048_576), ReadOnly;
    /// How batches are sent to consumers. auto sends what was written last from memory, what is in page
    /// cache by sendfile, and reads the rest past it. The others send everything in one way, to
    /// compare them: memory, sendfile (which stops the shard for pages that are not in page cache),
    /// splice, read (through the page cache into memory), direct (past it), send-zc (from memory
    /// without a copy).
    pub log_read_strategy: ReadStrategy = "log.read.strategy", Some("auto"), OneOf(ReadStrategy::NAMES), ReadOnly;
    /// Writes of one partition in flight at once.
    pub log_write_depth: i32 = "log.write.depth", Some("8"), Between(1, 64), ReadOnly;
    /// How far a produced batch is examined: header checks its header and CRC, full opens it and
    /// checks every record.
    pub record_validation: RecordValidation = "record.validation", Some("header"), OneOf(RecordValidation::NAMES), ReadOnly;
    /// Largest record batch in bytes.
    pub message_max_bytes: i32 = "message.max.bytes", Some("1048588"), AtLeast(0), ClusterWide;
    /// Whose clock stamps records: CreateTime the producer's, LogAppendTime the node's.
    pub log_message_timestamp_type: TimestampType = "log.message.timestamp.type", Some("CreateTime"), OneOf(TimestampType::NAMES), ClusterWide;
    /// Milliseconds by which a producer's timestamp may lie before the node's clock.
    pub log_message_timestamp_before_max_ms: i64 = "log.message.timestamp.before.max.ms", Some("9223372036854775807"), AtLeast(0), ClusterWide;
    /// Milliseconds by which a producer's timestamp may lie after the node's clock.
    pub log_message_timestamp_after_max_ms: i64 = "log.message.timestamp.after.max.ms", Some("3600000"), AtLeast(0), ClusterWide;
}
"Logs" {
    /// Directories for logs, separated by commas, each meant to be a disk of its own: a partition is
    /// in one of them, and one that fails takes its partitions with it. No value: log.dir.
    pub(super) log_dirs_given: Option<Vec<String>> = "log.dirs", None, NotEmpty, ReadOnly;
    /// Directory for logs where log.dirs has no value.
    pub(super) log_dir_given: Vec<String> = "log.dir", Some("./data"), NotEmpty, ReadOnly;
    /// Directory for the metadata log, the checkpoints and the marker of a clean stop. No value: the
    /// first of log.dirs.
    pub(super) metadata_log_dir: Option<String> = "metadata.log.dir", None, Any, ReadOnly;
    /// Bytes a second at which a broker copies partitions from one log directory to another, at most:
    /// where each shard is a broker that is each one's, else it is shared among the shards. It may be
    /// set for one broker or for all, also while partitions are copied. A partition to which more is
    /// appended meanwhile does not arrive; until it does, retention and compaction leave it alone.
    pub replica_alter_log_dirs_io_max_bytes_per_second: i64 = "replica.alter.log.dirs.io.max.bytes.per.second", Some("9223372036854775807"), AtLeast(0), ClusterWide, internal;
    /// Size in bytes at which a new segment begins.
    pub log_segment_bytes: i32 = "log.segment.bytes", Some("1073741824"), AtLeast(1_048_576), ClusterWide;
    /// Milliseconds after which a new segment begins even if the old one is not full. No value:
    /// log.roll.hours.
    pub(super) log_roll_ms_given: Option<i64> = "log.roll.ms", None, Any, ClusterWide;
    /// Hours after which a new segment begins, where log.roll.ms has no value.
    pub(super) log_roll_hours: i32 = "log.roll.hours", Some("168"), AtLeast(1), ReadOnly;
    /// Most milliseconds by which a roll may be brought forward at random. No value:
    /// log.roll.jitter.hours.
    pub(super) log_roll_jitter_ms_given: Option<i64> = "log.roll.jitter.ms", None, Any, ClusterWide;
    /// Most hours by which a roll may be brought forward, where log.roll.jitter.ms has no value.
    pub(super) log_roll_jitter_hours: i32 = "log.roll.jitter.hours", Some("0"), AtLeast(0), ReadOnly;
    /// Milliseconds for which records are kept; -1: for ever. No value: log.retention.minutes.
    pub(super) log_retention_ms_given: Option<i64> = "log.retention.ms", None, Any, ClusterWide;
    /// Minutes for which records are kept, where log.retention.ms has no value. No value:
    /// log.retention.hours.
    pub(super) log_retention_minutes: Option<i32> = "log.retention.minutes", None, Any, ReadOnly;
    /// Hours for which records are kept, where neither of the finer settings has a value.
    pub(super) log_retention_hours: i32 = "log.retention.hours", Some("168"), Any, ReadOnly;
    /// Bytes of a partition that are kept; -1: all.
    pub log_retention_bytes: i64 = "log.retention.bytes", Some("-1"), Any, ClusterWide;
    /// Milliseconds between two looks for segments past their retention.
    pub log_retention_check_interval_ms: i64 = "log.retention.check.interval.ms", Some("300000"), AtLeast(1), ReadOnly;
    /// What becomes of old segments: delete removes them, compact keeps the last record of each key.
    /// Nothing: they stay.
    pub log_cleanup_policy: Vec<String> = "log.cleanup.policy", Some("delete"), Among(&["compact", "delete"]), ClusterWide;
    /// Bytes of log between two entries of the offset index.
    pub log_index_interval_bytes: i32 = "log.index.interval.bytes", Some("4096"), AtLeast(0), ClusterWide;
    /// Largest index file in bytes; a full index begins a new segment.
    pub log_index_size_max_bytes: i32 = "log.index.size.max.bytes", Some("10485760"), AtLeast(4), ClusterWide;
}
"Compaction" {
    /// Whether topics of cleanup.policy=compact are compacted.
    pub log_cleaner_enable: bool = "log.cleaner.enable", Some("true"), Any, ReadOnly;
    /// Milliseconds between two looks for logs to compact when nothing was to be done.
    pub log_cleaner_backoff_ms: i64 = "log.cleaner.backoff.ms", Some("15000"), AtLeast(0), ClusterWide;
    /// Bytes of memory for the keys of the logs that are compacted, shared among the shards; a key
    /// takes 24. Where they do not suffice a log is compacted in several passes.
    pub log_cleaner_dedupe_buffer_size: i64 = "log.cleaner.dedupe.buffer.size", Some("134217728"), Any, ClusterWide;
    /// How full that memory may become.
    pub log_cleaner_io_buffer_load_factor: f64 = "log.cleaner.io.buffer.load.factor", Some("0.9"), Any, ClusterWide;
    /// Bytes of a log that compaction reads and writes at once, together.
    pub log_cleaner_io_buffer_size: i32 = "log.cleaner.io.buffer.size", Some("524288"), AtLeast(0), ClusterWide;
    /// Bytes a second that compaction reads and writes, at most, shared among the shards.
    pub log_cleaner_io_max_bytes_per_second: f64 = "log.cleaner.io.max.bytes.per.second", Some("1.7976931348623157E308"), Any, ClusterWide;
    /// Share of a log that is not compacted at which compaction begins.
    pub log_cleaner_min_cleanable_ratio: f64 = "log.cleaner.min.cleanable.ratio", Some("0.5"), Fraction(0.0, 1.0), ClusterWide;
    /// Shortest time in milliseconds for which a record is left uncompacted.
    pub log_cleaner_min_compaction_lag_ms: i64 = "log.cleaner.min.compaction.lag.ms", Some("0"), AtLeast(0), ClusterWide;
    /// Longest time in milliseconds for which a record may escape compaction.
    pub log_cleaner_max_compaction_lag_ms: i64 = "log.cleaner.max.compaction.lag.ms", Some("9223372036854775807"), AtLeast(1), ClusterWide;
    /// Milliseconds for which compaction keeps the mark of a deleted key.
    pub log_cleaner_delete_retention_ms: i64 = "log.cleaner.delete.retention.ms", Some("86400000"), AtLeast(0), ClusterWide;
}
"Consumer groups" {
    /// Partitions of __consumer_offsets; fixed once the topic exists.
    pub offsets_topic_num_partitions: i32 = "offsets.topic.num.partitions", Some("50"), AtLeast(1), ReadOnly;
    /// Replicas of __consumer_offsets; never more than there are nodes.
    pub offsets_topic_replication_factor: i16 = "offsets.topic.replication.factor", Some("3"), AtLeast(1), ReadOnly;
    /// Segment size of __consumer_offsets in bytes.
    pub offsets_topic_segment_bytes: i32 = "offsets.topic.segment.bytes", Some("104857600"), AtLeast(1), ReadOnly;
    /// Minutes for which the offsets of a group without members are kept.
    pub offsets_retention_minutes: i32 = "offsets.retention.minutes", Some("10080"), AtLeast(1), ReadOnly;
    /// Bytes of metadata records after which a snapshot of the metadata is kept.
    pub metadata_log_max_record_bytes_between_snapshots: i64 = "metadata.log.max.record.bytes.between.snapshots", Some("20971520"), AtLeast(1), ReadOnly;
    /// Milliseconds after which one is kept if anything came since the last; 0: no matter how long.
    pub metadata_log_max_snapshot_interval_ms: i64 = "metadata.log.max.snapshot.interval.ms", Some("3600000"), AtLeast(0), ReadOnly;
    /// Milliseconds between two looks for offsets past their retention.
    pub offsets_retention_check_interval_ms: i64 = "offsets.retention.check.interval.ms", Some("600000"), AtLeast(1), ReadOnly;
    /// Longest text in bytes that a client may commit with an offset.
    pub offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes", Some("4096"), AtLeast(0), ReadOnly;
    /// Shortest session timeout in milliseconds that a member may ask for.
    pub group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms", Some("6000"), AtLeast(0), ReadOnly;
    /// Longest session timeout in milliseconds that a member may ask for.
    pub group_max_session_timeout_ms: i32 = "group.max.session.timeout.ms", Some("1800000"), AtLeast(0), ReadOnly;
    /// Milliseconds for which an empty group waits for more members before its first rebalance.
    pub group_initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms", Some("3000"), AtLeast(0), ReadOnly;
    /// Most members of one group.
    pub group_max_size: i32 = "group.max.size", Some("2147483647"), AtLeast(1), ReadOnly;
}
"Producers and transactions" {
    /// Milliseconds after its last write at which a partition forgets an idempotent producer.
    pub producer_id_expiration_ms: i32 = "producer.id.expiration.ms", Some("86400000"), AtLeast(1), ClusterWide;
    /// Milliseconds after which an unused transactional id is forgotten.
    pub transactional_id_expiration_ms: i32 = "transactional.id.expiration.ms", Some("604800000"), AtLeast(1), ReadOnly;
    /// Longest transaction timeout in milliseconds that a producer may ask for.
    pub transaction_max_timeout_ms: i32 = "transaction.max.timeout.ms", Some("900000"), AtLeast(1), ReadOnly;
    /// Partitions of __transaction_state; fixed once the topic exists.
    pub transaction_state_log_num_partitions: i32 = "transaction.state.log.num.partitions", Some("50"), AtLeast(1), ReadOnly;
    /// Replicas of __transaction_state; never more than there are nodes.
    pub transaction_state_log_replication_factor: i16 = "transaction.state.log.replication.factor", Some("3"), AtLeast(1), ReadOnly;
    /// Segment size of __transaction_state in bytes.
    pub transaction_state_log_segment_bytes: i32 = "transaction.state.log.segment.bytes", Some("104857600"), AtLeast(1), ReadOnly;
}
}
