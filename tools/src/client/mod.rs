//! A small blocking Kafka client over TCP, for the command line.
//!
//! A [`Cluster`] knows the brokers and who leads which partition; a [`Connection`] belongs to one
//! broker. On top stand the [`producer`], the [`consumer`] and the members of a [`group`]. What a
//! broker answers is untrusted: sizes are bounded, lengths never size an allocation.
//!
//! Versions are negotiated (ApiVersions), so any broker since Kafka 0.11 will do.
//!
//! Absent on purpose: TLS and SASL, transactions.

mod cluster;
mod connection;
pub mod consumer;
mod error;
pub mod group;
pub mod offsets;
pub mod producer;
mod retry;

pub use cluster::{Broker, Cluster, Options, Partition, Topic};
pub use connection::{Connection, Reply};
pub use error::{ClientError, check};
pub use retry::Deadline;
