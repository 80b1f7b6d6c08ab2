//! Fetch: record batches out, from memory or files, waiting for them if there are too few.
//!
//! A fetch that waits is woken by progress. Record bytes never pass through the reply's buffer:
//! the header is encoded with gaps, and the gaps are filled by ranges of memory and of files.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_engine::bytes::Part;
use odradek_engine::types::Offset;
use odradek_wire::fetch::{
    FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, LeaderIdAndEpoch,
    NodeEndpoint, PartitionData,
};
use odradek_wire::{ErrorCode, Message, Records};

use super::{Call, Outcome, Refusal, Reply, ReplyPiece, encode_reply, topics};
use crate::broker::{Broker, Hosted};
use crate::catalog::Topic;
use crate::partition::{Notice, Piece, ReadError};
use crate::runtime::either;

pub(super) const KEY: i16 = 1;
pub(super) const ADVERTISED: RangeInclusive<i16> = 4..=FetchRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// One partition's part of the answer.
struct Slice {
    index: i32,
    error: ErrorCode,
    visible: i64,
    log_start: i64,
    pieces: Vec<Piece>,
    bytes: u64,
    leader: Option<(u32, i32)>,
}

impl Slice {
    fn failed(index: i32, error: ErrorCode) -> Self {
        Slice {
            index,
            error,
            visible: -1,
            log_start: -1,
            pieces: Vec::new(),
            bytes: 0,
            leader: None,
        }
    }
}

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: FetchRequest<'_> = call.decode()?;
    let broker = call.broker;
    // Sessions: every fetch is answered whole and no session is offered, which clients accept.
    if request.session_id != 0 && request.session_epoch > 0 {
        let response = FetchResponse {
            error_code: ErrorCode::FetchSessionIdNotFound.code(),
            ..FetchResponse::default()
        };
        return call.reply(&response);
    }
    let mut wait_ms = i64::from(request.max_wait_ms.max(0));
    if broker.settings.connections_max_idle_ms >= 0 {
        // A connection that is silent for longer is of no use to anybody.
        wait_ms = wait_ms.min(broker.settings.connections_max_idle_ms);
    }
    let deadline = broker.io.now() + wait_ms as u64 * 1_000_000;
    let least = request.min_bytes.max(0) as u64;
    let notice = Rc::new(Notice::default());
    loop {
        let answer = gather(&call, &request, &notice).await;
        let enough = answer.bytes >= least || answer.failed;
        let over = broker.io.now() >= deadline || broker.stopping() || call.peer.gone();
        if enough || over {
            return respond(&call, &request, answer);
        }
        let pause = broker.io.sleep_until(deadline);
        either(notice.raised(), either(pause, call.peer.leaves())).await;
    }
}

struct Answer {
    slices: Vec<Vec<Slice>>,
    bytes: u64,
    failed: bool,
}

/// Plans every partition once. `notice` is raised by the next progress of any that had nothing.
async fn gather(call: &Call<'_>, request: &FetchRequest<'_>, notice: &Rc<Notice>) -> Answer {
    let broker = call.broker;
    let image = broker.image();
    let max = request.max_bytes.clamp(0, broker.settings.fetch_max_bytes) as u64;
    let mut answer = Answer {
        slices: Vec::with_capacity(request.topics.len()),
        bytes: 0,
        failed: false,
    };
    for asked in &request.topics {
        let topic = find(&image, asked, call.version);
        let mut slices = Vec::with_capacity(asked.partitions.len());
        for partition in &asked.partitions {
            let left = max.saturating_sub(answer.bytes);
            let bytes_max = left.min(partition.partition_max_bytes.max(0) as u64);
            let first = answer.bytes == 0;
            let slice = match topic {
                None if call.version >= 13 => {
                    Slice::failed(partition.partition, ErrorCode::UnknownTopicId)
                }
                None => Slice::failed(partition.partition, ErrorCode::UnknownTopicOrPartition),
                Some(topic) => slice(broker, topic, partition, bytes_max, first, notice).await,
            };
            answer.bytes += slice.bytes;
            answer.failed |= slice.error != ErrorCode::None;
            slices.push(slice);
        }
        answer.slices.push(slices);
    }
    answer
}

fn find<'i>(
    image: &'i crate::catalog::Image,
    asked: &FetchTopic<'_>,
    version: i16,
) -> Option<&'i Topic> {
    let topic = if version >= 13 {
        image.topic_by_id(asked.topic_id)
    } else {
        image.topic(asked.topic)
    };
    topic.map(|topic| &**topic)
}

