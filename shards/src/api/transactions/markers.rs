//! Markers: how the end of a transaction reaches the partitions that took part in it.
//!
//! Each shard writes the markers of its own partitions; they travel by mailbox. What cannot be
//! written now (a partition that moves, a full disk) is tried again until it can, or the partition
//! is no more.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::types::{Timestamp, TransactionEnd};
use odradek_wire::ErrorCode;

use crate::api::{Broker, topics};
use crate::coordinators::groups::Reply;
use crate::coordinators::transactions::Markers;
use crate::coordinators::{OFFSETS_TOPIC, TransactionHost};
use crate::partition::{Mark, Partition, Unmarked};
use crate::runtime::LocalFuture;

/// Between two tries: from, up to.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(500);

type Place = (String, i32);

/// Has this shard's coordinators send their markers; once, before any is loaded.
pub fn serve(broker: &Rc<Broker>) {
    let here = Rc::downgrade(broker);
    let run = move |host: &Rc<TransactionHost>, markers: Markers| {
        if let Some(broker) = here.upgrade() {
            let (host, spawner) = (host.clone(), broker.spawner.clone());
            spawner
                .spawn(async move { deliver(&broker, &host, markers).await })
                .detach();
        }
    };
    broker.transactions.run_errands_by(Box::new(run));
}

async fn deliver(broker: &Rc<Broker>, host: &Rc<TransactionHost>, markers: Markers) {
    let Markers {
        id,
        end,
        partitions,
    } = markers;
    let places = partitions.into_iter().flat_map(|(topic, partitions)| {
        let places = partitions.into_iter();
        places.map(move |index| (topic.clone(), index))
    });
    let mut left: Vec<Place> = places.collect();
    let mut pause = PAUSE;
    loop {
        if host.retired() || broker.stopping() {
            return;
        }
        let mut again = Vec::new();
        for (place, code) in write_each(broker, end, left).await {
            match code {
                ErrorCode::None => {}
                ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => {
                    let (topic, index) = place;
                    tracing::error!(
                        "the marker of {id} (producer {}, epoch {}) is refused by {topic}-{index}: \
                         {code:?}; its transaction stays as it is until it is loaded anew",
                        end.producer_id.0,
                        end.producer_epoch.0
                    );
                    return;
                }
                _ => again.push(place),
            }
        }
        if again.is_empty() {
            break;
        }
        left = again;
        broker.io.sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    host.ask(|shard, now, out| {
        shard.marked(&id, end.producer_id, end.producer_epoch, now, out);
    });
}

/// Has each owner write its markers. Partitions that do not exist are done.
async fn write_each(
    broker: &Rc<Broker>,
    end: TransactionEnd,
    places: Vec<Place>,
) -> Vec<(Place, ErrorCode)> {
    let image = broker.image();
    let mut owners: BTreeMap<u32, Vec<Place>> = BTreeMap::new();
    for (topic, index) in places {
        let entry = image.topic(&topic).and_then(|found| found.entry(index));
        if let Some(entry) = entry {
            owners.entry(entry.shard).or_default().push((topic, index));
        }
    }
    let mut asked = Vec::with_capacity(owners.len());
    for (shard, places) in owners {
        let broker = broker.clone();
        let spawner = broker.spawner.clone();
        let task = async move { write_at(&broker, shard, end, places).await };
        asked.push(spawner.spawn(task));
    }
    let mut written = Vec::new();
    for one in asked {
        written.extend(one.await);
    }
    written
}

/// Has one shard write markers.
pub(in crate::api) async fn write_at(
    broker: &Rc<Broker>,
    shard: u32,
    end: TransactionEnd,
    places: Vec<Place>,
) -> Vec<(Place, ErrorCode)> {
    let codes = if shard == broker.shard {
        write_here(broker, end, &places).await
    } else {
        let there = places.clone();
        let task = move |broker: Rc<Broker>| -> LocalFuture<Vec<ErrorCode>> {
            Box::pin(async move { write_here(&broker, end, &there).await })
        };
        let asked = broker.mail.call(&broker.io, shard, task).await;
        asked.unwrap_or_else(|_| vec![ErrorCode::NotLeaderOrFollower; places.len()])
    };
    places.into_iter().zip(codes).collect()
}

/// A marker on its way.
enum Written {
    Over(ErrorCode),
    Data(Rc<Partition>, crate::partition::Wait),
    Offsets(crate::coordinators::Answer<crate::coordinators::groups::GroupsShard>),
}

/// Writes markers into partitions of this shard; done when they are durable.
pub(in crate::api) async fn write_here(
    broker: &Rc<Broker>,
    end: TransactionEnd,
    places: &[Place],
) -> Vec<ErrorCode> {
    let mut written = Vec::with_capacity(places.len());
    for (topic, index) in places {
        written.push(begin(broker, end, topic, *index).await);
    }
    let mut codes = Vec::with_capacity(written.len());
    for one in written {
        codes.push(match one {
            Written::Over(code) => code,
            Written::Data(partition, wait) => match wait.done().await {
                Ok(()) => ErrorCode::None,
                Err(_) => topics::storage(&partition),
            },
            Written::Offsets(answer) => match answer.await {
                Ok(Reply::Ended(Ok(()))) => ErrorCode::None,
                Ok(Reply::Ended(Err(code))) => error(code),
                // The coordinator was sent away.
                _ => ErrorCode::NotLeaderOrFollower,
            },
        });
    }
    codes
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

async fn begin(broker: &Rc<Broker>, end: TransactionEnd, topic: &str, index: i32) -> Written {
    if topic == OFFSETS_TOPIC {
        // The offsets of the transaction are in force by it, or forgotten.
        return match broker.groups.of_partition(index).await {
            Ok(host) => Written::Offsets(
                host.question(|shard, ticket, _, out| shard.end_transaction(end, ticket, out)),
            ),
            Err(_) => Written::Over(ErrorCode::NotLeaderOrFollower),
        };
    }
    let image = broker.image();
    let Some(found) = image.topic(topic) else {
        return Written::Over(ErrorCode::UnknownTopicOrPartition);
    };
    let hosted = match broker.hosted(found, index).await {
        Ok(hosted) => hosted,
        Err(why) => return Written::Over(topics::unhosted(why)),
    };
    let partition = &hosted.partition;
    let now = Timestamp(broker.io.wall_clock());
    match partition.end_transaction(end, now) {
        Ok(offset) => {
            let wait = partition.wait(Mark::Visible, offset);
            Written::Data(partition.clone(), wait)
        }
        Err(Unmarked::Fenced(code)) => Written::Over(error(code)),
        Err(Unmarked::Storage(_)) => Written::Over(topics::storage(partition)),
    }
}
