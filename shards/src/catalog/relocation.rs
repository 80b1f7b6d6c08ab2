//! Partitions on their way from one log directory to another (AlterReplicaLogDirs).
//!
//! A partition is copied beside itself into `<partition>.<id>-future` of the other directory, which
//! stands there, durably, before the request is answered: it says after a kill that the partition is
//! to be there, and as long as that holds it is emptied, never removed. When
//! nearly all is there the controller has the shard [take it out](Holdings::take_out): it hands its
//! log over, and what is left is copied. Then a record says that the partition is in the other
//! directory; that record is the move. Afterwards the old directory is set aside and the new one
//! gets its name: in this order, so that there are never two of one name. A start
//! [finishes](super::swap::finish) what a kill leaves after the record, and begins again with what
//! it leaves before.
//!
//! The controller changes nothing else meanwhile: neither can the partition move to another shard,
//! nor can its topic be deleted, between the end of the copy and the record.
//!
//! Source: KIP-113, Kafka `ReplicaAlterLogDirsThread`, `Partition.maybeReplaceCurrentWithFutureReplica`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use odradek_engine::io::Errno;
use odradek_engine::types::Offset;
use odradek_wire::Uuid;

use super::holdings::{Holdings, Slot, Unhosted};
use super::hosted::Hosted;
use super::image::Topic;
use super::swap::{finish, name, removed};
use crate::partition::{self, Aside, CopyError, HandOver, LogCopy, Partition, RETRY_NS};
use crate::runtime::{Gate, Notice};

type Key = (Uuid, i32);

/// A partition that is to be in another directory.
pub struct Relocation {
    /// The directory's number.
    pub to: usize,
    /// What the copy is called there.
    aside: String,
    /// Bytes that are there,
    pub bytes: Cell<u64>,
    /// and the offset up to which all is.
    pub offset: Cell<Offset>,
    called_off: Cell<bool>,
    /// Opens when nobody is at work on it any more.
    running: RefCell<Option<Rc<Gate>>>,
}

/// Somebody is at work on a relocation, and sees to what is left of it.
pub struct Running<'a>(&'a Relocation);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.0.running.take() {
            gate.open();
        }
    }
}

impl Relocation {
    /// Begins to work on it.
    pub fn run(&self) -> Running<'_> {
        self.running.replace(Some(Gate::new()));
        Running(self)
    }

    /// Whether it is wanted no more.
    pub fn called_off(&self) -> bool {
        self.called_off.get()
    }
}

/// Those of one shard.
#[derive(Default)]
pub(super) struct Relocations {
    wanted: RefCell<BTreeMap<Key, Rc<Relocation>>>,
    /// Held while copies' directories come and go by what is wanted.
    directories: async_lock::Mutex<()>,
    notice: Notice,
    /// The copy that is to become the partition.
    ready: RefCell<Option<(Key, Rc<LogCopy>)>>,
    /// The partition that is out of reach.
    out: RefCell<Option<Out>>,
}

struct Out {
    key: Key,
    gate: Rc<Gate>,
    hosted: Rc<Hosted>,
    /// `None`: it was not handed over yet.
    given: Option<HandOver>,
}

/// What became of the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recorded {
    Yes,
    No,
    /// The metadata log has failed, or the node stops.
    Unknown,
}

/// Why a partition stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum RelocationError {
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("the partition cannot be used: {0:?}")]
    Unhosted(Unhosted),
    #[error("its name is too long for a copy")]
    Name,
    #[error("the metadata cannot be changed: {0}")]
    Metadata(String),
}

impl Holdings {
    /// From now on a partition of this shard is to be in a directory, which it may be in already:
    /// also after a kill or a loss of power that follows the return.
    ///
    /// # Errors
    /// [`RelocationError::Name`]; the disk's.
    pub async fn relocate(
        &self,
        topic: &Topic,
        index: i32,
        to: usize,
    ) -> Result<(), RelocationError> {
        let aside = Aside::Future.name(&name(topic, index), topic.id);
        let aside = aside.ok_or(RelocationError::Name)?;
        let key = (topic.id, index);
        let dirs = &self.ground().dirs;
        let at = dirs.of(topic.partitions[index as usize].directory);
        let before = {
            let _turn = self.relocations.directories.lock().await;
            let known = self.relocation(topic.id, index);
            if known.is_some_and(|known| known.to == to) {
                return Ok(());
            }
            if at != Ok(to) {
                self.make_copys_directory(to, &aside).await?;
            }
            let mut wanted = self.relocations.wanted.borrow_mut();
            let before = wanted.remove(&key);
            if let Some(before) = &before {
                before.called_off.set(true);
            }
            if at != Ok(to) {
                let relocation = Relocation {
                    to,
                    aside: aside.clone(),
                    bytes: Cell::new(0),
                    offset: Cell::new(Offset(0)),
                    called_off: Cell::new(false),
                    running: RefCell::default(),
                };
                wanted.insert(key, Rc::new(relocation));
            }
            before
        };
        self.relocations.notice.raise();
        let running = before.and_then(|before| before.running.borrow().clone());
        if let Some(running) = running {
            running.passed().await;
        }
        // Whatever else says after a kill that it is to be somewhere.
        for other in dirs.online().filter(|other| at != Ok(*other)) {
            self.drop_unwanted(key, other, &aside).await;
        }
        Ok(())
    }

