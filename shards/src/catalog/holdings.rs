//! What a shard holds of the catalog: the image it serves by, and the partitions that the image
//! gives it, opened on first use.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use odradek_engine::limits::PARTITIONS_AT_ONCE;
use odradek_engine::log::state_file::Key;
use odradek_engine::types::{Epoch, Offset};
use odradek_wire::Uuid;

use super::checkpoints::{Checkpoints, key};
use super::hosted::{Hosted, log_rules};
use super::image::{Image, Topic};
use super::moves::{Leaving, moves};
use super::relocation::Relocations;
use super::targets::{Target, Targets, TopicKey};
use crate::config::{Given, Settings, TopicConfig, dynamic};
use crate::partition::{Ground, Opened, Opening, Partition, PartitionName, RETRY_NS};
use crate::runtime::{Gate, Nowhere};

/// Up to which offset journals held the partitions' records at the start.
pub type Promised = BTreeMap<Key, Offset>;

pub(super) enum Slot {
    Open(Rc<Hosted>),
    /// It is being opened, or on its way from another shard.
    Opening(Rc<Gate>),
    /// Opening it failed at this time, after which it is tried again; `u64::MAX`: never.
    Failed(u64),
    /// Its storage failed where it was before it moved: nobody opens it before the next start.
    Offline,
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

/// See the module.
pub struct Holdings {
    shard: u32,
    ground: Rc<Ground>,
    /// As given at the start.
    given: Arc<Settings>,
    /// As they are in force.
    settings: RefCell<Arc<Settings>>,
    /// What [`topic_config`](Self::topic_config) has resolved since the image was replaced, and of what.
    resolved: RefCell<BTreeMap<Uuid, (Given, Arc<TopicConfig>)>>,
    image: RefCell<Arc<Image>>,
    pub(super) checkpoints: Checkpoints,
    promised: Arc<Promised>,
    pub(super) hosted: RefCell<BTreeMap<(Uuid, i32), Slot>>,
    pub(super) leaving: RefCell<BTreeMap<(Uuid, i32), Leaving>>,
    /// See [`moving`](Self::moving).
    pub(super) under_way: Cell<usize>,
    /// See [`moves_seen`](Self::moves_seen).
    pub(super) moves_seen: Cell<u64>,
    /// What has left this shard of late, and until when its requests are passed on, nanoseconds.
    pub(super) given_away: RefCell<BTreeMap<(Uuid, i32), u64>>,
    pub(super) targets: Targets,
    pub(super) relocations: Relocations,
    /// Those that nobody reaches before the next start: a journal keeps what it holds of a partition
    /// for as long as that is there.
    pub(super) kept: RefCell<Vec<Rc<Hosted>>>,
    stopping: Cell<bool>,
    /// Log directories that had failed when its partitions were last looked at.
    failures_seen: Cell<usize>,
    /// Bounds how many are opened at a time.
    opens: async_lock::Semaphore,
}

impl Holdings {
    /// Nothing open yet.
    pub fn new(
        shard: u32,
        ground: Rc<Ground>,
        settings: Arc<Settings>,
        image: Arc<Image>,
        checkpoints: Checkpoints,
        promised: Arc<Promised>,
    ) -> Rc<Holdings> {
        Rc::new_cyclic(|this: &Weak<Holdings>| {
            let here = this.clone();
            let count = move || {
                here.upgrade()
                    .map_or_else(Opened::default, |it| it.opened())
            };
            ground.recoveries.counted_by(count);
            Holdings {
                shard,
                ground,
                settings: RefCell::new(in_force(&settings, &image)),
                resolved: RefCell::default(),
                given: settings,
                image: RefCell::new(image),
                checkpoints,
                promised,
                hosted: RefCell::default(),
                leaving: RefCell::default(),
                under_way: Cell::new(0),
                moves_seen: Cell::new(0),
                given_away: RefCell::default(),
                targets: Targets::default(),
                relocations: Relocations::default(),
                kept: RefCell::default(),
                stopping: Cell::new(false),
                failures_seen: Cell::new(0),
                opens: async_lock::Semaphore::new(PARTITIONS_AT_ONCE),
            }
        })
    }

