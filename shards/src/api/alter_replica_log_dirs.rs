//! AlterReplicaLogDirs: a partition is moved to the directory where it is, or nowhere: there is one.
//!
//! Source: Kafka `ReplicaManager.alterReplicaLogDirs`, KIP-113.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use odradek_wire::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::describe_log_dirs::absolute;
use super::{Call, Outcome, Refusal};
use crate::catalog::Image;

pub(super) const KEY: i16 = 34;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    AlterReplicaLogDirsRequest::MIN_VERSION..=AlterReplicaLogDirsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: AlterReplicaLogDirsRequest<'_> = call.decode()?;
    let broker = call.broker;
    let image = broker.image();
    let directory = absolute(&broker.settings.log_dir);
    // Behind one address the broker has the partitions of all shards.
    let shard = (!broker.one_address()).then_some(broker.shard);
    let mut results = BTreeMap::<&str, Vec<AlterReplicaLogDirPartitionResult>>::new();
    for dir in &request.dirs {
        let ours = Path::new(dir.path) == directory;
        for topic in &dir.topics {
            for index in &topic.partitions {
                let error = judge(&image, shard, ours, topic.name, *index);
                let of_topic = results.entry(topic.name).or_default();
                of_topic.push(AlterReplicaLogDirPartitionResult {
                    partition_index: *index,
                    error_code: error.code(),
                });
            }
        }
    }
    let results =
        results
            .into_iter()
            .map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult {
                topic_name,
                partitions,
            });
    call.reply(&AlterReplicaLogDirsResponse {
        throttle_time_ms: 0,
        results: results.collect(),
    })
}

/// `ours`: the directory asked for is this node's. `shard`: whose partitions the broker has; all if
/// `None`.
fn judge(image: &Image, shard: Option<u32>, ours: bool, topic: &str, index: i32) -> ErrorCode {
    if !ours {
        return ErrorCode::LogDirNotFound;
    }
    let topic = image.topic(topic);
    let entry = usize::try_from(index)
        .ok()
        .and_then(|index| topic.and_then(|topic| topic.partitions.get(index)));
    match entry {
        None => ErrorCode::UnknownTopicOrPartition,
        Some(entry) if shard.is_some_and(|shard| shard != entry.shard) => {
            ErrorCode::ReplicaNotAvailable
        }
        Some(_) => ErrorCode::None,
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::Uuid;
    use odradek_wire::metadata_records::{MetadataRecord, TopicRecord};

    use super::*;
    use crate::api::topics::new_partition;

    #[test]
    fn a_partition_goes_where_it_is() {
        let mut image = Image::default();
        let (name, topic_id) = ("t", Uuid([1; 16]));
        image.apply(&MetadataRecord::Topic(TopicRecord { name, topic_id }));
        for shard in [0, 1] {
            image.apply(&new_partition(topic_id, shard, shard as u32));
        }
        let of_shard = |index| judge(&image, Some(1), true, "t", index);
        assert_eq!(of_shard(1), ErrorCode::None);
        assert_eq!(of_shard(0), ErrorCode::ReplicaNotAvailable);
        for nowhere in [2, -1] {
            assert_eq!(of_shard(nowhere), ErrorCode::UnknownTopicOrPartition);
        }
        assert_eq!(judge(&image, None, true, "t", 0), ErrorCode::None);
        let unknown = judge(&image, None, true, "u", 0);
        assert_eq!(unknown, ErrorCode::UnknownTopicOrPartition);
        let elsewhere = judge(&image, None, false, "u", 0);
        assert_eq!(elsewhere, ErrorCode::LogDirNotFound);
    }
}
