//! Where each API is answered.

use odradek_wire::Uuid;
use odradek_wire::add_offsets_to_txn::AddOffsetsToTxnRequest;
use odradek_wire::add_partitions_to_txn::AddPartitionsToTxnRequest;
use odradek_wire::end_txn::EndTxnRequest;
use odradek_wire::heartbeat::HeartbeatRequest;
use odradek_wire::init_producer_id::InitProducerIdRequest;
use odradek_wire::join_group::JoinGroupRequest;
use odradek_wire::leave_group::LeaveGroupRequest;
use odradek_wire::offset_commit::OffsetCommitRequest;
use odradek_wire::offset_delete::OffsetDeleteRequest;
use odradek_wire::sync_group::SyncGroupRequest;
use odradek_wire::txn_offset_commit::TxnOffsetCommitRequest;

use super::{by_key, by_partition, everywhere};
use crate::api::{
    Broker, Call, Handled, Refusal, add_partitions_to_txn, produce, table, transactions,
};
use crate::catalog::{Image, TopicKey};
use crate::coordinators::{OFFSETS_TOPIC, partition_for};
use crate::net::Request;

/// A handler of requests whose parts may belong to several shards.
pub(super) type Parts = for<'a> fn(&'static table::Row, Call<'a>, &'a Request<'a>) -> Handled<'a>;

/// Where an API is answered.
pub(super) enum Place {
    /// At any shard: by metadata, by the controller, or by the fetches' own way of asking.
    Any,
    /// At one.
    One(fn(&Call<'_>) -> Result<u32, Refusal>),
    /// In parts.
    Parts(Parts),
}

macro_rules! by_group {
    ($request:ident) => {
        Place::One(|call| {
            let request: $request<'_> = call.decode()?;
            Ok(shard_of_group(call.broker, request.group_id))
        })
    };
}

macro_rules! by_transaction {
    ($request:ident { $id:ident }) => {
        Place::One(|call| {
            let request: $request<'_> = call.decode()?;
            Ok(shard_of_transaction(call.broker, request.$id))
        })
    };
}

/// The place of an API; a test says that each one served has one.
pub(super) fn place(key: i16) -> Option<Place> {
    Some(match key {
        0 => Place::Parts(produce::across),
        2 => Place::Parts(by_partition::list_offsets),
        8 => by_group!(OffsetCommitRequest),
        9 => Place::Parts(by_key::offset_fetch),
        11 => by_group!(JoinGroupRequest),
        12 => by_group!(HeartbeatRequest),
        13 => by_group!(LeaveGroupRequest),
        14 => by_group!(SyncGroupRequest),
        15 => Place::Parts(by_key::describe_groups),
        16 => Place::Parts(everywhere::list_groups),
        21 => Place::Parts(by_partition::delete_records),
        22 => Place::One(|call| {
            let request: InitProducerIdRequest<'_> = call.decode()?;
            let id = request.transactional_id;
            Ok(id.map_or(call.broker.shard, |id| {
                shard_of_transaction(call.broker, id)
            }))
        }),
        23 => Place::Parts(by_partition::offset_for_leader_epoch),
        // From version 4 on it comes from brokers; there is none but this node.
        24 => Place::One(|call| {
            let request: AddPartitionsToTxnRequest<'_> = call.decode()?;
            let id = match call.version < add_partitions_to_txn::BATCHED {
                true => Some(request.v3_and_below_transactional_id),
                false => request.transactions.first().map(|one| one.transactional_id),
            };
            Ok(id.map_or(call.broker.shard, |id| {
                shard_of_transaction(call.broker, id)
            }))
        }),
        25 => by_transaction!(AddOffsetsToTxnRequest { transactional_id }),
        26 => by_transaction!(EndTxnRequest { transactional_id }),
        28 => by_group!(TxnOffsetCommitRequest),
        35 => Place::Parts(everywhere::describe_log_dirs),
        42 => Place::Parts(by_key::delete_groups),
        47 => by_group!(OffsetDeleteRequest),
        61 => Place::Parts(by_partition::describe_producers),
        65 => Place::Parts(by_key::describe_transactions),
        66 => Place::Parts(everywhere::list_transactions),
        // Fetch and WriteTxnMarkers ask for themselves. Metadata, FindCoordinator, ApiVersions,
        // CreateTopics, DeleteTopics, DescribeConfigs, AlterConfigs, AlterReplicaLogDirs, the ACLs,
        // CreatePartitions, ElectLeaders, IncrementalAlterConfigs, AlterPartitionReassignments,
        // ListPartitionReassignments, DescribeClientQuotas, AlterClientQuotas,
        // DescribeUserScramCredentials, AlterUserScramCredentials, DescribeQuorum, UpdateFeatures,
        // DescribeCluster, UnregisterBroker, GetTelemetrySubscriptions, PushTelemetry,
        // ListConfigResources, DescribeTopicPartitions.
        1 | 3 | 10 | 18 | 19 | 20 | 27 | 29 | 30 | 31 | 32 | 33 | 34 | 37 | 43 | 44 | 45 | 46
        | 48 | 49 | 50 | 51 | 55 | 57 | 60 | 64 | 71 | 72 | 74 | 75 => Place::Any,
        _ => return None,
    })
}

/// The shard that coordinates a group; this one if nothing is coordinated yet.
pub(super) fn shard_of_group(broker: &Broker, group_id: &str) -> u32 {
    let image = broker.image();
    let entry = image.topic(OFFSETS_TOPIC).and_then(|topic| {
        let index = partition_for(group_id, topic.partitions.len());
        topic.partitions.get(index)
    });
    entry.map_or(broker.shard, |entry| entry.shard)
}

/// The shard that coordinates a transactional id; this one, which says so, if nothing is coordinated
/// yet.
pub(super) fn shard_of_transaction(broker: &Broker, id: &str) -> u32 {
    transactions::shard_of(broker, id).unwrap_or(broker.shard)
}

/// The shard that owns a partition; this one, which says so, if there is no such partition.
pub(in crate::api) fn shard_of_partition(
    image: &Image,
    here: u32,
    topic: TopicKey<'_>,
    index: i32,
) -> u32 {
    let topic = match topic {
        TopicKey::Name(name) => image.topic(name),
        TopicKey::Id(id) => image.topic_by_id(id),
    };
    let index = usize::try_from(index).ok();
    let entry = topic
        .zip(index)
        .and_then(|(topic, index)| topic.partitions.get(index));
    entry.map_or(here, |entry| entry.shard)
}

/// How a request that may name its topics by id names one.
pub(in crate::api) fn key(by_id: bool, name: &str, id: Uuid) -> TopicKey<'_> {
    match by_id {
        true => TopicKey::Id(id),
        false => TopicKey::Name(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_that_is_served_has_a_place() {
        for key in 0..200 {
            let (row, placed) = (table::row(key), place(key));
            let name = table::name(key);
            assert_eq!(row.is_some(), placed.is_some(), "{name} ({key})");
        }
    }
}
