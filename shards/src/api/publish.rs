//! A new image reaches every shard, and partitions that it gives to another shard move.
//!
//! What is written there is flushed first. Their new owners hear of it next: so whoever is sent there by the old one is awaited. Then all
//! shards serve by it, and new owners ask old ones for what they have. So a partition is out of
//! reach from when its old owner hears of the image until its log has arrived: as long as it takes
//! to write what the old owner has taken, not as long as a change of metadata takes.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use odradek_wire::Uuid;

use super::Broker;
use crate::catalog::moves::moves;
use crate::catalog::{Image, Move, Released};
use crate::runtime::LocalFuture;
use crate::telemetry::Subscriptions;

/// Partitions that one shard asks for at a time.
const ASKED_MAX: usize = 64;

impl Broker {
    /// Serves by an image from now on, if it is newer.
    fn install(&self, image: &Arc<Image>) {
        if self.image().version >= image.version {
            return;
        }
        let before = self.holdings.replace(image.clone());
        if self.controller.is_some() {
            // Once for the node; of shards that run ahead of each other one decides.
            self.gate.adopt(&self.holdings.settings());
        }
        self.quotas.adopt(image.quotas());
        if !Arc::ptr_eq(before.client_metrics(), image.client_metrics()) {
            let subscriptions = Subscriptions::new(image.client_metrics());
            self.telemetry.borrow_mut().adopt(subscriptions);
        }
        self.groups.adopt(image);
        self.transactions.adopt(image);
        self.before.borrow_mut().get_or_insert(before);
    }

    /// Takes a new image: what moves here is fetched, what is gone is removed from disk, what
    /// changed is changed. On return this shard serves by it.
    async fn adopt(self: &Rc<Self>, image: Arc<Image>) {
        self.install(&image);
        let Some(before) = self.before.take() else {
            return;
        };
        self.fetch(moves(&before, &image), &image).await;
        let gone = self.holdings.settle(&before, &image).await;
        self.groups.topics_deleted(&gone).await;
    }

    /// Fetches the partitions that move to this shard.
    async fn fetch(self: &Rc<Self>, mut moves: Vec<Move>, image: &Arc<Image>) {
        moves.retain(|moved| moved.to == self.shard);
        if moves.is_empty() || self.stopping() {
            return;
        }
        for some in moves.chunks(ASKED_MAX) {
            let fetching = some.iter().map(|moved| {
                let (here, image, moved) = (self.clone(), image.clone(), moved.clone());
                self.spawner
                    .spawn(async move { here.fetch_one(moved, image).await })
            });
            for one in fetching.collect::<Vec<_>>() {
                one.await;
            }
        }
        // What was being ended goes on, though nobody asks.
        let here = self.clone();
        let loading = async move { drop(here.transactions.all().await) };
        self.spawner.spawn(loading).detach();
        // Else a recovery would look for their checkpoints at the old owner's, in vain.
        let here = self.clone();
        let keeping = async move { here.holdings.write_checkpoints().await };
        self.spawner.spawn(keeping).detach();
    }

    async fn fetch_one(self: Rc<Self>, moved: Move, image: Arc<Image>) {
        let began = self.io.now();
        let (topic, index) = (moved.topic.id, moved.index);
        let task = move |there: Rc<Broker>| {
            Box::pin(async move { there.release(&image, topic, index).await }) as _
        };
        let asked = self.mail.call(&self.io, moved.from, task).await;
        let released = asked.unwrap_or(Released::Stopping);
        self.holdings.arrive(&moved, released).await;
        tracing::info!(
            "{}-{index} has moved from shard {} to shard {} in {} us",
            moved.topic.name,
            moved.from,
            moved.to,
            (self.io.now() - began) / 1000
        );
    }

    /// Gives away a partition that an image gives to another shard.
    async fn release(&self, image: &Arc<Image>, topic: Uuid, index: i32) -> Released {
        self.install(image);
        self.holdings.release(topic, index).await
    }

    /// Hands an image to every shard, this one included, and waits until all serve by it and what
    /// moves has moved. Only the controller calls this, for one image after the other.
    pub async fn publish(self: &Rc<Self>, image: Arc<Image>) {
        let moves = moves(&self.image(), &image);
        let losing: BTreeSet<u32> = moves.iter().map(|moved| moved.from).collect();
        let gaining: BTreeSet<u32> = moves.iter().map(|moved| moved.to).collect();
        let flush = |there: Rc<Broker>, image: Arc<Image>| -> LocalFuture<()> {
            Box::pin(async move { there.holdings.flush_ahead(&image).await })
        };
        self.at(losing, &image, flush).await;
        let install = |there: Rc<Broker>, image: Arc<Image>| -> LocalFuture<()> {
            Box::pin(async move { there.install(&image) })
        };
        self.at(gaining, &image, install).await;
        let adopt = |there: Rc<Broker>, image: Arc<Image>| -> LocalFuture<()> {
            Box::pin(async move { there.adopt(image).await })
        };
        self.at(0..self.shards(), &image, adopt).await;
    }

    /// Has some shards do something with an image, all at once.
    async fn at(
        self: &Rc<Self>,
        shards: impl IntoIterator<Item = u32>,
        image: &Arc<Image>,
        task: fn(Rc<Broker>, Arc<Image>) -> LocalFuture<()>,
    ) {
        let mut pending = Vec::new();
        let mut here = false;
        for shard in shards {
            if shard == self.shard {
                here = true;
                continue;
            }
            let (asking, image) = (self.clone(), image.clone());
            pending.push(self.spawner.spawn(async move {
                let task = move |there: Rc<Broker>| task(there, image);
                asking.mail.call(&asking.io, shard, task).await
            }));
        }
        if here {
            task(self.clone(), image.clone()).await;
        }
        for task in pending {
            // A shard that is gone takes the node with it.
            let _ = task.await;
        }
    }
}
