//! The coordinators of one kind of a shard: one per partition of their topic that it owns, loaded
//! on first use.
//!
//! A load is a task of its own: it goes on when whoever asked for it has gone, or was told
//! COORDINATOR_LOAD_IN_PROGRESS because it takes long (`LOAD_WAIT`).
//!
//! A partition whose records are malformed is not served: whoever asks is told NOT_COORDINATOR,
//! the log names the offset, and all others go on.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::time::Duration;

use odradek_engine::io::Errno;
use odradek_wire::{ErrorCode, Uuid};

use super::coordinator::Coordinator;
use super::groups::{CommittedAt, GroupsShard, error};
use super::host::{Common, Host, Runner};
use super::host_load::{LoadError, load};
use super::place::partition_for;
use crate::catalog::{Holdings, Image, Topic};
use crate::partition::RETRY_NS;
use crate::runtime::{Gate, Quiet, either, next_pass};

/// Where groups and their offsets are recorded.
pub const OFFSETS_TOPIC: &str = GroupsShard::TOPIC;
/// Where transactions are recorded.
pub const TRANSACTIONS_TOPIC: &str = super::transactions::TransactionsShard::TOPIC;

const LOAD_IN_PROGRESS: i16 = ErrorCode::CoordinatorLoadInProgress.code();

/// Longest sleep of the timer, milliseconds: the wall clock may be set.
const SLEEP_MAX_MS: i64 = 60_000;

/// So long a request waits in all for coordinators that are being loaded. Kafka answers at once, and
/// clients come again after 100 ms or more; nearly every load takes less than this, and nobody hears
/// of it. More would hold up what comes after it on its connection: heartbeats come every 3 s.
const LOAD_WAIT: Duration = Duration::from_millis(500);

/// Why a partition has no coordinator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unserved {
    /// Its records cannot be understood.
    Malformed,
    /// It could not be read; who asks next has it read again.
    Unread,
}

/// A coordinator that is there when the gate is open.
struct Loaded<C: Coordinator> {
    gate: Rc<Gate>,
    outcome: OnceCell<Result<Rc<Host<C>>, Unserved>>,
}

impl<C: Coordinator> Loaded<C> {
    fn host(&self) -> Option<&Rc<Host<C>>> {
        self.outcome.get()?.as_ref().ok()
    }

    /// Whether it must be loaded anew.
    fn is_over(&self) -> bool {
        match self.outcome.get() {
            Some(Ok(host)) => host.retired(),
            Some(Err(why)) => *why == Unserved::Unread,
            None => false,
        }
    }
}

struct Entry<C: Coordinator> {
    topic: Uuid,
    loaded: Rc<Loaded<C>>,
}

/// See the module.
pub struct Hosts<C: Coordinator> {
    holdings: Rc<Holdings>,
    entries: RefCell<BTreeMap<i32, Entry<C>>>,
    common: Rc<Common<C>>,
    /// Partitions that are going to be loaded anew.
    reviving: RefCell<BTreeSet<i32>>,
    /// Every coordinator that may know a group was loaded once.
    surveyed: Cell<bool>,
    /// Rate limit of log lines about partitions that cannot be read.
    unread: Quiet,
}

impl<C: Coordinator> Hosts<C> {
    /// Nothing loaded.
    pub fn new(holdings: Rc<Holdings>) -> Rc<Self> {
        Rc::new_cyclic(|this: &Weak<Self>| {
            let common = Common::default();
            let this = this.clone();
            let failed = move |index| {
                if let Some(hosts) = this.upgrade() {
                    hosts.revive(index);
                }
            };
            let _ = common.failed.set(Box::new(failed));
            Hosts {
                holdings,
                entries: RefCell::default(),
                common: Rc::new(common),
                reviving: RefCell::default(),
                surveyed: Cell::new(false),
                unread: Quiet::default(),
            }
        })
    }

    /// Says what runs errands; once, before anything is loaded.
    pub fn run_errands_by(&self, runner: Runner<C>) {
        let set = self.common.runner.set(runner);
        assert!(set.is_ok(), "errands have one runner");
    }

