//! The partitions that this shard owns, opened on first use.

use std::cell::RefCell;
use std::future::poll_fn;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use odradek_engine::io::Errno;
use odradek_engine::log::LogRules;
use odradek_engine::log::index::IndexRules;
use odradek_engine::record::{Depth, Origin, Rules, TimestampRule, TimestampType};
use odradek_engine::types::{Epoch, Offset, Timestamp};

use super::Broker;
use crate::catalog::{Image, Topic};
use crate::config::TopicConfig;
use crate::config::choice;
use crate::coordinators::topics_deleted;
use crate::partition::{FULL_RETRY_NS, Opening, Partition, PartitionName};

/// A partition of this shard, with its topic's settings.
pub struct Hosted {
    pub partition: Rc<Partition>,
    pub config: Arc<TopicConfig>,
}

impl Hosted {
    /// What a produced batch must satisfy, and whether it is stamped with the append's time.
    pub fn rules(&self, now: Timestamp) -> (Rules, Option<Timestamp>) {
        let config = &self.config;
        let append_time = matches!(
            config.message_timestamp_type,
            choice::TimestampType::LogAppendTime
        );
        let rules = Rules {
            origin: Origin::Client,
            batch_bytes_max: config.max_message_bytes.max(0) as usize,
            timestamps: TimestampRule {
                timestamp_type: match append_time {
                    true => TimestampType::LogAppendTime,
                    false => TimestampType::CreateTime,
                },
                now,
                before_max_ms: config.message_timestamp_before_max_ms,
                after_max_ms: config.message_timestamp_after_max_ms,
            },
            zstd_allowed: true,
        };
        (rules, append_time.then_some(now))
    }

    /// How deep a produced batch is checked.
    pub fn depth(&self, validation: choice::RecordValidation) -> Depth {
        let keys_required = self.config.compacts();
        match validation {
            choice::RecordValidation::Header if !keys_required => Depth::Header,
            _ => Depth::Records { keys_required },
        }
    }
}

pub(super) enum Slot {
    Open(Rc<Hosted>),
    Opening(Rc<RefCell<Vec<Waker>>>),
    /// Opening it failed at this time.
    Failed(u64),
}

/// Why a partition is not served here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unhosted {
    /// There is no such partition.
    Unknown,
    /// Another shard owns it.
    Elsewhere,
    /// Its storage has failed.
    Failed,
}

