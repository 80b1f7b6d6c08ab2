//! Asking another shard.

use std::rc::Rc;
use std::sync::Arc;

use futures_channel::oneshot;
use odradek_engine::bytes::{LentBytes, Part};
use odradek_wire::request_header::RequestHeader;
use odradek_wire::{Message, Reader, Writer};

use super::{OnItsWay, There, in_order};
use crate::api::table::Row;
use crate::api::{
    Broker, Call, Outcome, Peer, Refusal, Reply, ReplyPiece, header, produce, throttle,
};
use crate::net::{Pledge, Request, Room, Unserved};
use crate::runtime::{Gone, Lane, LocalFuture};

/// Another shard stopped before it answered.
pub(in crate::api) const LOST: Refusal = Refusal::Closed("the node is stopping");

/// Produce and OffsetCommit: the connection's next request is taken before they are answered.
const TAKEN_AT_ONCE: [i16; 2] = [0, 8];

/// A request's bytes on their way to another shard.
#[derive(Clone)]
pub(in crate::api) enum Carried {
    Copied(Arc<Vec<u8>>),
    Lent(LentBytes),
}

impl Carried {
    pub(in crate::api) fn bytes(&self) -> &[u8] {
        match self {
            Carried::Copied(bytes) => bytes,
            Carried::Lent(bytes) => bytes.bytes(),
        }
    }
}

/// Makes a request ready to travel, once there is room for it: a long one is lent where it stands
/// and takes its room along, a short one's room is to be kept until it is answered.
pub(in crate::api) async fn carry(
    broker: &Broker,
    request: &Request<'_>,
) -> (Carried, Option<Room>) {
    let kept = request.keep(&broker.io).await;
    match kept.part {
        Part::Owned(bytes) => (Carried::Copied(Arc::new(bytes)), Some(kept.room)),
        part => {
            let lent = broker.lender.lend_bytes(part, kept.room);
            (Carried::Lent(lent), None)
        }
    }
}

/// The connection's lane to another shard.
pub(in crate::api) async fn lane(call: &Call<'_>, shard: u32) -> Rc<Lane<There>> {
    let (broker, lanes) = (call.broker, &call.peer.aside.lanes);
    if let Some(Some(lane)) = lanes.borrow().get(shard as usize) {
        return lane.clone();
    }
    let (address, software) = (call.peer.address, call.peer.software.borrow().clone());
    let there = move |broker| There {
        broker,
        peer: Rc::new(Peer::new(address, software)),
    };
    let lane = Rc::new(Lane::open(&broker.mail, &broker.io, shard, there).await);
    let mut lanes = lanes.borrow_mut();
    lanes.resize(broker.shards() as usize, None);
    lanes[shard as usize] = Some(lane.clone());
    lane
}

/// Answers a request that one shard is to answer.
pub(in crate::api) async fn to(
    shard: u32,
    row: &'static Row,
    call: Call<'_>,
    request: &Request<'_>,
) -> Result<Outcome, Refusal> {
    call.peer.aside.note(shard);
    if shard == call.broker.shard {
        return (row.handler)(call).await;
    }
    let (carried, room) = carry(call.broker, request).await;
    let answer = ask(&call, shard, carried).await?;
    let reply = later(call.broker, answer, room);
    match TAKEN_AT_ONCE.contains(&call.api_key) {
        true => Ok(Outcome::Later(Box::pin(reply))),
        false => reply.await.map(Outcome::Reply),
    }
}

/// The reply that another shard's answer is. `room`: the request's, until then.
pub(in crate::api) fn later(
    broker: &Rc<Broker>,
    answer: Answer,
    room: Option<Room>,
) -> impl Future<Output = Result<Reply, Refusal>> + 'static {
    let broker = broker.clone();
    async move {
        let bytes = answer.come().await?;
        drop(room);
        broker.lender.reclaim();
        Ok(match bytes.is_empty() {
            true => Reply::default(),
            false => Reply::bytes(bytes),
        })
    }
}

/// A whole reply on its way; empty if there is none (`acks=0`).
pub(in crate::api) struct Answer {
    answer: oneshot::Receiver<Result<Vec<u8>, Refusal>>,
    _on_its_way: Option<OnItsWay>,
}

impl Answer {
    async fn come(self) -> Result<Vec<u8>, Refusal> {
        self.answer.await.map_err(|_| LOST)?
    }
}

/// Sends a request to another shard, which has begun it before it begins the next.
pub(in crate::api) async fn ask(
    call: &Call<'_>,
    shard: u32,
    request: Carried,
) -> Result<Answer, Refusal> {
    let (send, answer) = oneshot::channel();
    let errand = move |there: Rc<There>| -> LocalFuture<()> {
        Box::pin(async move {
            let outcome = answer_here(&there.broker, &there.peer, &request).await;
            // Its owner may have the memory back.
            drop(request);
            // Who asked may have gone; nobody minds.
            let later = match outcome {
                Ok(Outcome::Later(later)) => later,
                Ok(Outcome::Pledged(pledge)) => Box::pin(async move {
                    pledge.wait().await;
                    let mut bytes = Vec::with_capacity(128);
                    pledge.redeem(&mut bytes);
                    Ok(Reply::bytes(bytes))
                }),
                Ok(Outcome::Reply(reply)) => {
                    let _ = send.send(Ok(whole(reply)));
                    return;
                }
                Ok(Outcome::Silent) => {
                    let _ = send.send(Ok(Vec::new()));
                    return;
                }
                Err(refusal) => {
                    let _ = send.send(Err(refusal));
                    return;
                }
            };
            let settle = async move {
                let _ = send.send(later.await.map(whole));
            };
            there.broker.spawner.spawn(settle).detach();
        })
    };
    let lane = lane(call, shard).await;
    let on_its_way = match call.api_key {
        produce::KEY => Some(taken(call.broker).await),
        _ => None,
    };
    let errand = throttle::errand(call, errand);
    lane.send(errand).await.map_err(|Gone| LOST)?;
    Ok(Answer {
        answer,
        _on_its_way: on_its_way,
    })
}

