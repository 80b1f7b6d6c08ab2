//! Produce: batches in, offsets out.
//!
//! Each partition's batch is checked and appended before this request's connection reads the
//! next one, so the order of requests is the order of records; the reply waits for the marks that
//! `acks` names and travels in order.

mod lone;

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::log::Appended;
use odradek_engine::record::{Origin, RecordError, validate_produce};
use odradek_engine::types::{Offset, Timestamp};
use odradek_wire::produce::{
    LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use odradek_wire::{ErrorCode, Message, Records, Uuid};

use super::{Broker, Call, Outcome, Refusal, Reply, encode_reply, topics};
use crate::catalog::{Hosted, Topic};
use crate::partition::{AppendError, Failed, Mark, Wait};
pub use lone::Produced;
pub(super) use lone::take as at_once;

pub(super) const KEY: i16 = 0;
/// From 0, though only 3 and later are served: KAFKA-18659.
pub(super) const ADVERTISED: RangeInclusive<i16> = 0..=ProduceRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = 3..=ProduceRequest::MAX_VERSION;

/// What became of one partition's batch.
struct Answer {
    index: i32,
    error: ErrorCode,
    why: Option<String>,
    base_offset: i64,
    append_time: i64,
    log_start: i64,
    wait: Option<Wait>,
    leader: Option<(u32, i32)>,
}

struct TopicAnswer {
    name: Arc<str>,
    id: Uuid,
    partitions: Vec<Answer>,
}

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ProduceRequest<'_> = call.decode()?;
    let broker = call.broker;
    let acks = request.acks;
    let image = broker.image();
    let now = Timestamp(broker.io.wall_clock());
    let mut answers = Vec::with_capacity(1);
    let by_id = call.version >= 13;
    for data in &request.topic_data {
        let topic = if by_id {
            image.topic_by_id(data.topic_id)
        } else {
            image.topic(data.name)
        };
        let mut partitions = Vec::with_capacity(1);
        for one in &data.partition_data {
            let refused = match (acks, topic, request.transactional_id) {
                (_, None, _) if by_id => Some(ErrorCode::UnknownTopicId),
                (_, None, _) => Some(ErrorCode::UnknownTopicOrPartition),
                (..=-2 | 2.., ..) => Some(ErrorCode::InvalidRequiredAcks),
                // Coordinators write there, nobody else.
                (_, Some(topic), _) if topic.is_internal() => {
                    Some(ErrorCode::InvalidTopicException)
                }
                (_, _, Some(_)) => Some(ErrorCode::TransactionalIdAuthorizationFailed),
                _ => None,
            };
            let answer = match (refused, topic) {
                (None, Some(topic)) => {
                    store(broker, topic, one.index, &one.records, acks, now).await
                }
                (error, _) => Answer::refused(one.index, error.expect("no topic is refused")),
            };
            partitions.push(answer);
        }
        answers.push(TopicAnswer {
            name: topic.map_or_else(|| data.name.into(), |topic| topic.name.clone()),
            id: topic.map_or(data.topic_id, |topic| topic.id),
            partitions,
        });
    }
    if acks == 0 {
        let failed = answers
            .iter()
            .flat_map(|topic| &topic.partitions)
            .any(|answer| answer.error != ErrorCode::None);
        return match failed {
            // The only way to tell a producer that does not listen: its metadata may be old.
            true => Err(Refusal::Closed("a record with acks=0 could not be stored")),
            false => Ok(Outcome::Silent),
        };
    }
    let (version, correlation_id) = (call.version, call.correlation_id);
    let broker = broker.clone();
    let deadline = deadline(broker.io.now(), acks, request.timeout_ms);
    Ok(Outcome::Later(Box::pin(async move {
        for answer in answers.iter_mut().flat_map(|topic| &mut topic.partitions) {
            let Some(wait) = answer.wait.take() else {
                continue;
            };
            match wait.done_by(&broker.io, deadline).await {
                Some(Ok(())) => {}
                Some(Err(Failed)) => {
                    answer.error = ErrorCode::KafkaStorageError;
                    answer.base_offset = -1;
                }
                None => answer.error = ErrorCode::RequestTimedOut,
            }
        }
        reply(&broker, version, correlation_id, &answers)
    })))
}

/// Until when an answer waits for its mark, nanoseconds. Only `acks=all` is answered before: its
/// records are in the log and may yet become durable, as in Kafka (`DelayedProduce`).
fn deadline(now: u64, acks: i16, timeout_ms: i32) -> u64 {
    match acks {
        -1 => now.saturating_add(timeout_ms.max(0) as u64 * 1_000_000),
        _ => u64::MAX,
    }
}

