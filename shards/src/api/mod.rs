//! The Kafka APIs: one file each, and one table.
//!
//! A row of [`table`] is an API: key, versions, handler. Everything else that must know the list
//! (ApiVersions, admission) reads the table.

pub mod across;
mod assignment;
mod broker;
mod call;
pub(crate) mod change;
mod configs;
pub mod header;
mod publish;
pub mod table;
pub mod throttle;

mod groups;
pub mod topics;
pub mod transactions;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
pub(crate) mod alter_replica_log_dirs;
mod alter_user_scram_credentials;
mod api_versions;
mod authorized;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod fetch;
pub mod fetch_sessions;
mod find_coordinator;
mod get_telemetry_subscriptions;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
pub mod produce;
mod push_telemetry;
mod sync_group;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod write_txn_markers;

/// ApiVersions.
pub const API_VERSIONS_KEY: i16 = 18;

use crate::net::{Refusal, Reply, ReplyPiece};
pub use broker::{Broker, Endpoint, Facts};
pub use call::{Call, Handled, encode_reply};
pub use produce::Produced;

/// Who asks.
pub type Peer = crate::net::Peer<across::Aside>;

/// What a handler came to.
pub type Outcome = crate::net::Outcome<Produced>;
