//! The engine: log, records, I/O. No topics, no Kafka requests.

pub mod limits;
pub mod record;
pub mod types;
