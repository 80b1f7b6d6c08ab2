//! A produce request for other shards: each takes its own batches out of the request where it stands,
//! and the answers are joined. A shard that has given a partition away meanwhile sends its batches on.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;

use futures_channel::oneshot;
use odradek_wire::ErrorCode;
use odradek_wire::produce::ProduceRequest;

use super::{
    Answer, BY_ID, Taken, UNSTORED, counts, deadline, distribute, reply, settle, take, topics_of,
};
use crate::api::across::{
    Carried, LOST, There, ask, carry, distinct, in_order, join, key, lane, later, read,
    shard_of_partition, sole, to,
};
use crate::api::table::Row;
use crate::api::{Broker, Call, Handled, Outcome, Refusal, Reply};
use crate::catalog::{Image, TopicKey};
use crate::net::{Request, Room};
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
        if let Some(shard) = sole(&owners, call.broker.shard) {
            return to(shard, row, call, request).await;
        }
        call.peer.aside.mixed();
        let (carried, room) = carry(call.broker, request).await;
        split(&call, &carried, room, &asked, owners).await
    })
}

/// The same with a request that another shard has sent here.
pub(in crate::api) fn onwards<'a>(
    row: &'static Row,
    call: Call<'a>,
    carried: &'a Carried,
) -> Handled<'a> {
    Box::pin(async move {
        let asked: ProduceRequest<'_> = call.decode()?;
        let owners = owners(call.broker, &asked, call.version);
        match sole(&owners, call.broker.shard) {
            Some(here) if here == call.broker.shard => (row.handler)(call).await,
            Some(shard) => {
                let answer = ask(&call, shard, carried.clone()).await?;
                Ok(Outcome::Later(Box::pin(later(call.broker, answer, None))))
            }
            None => split(&call, carried, None, &asked, owners).await,
        }
    })
}

/// Who takes each batch, in the order of the request.
fn owners(broker: &Broker, request: &ProduceRequest<'_>, version: i16) -> Vec<u32> {
    let image = broker.image();
    let mut owners = Vec::new();
    for data in &request.topic_data {
        let topic = key(version >= BY_ID, data.name, data.topic_id);
        let partitions = data.partition_data.iter();
        owners.extend(partitions.map(|one| owner(broker, &image, topic, one.index)));
    }
    owners
}

fn owner(broker: &Broker, image: &Image, topic: TopicKey<'_>, index: i32) -> u32 {
    let shard = shard_of_partition(image, broker.shard, topic, index);
    if shard == broker.shard || broker.one_address() {
        return shard;
    }
    // Where shards are brokers, a client that is wrong for long is told.
    let topic = match topic {
        TopicKey::Name(name) => image.topic(name),
        TopicKey::Id(id) => image.topic_by_id(id),
    };
    match topic.is_some_and(|topic| broker.holdings.gave(topic.id, index)) {
        true => shard,
        false => broker.shard,
    }
}

/// What owners have been given.
struct Scattered {
    own: Vec<Taken>,
    far: Vec<(u32, Answers)>,
    deadline: u64,
}

/// Gives the owners of those batches that are `mine`, by their number in the request, what is
/// theirs. On return each has begun, or will in the order of such calls.
fn scatter<'a>(
    call: &'a Call<'_>,
    carried: &'a Carried,
    asked: &'a ProduceRequest<'_>,
    owners: &'a [u32],
    mine: &'a [bool],
) -> Pin<Box<dyn Future<Output = Result<Scattered, Refusal>> + 'a>> {
    Box::pin(async move {
        let here = call.broker.shard;
        let theirs = |shard: u32| -> Vec<bool> {
            let batches = owners.iter().zip(mine);
            batches
                .map(|(owner, mine)| *mine && *owner == shard)
                .collect()
        };
        let mut far = Vec::new();
        for shard in distinct(owners).into_iter().filter(|shard| *shard != here) {
            let theirs = theirs(shard);
            if !theirs.contains(&true) {
                continue;
            }
            let (send, answers) = oneshot::channel();
            let carried = carried.clone();
            let errand = move |there: Rc<There>| -> LocalFuture<()> {
                Box::pin(async move { take_there(&there, carried, &theirs, send).await })
            };
            let lane = lane(call, shard).await;
            lane.send(errand).await.map_err(|Gone| LOST)?;
            far.push((shard, answers));
        }
        let own = theirs(here);
        let own = take(call.broker, asked, call.version, |number| own[number]).await;
        let deadline = deadline(call.broker.io.now(), asked.acks, asked.timeout_ms);
        Ok(Scattered { own, far, deadline })
    })
}

/// Takes the batches that are `mine`, where they were sent; whoever asks is answered later.
async fn take_there(
    there: &There,
    carried: Carried,
    mine: &[bool],
    send: oneshot::Sender<Vec<Answer>>,
) {
    let broker = &there.broker;
    if in_order(broker, &there.peer).await.is_err() {
        return;
    }
    let (scattered, owners) = {
        let Ok((_, call)) = read(broker, &there.peer, &carried) else {
            unreachable!("it was read before it was sent")
        };
        let Ok(asked) = call.decode::<ProduceRequest<'_>>() else {
            unreachable!("it was read before it was sent")
        };
        let owners = owners(broker, &asked, call.version);
        let Ok(scattered) = scatter(&call, &carried, &asked, &owners, mine).await else {
            return;
        };
        let owners = owners.into_iter().zip(mine);
        let mine = owners.filter_map(|(owner, mine)| mine.then_some(owner));
        (scattered, mine.collect::<Vec<_>>())
    };
    // Its owner may have the memory back.
    drop(carried);
    let broker = broker.clone();
    let spawner = broker.spawner.clone();
    let settled = async move {
        if let Ok(answers) = gather(&broker, scattered).await
            && let Some(answers) = join(&owners, answers)
        {
            let _ = send.send(answers);
        }
    };
    spawner.spawn(settled).detach();
}

/// Answers a request whose batches have several owners. `room`: the request's.
async fn split(
    call: &Call<'_>,
    carried: &Carried,
    room: Option<Room>,
    asked: &ProduceRequest<'_>,
    owners: Vec<u32>,
) -> Result<Outcome, Refusal> {
    let all = vec![true; owners.len()];
    let scattered = scatter(call, carried, asked, &owners, &all).await?;
    let mut topics = topics_of(call.broker, asked, call.version);
    let (counts, acks) = (counts(asked), asked.acks);
    let (version, correlation_id) = (call.version, call.correlation_id);
    let broker = call.broker.clone();
    Ok(Outcome::Later(Box::pin(async move {
        let answers = gather(&broker, scattered).await?;
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
    scattered: Scattered,
) -> Result<BTreeMap<u32, VecDeque<Answer>>, Refusal> {
    let Scattered {
        mut own,
        far,
        deadline,
    } = scattered;
    settle(broker, &mut own, deadline).await;
    let own = own.into_iter().map(|taken| taken.answer).collect();
    let mut answers = BTreeMap::from([(broker.shard, own)]);
    for (shard, theirs) in far {
        answers.insert(shard, theirs.await.map_err(|_| LOST)?.into());
    }
    broker.lender.reclaim();
    Ok(answers)
}