async fn slice(
    broker: &Rc<Broker>,
    topic: &Topic,
    asked: &odradek_wire::fetch::FetchPartition,
    bytes_max: u64,
    first: bool,
    notice: &Rc<Notice>,
) -> Slice {
    let index = asked.partition;
    let hosted = match broker.hosted(topic, index).await {
        Ok(hosted) => hosted,
        Err(error) => {
            let mut slice = Slice::failed(index, topics::unhosted(error));
            slice.leader = topic
                .partitions
                .get(index.max(0) as usize)
                .map(|entry| (entry.shard, entry.leader_epoch));
            return slice;
        }
    };
    let mut slice = Slice::failed(index, epoch_error(&hosted, asked.current_leader_epoch));
    if slice.error != ErrorCode::None {
        slice.leader = topic
            .partitions
            .get(index.max(0) as usize)
            .map(|entry| (entry.shard, entry.leader_epoch));
        return slice;
    }
    let read = hosted
        .partition
        .read(Offset(asked.fetch_offset), bytes_max, first)
        .await;
    match read {
        Ok(read) => {
            slice.visible = read.visible.0;
            slice.log_start = read.log_start.0;
            slice.bytes = read.bytes;
            slice.pieces = read.pieces;
            if read.bytes == 0 {
                hosted.partition.watch(notice);
            }
        }
        Err(error) => {
            slice.error = match &error {
                ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
                ReadError::Damaged { .. } => ErrorCode::CorruptMessage,
                ReadError::Poisoned(_) | ReadError::Io(_) => ErrorCode::KafkaStorageError,
            };
            if !matches!(error, ReadError::OutOfRange { .. }) {
                broker.refusals.log(&broker.io, || {
                    tracing::error!("fetch from {}: {error}", hosted.partition.name());
                });
            }
        }
    }
    slice
}

/// KIP-320: a client that knows another epoch must look at the metadata again.
pub(super) fn epoch_error(hosted: &Hosted, asked: i32) -> ErrorCode {
    let ours = hosted.partition.standing().epoch.0;
    match asked {
        -1 => ErrorCode::None,
        older if older < ours => ErrorCode::FencedLeaderEpoch,
        newer if newer > ours => ErrorCode::UnknownLeaderEpoch,
        _ => ErrorCode::None,
    }
}

fn respond(
    call: &Call<'_>,
    request: &FetchRequest<'_>,
    answer: Answer,
) -> Result<Outcome, Refusal> {
    let broker = call.broker;
    let mut node_endpoints: Vec<NodeEndpoint<'_>> = Vec::new();
    let mut responses = Vec::with_capacity(request.topics.len());
    let mut pieces = Vec::new();
    for (asked, slices) in request.topics.iter().zip(answer.slices) {
        let mut partitions = Vec::with_capacity(slices.len());
        for slice in slices {
            let mut data = PartitionData {
                partition_index: slice.index,
                error_code: slice.error.code(),
                high_watermark: slice.visible,
                last_stable_offset: slice.visible,
                log_start_offset: slice.log_start,
                // Without transactions none can be aborted; null means "not read_committed".
                aborted_transactions: (request.isolation_level == 1).then(Vec::new),
                preferred_read_replica: -1,
                records: match slice.bytes {
                    0 => Records::Bytes(&[]),
                    bytes => Records::External(bytes as u32),
                },
                ..PartitionData::default()
            };
            let moved = matches!(
                slice.error,
                ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
            );
            if let (true, true, Some((shard, epoch))) = (call.version >= 16, moved, slice.leader) {
                let leader_id = broker.id_of(shard);
                data.current_leader = LeaderIdAndEpoch {
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
            partitions.push(data);
            if slice.bytes > 0 {
                pieces.push(slice.pieces);
            }
        }
        responses.push(FetchableTopicResponse {
            topic: asked.topic,
            topic_id: asked.topic_id,
            partitions,
        });
    }
    let response = FetchResponse {
        responses,
        node_endpoints,
        ..FetchResponse::default()
    };
    let (bytes, gaps) = encode_reply(KEY, call.version, call.correlation_id, &response)?;
    assert_eq!(gaps.len(), pieces.len(), "a gap for every range");
    let mut reply = Reply::default();
    let mut at = 0;
    for (gap, pieces) in gaps.iter().zip(pieces) {
        if gap.at > at {
            let between = bytes[at..gap.at].to_vec();
            reply.pieces.push(ReplyPiece::Memory(Part::Owned(between)));
            at = gap.at;
        }
        for piece in pieces {
            match piece {
                Piece::File(range) => reply.pieces.push(ReplyPiece::File(range)),
                Piece::Memory(parts) => reply.memory(parts),
            }
        }
    }
    if at < bytes.len() {
        let rest = match at {
            0 => bytes,
            _ => bytes[at..].to_vec(),
        };
        reply.pieces.push(ReplyPiece::Memory(Part::Owned(rest)));
    }
    Ok(Outcome::Reply(reply))
}