    /// The shard whose holdings these are, from 0.
    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// What its partitions have in common.
    pub fn ground(&self) -> &Rc<Ground> {
        &self.ground
    }

    /// The node's settings as given at the start.
    pub fn given(&self) -> &Arc<Settings> {
        &self.given
    }

    /// The node's settings in force: what changed while it ran is in them.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// Metadata as this shard knows it.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// A partition that clients may write to, if it is open here.
    pub fn target(&self, topic: TopicKey<'_>, index: i32) -> Option<Rc<Target>> {
        if let Some(target) = self.targets.get(topic, index) {
            return (!target.hosted.partition.reopen_due()).then_some(target);
        }
        let image = self.image.borrow();
        let found = match topic {
            TopicKey::Name(name) => image.topic(name),
            TopicKey::Id(id) => image.topic_by_id(id),
        };
        let entry = found.filter(|topic| !topic.is_internal())?;
        let target = Rc::new(Target {
            topic: entry.clone(),
            index,
            hosted: self.open_now(entry, index)?,
        });
        self.targets.put(topic, target.clone());
        Some(target)
    }

    /// Whether nothing new is opened: the shard stops.
    pub fn stopping(&self) -> bool {
        self.stopping.get()
    }

    /// From now on nothing new is opened.
    pub fn begin_stop(&self) {
        self.stopping.set(true);
    }

    /// A partition of this shard, opened if need be.
    pub async fn hosted(&self, topic: &Topic, index: i32) -> Result<Rc<Hosted>, Unhosted> {
        let key = (topic.id, index);
        loop {
            let gate = match self.hosted.borrow().get(&key) {
                Some(Slot::Open(open)) if open.partition.reopen_due() => {
                    open.partition.retire();
                    break;
                }
                Some(Slot::Open(open)) => return Ok(open.clone()),
                Some(Slot::Opening(gate)) => gate.clone(),
                Some(Slot::Failed(at)) if self.ground.io.now() < at.saturating_add(RETRY_NS) => {
                    return Err(Unhosted::Failed);
                }
                Some(Slot::Offline) => return Err(Unhosted::Failed),
                Some(Slot::Failed(_)) | None => break,
            };
            gate.passed().await;
        }
        // The caller may have looked at the image some time ago.
        let image = self.image();
        let topic = image.topic_by_id(topic.id).ok_or(Unhosted::Unknown)?;
        let entry = topic.entry(index).ok_or(Unhosted::Unknown)?;
        if entry.shard != self.shard {
            return Err(Unhosted::Elsewhere);
        }
        if self.stopping() {
            // It would be missed by the stop, and the marker of a clean one would be wrong.
            return Err(Unhosted::Failed);
        }
        let Ok(directory) = self.directory(topic, index) else {
            return Err(Unhosted::Failed);
        };
        let gate = Gate::new();
        let opening = Slot::Opening(gate.clone());
        let before = self.hosted.borrow_mut().insert(key, opening);
        // It has failed before. Until it is open again a stop is no clean one, whichever way that ends.
        let again = usize::from(before.is_some());
        self.under_way.set(self.under_way.get() + again);
        let turn = self.opens.acquire().await;
        let (opening, config) = self.opening(topic, index, directory.clone());
        let opened = Partition::open(&self.ground, opening).await;
        let opened = opened.map(|partition| Hosted::new(partition, config));
        drop(turn);
        let awaited = match self.hosted.borrow().get(&key) {
            Some(Slot::Opening(other)) => Rc::ptr_eq(other, &gate),
            _ => false,
        };
        let result = match opened {
            // It moved meanwhile, or was deleted: it is not this shard's any more.
            _ if !awaited => Err(Unhosted::Elsewhere),
            // While the node stopped: not used, so there is nothing to close.
            _ if self.stopping() && before.is_none() => {
                self.hosted.borrow_mut().remove(&key);
                Err(Unhosted::Failed)
            }
            // As before.
            Ok(_) if self.stopping() => {
                let failed = Slot::Failed(self.ground.io.now());
                self.hosted.borrow_mut().insert(key, failed);
                Err(Unhosted::Failed)
            }
            Ok(open) => {
                // Its settings may have changed while it was opened.
                let image = self.image();
                let topic = image.topic_by_id(topic.id);
                let now = topic.map(|topic| self.topic_config(topic));
                let open = match now.filter(|now| !Arc::ptr_eq(now, &open.config)) {
                    Some(now) => open.configured(&now),
                    None => open,
                };
                self.hosted
                    .borrow_mut()
                    .insert(key, Slot::Open(open.clone()));
                self.targets.forget();
                Ok(open)
            }
            Err(error) => {
                let ground = &self.ground;
                ground
                    .troubles
                    .log(&ground.io, || tracing::error!("{error}"));
                ground.dirs.suspect(&directory, error.error);
                let failed = Slot::Failed(self.ground.io.now());
                self.hosted.borrow_mut().insert(key, failed);
                Err(Unhosted::Failed)
            }
        };
        if !self.stopping() {
            self.under_way.set(self.under_way.get() - again);
        }
        gate.open();
        result
    }

