//! A produce request for other shards: each takes its own batches out of the request where it stands,
//! and the answers are joined. A shard that has given a partition away meanwhile sends its batches on.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use futures_channel::oneshot;
use odradek_wire::ErrorCode;
use odradek_wire::produce::ProduceRequest;

use super::{
    Answer, BY_ID, Taken, UNSTORED, counts, deadline, distribute, here, reply, settle, take,
    topics_of,
};
use crate::api::across::{
    Carried, LOST, OnItsWay, There, ask, carry, distinct, in_order, join, lane, later, read, sole,
    taken, to,
};
use crate::api::table::Row;
use crate::api::{Broker, Call, Handled, Outcome, Refusal, Reply, throttle};
use crate::catalog::{Topic, Unhosted};
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
        let owners = owners(&call, &asked, |_| true).await?;
        match sole(&owners, call.broker.shard) {
            Some(shard) if shard == call.broker.shard => {
                call.peer.aside.note(shard);
                here(&call, &asked).await
            }
            Some(shard) => to(shard, row, call, request).await,
            None => {
                call.peer.aside.mixed();
                let (carried, room) = carry(call.broker, request).await;
                // What moved while there was no room for it.
                let owners = self::owners(&call, &asked, |_| true).await?;
                split(&call, &carried, room, &asked, owners).await
            }
        }
    })
}

/// The same with a request that another shard has sent here.
pub(in crate::api) fn onwards<'a>(call: Call<'a>, carried: &'a Carried) -> Handled<'a> {
    Box::pin(async move {
        let asked: ProduceRequest<'_> = call.decode()?;
        let owners = owners(&call, &asked, |_| true).await?;
        match sole(&owners, call.broker.shard) {
            Some(shard) if shard == call.broker.shard => here(&call, &asked).await,
            Some(shard) => {
                let answer = ask(&call, shard, carried.clone()).await?;
                Ok(Outcome::Later(Box::pin(later(call.broker, answer, None))))
            }
            None => split(&call, carried, None, &asked, owners).await,
        }
    })
}

/// Who takes each batch, in the order of the request: once this shard's partitions among those that
/// are `mine` are open, as they may leave while they are opened or awaited.
///
/// # Errors
/// The node is stopping.
async fn owners(
    call: &Call<'_>,
    request: &ProduceRequest<'_>,
    mine: impl Fn(usize) -> bool,
) -> Result<Vec<u32>, Refusal> {
    let mut failed = Vec::new();
    loop {
        in_order(call.broker, call.peer).await?;
        let awaited = |number| mine(number) && !failed.contains(&number);
        let (owners, shut) = look(call.broker, request, call.version, awaited);
        let Some((number, topic, index)) = shut else {
            return Ok(owners);
        };
        match call.broker.hosted(&topic, index).await {
            Ok(_) | Err(Unhosted::Elsewhere) => {}
            Err(Unhosted::Unknown | Unhosted::Failed) => failed.push(number),
        }
    }
}

/// A partition that is this shard's and not open: the batch's number, the topic, the index.
type Shut = (usize, Arc<Topic>, i32);

/// The owners, and the first of this shard's partitions that is not open.
fn look(
    broker: &Broker,
    request: &ProduceRequest<'_>,
    version: i16,
    awaited: impl Fn(usize) -> bool,
) -> (Vec<u32>, Option<Shut>) {
    let (image, here) = (broker.image(), broker.shard);
    let (mut owners, mut shut) = (Vec::with_capacity(1), None);
    for data in &request.topic_data {
        let topic = match version >= BY_ID {
            true => image.topic_by_id(data.topic_id),
            false => image.topic(data.name),
        };
        // Nobody writes to the others.
        let topic = topic.filter(|topic| !topic.is_internal());
        for one in &data.partition_data {
            let number = owners.len();
            let known = topic.and_then(|topic| Some((topic, topic.entry(one.index)?.shard)));
            owners.push(match known {
                Some((topic, owner)) if owner == here => {
                    let open = || broker.open_now(topic, one.index).is_some();
                    if shut.is_none() && awaited(number) && !open() {
                        shut = Some((number, topic.clone(), one.index));
                    }
                    here
                }
                // Where shards are brokers, a client that is wrong for long is told.
                Some((topic, owner))
                    if broker.one_address() || broker.holdings.gave(topic.id, one.index) =>
                {
                    owner
                }
                _ => here,
            });
        }
    }
    (owners, shut)
}

/// What owners have been given.
struct Scattered {
    own: Vec<Taken>,
    far: Vec<(u32, Answers, OnItsWay)>,
    deadline: u64,
}

/// Gives the owners of those batches that are `mine`, by their number in the request, what is
/// theirs. On return each has begun, or will in the order of such calls.
///
/// This shard's own come first, before anything is waited for: what leaves it meanwhile would be
/// refused. The others look again where they are.
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
        let own = theirs(here);
        let own = take(call.broker, asked, call.version, call.block, |number| {
            own[number]
        })
        .await;
        let deadline = deadline(call.broker.io.now(), asked.acks, asked.timeout_ms);
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
            let on_its_way = taken(call.broker).await;
            let errand = throttle::errand(call, errand);
            lane.send(errand).await.map_err(|Gone| LOST)?;
            far.push((shard, answers, on_its_way));
        }
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
    let (scattered, owners) = {
        let Ok((_, call)) = read(broker, &there.peer, &carried) else {
            unreachable!("it was read before it was sent")
        };
        let Ok(asked) = call.decode::<ProduceRequest<'_>>() else {
            unreachable!("it was read before it was sent")
        };
        let Ok(owners) = owners(&call, &asked, |number| mine[number]).await else {
            return;
        };
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
    for (shard, theirs, _) in far {
        answers.insert(shard, theirs.await.map_err(|_| LOST)?.into());
    }
    broker.lender.reclaim();
    Ok(answers)
}
