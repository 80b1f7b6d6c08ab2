//! Fetch: record batches out, from memory or files, waiting for them if there are too few.
//!
//! A fetch that waits is woken by progress. Record bytes never pass through the reply's buffer:
//! the header is encoded with gaps, and the gaps are filled by ranges of memory and of files.

mod across;

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::bytes::Part;
use odradek_engine::types::Offset;
use odradek_wire::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use odradek_wire::{ErrorCode, Message, Records, Uuid};

use super::fetch_sessions::{Asked, Kind, Told, TopicKey, Wanted};
use super::{Broker, Call, Outcome, Refusal, Reply, ReplyPiece, encode_reply, topics};
use crate::catalog::{Hosted, Image, Topic};
use crate::partition::{Piece, ReadError};
use crate::runtime::{Notice, either};

pub(super) const KEY: i16 = 1;
pub(super) const ADVERTISED: RangeInclusive<i16> = 4..=FetchRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// One partition's part of the answer.
struct Slice<P = ReplyPiece> {
    index: i32,
    error: ErrorCode,
    visible: i64,
    log_start: i64,
    pieces: Vec<P>,
    bytes: u64,
    leader: Option<(u32, i32)>,
}

impl<P> Slice<P> {
    /// The same with its bytes in another form.
    fn with<Q>(self, pieces: Vec<Q>) -> Slice<Q> {
        Slice {
            index: self.index,
            error: self.error,
            visible: self.visible,
            log_start: self.log_start,
            pieces,
            bytes: self.bytes,
            leader: self.leader,
        }
    }

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
    let asked = Asked {
        id: request.session_id,
        epoch: request.session_epoch,
        by_ids: call.version >= 13,
    };
    let begun = broker.fetch_sessions.borrow_mut().begin(
        broker.io.now(),
        asked,
        wanted(&request, asked.by_ids),
        &forgotten(&request, asked.by_ids),
    );
    let (kind, wanted) = match begun {
        Ok(begun) => begun,
        Err(error) => return session_error(&call, error),
    };
    let mut wait_ms = i64::from(request.max_wait_ms.max(0));
    if broker.settings.connections_max_idle_ms >= 0 {
        // A connection that is silent for longer is of no use to anybody.
        wait_ms = wait_ms.min(broker.settings.connections_max_idle_ms);
    }
    let deadline = broker.io.now() + wait_ms as u64 * 1_000_000;
    let least = request.min_bytes.max(0) as u64;
    let max = request.max_bytes.clamp(0, broker.settings.fetch_max_bytes) as u64;
    let notice = Rc::new(Notice::default());
    loop {
        let (answer, mut stirs) = match broker.one_address() {
            false => {
                let limits = Limits { least, max };
                (gather(broker, limits, &wanted, &notice).await, Vec::new())
            }
            true => across::gather(&call, Limits { least, max }, &wanted, &notice).await?,
        };
        let enough = answer.bytes >= least || answer.failed || wanted.is_empty();
        let over = broker.io.now() >= deadline || broker.stopping() || call.peer.gone();
        if enough || over {
            return respond(&call, &request, kind, wanted, answer);
        }
        let pause = broker.io.sleep_until(deadline);
        let stirred = either(notice.raised(), across::any(&mut stirs));
        either(stirred, either(pause, call.peer.leaves())).await;
    }
}

/// The client begins a new session after any of these.
fn session_error(call: &Call<'_>, error: ErrorCode) -> Result<Outcome, Refusal> {
    call.reply(&FetchResponse {
        error_code: error.code(),
        ..FetchResponse::default()
    })
}

fn key(topic: &str, id: Uuid, by_ids: bool) -> TopicKey {
    match by_ids {
        true => TopicKey::Id(id),
        false => TopicKey::Name(topic.into()),
    }
}

fn wanted(request: &FetchRequest<'_>, by_ids: bool) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for topic in &request.topics {
        let key = key(topic.topic, topic.topic_id, by_ids);
        wanted.extend(topic.partitions.iter().map(|partition| Wanted {
            topic: key.clone(),
            index: partition.partition,
            offset: partition.fetch_offset,
            bytes_max: partition.partition_max_bytes,
            leader_epoch: partition.current_leader_epoch,
        }));
    }
    wanted
}