async fn store(
    broker: &Rc<Broker>,
    topic: &Topic,
    index: i32,
    records: &Records<'_>,
    acks: i16,
    now: Timestamp,
) -> Answer {
    let hosted = match broker.open_now(topic, index) {
        Some(hosted) => hosted,
        None => match broker.hosted(topic, index).await {
            Ok(hosted) => hosted,
            Err(error) => {
                let mut answer = Answer::refused(index, topics::unhosted(error));
                answer.leader = broker.leader_of(topic.id, index);
                return answer;
            }
        },
    };
    let mut answer = Answer::refused(index, ErrorCode::None);
    match append(broker, &hosted, records.bytes().unwrap_or(&[]), now) {
        Ok(Stored {
            base_offset,
            append_time,
            end,
        }) => {
            answer.base_offset = base_offset;
            answer.append_time = append_time;
            answer.log_start = hosted.partition.log_start().0;
            let mark = match acks {
                0 => return answer,
                1 => Mark::Written,
                _ => Mark::Visible,
            };
            answer.wait = Some(hosted.partition.wait(mark, end));
        }
        Err((error, why)) => {
            answer.error = error;
            answer.why = why;
            answer.leader = broker.leader_of(topic.id, index);
        }
    }
    answer
}

/// A batch in the log.
struct Stored {
    base_offset: i64,
    /// -1 under create time.
    append_time: i64,
    /// The offset to wait for.
    end: Offset,
}

/// Why there is none.
type Refused = (ErrorCode, Option<String>);

/// Checks and appends.
fn append(
    broker: &Broker,
    hosted: &Hosted,
    records: &[u8],
    now: Timestamp,
) -> Result<Stored, Refused> {
    let (rules, append_time) = hosted.rules(now);
    let depth = hosted.depth(broker.settings.record_validation);
    let mut scratch = Vec::new();
    let refuse = |error: RecordError| {
        (
            ErrorCode::from_code(error.code()).unwrap_or(ErrorCode::UnknownServerError),
            Some(error.to_string()),
        )
    };
    let info = validate_produce(records, &rules, depth, &mut scratch).map_err(refuse)?;
    if info.is_transactional() {
        let why = "the batch is transactional, the request is not".to_owned();
        return Err((ErrorCode::TransactionalIdAuthorizationFailed, Some(why)));
    }
    let appended = hosted
        .partition
        .append(records, &info, Origin::Client, append_time, now);
    match appended {
        Ok(Appended::Stored(info)) => Ok(Stored {
            base_offset: info.base_offset.0,
            append_time: append_time.map_or(-1, |time| time.0),
            end: info.next_offset(),
        }),
        Ok(Appended::Duplicate(mark)) => Ok(Stored {
            base_offset: mark.last_offset.0 - i64::from(mark.offset_delta),
            append_time: append_time.map_or(-1, |_| mark.timestamp.0),
            end: mark.last_offset.plus(1),
        }),
        Ok(Appended::Refused(error)) => Err((
            ErrorCode::from_code(error.code()).unwrap_or(ErrorCode::UnknownServerError),
            Some(error.to_string()),
        )),
        Err(AppendError::Record(error)) => Err(refuse(error)),
        Err(AppendError::Poisoned(why)) => {
            Err((topics::storage(&hosted.partition), Some(why.to_string())))
        }
    }
}

impl Answer {
    fn refused(index: i32, error: ErrorCode) -> Self {
        Answer {
            index,
            error,
            why: None,
            base_offset: -1,
            append_time: -1,
            log_start: -1,
            wait: None,
            leader: None,
        }
    }
}

fn reply(
    broker: &Broker,
    version: i16,
    correlation_id: i32,
    answers: &[TopicAnswer],
) -> Result<Reply, Refusal> {
    let mut node_endpoints: Vec<NodeEndpoint<'_>> = Vec::new();
    let mut responses = Vec::with_capacity(answers.len());
    for topic in answers {
        let mut partition_responses = Vec::with_capacity(topic.partitions.len());
        for answer in &topic.partitions {
            let mut response = PartitionProduceResponse {
                index: answer.index,
                error_code: answer.error.code(),
                base_offset: answer.base_offset,
                log_append_time_ms: answer.append_time,
                log_start_offset: answer.log_start,
                error_message: answer.why.as_deref(),
                ..PartitionProduceResponse::default()
            };
            // KIP-951: the new leader at once, without a metadata round trip.
            if version >= 10
                && answer.error == ErrorCode::NotLeaderOrFollower
                && let Some((shard, epoch)) = answer.leader
            {
                let leader_id = broker.id_of(shard);
                response.current_leader = LeaderIdAndEpoch {
                    leader_id,
                    leader_epoch: epoch,
                };
                if node_endpoints.iter().all(|node| node.node_id != leader_id)
                    && let Some(endpoint) = broker.endpoints.get(shard as usize)
                {
                    node_endpoints.push(NodeEndpoint {
                        node_id: leader_id,
                        host: &endpoint.host,
                        port: i32::from(endpoint.port),
                        rack: broker.settings.broker_rack.as_deref(),
                    });
                }
            }
            partition_responses.push(response);
        }
        responses.push(TopicProduceResponse {
            name: &topic.name,
            topic_id: topic.id,
            partition_responses,
        });
    }
    let response = ProduceResponse {
        responses,
        throttle_time_ms: 0,
        node_endpoints,
    };
    let (bytes, _) = encode_reply(KEY, version, correlation_id, &response)?;
    Ok(Reply::bytes(bytes))
}
