//! What a transaction coordinator is told at start: Kafka's own settings, and the bounds.

/// The newest `transaction.version`: epochs rise with every transaction, and partitions join one
/// by being written to (KIP-890).
pub const LATEST_VERSION: i16 = 2;

/// The coordinator's settings, with Apache Kafka 4.3.1's defaults. Times in milliseconds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `transaction.max.timeout.ms`
    pub timeout_max_ms: i32,
    /// `transactional.id.expiration.ms`
    pub id_expiration_ms: i64,
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            timeout_max_ms: 900_000,
            id_expiration_ms: 7 * 24 * 60 * 60 * 1_000,
            limits: Limits::default(),
        }
    }
}

/// Bounds of one coordinator partition's tables; Kafka has none of these. Past one the client gets
/// the error named beside it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Transactional ids held: COORDINATOR_NOT_AVAILABLE (retriable).
    pub ids_max: usize,
    /// Bytes of a transactional id: INVALID_REQUEST. Kafka's keys end at 32,767.
    pub id_bytes_max: usize,
    /// Partitions of one transaction: INVALID_REQUEST.
    pub partitions_max: usize,
    /// Writes in flight: COORDINATOR_NOT_AVAILABLE (retriable).
    pub writes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            ids_max: 1_000_000,
            id_bytes_max: i16::MAX as usize,
            partitions_max: 100_000,
            writes_max: 10_000,
        }
    }
}
