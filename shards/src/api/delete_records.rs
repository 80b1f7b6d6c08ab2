//! DeleteRecords: the log start offset moves up, and what lies before it is gone.
//!
//! It is gone for good when this is answered, also after a crash; the disk space follows with the
//! next look of retention, as in Kafka.
//!
//! Source: Kafka `ReplicaManager.deleteRecords`, `Partition.deleteRecordsOnLeader`, KIP-107.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_engine::types::Offset;
use odradek_wire::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal, topics};
use crate::catalog::Topic;
use crate::partition::DeleteError;

pub(super) const KEY: i16 = 21;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DeleteRecordsRequest::MIN_VERSION..=DeleteRecordsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// Up to the high watermark.
const EVERYTHING: i64 = -1;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DeleteRecordsRequest<'_> = call.decode()?;
    let image = call.broker.image();
    let mut answers = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let topic = image.topic(asked.name);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for partition in &asked.partitions {
            let deleted = match topic {
                Some(topic) => delete(call.broker, topic, partition).await,
                None => Err(ErrorCode::UnknownTopicOrPartition),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: deleted.as_ref().map_or(-1, |start| start.0),
                error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
            });
        }
        answers.push(DeleteRecordsTopicResult {
            name: asked.name,
            partitions,
        });
    }
    call.reply(&DeleteRecordsResponse {
        throttle_time_ms: 0,
        topics: answers,
    })
}

async fn delete(
    broker: &Rc<Broker>,
    topic: &Topic,
    asked: &DeleteRecordsPartition,
) -> Result<Offset, ErrorCode> {
    if topic.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let hosted = broker
        .hosted(topic, asked.partition_index)
        .await
        .map_err(topics::unhosted)?;
    if hosted.config.compacts() && !hosted.config.deletes() {
        return Err(ErrorCode::PolicyViolation);
    }
    let before = match asked.offset {
        EVERYTHING => None,
        0.. => Some(Offset(asked.offset)),
        _ => return Err(ErrorCode::OffsetOutOfRange),
    };
    let partition = &hosted.partition;
    let deleted = partition.delete_before(before).await;
    deleted.map_err(|error| match error {
        DeleteError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        DeleteError::Failed(_) if partition.left() => ErrorCode::NotLeaderOrFollower,
        DeleteError::Failed(why) => {
            broker.unreached.log(&broker.io, || {
                tracing::error!("deleting records of {}: {why}", partition.name());
            });
            ErrorCode::KafkaStorageError
        }
    })
}