    /// A partition of this shard if it is open.
    pub fn open_now(&self, topic: &Topic, index: i32) -> Option<Rc<Hosted>> {
        match self.hosted.borrow().get(&(topic.id, index)) {
            Some(Slot::Open(open)) if !open.partition.reopen_due() => Some(open.clone()),
            _ => None,
        }
    }

    /// The topics and indices of partitions that failed, also on their way to another shard, and
    /// were not opened since.
    pub fn failed(&self) -> Vec<(Uuid, i32)> {
        let hosted = self.hosted.borrow();
        let leaving = self.leaving.borrow();
        let here = hosted.iter().filter(|(_, slot)| match slot {
            Slot::Failed(at) => *at != u64::MAX,
            Slot::Offline => true,
            Slot::Open(_) | Slot::Opening(_) => false,
        });
        let gone = leaving.iter().filter(|(_, leaving)| leaving.failed());
        let keys = here.map(|(key, _)| key).chain(gone.map(|(key, _)| key));
        keys.copied().collect()
    }

    /// Whether a partition is open here, or being opened.
    pub fn is_open(&self, topic: Uuid, index: i32) -> bool {
        let hosted = self.hosted.borrow();
        let slot = hosted.get(&(topic, index));
        matches!(slot, Some(Slot::Open(_) | Slot::Opening(_)))
    }

    /// How many of this shard's partitions are open: the others have not been used since the start,
    /// or are being recovered, or could not be opened.
    pub fn opened(&self) -> Opened {
        let hosted = self.hosted.borrow();
        let open = hosted.values().filter(|slot| matches!(slot, Slot::Open(_)));
        let image = self.image.borrow();
        let entries = image.topics().flat_map(|topic| &topic.partitions);
        Opened {
            open: open.count(),
            all: entries.filter(|entry| entry.shard == self.shard).count(),
        }
    }

    /// All open partitions of this shard.
    pub fn open_partitions(&self) -> Vec<Rc<Hosted>> {
        self.hosted
            .borrow()
            .values()
            .filter_map(|slot| match slot {
                Slot::Open(open) => Some(open.clone()),
                Slot::Opening(_) | Slot::Failed(_) | Slot::Offline => None,
            })
            .collect()
    }

    /// So many open partitions of this shard, in order, from after `last` on; for work in slices.
    pub fn open_after(
        &self,
        last: Option<(Uuid, i32)>,
        count: usize,
    ) -> Vec<((Uuid, i32), Rc<Hosted>)> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let hosted = self.hosted.borrow();
        let open = hosted.range((from, Bound::Unbounded));
        let open = open.filter_map(|(key, slot)| match slot {
            Slot::Open(open) => Some((*key, open.clone())),
            Slot::Opening(_) | Slot::Failed(_) | Slot::Offline => None,
        });
        open.take(count).collect()
    }