impl Broker {
    /// A partition of this shard, opened if need be.
    pub async fn hosted(
        self: &Rc<Self>,
        topic: &Topic,
        index: i32,
    ) -> Result<Rc<Hosted>, Unhosted> {
        let entry = usize::try_from(index)
            .ok()
            .and_then(|index| topic.partitions.get(index))
            .ok_or(Unhosted::Unknown)?;
        if entry.shard != self.shard {
            return Err(Unhosted::Elsewhere);
        }
        let key = (topic.id, index);
        loop {
            let waiting = match self.hosted.borrow().get(&key) {
                Some(Slot::Open(open)) if open.partition.reopen_due() => {
                    open.partition.retire();
                    break;
                }
                Some(Slot::Open(open)) => return Ok(open.clone()),
                Some(Slot::Opening(waiting)) => waiting.clone(),
                Some(Slot::Failed(at)) if self.io.now() < at + FULL_RETRY_NS => {
                    return Err(Unhosted::Failed);
                }
                Some(Slot::Failed(_)) | None => break,
            };
            let mut asked = false;
            poll_fn(|context| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                waiting.borrow_mut().push(context.waker().clone());
                Poll::Pending
            })
            .await;
        }
        if self.stopping() {
            // It would be missed by the stop, and the marker of a clean one would be wrong.
            return Err(Unhosted::Failed);
        }
        let waiting = Rc::new(RefCell::new(Vec::<Waker>::new()));
        self.hosted
            .borrow_mut()
            .insert(key, Slot::Opening(waiting.clone()));
        let opened = self.open(topic, index, entry.leader_epoch).await;
        let result = match opened {
            // Opened while the node stopped: not used, so there is nothing to close.
            Ok(_) if self.stopping() => {
                self.hosted.borrow_mut().remove(&key);
                Err(Unhosted::Failed)
            }
            Ok(open) => {
                self.hosted
                    .borrow_mut()
                    .insert(key, Slot::Open(open.clone()));
                Ok(open)
            }
            Err(error) => {
                tracing::error!("{error}");
                let failed = Slot::Failed(self.io.now());
                self.hosted.borrow_mut().insert(key, failed);
                Err(Unhosted::Failed)
            }
        };
        for waker in waiting.take() {
            waker.wake();
        }
        result
    }

    /// A partition of this shard if it is open.
    pub fn open_now(&self, topic: &Topic, index: i32) -> Option<Rc<Hosted>> {
        match self.hosted.borrow().get(&(topic.id, index)) {
            Some(Slot::Open(open)) if !open.partition.reopen_due() => Some(open.clone()),
            _ => None,
        }
    }

    /// All open partitions of this shard.
    pub fn open_partitions(&self) -> Vec<Rc<Hosted>> {
        self.hosted
            .borrow()
            .values()
            .filter_map(|slot| match slot {
                Slot::Open(open) => Some(open.clone()),
                Slot::Opening(_) | Slot::Failed(_) => None,
            })
            .collect()
    }

    async fn open(
        &self,
        topic: &Topic,
        index: i32,
        epoch: i32,
    ) -> Result<Rc<Hosted>, crate::partition::OpenError> {
        let config = self.topic_config(topic);
        let opening = Opening {
            name: PartitionName {
                topic: topic.name.clone(),
                index,
            },
            directory: self.directory(&topic.name, index),
            epoch: Epoch(epoch),
            rules: log_rules(&config),
            always_durable: topic.is_internal(),
            log_start: Offset(0),
            topic_id: topic.id.to_string(),
            checkpoint: self.checkpoints.of(topic.id, index),
        };
        let partition = Partition::open(&self.ground, opening).await?;
        Ok(Rc::new(Hosted {
            partition,
            config: Arc::new(config),
        }))
    }

    /// A topic's settings, resolved.
    pub fn topic_config(&self, topic: &Topic) -> TopicConfig {
        TopicConfig::resolve(&self.settings, &topic.config)
            .expect("settings are checked before they are stored")
    }

    /// Where a partition lives on disk.
    pub fn directory(&self, topic: &str, index: i32) -> PathBuf {
        self.settings.log_dir.join(format!("{topic}-{index}"))
    }

    /// Takes a new image: what is gone is removed from disk, what changed is changed. On return
    /// this shard serves by it.
    pub async fn adopt(self: &Rc<Self>, image: Arc<Image>) {
        let old = self.image.replace(image.clone());
        self.groups.adopt(&image, self.shard);
        let mut gone = Vec::new();
        for topic in old.topics() {
            match image.topic_by_id(topic.id) {
                None => {
                    gone.push((&*topic.name, topic.id));
                    self.remove(topic).await;
                }
                Some(new) if new.config != topic.config => self.reconfigure(new),
                Some(_) => {}
            }
        }
        topics_deleted(self, &gone).await;
    }

    async fn remove(&self, topic: &Topic) {
        for (index, entry) in topic.partitions.iter().enumerate() {
            if entry.shard != self.shard {
                continue;
            }
            let slot = self.hosted.borrow_mut().remove(&(topic.id, index as i32));
            let directory = self.directory(&topic.name, index as i32);
            let removed = match slot {
                Some(Slot::Open(open)) => open.partition.destroy().await,
                _ => remove_directory(self, &directory).await,
            };
            if let Err(error) = removed {
                let directory = directory.display();
                tracing::error!("cannot remove {directory}: {error}; remove it by hand");
            }
        }
    }

    fn reconfigure(&self, topic: &Topic) {
        let config = Arc::new(self.topic_config(topic));
        for (key, slot) in self.hosted.borrow_mut().iter_mut() {
            if let (true, Slot::Open(open)) = (key.0 == topic.id, &mut *slot) {
                open.partition.set_rules(log_rules(&config));
                *slot = Slot::Open(Rc::new(Hosted {
                    partition: open.partition.clone(),
                    config: config.clone(),
                }));
            }
        }
    }

    /// Hands an image to every shard, this one included, and waits until all serve by it.
    pub async fn publish(broker: &Rc<Broker>, image: Arc<Image>) {
        let mut pending = Vec::new();
        for shard in (0..broker.shards()).filter(|shard| *shard != broker.shard) {
            let (asking, image) = (broker.clone(), image.clone());
            pending.push(broker.spawner.spawn(async move {
                let task =
                    move |there: Rc<Broker>| Box::pin(async move { there.adopt(image).await }) as _;
                asking.mail.call(&asking, shard, task).await
            }));
        }
        broker.adopt(image).await;
        for task in pending {
            // A shard that is gone takes the node with it.
            let _ = task.await;
        }
    }
}

async fn remove_directory(broker: &Broker, directory: &std::path::Path) -> Result<(), Errno> {
    let io = &broker.io;
    let names = match io.list(directory).await {
        Ok(names) => names,
        Err(Errno(libc::ENOENT)) => return Ok(()),
        Err(error) => return Err(error),
    };
    for name in names {
        io.remove(&directory.join(name)).await?;
    }
    io.remove_dir(directory).await
}

/// The log's rules by a topic's settings.
pub(super) fn log_rules(config: &TopicConfig) -> LogRules {
    LogRules {
        segment_bytes: config.segment_size().max(1) as u64,
        roll_ms: config.segment_ms,
        index: IndexRules {
            interval_bytes: config.index_interval_bytes.max(0) as u64,
            index_bytes_max: config.segment_index_bytes.max(0) as usize,
        },
        retention_bytes: if config.deletes() {
            config.retention_bytes
        } else {
            -1
        },
        retention_ms: if config.deletes() {
            config.retention_ms
        } else {
            -1
        },
    }
}