    async fn make_copys_directory(&self, to: usize, aside: &str) -> Result<(), RelocationError> {
        let io = &self.ground().io;
        let to = self.ground().dirs.path(to);
        match io.make_dir(&to.join(aside)).await {
            Ok(()) | Err(Errno(libc::EEXIST)) => {}
            Err(error) => return Err(CopyError::Write(error).into()),
        }
        let synced = self.ground().roots.sync(io, to).await;
        synced.map_err(|error| CopyError::Write(error).into())
    }

    /// Where a partition of this shard is to be, if it is on its way.
    pub fn relocation(&self, topic: Uuid, index: i32) -> Option<Rc<Relocation>> {
        self.relocations
            .wanted
            .borrow()
            .get(&(topic, index))
            .cloned()
    }

    /// The next partition after this one that is to be somewhere else, or the first; waits for one.
    pub async fn next_relocation(&self, last: Option<Key>) -> (Key, Rc<Relocation>) {
        loop {
            {
                let wanted = self.relocations.wanted.borrow();
                let from = last.map_or(Bound::Unbounded, Bound::Excluded);
                let mut after = wanted.range((from, Bound::Unbounded));
                if let Some((key, one)) = after.next().or_else(|| wanted.iter().next()) {
                    return (*key, one.clone());
                }
            }
            self.relocations.notice.raised().await;
        }
    }

    /// It is over, or given up.
    pub fn relocated(&self, key: Key, relocation: &Rc<Relocation>) {
        let mut wanted = self.relocations.wanted.borrow_mut();
        if wanted
            .get(&key)
            .is_some_and(|one| Rc::ptr_eq(one, relocation))
        {
            wanted.remove(&key);
        }
    }

    /// Begins the copy of a partition, from nothing. `None`: not now.
    ///
    /// # Errors
    /// [`RelocationError`].
    pub async fn begin_relocation(
        &self,
        topic: &Topic,
        index: i32,
        relocation: &Relocation,
    ) -> Result<Option<LogCopy>, RelocationError> {
        let hosted = self.hosted(topic, index).await;
        let hosted = hosted.map_err(RelocationError::Unhosted)?;
        let io = &self.ground().io;
        let to = self.ground().dirs.path(relocation.to);
        let path = to.join(&relocation.aside);
        let plain = to.join(name(topic, index).to_string());
        match io.list(&plain).await {
            Err(Errno(libc::ENOENT)) => {}
            Err(error) => return Err(CopyError::Write(error).into()),
            Ok(_) => {
                let (id, image) = (topic.id.to_string(), self.image());
                let is_topic = |id: &str| image.knows(id);
                let foreign = partition::is_foreign(io, &plain, &id, is_topic).await;
                if !foreign.map_err(CopyError::Write)? {
                    return Err(CopyError::Write(Errno(libc::EEXIST)).into());
                }
                removed(io, &plain).await.map_err(CopyError::Write)?;
            }
        }
        // Somebody may have removed it, and its name must be durable before the record can be.
        self.make_copys_directory(relocation.to, &relocation.aside)
            .await?;
        let emptied = partition::empty_directory(io, &path).await;
        emptied.map_err(CopyError::Write)?;
        Ok(hosted.partition.begin_copy(path))
    }

    /// Removes the copy of a relocation that is wanted no more.
    pub async fn drop_copy(&self, key: Key, relocation: &Relocation) {
        self.drop_unwanted(key, relocation.to, &relocation.aside)
            .await;
    }

