//! AlterReplicaLogDirs: partitions are to be in other log directories of the node.
//!
//! The answer says that it is wanted, which outlasts a kill, not that it is done: DescribeLogDirs tells
//! how far it is. To the directory where it is already: what was wanted before is called off.
//!
//! Source: Kafka `ReplicaManager.alterReplicaLogDirs`, KIP-113.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::rc::Rc;

use odradek_wire::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use odradek_wire::{ErrorCode, Message, Uuid};

use super::describe_log_dirs::absolute;
use super::{Broker, Call, Outcome, Refusal};
use crate::catalog::Image;
use crate::catalog::relocation::RelocationError;
use crate::partition::CopyError;
use crate::runtime::{LogDirs, Nowhere};

pub(super) const KEY: i16 = 34;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    AlterReplicaLogDirsRequest::MIN_VERSION..=AlterReplicaLogDirsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: AlterReplicaLogDirsRequest<'_> = call.decode()?;
    let broker = call.broker;
    let image = broker.image();
    // Behind one address the broker has the partitions of all shards.
    let shard = (!broker.one_address()).then_some(broker.shard);
    let mut results = BTreeMap::<&str, Vec<AlterReplicaLogDirPartitionResult>>::new();
    for dir in &request.dirs {
        let to = directory(broker.log_dirs(), Path::new(dir.path));
        for topic in &dir.topics {
            for index in &topic.partitions {
                let judged = match to {
                    Ok(to) => judge(&image, broker.log_dirs(), shard, topic.name, *index)
                        .map(|(id, owner)| (id, owner, to)),
                    Err(error) => Err(error),
                };
                let error = match judged {
                    Ok((id, owner, to)) => want(broker, owner, (id, *index), to).await,
                    Err(error) => error,
                };
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

/// The number of a directory as clients name it.
fn directory(dirs: &LogDirs, path: &Path) -> Result<usize, ErrorCode> {
    let number = dirs
        .logs()
        .find(|number| absolute(dirs.path(*number)) == path);
    match number {
        None => Err(ErrorCode::LogDirNotFound),
        Some(number) if dirs.failed(number).is_some() => Err(ErrorCode::KafkaStorageError),
        Some(number) => Ok(number),
    }
}

/// A partition's topic and owner. `shard`: whose partitions the broker has; all if `None`.
fn judge(
    image: &Image,
    dirs: &LogDirs,
    shard: Option<u32>,
    topic: &str,
    index: i32,
) -> Result<(Uuid, u32), ErrorCode> {
    let topic = image
        .topic(topic)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let entry = topic.entry(index);
    let entry = entry.ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if shard.is_some_and(|shard| shard != entry.shard) {
        return Err(ErrorCode::ReplicaNotAvailable);
    }
    match dirs.of(entry.directory) {
        Ok(_) => Ok((topic.id, entry.shard)),
        Err(Nowhere::Offline(_) | Nowhere::Unknown(_) | Nowhere::Unplaced) => {
            Err(ErrorCode::KafkaStorageError)
        }
    }
}

/// Tells the owner.
pub(crate) async fn want(
    broker: &Rc<Broker>,
    owner: u32,
    (topic, index): (Uuid, i32),
    to: usize,
) -> ErrorCode {
    if owner == broker.shard {
        return want_here(broker, topic, index, to).await;
    }
    let task = move |there: Rc<Broker>| {
        Box::pin(async move { want_here(&there, topic, index, to).await }) as _
    };
    let asked = broker.mail.call(&broker.io, owner, task).await;
    asked.unwrap_or(ErrorCode::ReplicaNotAvailable)
}

async fn want_here(broker: &Broker, topic: Uuid, index: i32, to: usize) -> ErrorCode {
    let image = broker.image();
    let topic = image.topic_by_id(topic);
    let Some((topic, entry)) = topic.and_then(|topic| Some((topic, topic.entry(index)?))) else {
        return ErrorCode::UnknownTopicOrPartition;
    };
    if entry.shard != broker.shard {
        return ErrorCode::ReplicaNotAvailable;
    }
    match broker.holdings.relocate(topic, index, to).await {
        Ok(()) => ErrorCode::None,
        Err(RelocationError::Copy(CopyError::Write(error))) => {
            let dirs = broker.log_dirs();
            dirs.suspect(dirs.path(to), error);
            let path = dirs.path(to).display();
            tracing::error!("{}-{index} cannot move to {path}: {error}", topic.name);
            ErrorCode::KafkaStorageError
        }
        // Kafka's answer to names that are too long for this.
        Err(_) => ErrorCode::InvalidTopicException,
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::metadata_records::{MetadataRecord, TopicRecord};

    use super::*;
    use crate::api::topics::new_partition;

    #[test]
    fn a_partition_goes_to_a_directory_that_there_is() {
        let dirs = LogDirs::new(&["/a".into(), "/b".into()], Path::new("/a"));
        let id = |byte| Uuid([byte; 16]);
        for number in dirs.all() {
            dirs.identify(number, id(number as u8 + 1));
        }
        let mut image = Image::default();
        let (name, topic_id) = ("t", id(9));
        image.apply(&MetadataRecord::Topic(TopicRecord { name, topic_id }));
        for shard in [0, 1] {
            let of = id(shard as u8 + 1);
            image.apply(&new_partition(topic_id, shard, shard as u32, of));
        }
        let of_shard = |index| judge(&image, &dirs, Some(1), "t", index);
        assert_eq!(of_shard(1), Ok((topic_id, 1)));
        assert_eq!(of_shard(0), Err(ErrorCode::ReplicaNotAvailable));
        for nowhere in [2, -1] {
            assert_eq!(of_shard(nowhere), Err(ErrorCode::UnknownTopicOrPartition));
        }
        assert_eq!(judge(&image, &dirs, None, "t", 0), Ok((topic_id, 0)));
        let unknown = judge(&image, &dirs, None, "u", 0);
        assert_eq!(unknown, Err(ErrorCode::UnknownTopicOrPartition));
        let directory = |path| directory(&dirs, Path::new(path));
        assert_eq!(directory("/b"), Ok(1));
        assert_eq!(directory("/c"), Err(ErrorCode::LogDirNotFound));
        dirs.fail(1, "it burns");
        assert_eq!(directory("/b"), Err(ErrorCode::KafkaStorageError));
        assert_eq!(of_shard(1), Err(ErrorCode::KafkaStorageError));
    }
}
