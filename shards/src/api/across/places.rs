//! Where each API is answered.

use odradek_wire::Uuid;
use odradek_wire::heartbeat::HeartbeatRequest;
use odradek_wire::join_group::JoinGroupRequest;
use odradek_wire::leave_group::LeaveGroupRequest;
use odradek_wire::offset_commit::OffsetCommitRequest;
use odradek_wire::offset_delete::OffsetDeleteRequest;
use odradek_wire::sync_group::SyncGroupRequest;

use super::{by_key, by_partition, everywhere};
use crate::api::{Broker, Call, Handled, Refusal, produce, table};
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
        23 => Place::Parts(by_partition::offset_for_leader_epoch),
        35 => Place::Parts(everywhere::describe_log_dirs),
        42 => Place::Parts(by_key::delete_groups),
        47 => by_group!(OffsetDeleteRequest),
        61 => Place::Parts(by_partition::describe_producers),
        // Fetch asks for itself. Metadata, FindCoordinator, ApiVersions, CreateTopics,
        // DeleteTopics, InitProducerId, DescribeConfigs, AlterConfigs, CreatePartitions,
        // ElectLeaders, IncrementalAlterConfigs, AlterPartitionReassignments,
        // ListPartitionReassignments, DescribeClientQuotas, DescribeQuorum, DescribeCluster,
        // UnregisterBroker, DescribeTransactions, ListTransactions, ListConfigResources,
        // DescribeTopicPartitions.
        1 | 3 | 10 | 18 | 19 | 20 | 22 | 32 | 33 | 37 | 43 | 44 | 45 | 46 | 48 | 55 | 60 | 64
        | 65 | 66 | 74 | 75 => Place::Any,
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