fn forgotten(request: &FetchRequest<'_>, by_ids: bool) -> Vec<(TopicKey, i32)> {
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let key = key(topic.topic, topic.topic_id, by_ids);
        forgotten.extend(topic.partitions.iter().map(|index| (key.clone(), *index)));
    }
    forgotten
}

struct Answer {
    /// One for each partition wanted.
    slices: Vec<Slice>,
    bytes: u64,
    failed: bool,
}

/// How many bytes an answer may have, and how many it waits for.
#[derive(Clone, Copy)]
struct Limits {
    least: u64,
    max: u64,
}

/// Plans every partition once. `notice` is raised by the next progress of any that had nothing, and
/// of any at all if they have too little together.
async fn gather(
    broker: &Rc<Broker>,
    limits: Limits,
    wanted: &[Wanted],
    notice: &Rc<Notice>,
) -> Answer {
    let Limits { least, max } = limits;
    let image = broker.image();
    let mut answer = Answer {
        slices: Vec::with_capacity(wanted.len()),
        bytes: 0,
        failed: false,
    };
    let mut last: Option<(&TopicKey, Option<&Arc<Topic>>)> = None;
    let mut opened = false;
    for partition in wanted {
        let topic = match last {
            Some((key, topic)) if *key == partition.topic => topic,
            _ => topic_of(&image, &partition.topic),
        };
        last = Some((&partition.topic, topic));
        let left = max.saturating_sub(answer.bytes);
        let bytes_max = left.min(partition.bytes_max.max(0) as u64);
        let first = answer.bytes == 0;
        let slice = match (topic, &partition.topic) {
            (Some(topic), _) => {
                let open = broker.open_now(topic, partition.index);
                if open.is_none() && !std::mem::replace(&mut opened, true) {
                    open_all(broker, &image, wanted).await;
                }
                slice(broker, topic, partition, open, bytes_max, first, notice).await
            }
            (None, TopicKey::Id(_)) => Slice::failed(partition.index, ErrorCode::UnknownTopicId),
            (None, TopicKey::Name(_)) => {
                Slice::failed(partition.index, ErrorCode::UnknownTopicOrPartition)
            }
        };
        answer.bytes += slice.bytes;
        answer.failed |= slice.error != ErrorCode::None;
        answer.slices.push(slice);
    }
    if answer.bytes < least && !answer.failed {
        watch_begun(broker, &image, wanted, &answer.slices, notice);
    }
    answer
}

fn topic_of<'a>(image: &'a Image, key: &TopicKey) -> Option<&'a Arc<Topic>> {
    match key {
        TopicKey::Id(id) => image.topic_by_id(*id),
        TopicKey::Name(name) => image.topic(name),
    }
}

/// Opens what is about to be read.
async fn open_all(broker: &Rc<Broker>, image: &Image, wanted: &[Wanted]) {
    let wanted = wanted.iter().filter_map(|partition| {
        let topic = topic_of(image, &partition.topic)?;
        Some((topic.clone(), partition.index))
    });
    broker.holdings.open_all(wanted).await;
}

/// Watches those partitions, too, that have something.
fn watch_begun(
    broker: &Rc<Broker>,
    image: &Image,
    wanted: &[Wanted],
    slices: &[Slice],
    notice: &Rc<Notice>,
) {
    for (wanted, slice) in wanted.iter().zip(slices) {
        if slice.bytes == 0 {
            continue;
        }
        match topic_of(image, &wanted.topic).and_then(|topic| broker.open_now(topic, wanted.index))
        {
            // What came while it was read is not waited for.
            Some(open) if open.partition.standing().visible.0 == slice.visible => {
                open.partition.watch(notice);
            }
            _ => notice.raise(),
        }
    }
}

