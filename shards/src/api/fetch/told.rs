//! What a fetch found, as it is told: the session's news only, and ranges where the records go.

use odradek_engine::bytes::Part;
use odradek_engine::log::Aborted;
use odradek_wire::fetch::{
    AbortedTransaction, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use odradek_wire::{ErrorCode, Records, Uuid};

use super::{Answer, KEY, Slice, session_error};
use crate::api::fetch_sessions::{Kind, Told, TopicKey, Wanted};
use crate::api::{Call, Outcome, Refusal, Reply, ReplyPiece, encode_reply};

fn told_aborted(all: Vec<Aborted>) -> Vec<AbortedTransaction> {
    let all = all.into_iter().map(|one| AbortedTransaction {
        producer_id: one.producer_id.0,
        first_offset: one.first.0,
    });
    all.collect()
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

/// The client's quota does not allow what there is: it asks again after a while. A session goes on, and
/// none is begun.
pub(super) fn nothing_yet(call: &Call<'_>, kind: Kind) -> Result<Outcome, Refusal> {
    let session_id = match kind {
        Kind::Incremental { id, .. } => id,
        Kind::Sessionless | Kind::Full { .. } => 0,
    };
    call.reply(&FetchResponse {
        session_id,
        ..FetchResponse::default()
    })
}

pub(super) fn respond(
    call: &Call<'_>,
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
            last_stable_offset: slice.stable,
            log_start_offset: slice.log_start,
            aborted_transactions: slice.aborted.map(told_aborted),
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
