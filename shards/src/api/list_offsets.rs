//! ListOffsets: offsets by timestamp, and the log's ends.
//!
//! For readers of committed records the log ends at its last stable offset.
//!
//! Source: Kafka `ReplicaManager.fetchOffset`, KIP-734 (max timestamp).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_engine::types::{Offset, Timestamp};
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::fetch::isolation;
use super::{Broker, Call, Outcome, Refusal, topics};
use crate::catalog::Topic;
use crate::partition::{Isolation, Partition, ReadError};

pub(super) const KEY: i16 = 2;
pub(super) const ADVERTISED: RangeInclusive<i16> = 1..=ListOffsetsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
/// Earliest on local disk: all of it is.
const EARLIEST_LOCAL: i64 = -4;
/// Latest in a tier: there is none.
const LATEST_TIERED: i64 = -5;
/// Earliest waiting for a tier: nothing waits.
const EARLIEST_PENDING_UPLOAD: i64 = -6;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ListOffsetsRequest<'_> = call.decode()?;
    let image = call.broker.image();
    let mut answers = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        let mut times: BTreeMap<i32, usize> = BTreeMap::new();
        for partition in &asked.partitions {
            *times.entry(partition.partition_index).or_default() += 1;
        }
        if let Some(topic) = image.topic(asked.name) {
            let wanted = asked.partitions.iter();
            let wanted = wanted.map(|partition| (topic.clone(), partition.partition_index));
            call.broker.holdings.open_all(wanted).await;
        }
        for partition in &asked.partitions {
            partitions.push(match image.topic(asked.name) {
                _ if unsupported(partition.timestamp, call.version) => {
                    failed(partition, ErrorCode::UnsupportedVersion)
                }
                _ if times[&partition.partition_index] > 1 => {
                    failed(partition, ErrorCode::InvalidRequest)
                }
                Some(topic) => {
                    let isolation = isolation(request.isolation_level);
                    let mut answer = one(call.broker, topic, partition, isolation).await;
                    if call.version < 4 {
                        // Older versions have no epoch, and refuse to carry one.
                        answer.leader_epoch = -1;
                    }
                    answer
                }
                None => failed(partition, ErrorCode::UnknownTopicOrPartition),
            });
        }
        answers.push(ListOffsetsTopicResponse {
            name: asked.name,
            partitions,
        });
    }
    call.reply(&ListOffsetsResponse {
        topics: answers,
        ..ListOffsetsResponse::default()
    })
}

/// Whether a version does not know a negative timestamp's meaning.
///
/// Source: Kafka `ReplicaManager.isListOffsetsTimestampUnsupported`.
fn unsupported(timestamp: i64, version: i16) -> bool {
    let since = match timestamp {
        0.. => return false,
        LATEST | EARLIEST => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        _ => return true,
    };
    version < since
}

fn failed(asked: &ListOffsetsPartition, error: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        error_code: error.code(),
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
    }
}

async fn one(
    broker: &Rc<Broker>,
    topic: &Topic,
    asked: &ListOffsetsPartition,
    isolation: Isolation,
) -> ListOffsetsPartitionResponse {
    let hosted = match broker.hosted(topic, asked.partition_index).await {
        Ok(hosted) => hosted,
        Err(error) => return failed(asked, topics::unhosted(error)),
    };
    let error = super::fetch::epoch_error(&hosted, asked.current_leader_epoch);
    if error != ErrorCode::None {
        return failed(asked, error);
    }
    let found = find(&hosted.partition, asked.timestamp, isolation).await;
    if hosted.partition.left() {
        // What was found may be old news.
        return failed(asked, ErrorCode::NotLeaderOrFollower);
    }
    match found {
        Ok(Some((timestamp, offset))) => {
            let epoch = hosted
                .partition
                .with_log(|log| log.epochs().epoch_for(offset));
            ListOffsetsPartitionResponse {
                timestamp: timestamp.0,
                offset: offset.0,
                leader_epoch: epoch.map_or(-1, |epoch| epoch.0),
                ..failed(asked, ErrorCode::None)
            }
        }
        Ok(None) => failed(asked, ErrorCode::None),
        Err(Failure::Asked(error)) => failed(asked, error),
        Err(Failure::Read(error)) => {
            broker.unreached.log(&broker.io, || {
                tracing::error!("offsets of {}: {error}", hosted.partition.name());
            });
            failed(asked, ErrorCode::KafkaStorageError)
        }
    }
}

enum Failure {
    Asked(ErrorCode),
    Read(ReadError),
}

async fn find(
    partition: &Partition,
    timestamp: i64,
    isolation: Isolation,
) -> Result<Option<(Timestamp, Offset)>, Failure> {
    // Whoever asks for the end wants to see what was acknowledged.
    partition.settle().await;
    let standing = partition.standing();
    let end = match isolation {
        Isolation::Uncommitted => standing.visible,
        Isolation::Committed => standing.stable,
    };
    // A record that may yet be aborted is not told of.
    let told = |found: Option<(Timestamp, Offset)>| found.filter(|(_, offset)| *offset < end);
    match timestamp {
        LATEST => Ok(Some((Timestamp(-1), end))),
        EARLIEST | EARLIEST_LOCAL => Ok(Some((Timestamp(-1), standing.log_start))),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(None),
        MAX_TIMESTAMP => partition
            .latest_record()
            .await
            .map(told)
            .map_err(Failure::Read),
        time if time >= 0 => partition
            .offset_for_time(Timestamp(time))
            .await
            .map(told)
            .map_err(Failure::Read),
        _ => Err(Failure::Asked(ErrorCode::UnsupportedVersion)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_have_their_versions() {
        assert!(!unsupported(0, 1) && !unsupported(LATEST, 1) && !unsupported(EARLIEST, 1));
        for (timestamp, since) in [
            (MAX_TIMESTAMP, 7),
            (EARLIEST_LOCAL, 8),
            (LATEST_TIERED, 9),
            (EARLIEST_PENDING_UPLOAD, 11),
        ] {
            assert!(unsupported(timestamp, since - 1) && !unsupported(timestamp, since));
        }
        assert!(unsupported(-7, ListOffsetsRequest::MAX_VERSION));
    }
}
