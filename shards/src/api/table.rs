//! The table of APIs: what is served, at which versions, by whom.
//!
//! *Advertised* is what ApiVersions says, *accepted* what is served. They differ for Produce: it
//! is advertised from version 0 and accepted from 3, as Apache Kafka does, because librdkafka
//! otherwise silently stops compressing (KAFKA-18659).

use std::ops::RangeInclusive;

use odradek_wire::api;

use super::{Broker, Call, Handled, Outcome};

/// Takes a request, header included, that needs no waiting to be taken.
pub type AtOnce = fn(&Broker, &[u8]) -> Option<Outcome>;

/// One API.
pub struct Row {
    pub key: i16,
    pub advertised: RangeInclusive<i16>,
    pub accepted: RangeInclusive<i16>,
    pub handler: for<'a> fn(Call<'a>) -> Handled<'a>,
    /// Asked first with the whole request: takes it at once, or leaves it untouched to the handler.
    pub at_once: Option<AtOnce>,
}

macro_rules! row {
    ($module:ident) => {
        row!($module, None)
    };
    ($module:ident, $at_once:expr) => {
        Row {
            key: super::$module::KEY,
            advertised: super::$module::ADVERTISED,
            accepted: super::$module::ACCEPTED,
            handler: |call| Box::pin(super::$module::handle(call)),
            at_once: $at_once,
        }
    };
}

/// By key.
pub static TABLE: &[Row] = &[
    row!(produce, Some(super::produce::at_once)),
    row!(fetch),
    row!(list_offsets),
    row!(metadata),
    row!(offset_commit),
    row!(offset_fetch),
    row!(find_coordinator),
    row!(join_group),
    row!(heartbeat),
    row!(leave_group),
    row!(sync_group),
    row!(describe_groups),
    row!(list_groups),
    row!(api_versions),
    row!(create_topics),
    row!(delete_topics),
    row!(delete_records),
    row!(init_producer_id),
    row!(offset_for_leader_epoch),
    row!(add_partitions_to_txn),
    row!(add_offsets_to_txn),
    row!(end_txn),
    row!(write_txn_markers),
    row!(txn_offset_commit),
    row!(describe_acls),
    row!(create_acls),
    row!(delete_acls),
    row!(describe_configs),
    row!(alter_configs),
    row!(alter_replica_log_dirs),
    row!(describe_log_dirs),
    row!(create_partitions),
    row!(delete_groups),
    row!(elect_leaders),
    row!(incremental_alter_configs),
    row!(alter_partition_reassignments),
    row!(list_partition_reassignments),
    row!(offset_delete),
    row!(describe_client_quotas),
    row!(alter_client_quotas),
    row!(describe_user_scram_credentials),
    row!(alter_user_scram_credentials),
    row!(describe_quorum),
    row!(update_features),
    row!(describe_cluster),
    row!(describe_producers),
    row!(unregister_broker),
    row!(describe_transactions),
    row!(list_transactions),
    row!(get_telemetry_subscriptions),
    row!(push_telemetry),
    row!(list_config_resources),
    row!(describe_topic_partitions),
];

/// The row of an API.
pub fn row(key: i16) -> Option<&'static Row> {
    TABLE
        .binary_search_by_key(&key, |row| row.key)
        .ok()
        .map(|at| &TABLE[at])
}

/// Kafka's name of an API.
pub fn name(key: i16) -> &'static str {
    api(key).map_or("unknown API", |api| api.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_within_what_is_coded() {
        assert!(TABLE.windows(2).all(|pair| pair[0].key < pair[1].key));
        for row in TABLE {
            let api = api(row.key).expect("a coded API");
            assert!(*row.accepted.start() >= api.min_version, "{}", api.name);
            assert!(*row.accepted.end() <= api.max_version, "{}", api.name);
            assert!(row.advertised.start() <= row.accepted.start());
            assert_eq!(row.advertised.end(), row.accepted.end());
        }
    }
}
