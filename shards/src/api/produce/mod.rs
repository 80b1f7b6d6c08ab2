//! Produce: batches in, offsets out.
//!
//! Each partition's batch is checked and appended before this request's connection reads the
//! next one, so the order of requests is the order of records; the reply waits for the marks that
//! `acks` names and travels in order.

mod across;
mod lone;
mod open;

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::bytes::{Block, Source};
use odradek_engine::log::Appended;
use odradek_engine::record::{Depth, Origin, RecordError, keyless, recompress, validate_produce};
use odradek_engine::types::{Offset, Timestamp};
use odradek_wire::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use odradek_wire::{ErrorCode, Message, Uuid};

use self::open::{Joined, Membership};
use super::{Broker, Call, Outcome, Refusal, Reply, encode_reply, topics};
use crate::catalog::{Hosted, Topic};
use crate::partition::{AppendError, Failed, Mark, Wait};
pub(super) use across::{across, onwards};
pub use lone::Produced;
pub use lone::place;
pub(super) use lone::take as at_once;

pub(super) const KEY: i16 = 0;
/// From 0, though only 3 and later are served: KAFKA-18659.
pub(super) const ADVERTISED: RangeInclusive<i16> = 0..=ProduceRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = 3..=ProduceRequest::MAX_VERSION;
/// First version that names topics by id.
const BY_ID: i16 = 13;

/// What became of one partition's batch.
#[derive(Clone)]
struct Answer {
    index: i32,
    error: ErrorCode,
    why: Option<String>,
    keyless: Option<Box<Keyless>>,
    base_offset: i64,
    append_time: i64,
    log_start: i64,
    leader: Option<(u32, i32)>,
}

/// Records of a refused batch that want a key.
#[derive(Clone)]
struct Keyless {
    /// Their numbers in the batch, at most [`KEYLESS_TOLD_MAX`].
    indexes: Vec<i32>,
    /// Of each, for the client to show.
    why: String,
}

/// Records that one answer names: a message of their own goes with each.
const KEYLESS_TOLD_MAX: usize = 1000;

/// The same while a mark may be waited for.
struct Taken {
    answer: Answer,
    wait: Option<Wait>,
}

struct TopicAnswer {
    name: Arc<str>,
    id: Uuid,
    partitions: Vec<Answer>,
}

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ProduceRequest<'_> = call.decode()?;
    here(&call, &request).await
}

/// Answers a request whose partitions are all this shard's, or nobody's.
async fn here(call: &Call<'_>, request: &ProduceRequest<'_>) -> Result<Outcome, Refusal> {
    let broker = call.broker;
    let mut taken = take(broker, request, call.version, call.block, |_| true).await;
    let acks = request.acks;
    if acks == 0 {
        return match taken.iter().any(Taken::failed) {
            true => Err(UNSTORED),
            false => Ok(Outcome::Silent),
        };
    }
    let (version, correlation_id) = (call.version, call.correlation_id);
    let broker = broker.clone();
    let deadline = deadline(broker.io.now(), acks, request.timeout_ms);
    let mut topics = topics_of(&broker, request, version);
    let counts = counts(request);
    Ok(Outcome::Later(Box::pin(async move {
        settle(&broker, &mut taken, deadline).await;
        let answers = taken.into_iter().map(|taken| taken.answer);
        distribute(&mut topics, &counts, answers);
        reply(&broker, version, correlation_id, &topics)
    })))
}

/// The only way to tell a producer that does not listen: its metadata may be old.
const UNSTORED: Refusal = Refusal::Closed("a record with acks=0 could not be stored");

/// The topics of the answer, without partitions.
fn topics_of(broker: &Broker, request: &ProduceRequest<'_>, version: i16) -> Vec<TopicAnswer> {
    let image = broker.image();
    let topics = request.topic_data.iter().map(|data| {
        let topic = match version >= BY_ID {
            true => image.topic_by_id(data.topic_id),
            false => image.topic(data.name),
        };
        TopicAnswer {
            name: topic.map_or_else(|| data.name.into(), |topic| topic.name.clone()),
            id: topic.map_or(data.topic_id, |topic| topic.id),
            partitions: Vec::new(),
        }
    });
    topics.collect()
}