async fn slice(
    broker: &Rc<Broker>,
    topic: &Topic,
    asked: &Wanted,
    open: Option<Rc<Hosted>>,
    bytes_max: u64,
    first: bool,
    notice: &Rc<Notice>,
) -> Slice {
    let index = asked.index;
    let hosted = match open {
        Some(hosted) => Ok(hosted),
        None => broker.hosted(topic, index).await,
    };
    let hosted = match hosted {
        Ok(hosted) => hosted,
        Err(error) => {
            let mut slice = Slice::failed(index, topics::unhosted(error));
            slice.leader = broker.leader_of(topic.id, index);
            return slice;
        }
    };
    let mut slice = Slice::failed(index, epoch_error(&hosted, asked.leader_epoch));
    if slice.error != ErrorCode::None {
        slice.leader = broker.leader_of(topic.id, index);
        return slice;
    }
    let read = hosted
        .partition
        .read(Offset(asked.offset), bytes_max, first)
        .await;
    match read {
        Ok(read) => {
            slice.visible = read.visible.0;
            slice.log_start = read.log_start.0;
            slice.bytes = read.bytes;
            slice.pieces = pieces(read.pieces);
            if read.bytes == 0 {
                hosted.partition.watch(notice);
            }
        }
        Err(error) => {
            slice.error = match &error {
                ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
                ReadError::Damaged { .. } => ErrorCode::CorruptMessage,
                ReadError::Poisoned(_) | ReadError::Io(_) => topics::storage(&hosted.partition),
            };
            slice.leader = broker.leader_of(topic.id, index);
            let usual = matches!(error, ReadError::OutOfRange { .. }) || hosted.partition.left();
            if !usual {
                broker.refusals.log(&broker.io, || {
                    tracing::error!("fetch from {}: {error}", hosted.partition.name());
                });
            }
        }
    }
    slice
}

/// What was read, as it is sent.
fn pieces(read: Vec<Piece>) -> Vec<ReplyPiece> {
    let mut pieces = Vec::with_capacity(read.len());
    for piece in read {
        match piece {
            Piece::File(range) => pieces.push(ReplyPiece::File(range)),
            Piece::Memory(parts) => pieces.extend(parts.into_iter().map(ReplyPiece::Memory)),
        }
    }
    pieces
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

/// The session of the answer, and for each partition whether it is told.
fn news(
    call: &Call<'_>,
    kind: Kind,
    wanted: Vec<Wanted>,
    slices: &[Slice],
) -> Result<(i32, Vec<(Wanted, bool)>), ErrorCode> {
    let broker = call.broker;
    let told = slices.iter().map(|slice| Told {
        visible: slice.visible,
        log_start: slice.log_start,
        bytes: slice.bytes,
        failed: slice.error != ErrorCode::None,
    });
    let mut sessions = broker.fetch_sessions.borrow_mut();
    let all = |wanted: Vec<Wanted>| wanted.into_iter().map(|wanted| (wanted, true)).collect();
    match kind {
        Kind::Sessionless => Ok((0, all(wanted))),
        Kind::Full { by_ids } => {
            let answered: Vec<_> = wanted.iter().cloned().zip(told).collect();
            let random = || broker.io.random();
            let id = sessions.create(broker.io.now(), by_ids, &answered, random);
            call.peer.aside.fetches_by(id);
            Ok((id, all(wanted)))
        }
        Kind::Incremental { id, epoch } => {
            let answered: Vec<_> = wanted.into_iter().zip(told).collect();
            let news = sessions.tell(id, epoch, &answered)?;
            call.peer.aside.fetches_by(id);
            let wanted = answered.into_iter().map(|(wanted, _)| wanted);
            Ok((id, wanted.zip(news).collect()))
        }
    }
}

fn respond(
    call: &Call<'_>,
    request: &FetchRequest<'_>,
    kind: Kind,
    wanted: Vec<Wanted>,
    answer: Answer,
) -> Result<Outcome, Refusal> {
    let broker = call.broker;
    let (session_id, told) = match news(call, kind, wanted, &answer.slices) {
        Ok(told) => told,
        Err(error) => return session_error(call, error),
    };
    let mut node_endpoints: Vec<NodeEndpoint<'_>> = Vec::new();
    let mut responses: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut last: Option<&TopicKey> = None;
    let mut pieces = Vec::new();
    let told_slices = told.iter().zip(answer.slices);
    for ((wanted, _), slice) in told_slices.filter(|((_, told), _)| *told) {
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
        if last != Some(&wanted.topic) {
            last = Some(&wanted.topic);
            let (topic, topic_id) = match &wanted.topic {
                TopicKey::Name(name) => (&**name, Uuid::ZERO),
                TopicKey::Id(id) => ("", *id),
            };
            responses.push(FetchableTopicResponse {
                topic,
                topic_id,
                partitions: Vec::new(),
            });
        }
        if let Some(topic) = responses.last_mut() {
            topic.partitions.push(data);
        }
        if slice.bytes > 0 {
            pieces.push(slice.pieces);
        }
    }
    let response = FetchResponse {
        session_id,
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
        reply.pieces.extend(pieces);
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
