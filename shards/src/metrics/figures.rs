//! What a shard, its logs and the process say of themselves: copies that may travel.

use std::sync::Arc;

use super::meter::{ApiCounts, QUOTAS};

/// What a shard answers at once.
#[derive(Clone, Debug, Default)]
pub struct ShardFigures {
    pub apis: Vec<ApiCounts>,
    pub connections: u64,
    pub accepted: u64,
    pub refused: u64,
    pub accept_waits: u64,
    pub idle_closed: u64,
    pub fault_closed: u64,
    /// Clients told to wait, by [`QUOTAS`]: how often, and for how many milliseconds in all.
    pub throttles: [(u64, u64); QUOTAS.len()],
    /// Bytes of requests held, and how many may be.
    pub request_memory: (u64, u64),
    /// Bytes of tails held, and how many may be.
    pub tail_memory: (u64, u64),
    pub pool_lent_bytes: u64,
    pub pool_kept_bytes: u64,
    pub operations_in_flight: u64,
    /// Bytes of records written to segments since the start.
    pub written_bytes: u64,
    pub telemetry: TelemetryFigures,
}

/// What clients have pushed to a shard (KIP-714).
#[derive(Clone, Debug, Default)]
pub struct TelemetryFigures {
    /// Clients that it knows.
    pub clients: u64,
    /// Since the start.
    pub taken: u64,
    pub refused: u64,
    pub left_out: u64,
    pub series: Vec<ClientSeries>,
}

/// The last value that a client has pushed of a series.
#[derive(Clone, Debug)]
pub struct ClientSeries {
    pub client_id: Arc<str>,
    pub instance_id: String,
    pub metric: Arc<str>,
    pub attributes: Arc<str>,
    pub value: f64,
}

/// Where a partition stands.
#[derive(Clone, Debug)]
pub struct PartitionFigures {
    pub topic: Arc<str>,
    pub index: i32,
    pub log_bytes: u64,
    pub log_start: i64,
    pub log_end: i64,
    pub high_watermark: i64,
}

/// An offset that a group has committed.
#[derive(Clone, Debug)]
pub struct Committed {
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

/// What a shard answers a while later: it looks at its partitions a few at a time.
#[derive(Clone, Debug, Default)]
pub struct LogFigures {
    /// Partitions, those of them that are open, and those of these that are offline.
    pub all: u64,
    pub open: u64,
    pub offline: u64,
    /// Bytes written and not durable, and how long the oldest of them has been.
    pub undurable_bytes: u64,
    pub undurable_age_ns: u64,
    /// One by one; empty where `metrics.partitions.enable` is false.
    pub partitions: Vec<PartitionFigures>,
    pub committed: Vec<Committed>,
}

/// What the system says of the process. Whatever it does not say is absent.
#[derive(Clone, Debug, Default)]
pub struct ProcessFigures {
    pub resident_bytes: Option<u64>,
    pub open_files: Option<u64>,
    pub open_files_max: Option<u64>,
    pub cpu_seconds: Option<f64>,
    /// Of each log directory.
    pub disks: Vec<DiskFigures>,
}

/// A log directory.
#[derive(Clone, Debug, Default)]
pub struct DiskFigures {
    pub directory: String,
    /// It has failed.
    pub offline: bool,
    /// Of its file system: free for this process, and in all.
    pub bytes: Option<(u64, u64)>,
}
