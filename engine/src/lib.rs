//! The engine: log, records, I/O. No topics, no Kafka requests.