    /// The coordinator of a name, if this shard has it; loads it if need be.
    ///
    /// # Errors
    /// NOT_COORDINATOR, or COORDINATOR_LOAD_IN_PROGRESS if the load takes long.
    pub async fn serving(self: &Rc<Self>, name: &str) -> Result<Rc<Host<C>>, i16> {
        self.serving_until(name, self.load_deadline()).await
    }

    /// Until when a request that comes now waits for coordinators that are being loaded.
    pub fn load_deadline(&self) -> u64 {
        let now = self.holdings.ground().io.now();
        now.saturating_add(LOAD_WAIT.as_nanos() as u64)
    }

    /// The same for one of several names in a request, which all have one deadline.
    ///
    /// # Errors
    /// As [`serving`](Self::serving).
    pub async fn serving_until(
        self: &Rc<Self>,
        name: &str,
        deadline: u64,
    ) -> Result<Rc<Host<C>>, i16> {
        let image = self.holdings.image();
        let topic = image.topic(C::TOPIC).ok_or(error::NOT_COORDINATOR)?;
        let index = partition_for(name, topic.partitions.len());
        self.host(topic, index as i32, Some(deadline)).await
    }

    /// The coordinator of a partition, if this shard has it; loads it if need be.
    ///
    /// # Errors
    /// As [`serving`](Self::serving).
    pub async fn of_partition(self: &Rc<Self>, index: i32) -> Result<Rc<Host<C>>, i16> {
        let image = self.holdings.image();
        let topic = image.topic(C::TOPIC).ok_or(error::NOT_COORDINATOR)?;
        self.host(topic, index, Some(self.load_deadline())).await
    }

    /// Every coordinator of this shard that may know a name; loads them if need be, however long
    /// that takes. Partitions that cannot be served are left out.
    pub async fn all(self: &Rc<Self>) -> Vec<Rc<Host<C>>> {
        let all = self.every(None).await;
        // Without a deadline none is still being loaded.
        all.unwrap_or_default()
    }

    /// The same for a request.
    ///
    /// # Errors
    /// COORDINATOR_LOAD_IN_PROGRESS if a load takes long: a list that lacks some would look whole.
    pub async fn listed(self: &Rc<Self>) -> Result<Vec<Rc<Host<C>>>, i16> {
        self.every(Some(self.load_deadline())).await
    }

    async fn every(self: &Rc<Self>, deadline: Option<u64>) -> Result<Vec<Rc<Host<C>>>, i16> {
        let image = self.holdings.image();
        let Some(topic) = image.topic(C::TOPIC) else {
            return Ok(Vec::new());
        };
        let mut hosts = Vec::new();
        for index in 0..topic.partitions.len() as i32 {
            if !owns(topic, index, self.holdings.shard()) {
                continue;
            }
            if !self.is_known(topic, index) {
                // Nothing was ever recorded in a partition without a directory.
                let Ok(directory) = self.holdings.directory(topic, index) else {
                    continue;
                };
                let listed = self.holdings.ground().io.list(&directory).await;
                if let Err(Errno(libc::ENOENT)) = listed {
                    continue;
                }
            }
            match self.host(topic, index, deadline).await {
                Ok(host) => hosts.push(host),
                Err(code) if code == LOAD_IN_PROGRESS => return Err(code),
                Err(_) => {}
            }
        }
        Ok(hosts)
    }

    /// Lets what has a time expire, until the task is dropped.
    pub(crate) async fn keep_time(self: Rc<Self>) {
        let io = &self.holdings.ground().io;
        loop {
            // What appears while this runs is seen below.
            self.common.armed.set(i64::MIN);
            let hosts = self.loaded();
            for host in &hosts {
                host.tick();
            }
            let next = hosts.iter().filter_map(|host| host.next_deadline()).min();
            self.common.armed.set(next.unwrap_or(i64::MAX));
            let raised = self.common.notice.raised();
            match next {
                Some(next) => {
                    let now = self.common.clock.now_ms(io);
                    let wait = next.saturating_sub(now).clamp(1, SLEEP_MAX_MS);
                    either(raised, io.sleep(Duration::from_millis(wait as u64))).await;
                }
                None => raised.await,
            }
        }
    }

