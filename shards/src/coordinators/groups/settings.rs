//! What a group coordinator is told at start: Kafka's own settings, and the bounds.

/// The coordinator's settings, with Apache Kafka 4.3.1's defaults. Times in milliseconds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `group.min.session.timeout.ms`
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`
    pub session_timeout_max_ms: i32,
    /// `group.max.size`
    pub group_size_max: usize,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i64,
    /// How long a member that has never finished a join may wait for one
    /// (Kafka: `GroupCoordinatorConfig.CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
    pub new_member_join_timeout_ms: i64,
    /// `offset.metadata.max.bytes`; compared, as Kafka does, with UTF-16 units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            group_size_max: i32::MAX as usize,
            initial_rebalance_delay_ms: 3_000,
            new_member_join_timeout_ms: 5 * 60 * 1_000,
            offset_metadata_max: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            limits: Limits::default(),
        }
    }
}

/// Bounds of one coordinator partition's tables. Kafka has none of these but the record
/// size; past one the client gets the error named beside it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Groups held: COORDINATOR_NOT_AVAILABLE (retriable).
    pub groups_max: usize,
    /// Members and pending members of all groups, counted by the deadlines that are kept
    /// for them: GROUP_MAX_SIZE_REACHED.
    pub members_max: usize,
    /// Protocols that one member may offer: INVALID_REQUEST.
    pub member_protocols_max: usize,
    /// Bytes of metadata over all protocols of one member: INVALID_REQUEST.
    pub member_metadata_bytes_max: usize,
    /// Bytes of any string a client names itself or its group by: INVALID_GROUP_ID for a
    /// group id, INVALID_REQUEST for others. Kafka's non-flexible strings, and so the
    /// records, end at 32,767.
    pub string_bytes_max: usize,
    /// Bytes of one group's metadata record (subscriptions and assignments):
    /// UNKNOWN_SERVER_ERROR, as Kafka answers a record that is too large.
    pub group_record_bytes_max: usize,
    /// Offsets held or in flight: INVALID_COMMIT_OFFSET_SIZE for the partition.
    pub offsets_max: usize,
    /// Writes in flight: COORDINATOR_NOT_AVAILABLE (retriable).
    pub writes_max: usize,
    /// Reads of stable offsets that wait for writes: COORDINATOR_NOT_AVAILABLE.
    pub stable_reads_max: usize,
    /// Groups looked at in one step of the search for expired offsets.
    pub expiry_groups_per_step: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            groups_max: 100_000,
            members_max: 100_000,
            member_protocols_max: 64,
            member_metadata_bytes_max: 1 << 20,
            string_bytes_max: i16::MAX as usize,
            group_record_bytes_max: 1 << 20,
            offsets_max: 4_000_000,
            writes_max: 10_000,
            stable_reads_max: 10_000,
            expiry_groups_per_step: 1_000,
        }
    }
}