    /// Removes the directory of a copy, for good, unless the partition is to be there.
    async fn drop_unwanted(&self, key: Key, number: usize, aside: &str) {
        let _turn = self.relocations.directories.lock().await;
        if self
            .relocation(key.0, key.1)
            .is_some_and(|one| one.to == number)
        {
            return;
        }
        let io = &self.ground().io;
        let path = self.ground().dirs.path(number);
        let dropped = match partition::remove_directory(io, &path.join(aside)).await {
            Ok(()) => self.ground().roots.sync(io, path).await,
            Err(Errno(libc::ENOENT)) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = dropped {
            let path = path.join(aside);
            tracing::warn!(
                "cannot remove {}: {error}; remove it by hand",
                path.display()
            );
        }
    }

    /// A copy has nearly all: it is what the next [`take_out`](Self::take_out) is about. `None`:
    /// there is none any more.
    pub fn ready(&self, copy: Option<(Key, Rc<LogCopy>)>) {
        self.relocations.ready.replace(copy);
    }

    /// Puts the partition of the copy that is ready out of reach: from now on whoever asks for it
    /// waits. `false`: it is not possible any more.
    pub fn take_out(&self, key: Key) -> bool {
        let ready = self.relocations.ready.borrow();
        let Some((_, copy)) = ready.as_ref().filter(|(other, _)| *other == key) else {
            return false;
        };
        let hosted = match self.hosted.borrow().get(&key) {
            Some(Slot::Open(open)) if Rc::ptr_eq(&open.partition, copy.partition()) => open.clone(),
            _ => return false,
        };
        if self.stopping() {
            return false;
        }
        let gate = Gate::new();
        let opening = Slot::Opening(gate.clone());
        self.hosted.borrow_mut().insert(key, opening);
        self.targets.forget();
        self.under_way.set(self.under_way.get() + 1);
        hosted.partition.leave();
        self.relocations.out.replace(Some(Out {
            key,
            gate,
            hosted,
            given: None,
        }));
        true
    }

    /// Waits until all is written of what was [taken out](Self::take_out), and copies the rest.
    /// `false`: the copy is of no use. In any case it must be [put in](Self::put_in) again.
    pub async fn finish_copy(&self) -> bool {
        let copy = self.relocations.ready.borrow().clone();
        let hosted = self
            .relocations
            .out
            .borrow()
            .as_ref()
            .map(|out| out.hosted.clone());
        let (Some((_, copy)), Some(hosted)) = (copy, hosted) else {
            return false;
        };
        let Some(given) = hosted.partition.hand_over().await else {
            return false;
        };
        if let Some(out) = self.relocations.out.borrow_mut().as_mut() {
            out.given = Some(given);
        }
        match copy.rest().await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("copying the rest of {}: {error}", hosted.partition.name());
                false
            }
        }
    }

    /// Opens a partition that was taken out, if it was: where it is by now.
    pub async fn put_in(&self, key: Key, recorded: Recorded) {
        let Some(out) = self.relocations.out.take() else {
            return;
        };
        assert_eq!(out.key, key, "one is out at a time");
        let stopped = || self.stopping() || recorded == Recorded::Unknown;
        let Out { gate, hosted, .. } = out;
        let slot = match out.given {
            // The next start finds out. The move stays under way, so this stop is no clean one.
            _ if stopped() => Slot::Failed(u64::MAX),
            Some(given) => self.open_moved(key, given).await,
            // Its storage has failed, and only the next start can put together what it has.
            None if hosted.partition.held_by_journal() => Slot::Failed(u64::MAX),
            None if !hosted.partition.may_reopen() => Slot::Offline,
            // Whoever needs it next opens it.
            None => Slot::Failed(self.ground().io.now().saturating_sub(RETRY_NS)),
        };
        let slot = match stopped() {
            true => Slot::Failed(u64::MAX),
            false => slot,
        };
        if matches!(slot, Slot::Failed(u64::MAX)) {
            self.kept.borrow_mut().push(hosted);
        }
        self.put_back(key, &gate, slot);
    }

    async fn open_moved(&self, key: Key, given: HandOver) -> Slot {
        let (io, dirs) = (&self.ground().io, &self.ground().dirs);
        let failed = Slot::Failed(io.now());
        let image = self.image();
        let topic = image.topic_by_id(key.0);
        let entry = topic.and_then(|topic| Some((topic, topic.entry(key.1)?)));
        let Some((topic, entry)) = entry else {
            return failed;
        };
        let Ok(number) = dirs.of(entry.directory) else {
            return failed;
        };
        if let Err(error) = finish(io, dirs, topic, key.1, number).await {
            let path = dirs.path(number).display();
            tracing::error!(
                "{}-{} cannot be used in {path} before the next start: {error}",
                topic.name,
                key.1
            );
            // Whoever opened it would find nothing there, and begin with nothing.
            return Slot::Failed(u64::MAX);
        }
        let directory = dirs.path(number).join(name(topic, key.1).to_string());
        let (opening, config) = self.opening(topic, key.1, directory);
        match Partition::take_over(self.ground(), opening, given).await {
            Ok(partition) => Slot::Open(Hosted::new(partition, config)),
            Err(error) => {
                tracing::error!("{error}");
                failed
            }
        }
    }

    /// The stop of a shard on which a move is under way is no clean one: one that is over for this
    /// life only stays under way.
    fn put_back(&self, key: Key, gate: &Rc<Gate>, slot: Slot) {
        if !matches!(slot, Slot::Failed(u64::MAX)) {
            self.under_way.set(self.under_way.get() - 1);
        }
        let mut hosted = self.hosted.borrow_mut();
        // It may have moved to another shard, or its topic may be gone.
        if matches!(hosted.get(&key), Some(Slot::Opening(other)) if Rc::ptr_eq(other, gate)) {
            hosted.insert(key, slot);
        }
        drop(hosted);
        self.targets.forget();
        gate.open();
    }
}