    /// The same with the topics' ids.
    pub(super) fn open_keys(&self) -> Vec<((Uuid, i32), Rc<Partition>)> {
        let hosted = self.hosted.borrow();
        let open = hosted.iter().filter_map(|(key, slot)| match slot {
            Slot::Open(open) => Some((*key, open.partition.clone())),
            Slot::Opening(_) | Slot::Failed(_) | Slot::Offline => None,
        });
        open.collect()
    }

    /// What to open, and its settings.
    pub(super) fn opening(
        &self,
        topic: &Topic,
        index: i32,
        directory: PathBuf,
    ) -> (Opening, Arc<TopicConfig>) {
        let config = self.topic_config(topic);
        let name = PartitionName {
            topic: topic.name.clone(),
            index,
        };
        let image = self.image();
        let opening = Opening {
            rules: log_rules(&config, &name),
            name,
            directory,
            epoch: Epoch(topic.partitions[index as usize].leader_epoch),
            always_durable: topic.is_internal(),
            log_start: Offset(0),
            topic_id: topic.id.to_string(),
            is_topic: Some(Rc::new(move |id: &str| image.knows(id))),
            key: Some(key(topic.id, index)),
            promised: self.promised(&key(topic.id, index)),
            checkpoint: self.checkpoints.of(topic.id, index),
        };
        (opening, config)
    }

    /// A topic's settings, resolved: once for all of its partitions, of which a start opens thousands.
    pub fn topic_config(&self, topic: &Topic) -> Arc<TopicConfig> {
        if let Some((given, config)) = self.resolved.borrow().get(&topic.id)
            && *given == topic.config
        {
            return config.clone();
        }
        let (config, refused) = TopicConfig::of_stored(&self.settings.borrow(), &topic.config);
        for error in refused {
            tracing::warn!(
                "topic {}: a stored setting has no effect: {error}",
                topic.name
            );
        }
        let config = Arc::new(config);
        let resolved = (topic.config.clone(), config.clone());
        self.resolved.borrow_mut().insert(topic.id, resolved);
        config
    }

    /// Where a partition lives on disk. It must be one of the topic's.
    ///
    /// # Errors
    /// That cannot be reached.
    pub fn directory(&self, topic: &Topic, index: i32) -> Result<PathBuf, Nowhere> {
        let dirs = &self.ground.dirs;
        let number = dirs.of(topic.partitions[index as usize].directory)?;
        Ok(dirs.path(number).join(format!("{}-{index}", topic.name)))
    }

    /// Takes partitions offline whose log directory has failed since it was last asked to, whoever
    /// found out.
    pub fn follow_directories(&self) {
        let failures = self.ground.dirs.failures();
        if self.failures_seen.replace(failures) == failures {
            return;
        }
        for (_, partition) in self.open_keys() {
            partition.follow_directory();
        }
    }

    fn promised(&self, key: &Key) -> Offset {
        self.promised.get(key).copied().unwrap_or(Offset(0))
    }

    /// Serves by a new image from now on; gives the one before. What the new one has no more is
    /// still there until [`settle`](Self::settle); what it gives to another shard is not served any
    /// more, and what it gives to this one is awaited.
    pub fn replace(&self, image: Arc<Image>) -> Arc<Image> {
        self.targets.forget();
        self.begin_moves(&moves(&self.image.borrow(), &image));
        if image.brokers() != self.image.borrow().brokers() {
            self.settings.replace(in_force(&self.given, &image));
        }
        self.resolved.borrow_mut().clear();
        self.image.replace(image)
    }
}

/// The node's settings with those made while running, whatever shard's id they were made by.
pub fn in_force(given: &Arc<Settings>, image: &Image) -> Arc<Settings> {
    let (_, node) = dynamic::split(&image.broker(&given.stored_id().to_string()));
    let cluster = image.broker("");
    if node.is_empty() && cluster.is_empty() {
        return given.clone();
    }
    match given.with_dynamic(node, cluster) {
        Ok(settings) => Arc::new(settings),
        Err(error) => {
            tracing::error!(
                "settings made while running do not go with the file's and are left out: {error}"
            );
            given.clone()
        }
    }
}
