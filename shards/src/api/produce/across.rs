//! A produce request whose partitions belong to several shards: each takes its own batches out of
//! the request where it stands, and the answers are joined.

use std::collections::BTreeMap;
use std::rc::Rc;

use futures_channel::oneshot;
use odradek_wire::produce::ProduceRequest;
use odradek_wire::{ErrorCode, Reader};

use super::{
    Answer, BY_ID, Taken, UNSTORED, counts, deadline, distribute, reply, settle, take, topics_of,
};
use crate::api::across::{
    LOST, There, carry, distinct, join, key, lane, shard_of_partition, sole, to,
};
use crate::api::table::Row;
use crate::api::{Broker, Call, Handled, Outcome, Refusal, Reply};
use crate::net::Request;
use crate::runtime::{Gone, LocalFuture};

/// One shard's answers, in the order of its partitions.
type Answers = oneshot::Receiver<Vec<Answer>>;

/// Has each owner take its batches.
pub(in crate::api) fn across<'a>(
    row: &'static Row,
    call: Call<'a>,
    request: &'a Request<'a>,
) -> Handled<'a> {
    Box::pin(async move {
        let asked: ProduceRequest<'_> = call.decode()?;
        let owners = owners(call.broker, &asked, call.version);
        match sole(&owners, call.broker.shard) {
            Some(shard) => to(shard, row, call, request).await,
            None => split(&call, request, &asked, owners).await,
        }
    })
}

fn owners(broker: &Broker, request: &ProduceRequest<'_>, version: i16) -> Vec<u32> {
    let image = broker.image();
    let mut owners = Vec::new();
    for data in &request.topic_data {
        let topic = key(version >= BY_ID, data.name, data.topic_id);
        let partitions = data.partition_data.iter();
        owners.extend(
            partitions.map(|one| shard_of_partition(&image, broker.shard, topic, one.index)),
        );
    }
    owners
}

async fn split(
    call: &Call<'_>,
    request: &Request<'_>,
    asked: &ProduceRequest<'_>,
    owners: Vec<u32>,
) -> Result<Outcome, Refusal> {
    call.peer.aside.mixed();
    let here = call.broker.shard;
    let mut far = Vec::new();
    // The body ends with the request.
    let body_at = request.bytes().len() - call.body.len();
    let (carried, room) = carry(call.broker, request).await;
    for shard in distinct(&owners).into_iter().filter(|shard| *shard != here) {
        let mine: Vec<bool> = owners.iter().map(|owner| *owner == shard).collect();
        let (send, answers) = oneshot::channel();
        let (carried, version) = (carried.clone(), call.version);
        let errand = move |there: Rc<There>| -> LocalFuture<()> {
            Box::pin(async move {
                let broker = there.broker.clone();
                let mut reader = Reader::new(&carried.bytes()[body_at..]);
                let Ok(request) = ProduceRequest::decode(&mut reader, version) else {
                    unreachable!("it was read before it was sent")
                };
                let mut taken = take(&broker, &request, version, |number| mine[number]).await;
                let deadline = deadline(broker.io.now(), request.acks, request.timeout_ms);
                drop(request);
                // Its owner may have the memory back.
                drop(carried);
                let spawner = broker.spawner.clone();
                let settled = async move {
                    settle(&broker, &mut taken, deadline).await;
                    let _ = send.send(answers_of(taken));
                };
                spawner.spawn(settled).detach();
            })
        };
        let lane = lane(call, shard).await;
        lane.send(errand).await.map_err(|Gone| LOST)?;
        far.push((shard, answers));
    }
    drop(carried);
    let own = take(call.broker, asked, call.version, |number| {
        owners[number] == here
    })
    .await;
    let deadline = deadline(call.broker.io.now(), asked.acks, asked.timeout_ms);
    let mut topics = topics_of(call.broker, asked, call.version);
    let (counts, acks) = (counts(asked), asked.acks);
    let (version, correlation_id) = (call.version, call.correlation_id);
    let broker = call.broker.clone();
    Ok(Outcome::Later(Box::pin(async move {
        let answers = gather(&broker, own, deadline, far).await?;
        drop(room);
        let answers = join(&owners, answers).ok_or(LOST)?;
        if acks == 0 {
            return match answers.iter().any(|one| one.error != ErrorCode::None) {
                true => Err(UNSTORED),
                false => Ok(Reply::default()),
            };
        }
        distribute(&mut topics, &counts, answers.into_iter());
        reply(&broker, version, correlation_id, &topics)
    })))
}

/// All shards' answers, once their marks are reached.
async fn gather(
    broker: &Broker,
    mut own: Vec<Taken>,
    deadline: u64,
    far: Vec<(u32, Answers)>,
) -> Result<BTreeMap<u32, std::collections::VecDeque<Answer>>, Refusal> {
    settle(broker, &mut own, deadline).await;
    let mut answers = BTreeMap::from([(broker.shard, answers_of(own).into())]);
    for (shard, theirs) in far {
        answers.insert(shard, theirs.await.map_err(|_| LOST)?.into());
    }
    broker.lender.reclaim();
    Ok(answers)
}

fn answers_of(taken: Vec<Taken>) -> Vec<Answer> {
    taken.into_iter().map(|taken| taken.answer).collect()
}
