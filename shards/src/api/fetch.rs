//! Fetch: record batches out, from memory or files, waiting for them if there are too few.
//!
//! A fetch that waits is woken by progress. Record bytes never pass through the reply's buffer:
//! the header is encoded with gaps, and the gaps are filled by ranges of memory and of files.

mod across;
mod told;

use std::ops::RangeInclusive;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::log::Aborted;
use odradek_engine::types::Offset;
use odradek_wire::fetch::{FetchRequest, FetchResponse};
use odradek_wire::{ErrorCode, Message, Uuid};

use self::told::{nothing_yet, respond};
use super::fetch_sessions::{Asked, TopicKey, Wanted};
use super::{Broker, Call, Outcome, Refusal, ReplyPiece, topics};
use crate::catalog::{Hosted, Image, Topic};
use crate::partition::{Isolation, Partition, Piece, Read, ReadError};
use crate::runtime::{Notice, either};

pub(super) const KEY: i16 = 1;
pub(super) const ADVERTISED: RangeInclusive<i16> = 4..=FetchRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// One partition's part of the answer.
struct Slice<P = ReplyPiece> {
    index: i32,
    error: ErrorCode,
    visible: i64,
    /// Last stable offset.
    stable: i64,
    log_start: i64,
    /// For a reader of committed records.
    aborted: Option<Vec<Aborted>>,
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
            stable: self.stable,
            log_start: self.log_start,
            aborted: self.aborted,
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
            stable: -1,
            log_start: -1,
            aborted: None,
            pieces: Vec::new(),
            bytes: 0,
            leader: None,
        }
    }
}

/// What a request's isolation level means.
pub(super) fn isolation(level: i8) -> Isolation {
    match level {
        1 => Isolation::Committed,
        _ => Isolation::Uncommitted,
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
    let max = request.max_bytes.clamp(0, broker.settings.fetch_max_bytes) as u64;
    let max = call.fetch_bytes_max(max);
    let least = (request.min_bytes.max(0) as u64).min(max);
    let notice = Rc::new(Notice::default());
    let limits = Limits {
        least,
        bytes_max: max,
        isolation: isolation(request.isolation_level),
    };
    loop {
        let (answer, mut stirs) = match broker.one_address() {
            false => (gather(broker, limits, &wanted, &notice).await, Vec::new()),
            true => across::gather(&call, limits, &wanted, &notice).await?,
        };
        let enough = answer.bytes >= least || answer.failed || wanted.is_empty();
        let over = broker.io.now() >= deadline || broker.stopping() || call.peer.gone();
        if enough || over {
            if call.fetches_too_much(answer.bytes) {
                return nothing_yet(&call, kind);
            }
            return respond(&call, kind, wanted, answer);
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

/// What holds for all partitions of an answer.
#[derive(Clone, Copy)]
struct Limits {
    /// Bytes that the answer waits for.
    least: u64,
    bytes_max: u64,
    isolation: Isolation,
}

struct Answer {
    /// One for each partition wanted.
    slices: Vec<Slice>,
    bytes: u64,
    failed: bool,
}

/// Plans every partition once. `notice` is raised by the next progress of any that had nothing, and
/// of any at all if they have too little together.
async fn gather(
    broker: &Rc<Broker>,
    limits: Limits,
    wanted: &[Wanted],
    notice: &Rc<Notice>,
) -> Answer {
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
        let left = limits.bytes_max.saturating_sub(answer.bytes);
        let limits = Limits {
            bytes_max: left.min(partition.bytes_max.max(0) as u64),
            ..limits
        };
        let first = answer.bytes == 0;
        let slice = match (topic, &partition.topic) {
            (Some(topic), _) => {
                let open = broker.open_now(topic, partition.index);
                if open.is_none() && !std::mem::replace(&mut opened, true) {
                    open_all(broker, &image, wanted).await;
                }
                slice(broker, topic, partition, open, limits, first, notice).await
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
    if answer.bytes < limits.least && !answer.failed {
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
    limits: Limits,
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
    let read = read(&hosted.partition, Offset(asked.offset), limits, first).await;
    match read {
        Ok((read, aborted)) => {
            slice.aborted = aborted;
            slice.visible = read.visible.0;
            slice.stable = read.stable.0;
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
                broker.unreached.log(&broker.io, || {
                    tracing::error!("fetch from {}: {error}", hosted.partition.name());
                });
            }
        }
    }
    slice
}

/// Reads, and finds out which transactions a reader of committed records must leave out.
async fn read(
    partition: &Partition,
    offset: Offset,
    limits: Limits,
    first: bool,
) -> Result<(Read, Option<Vec<Aborted>>), ReadError> {
    let Limits {
        bytes_max,
        isolation,
        ..
    } = limits;
    let read = partition
        .read_as(isolation, offset, bytes_max, first)
        .await?;
    let aborted = match isolation {
        Isolation::Uncommitted => None,
        Isolation::Committed => Some(partition.aborted(offset, &read).await?),
    };
    Ok((read, aborted))
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