    /// A coordinator whose writes failed is loaded anew, also if nobody asks for it: ends of
    /// transactions that were on their way go on, and what has a time expires.
    fn revive(self: Rc<Self>, index: i32) {
        if !self.reviving.borrow_mut().insert(index) {
            return;
        }
        let ground = self.holdings.ground().clone();
        let spawner = ground.spawner.clone();
        let task = async move {
            loop {
                // By then the partition can be opened again.
                ground.io.sleep(2 * Duration::from_nanos(RETRY_NS)).await;
                if self.is_served(index).await || !self.may_revive(index) {
                    break;
                }
            }
            self.reviving.borrow_mut().remove(&index);
        };
        spawner.spawn(task).detach();
    }

    /// Whether a partition has a coordinator, however long it takes to load it.
    async fn is_served(self: &Rc<Self>, index: i32) -> bool {
        let image = self.holdings.image();
        match image.topic(C::TOPIC) {
            Some(topic) => self.host(topic, index, None).await.is_ok(),
            None => false,
        }
    }

    /// Whether a partition that cannot be loaded now can be before the next start.
    fn may_revive(&self, index: i32) -> bool {
        let holdings = &self.holdings;
        let image = holdings.image();
        let topic = image.topic(C::TOPIC);
        topic.is_some_and(|topic| {
            let open = holdings.open_now(topic, index);
            !holdings.stopping()
                && owns(topic, index, holdings.shard())
                && open.is_none_or(|open| open.partition.may_reopen())
        })
    }

    /// Coordinators of partitions that are not this shard's any more send everybody away.
    pub(crate) fn adopt(&self, image: &Image) {
        let shard = self.holdings.shard();
        let topic = image.topic(C::TOPIC);
        let owned = |index: i32, id: Uuid| {
            topic.is_some_and(|topic| topic.id == id && owns(topic, index, shard))
        };
        let mut gone = Vec::new();
        self.entries.borrow_mut().retain(|index, entry| {
            let keep = owned(*index, entry.topic);
            if let (false, Some(host)) = (keep, entry.loaded.host()) {
                gone.push(host.clone());
            }
            keep
        });
        for host in gone {
            host.retire();
        }
        for host in self.loaded() {
            host.ask(|shard, _, _| shard.adopt(image));
        }
    }

    /// Coordinators of partitions that were taken from under them send everybody away; who comes
    /// again finds new ones.
    pub(crate) fn drop_left(&self) {
        let mut gone = Vec::new();
        self.entries
            .borrow_mut()
            .retain(|_, entry| match entry.loaded.host() {
                Some(host) if host.partition.left() => {
                    gone.push(host.clone());
                    false
                }
                _ => true,
            });
        for host in gone {
            host.retire();
        }
    }

    /// Everybody is sent away: the shard stops.
    pub(crate) fn stop(&self) {
        for host in self.loaded() {
            host.retire();
        }
    }

    fn loaded(&self) -> Vec<Rc<Host<C>>> {
        let entries = self.entries.borrow();
        let hosts = entries.values().filter_map(|entry| entry.loaded.host());
        hosts.cloned().collect()
    }

    fn is_known(&self, topic: &Topic, index: i32) -> bool {
        let entries = self.entries.borrow();
        let entry = entries.get(&index);
        entry.is_some_and(|entry| entry.topic == topic.id)
    }

    /// `deadline`: nanoseconds; without one it waits as long as the load takes.
    async fn host(
        self: &Rc<Self>,
        topic: &Topic,
        index: i32,
        deadline: Option<u64>,
    ) -> Result<Rc<Host<C>>, i16> {
        let holdings = &self.holdings;
        if holdings.stopping() || !owns(topic, index, holdings.shard()) {
            return Err(error::NOT_COORDINATOR);
        }
        let loaded = self.loading(topic.id, index);
        let there = loaded.gate.passed();
        match deadline {
            Some(deadline) => either(there, holdings.ground().io.sleep_until(deadline)).await,
            None => there.await,
        }
        match loaded.outcome.get() {
            None => Err(LOAD_IN_PROGRESS),
            // While it was loaded the world may have changed.
            Some(Ok(host)) if !host.retired() && !holdings.stopping() && !host.partition.left() => {
                Ok(host.clone())
            }
            Some(_) => Err(error::NOT_COORDINATOR),
        }
    }

