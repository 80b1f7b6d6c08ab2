//! A produce request out of batches, and what its answer says of each.

use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::{ErrorCode, Records};

use super::lane::{Batch, Content};
use crate::client::{ClientError, Connection, Reply, check};

/// From version 13 on topics go by id; their names serve here.
const VERSION_MAX: i16 = 12;

/// The batches of one request, each with its partition.
pub(super) type Sent = Vec<(usize, Batch)>;

/// Sends closed batches, at most one per partition.
///
/// # Errors
/// As [`Connection::send`].
pub(super) fn send(
    connection: &mut Connection,
    topic: &str,
    acks: i16,
    batches: &Sent,
) -> Result<(), ClientError> {
    let bytes: Vec<&[u8]> = batches
        .iter()
        .map(|(_, batch)| match &batch.content {
            Content::Closed(bytes) => bytes.as_slice(),
            Content::Open(_) => unreachable!("batches are closed before they are sent"),
        })
        .collect();
    let partition_data = batches
        .iter()
        .zip(&bytes)
        .map(|((partition, _), bytes)| PartitionProduceData {
            // Numbers from Metadata and lengths below BATCH_BYTES_MAX fit.
            index: *partition as i32,
            records: Records::External(bytes.len() as u32),
        })
        .collect();
    let request = ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic,
            partition_data,
            ..TopicProduceData::default()
        }],
    };
    let version = connection.version::<ProduceRequest<'_>>(VERSION_MAX)?;
    connection.send(&request, version, &bytes, acks != 0)
}

/// What became of each batch of a request, in its order.
///
/// # Errors
/// The answer cannot be read.
pub(super) fn outcomes(
    reply: &Reply,
    topic: &str,
    batches: &Sent,
) -> Result<Vec<Result<(), ClientError>>, ClientError> {
    let response: ProduceResponse<'_> = reply.read()?;
    let answered = |index: usize| {
        let mut partitions = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partition_responses);
        partitions.find(|partition| usize::try_from(partition.index) == Ok(index))
    };
    let outcomes = batches.iter().map(|(index, _)| match answered(*index) {
        // Kafka answers this where the batch is there already, older than it remembers.
        Some(answer) if answer.error_code == ErrorCode::DuplicateSequenceNumber.code() => Ok(()),
        Some(answer) => {
            let reason = answer
                .record_errors
                .iter()
                .find_map(|error| error.batch_index_error_message);
            check(answer.error_code, reason.or(answer.error_message), || {
                format!("producing to {topic}-{index}")
            })
        }
        None => Err(ClientError::Refused {
            what: format!("producing to {topic}-{index}"),
            code: ErrorCode::UnknownServerError.code(),
            message: Some("the broker's answer leaves the partition out".to_owned()),
        }),
    });
    Ok(outcomes.collect())
}
