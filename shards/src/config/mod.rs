//! All settings of the node, each defined once.
//!
//! [`table`] holds what is implemented: a row is the field's type, the name (Kafka's wherever
//! Kafka has one), default, range and meaning. [`idle`] holds Apache Kafka's other settings:
//! known and checked, without effect here. From the same rows come validation, DescribeConfigs
//! ([`describe`]) and the text of `config/server.properties` ([`mod@file`]). Topics' own settings
//! resolve against the node's in [`topic`].
//!
//! Absent on purpose: files, clocks, the number of CPUs. Text comes in, values come out.

pub mod alter;
pub mod choice;
pub mod describe;
pub mod dynamic;
mod error;
pub mod file;
pub mod idle;
mod layers;
mod listener;
mod per_host;
mod properties;
pub mod row;
mod settings;
mod shard_layout;
mod suggest;
pub mod table;
#[cfg(test)]
mod tests;
pub mod topic;
pub mod value;

pub use error::{ConfigError, Warning};
pub use layers::{Given, Layers};
pub use listener::Listener;
pub use settings::{MetricsListener, Settings};
pub use shard_layout::{SHARD_PORT_DISTANCE, ShardLayout, ShardPorts};
pub use topic::TopicConfig;

/// Most shards of one node.
pub const SHARDS_MAX: i64 = 1_000;

/// Largest node.id: with [`SHARDS_MAX`] shards the last broker id still fits 31 bits.
pub const NODE_ID_MAX: i64 = 2_147_482;

const _: () = assert!(NODE_ID_MAX * SHARDS_MAX + (SHARDS_MAX - 1) <= i32::MAX as i64);
