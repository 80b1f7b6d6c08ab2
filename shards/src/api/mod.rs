//! The Kafka APIs: one file each, and one table.
//!
//! A row of [`table`] is an API: key, versions, handler. Everything else that must know the list
//! (ApiVersions, admission) reads the table.

mod call;
pub mod table;

mod api_versions;
mod authorized;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_topic_partitions;
mod fetch;
pub mod fetch_sessions;
mod init_producer_id;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_for_leader_epoch;
mod produce;
pub mod topics;

/// ApiVersions.
pub const API_VERSIONS_KEY: i16 = 18;

pub use call::{Call, Handled, Outcome, Refusal, Reply, ReplyPiece, encode_reply};
