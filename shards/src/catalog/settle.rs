//! What a new image asks of a shard besides serving by it: files of what is gone are removed, what
//! changed is changed.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::io::Errno;
use odradek_engine::limits::PARTITIONS_AT_ONCE;
use odradek_wire::Uuid;

use super::holdings::{Holdings, Slot};
use super::image::{Image, Topic};
use crate::partition;
use crate::runtime::abreast;

impl Holdings {
    /// Removes from disk what is gone since `old`, and changes what changed. Gives the topics
    /// that are gone.
    pub async fn settle<'a>(self: &Rc<Self>, old: &'a Image, new: &Image) -> Vec<(&'a str, Uuid)> {
        let mut gone = Vec::new();
        let node_changed = old.brokers() != new.brokers();
        for topic in old.topics() {
            match new.topic_by_id(topic.id) {
                None => {
                    gone.push((&*topic.name, topic.id));
                    self.remove(topic).await;
                }
                Some(new) if node_changed || new.config != topic.config => self.reconfigure(new),
                Some(_) => {}
            }
        }
        gone
    }

    async fn remove(self: &Rc<Self>, topic: &Arc<Topic>) {
        let entries = topic.partitions.iter().enumerate();
        let here = entries.filter(|(_, entry)| entry.shard == self.shard());
        let here: Vec<i32> = here.map(|(index, _)| index as i32).collect();
        let (holdings, topic) = (self.clone(), topic.clone());
        let removing = here.into_iter().map(move |index| {
            let (holdings, topic) = (holdings.clone(), topic.clone());
            async move { holdings.remove_one(&topic, index).await }
        });
        abreast(&self.ground().spawner, PARTITIONS_AT_ONCE, removing).await;
    }

    async fn remove_one(&self, topic: &Topic, index: i32) {
        let slot = self.hosted.borrow_mut().remove(&(topic.id, index));
        self.targets.forget();
        let Ok(directory) = self.directory(topic, index) else {
            // Its disk has failed. If it comes back, its id says that it is a deleted topic's.
            if let Some(Slot::Open(open)) = slot {
                open.partition.retire();
            }
            return;
        };
        let removed = match slot {
            Some(Slot::Open(open)) => open.partition.destroy().await,
            Some(Slot::Opening(gate)) => {
                // Whoever opens it finds out then, and leaves it.
                gate.passed().await;
                self.remove_directory(&directory).await
            }
            Some(Slot::Failed(_) | Slot::Offline) | None => self.remove_directory(&directory).await,
        };
        if let Err(error) = removed {
            let directory = directory.display();
            tracing::error!("cannot remove {directory}: {error}; remove it by hand");
        }
    }

    fn reconfigure(&self, topic: &Topic) {
        self.targets.forget();
        let config = self.topic_config(topic);
        for (key, slot) in self.hosted.borrow_mut().iter_mut() {
            if let (true, Slot::Open(open)) = (key.0 == topic.id, &mut *slot) {
                *slot = Slot::Open(open.configured(&config));
            }
        }
    }

    async fn remove_directory(&self, directory: &Path) -> Result<(), Errno> {
        match partition::remove_directory(&self.ground().io, directory).await {
            Ok(()) | Err(Errno(libc::ENOENT)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