/// How many partitions each topic of a request has.
fn counts(request: &ProduceRequest<'_>) -> Vec<usize> {
    let topics = request.topic_data.iter();
    topics.map(|data| data.partition_data.len()).collect()
}

/// Gives each topic its answers, which are in the order of the request.
fn distribute(
    topics: &mut [TopicAnswer],
    counts: &[usize],
    mut answers: impl Iterator<Item = Answer>,
) {
    for (topic, count) in topics.iter_mut().zip(counts) {
        topic.partitions.extend(answers.by_ref().take(*count));
    }
}

/// Checks and appends the batches of those partitions that are `mine`, by their number in the
/// request. On return they are in their logs.
async fn take(
    broker: &Rc<Broker>,
    request: &ProduceRequest<'_>,
    version: i16,
    block: Option<&Block>,
    mine: impl Fn(usize) -> bool,
) -> Vec<Taken> {
    let image = broker.image();
    let now = Timestamp(broker.io.wall_clock());
    let acks = request.acks;
    let by_id = version >= BY_ID;
    let (mut taken, mut number) = (Vec::with_capacity(1), 0);
    let mut opened = false;
    let joined = match request.transactional_id {
        Some(id) => open::join(broker, id, request, version, &mine).await,
        None => Joined::default(),
    };
    for data in &request.topic_data {
        let topic = if by_id {
            image.topic_by_id(data.topic_id)
        } else {
            image.topic(data.name)
        };
        for one in &data.partition_data {
            number += 1;
            if !mine(number - 1) {
                continue;
            }
            let membership = joined.of(number - 1);
            let refused = match (acks, topic, membership) {
                (_, None, _) if by_id => Some(ErrorCode::UnknownTopicId),
                (_, None, _) => Some(ErrorCode::UnknownTopicOrPartition),
                (..=-2 | 2.., ..) => Some(ErrorCode::InvalidRequiredAcks),
                // Coordinators write there, nobody else.
                (_, Some(topic), _) if topic.is_internal() => {
                    Some(ErrorCode::InvalidTopicException)
                }
                (_, _, Membership::Refused(error)) => Some(error),
                _ => None,
            };
            taken.push(match (refused, topic) {
                (None, Some(topic)) => {
                    let open = broker.open_now(topic, one.index);
                    if open.is_none() && !std::mem::replace(&mut opened, true) {
                        open_all(broker, request, by_id).await;
                    }
                    let records = one.records.bytes().unwrap_or(&[]);
                    let batch = (Source::new(records, block), membership);
                    store(broker, topic, one.index, open, batch, acks, now).await
                }
                (error, _) => {
                    let answer = Answer::refused(one.index, error.expect("no topic is refused"));
                    Taken { answer, wait: None }
                }
            });
        }
    }
    taken
}

/// Opens what the request is about to write to.
async fn open_all(broker: &Rc<Broker>, request: &ProduceRequest<'_>, by_id: bool) {
    let image = broker.image();
    let wanted = request.topic_data.iter().flat_map(|data| {
        let topic = match by_id {
            true => image.topic_by_id(data.topic_id),
            false => image.topic(data.name),
        };
        let topic = topic.filter(|topic| !topic.is_internal());
        let partitions = data.partition_data.iter();
        topic
            .into_iter()
            .flat_map(move |topic| partitions.clone().map(|one| (topic.clone(), one.index)))
    });
    broker.holdings.open_all(wanted).await;
}

