//! What a shard does to have a partition in another log directory: one at a time; see
//! [`relocation`](crate::catalog::relocation).

use std::rc::Rc;
use std::time::Duration;

use odradek_wire::{ErrorCode, Uuid};

use crate::api::{Broker, alter_replica_log_dirs, change};
use crate::catalog::Topic;
use crate::catalog::records::new_directory;
use crate::catalog::relocation::{Recorded, Relocation, RelocationError};
use crate::config::dynamic;
use crate::partition::{CopyError, Pace};

/// How long it rests when a partition cannot be copied now.
const PAUSE: Duration = Duration::from_millis(500);

type Key = (Uuid, i32);

/// Moves what is to be moved, as long as the shard lives.
pub(super) async fn relocate_forever(broker: Rc<Broker>) {
    let holdings = &broker.holdings;
    let image = broker.image();
    for (topic, index, to) in &broker.facts.relocations {
        let topic = image.topic_by_id(*topic);
        let ours = topic.filter(|topic| {
            let entry = topic.entry(*index);
            entry.is_some_and(|entry| entry.shard == broker.shard)
        });
        if let Some(topic) = ours {
            // Its name was short enough before, and the copy's directory is there.
            let _ = holdings.relocate(topic, *index, *to).await;
        }
    }
    let mut last = None;
    loop {
        let (key, relocation) = holdings.next_relocation(last).await;
        let running = relocation.run();
        last = Some(key);
        if broker.stopping() {
            return;
        }
        let image = broker.image();
        let topic = image.topic_by_id(key.0);
        let entry = topic.and_then(|topic| topic.entry(key.1));
        let (Some(topic), Some(entry)) = (topic, entry) else {
            holdings.relocated(key, &relocation);
            holdings.drop_copy(key, &relocation).await;
            continue;
        };
        let (dirs, to) = (broker.log_dirs(), relocation.to);
        let there = dirs.of(entry.directory) == Ok(to);
        if there || entry.shard != broker.shard || dirs.failed(to).is_some() {
            holdings.relocated(key, &relocation);
            if entry.shard != broker.shard {
                // It has moved to another shard, whose it is now to bring it there.
                alter_replica_log_dirs::want(&broker, entry.shard, key, to).await;
            }
            continue;
        }
        let began = broker.io.now();
        let name = format!("{}-{}", topic.name, key.1);
        let path = dirs.path(to).display();
        match relocate(&broker, topic, key, &relocation).await {
            Ok(true) => {
                holdings.relocated(key, &relocation);
                let ms = (broker.io.now() - began) / 1_000_000;
                tracing::info!("{name} has moved to {path} in {ms} ms");
            }
            // It is compacted, say, or somebody called it off.
            Ok(false) | Err(RelocationError::Copy(CopyError::Stopped)) => {
                if relocation.called_off() {
                    holdings.drop_copy(key, &relocation).await;
                }
                drop(running);
                broker.io.sleep(PAUSE).await;
            }
            Err(error) => {
                match &error {
                    RelocationError::Copy(CopyError::Write(error)) => {
                        dirs.suspect(&dirs.path(to).join(&name), *error);
                    }
                    RelocationError::Copy(CopyError::Read(error)) => {
                        if let Ok(directory) = holdings.directory(topic, key.1) {
                            dirs.suspect(&directory, *error);
                        }
                    }
                    _ => {}
                }
                tracing::error!("{name} stays where it is, and does not move to {path}: {error}");
                holdings.relocated(key, &relocation);
                // What cannot be used begins again with the next start, if it can be used then; after
                // an unknown end the next start finds out.
                let lasts = matches!(
                    error,
                    RelocationError::Unhosted(_) | RelocationError::Metadata(_)
                );
                if !lasts && !broker.stopping() {
                    holdings.drop_copy(key, &relocation).await;
                }
            }
        }
    }
}

/// Bytes a second at which this shard may copy: its broker's, of which it has its share where the node
/// is one broker.
fn rate(broker: &Broker) -> f64 {
    let (id, sharing) = match broker.one_address() {
        true => (broker.settings.stored_id(), broker.shards()),
        false => (broker.id(), 1),
    };
    let own = broker.image().broker(&id.to_string());
    let rate = dynamic::copy_rate(&broker.holdings.settings(), &own);
    rate as f64 / f64::from(sharing)
}

/// `false`: not now.
async fn relocate(
    broker: &Rc<Broker>,
    topic: &Topic,
    key: Key,
    relocation: &Rc<Relocation>,
) -> Result<bool, RelocationError> {
    let (holdings, to) = (&broker.holdings, relocation.to);
    let begun = holdings.begin_relocation(topic, key.1, relocation).await?;
    let Some(mut copy) = begun else {
        return Ok(false);
    };
    relocation.bytes.set(0);
    let pace = Pace::new();
    pace.limit(rate(broker));
    let told = |bytes: u64, offset: odradek_engine::types::Offset| {
        relocation.bytes.set(relocation.bytes.get() + bytes);
        relocation.offset.set(relocation.offset.get().max(offset));
        // What is set meanwhile is followed at once.
        pace.limit(rate(broker));
        !relocation.called_off() && !broker.stopping()
    };
    copy.ahead(&pace, told).await?;
    if relocation.called_off() {
        return Ok(false);
    }
    holdings.ready(Some((key, Rc::new(copy))));
    let recorded = record(broker, key, to).await;
    holdings
        .put_in(key, *recorded.as_ref().unwrap_or(&Recorded::Unknown))
        .await;
    holdings.ready(None);
    // Those that were loaded meanwhile have the old one.
    broker.groups.drop_left();
    broker.transactions.drop_left();
    let here = broker.clone();
    let loading = async move { drop(here.transactions.all().await) };
    broker.spawner.spawn(loading).detach();
    recorded.map(|recorded| recorded == Recorded::Yes)
}

/// Has the controller record it, with the partition out of reach.
async fn record(broker: &Rc<Broker>, key: Key, to: usize) -> Result<Recorded, RelocationError> {
    let owner = broker.shard;
    let task = move |controller: Rc<Broker>| {
        Box::pin(async move { record_here(&controller, owner, key, to).await }) as _
    };
    match change::at_controller(broker, task).await {
        Ok(Ok(recorded)) => Ok(recorded),
        Ok(Err((_, why))) | Err((_, why)) => Err(RelocationError::Metadata(why)),
    }
}

async fn record_here(
    controller: &Rc<Broker>,
    owner: u32,
    (topic, index): Key,
    to: usize,
) -> Result<Recorded, (ErrorCode, String)> {
    let change = controller.controller().begin().await;
    let image = change.image().clone();
    let entry = image
        .topic_by_id(topic)
        .and_then(|topic| topic.entry(index));
    let id = controller.log_dirs().id(to);
    let (Some(entry), Some(id)) = (entry, id) else {
        return Ok(Recorded::No);
    };
    if entry.shard != owner {
        return Ok(Recorded::No);
    }
    let take_out = move |there: Rc<Broker>| {
        Box::pin(async move {
            if !there.holdings.take_out((topic, index)) {
                return false;
            }
            there.groups.drop_left();
            there.transactions.drop_left();
            there.holdings.finish_copy().await
        }) as _
    };
    let taken = controller.mail.call(&controller.io, owner, take_out).await;
    if taken != Ok(true) {
        return Ok(Recorded::No);
    }
    let mut results = [Ok(Recorded::Yes)];
    let record = new_directory(topic, index, id);
    change::commit(controller, change, &[record], &mut results).await;
    let [result] = results;
    result
}
