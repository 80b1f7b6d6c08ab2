//! The engine: log, records, I/O. No topics, no Kafka requests.

pub mod bytes;
pub mod io;
pub mod limits;
pub mod log;
pub mod mutant;
pub mod record;
pub mod task;
pub mod types;