/// Waits for the marks.
async fn settle(broker: &Broker, taken: &mut [Taken], deadline: u64) {
    for Taken { answer, wait } in taken {
        let Some(wait) = wait.take() else {
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
    open: Option<Rc<Hosted>>,
    (records, membership): (Source<'_>, Membership),
    acks: i16,
    now: Timestamp,
) -> Taken {
    let mut answer = Answer::refused(index, ErrorCode::None);
    let hosted = match open {
        Some(hosted) => hosted,
        None => match broker.hosted(topic, index).await {
            Ok(hosted) => hosted,
            Err(error) => {
                answer.error = topics::unhosted(error);
                answer.leader = broker.leader_of(topic.id, index);
                return Taken { answer, wait: None };
            }
        },
    };
    let mut wait = None;
    match append(broker, &hosted, records, membership, now) {
        Ok(Stored {
            base_offset,
            append_time,
            end,
        }) => {
            answer.base_offset = base_offset;
            answer.append_time = append_time;
            answer.log_start = hosted.partition.log_start().0;
            let mark = match acks {
                0 => return Taken { answer, wait },
                1 => Mark::Written,
                _ => Mark::Visible,
            };
            wait = Some(hosted.partition.wait(mark, end));
        }
        Err((error, why)) => {
            answer.error = error;
            answer.why = why;
            if error == ErrorCode::InvalidRecord && hosted.config.compacts() {
                refuse_keyless(&mut answer, &topic.name, records.bytes());
            }
            answer.leader = broker.leader_of(topic.id, index);
        }
    }
    Taken { answer, wait }
}

/// Names the records of a refused batch that have no key, if that is why. A batch that cannot be
/// opened was refused for that.
fn refuse_keyless(answer: &mut Answer, topic: &str, records: &[u8]) {
    let mut scratch = Vec::new();
    let Ok(mut indexes) = keyless(records, &mut scratch) else {
        return;
    };
    if indexes.is_empty() {
        return;
    }
    // As Kafka says it (`LogValidator.validateKey`): clients show it.
    let why = format!(
        "Compacted topic cannot accept message without key in topic partition {topic}-{}.",
        answer.index
    );
    let shown = indexes.iter().take(3);
    let shown = shown.map(|index| format!("RecordError(batchIndex={index}, message='{why}')"));
    let shown: Vec<String> = shown.collect();
    answer.why = Some(format!(
        "One or more records have been rejected due to {} record errors in total, and only showing \
         the first three errors at most: [{}]",
        indexes.len(),
        shown.join(", ")
    ));
    indexes.truncate(KEYLESS_TOLD_MAX);
    answer.keyless = Some(Box::new(Keyless { indexes, why }));
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
    records: Source<'_>,
    membership: Membership,
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
    let info = validate_produce(records.bytes(), &rules, depth, &mut scratch).map_err(refuse)?;
    if info.is_transactional() {
        membership.check(&hosted.partition, &info)?;
    }
    let other = hosted.codec().filter(|to| to.codec != info.compression);
    let mut recompressed = Vec::new();
    let (records, info) = match other {
        None => (records, info),
        Some(to) => {
            let keys = matches!(
                depth,
                Depth::Records {
                    keys_required: true
                }
            );
            let out = &mut recompressed;
            let info = recompress(records.bytes(), &info, to, &rules, keys, &mut scratch, out);
            let info = info.map_err(refuse)?;
            (Source::from(&recompressed), info)
        }
    };
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

impl Keyless {
    fn told(&self) -> Vec<BatchIndexAndErrorMessage<'_>> {
        let told = self.indexes.iter().map(|index| BatchIndexAndErrorMessage {
            batch_index: *index,
            batch_index_error_message: Some(&self.why),
        });
        told.collect()
    }
}

impl Taken {
    fn failed(&self) -> bool {
        self.answer.error != ErrorCode::None
    }
}

impl Answer {
    fn refused(index: i32, error: ErrorCode) -> Self {
        Answer {
            index,
            error,
            why: None,
            keyless: None,
            base_offset: -1,
            append_time: -1,
            log_start: -1,
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
                record_errors: answer
                    .keyless
                    .as_deref()
                    .map_or_else(Vec::new, Keyless::told),
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
                    && let Some(endpoint) = broker.endpoint(shard)
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