/// Notes that batches go to another shard; never ends once this one stops, with which its
/// connections go.
pub(in crate::api) async fn taken(broker: &Broker) -> OnItsWay {
    if broker.stopping() {
        std::future::pending::<()>().await;
    }
    broker.passed_on.one()
}

/// Has this shard answer a request, whatever it concerns.
async fn answer_here(
    broker: &Rc<Broker>,
    peer: &Rc<Peer>,
    carried: &Carried,
) -> Result<Outcome, Refusal> {
    in_order(broker, peer).await?;
    let (row, call) = read(broker, peer, carried)?;
    let at_once = row.at_once;
    if let Some(outcome) = at_once.and_then(|at_once| at_once(broker, carried.bytes())) {
        return Ok(outcome);
    }
    match call.api_key {
        // What moved while the request was on its way.
        produce::KEY => produce::onwards(call, carried).await,
        _ => (row.handler)(call).await,
    }
}

/// Reads the header of a request that another shard has read before.
pub(in crate::api) fn read<'a>(
    broker: &'a Rc<Broker>,
    peer: &'a Rc<Peer>,
    carried: &'a Carried,
) -> Result<(&'static Row, Call<'a>), Refusal> {
    header::read(broker, peer, carried.bytes(), None).map_err(|unserved| match unserved {
        Unserved::Refused { refusal, .. } => refusal,
        Unserved::Header(error) => error.into(),
        Unserved::UnknownApi(_) => Refusal::Closed("the API is not served"),
    })
}

fn whole(reply: Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in reply.pieces {
        match piece {
            ReplyPiece::Memory(part) if bytes.is_empty() => match part {
                Part::Owned(whole) => bytes = whole,
                part => bytes.extend_from_slice(part.bytes()),
            },
            ReplyPiece::Memory(part) => bytes.extend_from_slice(part.bytes()),
            ReplyPiece::File(_) | ReplyPiece::Lent(_) => {
                unreachable!("fetches are put together where their connection is")
            }
        }
    }
    bytes
}

/// Has each shard answer a request of its own; the bodies of the replies.
pub(super) async fn ask_each(
    call: &Call<'_>,
    requests: Vec<(u32, Arc<Vec<u8>>)>,
) -> Result<Vec<(u32, Vec<u8>)>, Refusal> {
    call.peer.aside.mixed();
    let (mut answers, mut own) = (Vec::new(), None);
    for (shard, request) in requests {
        match shard == call.broker.shard {
            true => own = Some(request),
            false => answers.push((shard, ask(call, shard, Carried::Copied(request)).await?)),
        }
    }
    let mut bodies = Vec::new();
    if let Some(request) = own {
        let request = Carried::Copied(request);
        let reply = match answer_here(call.broker, call.peer, &request).await? {
            Outcome::Reply(reply) => whole(reply),
            Outcome::Later(later) => whole(later.await?),
            Outcome::Pledged(_) | Outcome::Silent => {
                unreachable!("only produce requests are answered so")
            }
        };
        bodies.push((call.broker.shard, body(call, reply)?));
    }
    for (shard, answer) in answers {
        let reply = answer.come().await?;
        bodies.push((shard, body(call, reply)?));
    }
    Ok(bodies)
}

/// A reply's body: what comes after its length and its header.
fn body(call: &Call<'_>, reply: Vec<u8>) -> Result<Vec<u8>, Refusal> {
    let mut reader = Reader::new(&reply);
    // Length and correlation id.
    reader.take(8, "header")?;
    if odradek_wire::response_header_version(call.api_key, call.version) == Some(1) {
        reader.skip_tagged_fields()?;
    }
    let at = reader.position();
    let mut body = reply;
    Ok(body.split_off(at))
}

/// Reads a body.
pub(super) fn decode<'a, M: Message<'a>>(call: &Call<'_>, body: &'a [u8]) -> Result<M, Refusal> {
    Ok(M::decode(&mut Reader::new(body), call.version)?)
}

/// A request like the one that is being answered, with another body.
pub(super) fn alike<'m, M: Message<'m>>(
    call: &Call<'_>,
    message: &M,
) -> Result<Arc<Vec<u8>>, Refusal> {
    let version = odradek_wire::request_header_version(call.api_key, call.version);
    let mut writer = Writer::new(Vec::new());
    let header = RequestHeader {
        request_api_key: call.api_key,
        request_api_version: call.version,
        correlation_id: call.correlation_id,
        client_id: call.client_id,
    };
    header.encode(&mut writer, version.unwrap_or_default())?;
    message.encode(&mut writer, call.version)?;
    Ok(Arc::new(writer.into_inner()))
}