    /// A partition's coordinator, which is being loaded if it was not there.
    fn loading(self: &Rc<Self>, topic: Uuid, index: i32) -> Rc<Loaded<C>> {
        let mut entries = self.entries.borrow_mut();
        let known = entries.get(&index);
        let known = known.filter(|entry| entry.topic == topic && !entry.loaded.is_over());
        if let Some(entry) = known {
            return entry.loaded.clone();
        }
        let loaded = Rc::new(Loaded {
            gate: Gate::new(),
            outcome: OnceCell::new(),
        });
        let entry = Entry {
            topic,
            loaded: loaded.clone(),
        };
        entries.insert(index, entry);
        let (hosts, told) = (self.clone(), loaded.clone());
        let task = async move {
            let outcome = hosts.load(topic, index).await;
            assert!(told.outcome.set(outcome).is_ok(), "it is loaded once");
            told.gate.open();
        };
        self.holdings.ground().spawner.spawn(task).detach();
        loaded
    }

    async fn load(&self, topic: Uuid, index: i32) -> Result<Rc<Host<C>>, Unserved> {
        let ground = self.holdings.ground();
        let (settings, image) = (self.holdings.given(), self.holdings.image());
        let topic = image.topic_by_id(topic).ok_or(Unserved::Unread)?;
        let hosted = self.holdings.hosted(topic, index).await;
        let hosted = hosted.map_err(|_| Unserved::Unread)?;
        let failed = match load::<C>(&hosted.partition, settings, &image).await {
            // Who stops has sent everybody away, and this one would stay.
            Ok(_) if self.holdings.stopping() => return Err(Unserved::Unread),
            Ok(shard) => {
                return Ok(Host::new(
                    hosted.partition.clone(),
                    ground.io.clone(),
                    ground.spawner.clone(),
                    self.common.clone(),
                    shard,
                ));
            }
            Err(failed) => failed,
        };
        if let LoadError::Read { .. } = failed {
            self.unread.log(&ground.io, || {
                tracing::error!("{} of {}-{index}: {failed}", C::WHAT, topic.name);
            });
            return Err(Unserved::Unread);
        }
        tracing::error!(
            "{} of {}-{index} are not served until the node starts again: {failed}",
            C::WHAT,
            topic.name
        );
        Err(Unserved::Malformed)
    }
}

impl Hosts<GroupsShard> {
    /// What groups of this shard have committed. The first time it loads every coordinator that
    /// may know a group; so many offsets are looked at in one pass.
    pub async fn committed(self: &Rc<Self>, per_pass: usize) -> Vec<CommittedAt> {
        let hosts = match self.surveyed.replace(true) {
            true => self.loaded(),
            false => self.all().await,
        };
        let mut all = Vec::new();
        for host in hosts {
            let mut found = Vec::new();
            while host.look(|shard| shard.committed_after(&mut found, per_pass)) {
                next_pass(&self.holdings.ground().io).await;
            }
            all.append(&mut found);
        }
        all
    }

    /// Topics are gone: so are their offsets. On return that is durable.
    pub(crate) async fn topics_deleted(self: &Rc<Self>, topics: &[(&str, Uuid)]) {
        if topics.is_empty() {
            return;
        }
        for host in self.all().await {
            for (name, id) in topics {
                host.ask(|shard, now, out| shard.topic_deleted(name, id.0, now, out));
            }
            host.settled().await;
        }
    }
}

fn owns(topic: &Topic, index: i32, shard: u32) -> bool {
    let entry = usize::try_from(index).ok();
    let entry = entry.and_then(|index| topic.partitions.get(index));
    entry.is_some_and(|entry| entry.shard == shard)
}
