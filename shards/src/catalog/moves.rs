//! Partitions on their way from one shard to another.
//!
//! The image says who owns a partition; a new image that names another shard is the move. The old
//! owner's partition [leaves](Partition::leave) as soon as that shard has the image, and waits to
//! be [released](Holdings::release); the new owner holds requests for it from when it has the image
//! until it [arrives](Holdings::arrive). Nobody but the image's owner ever opens it.
//!
//! The old owner [remembers](Holdings::gave) what it gave away for a while: producers that do not
//! know yet are not refused, which would cost some of them a tenth of a second.
//!
//! Absent on purpose: how what is released travels.

use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::limits::PARTITIONS_AT_ONCE;
use odradek_wire::Uuid;

use super::holdings::{Holdings, Slot};
use super::hosted::Hosted;
use super::image::{Image, Topic};
use crate::partition::{HandOver, Partition, RETRY_NS};
use crate::runtime::{Gate, abreast};

/// How long a shard passes on what producers send it for a partition that it gave away, nanoseconds.
/// Clients look at the metadata again after 5 or 10 minutes, unasked.
const PASSED_ON_NS: u64 = 15 * 60 * 1_000_000_000;

/// A partition that has another owner than before.
#[derive(Clone, Debug)]
pub struct Move {
    pub topic: Arc<Topic>,
    pub index: i32,
    pub from: u32,
    pub to: u32,
}

/// A partition as its old owner knew it.
#[derive(Clone)]
pub(super) enum Leaving {
    Open(Rc<Hosted>),
    /// Somebody was opening it.
    Opening(Rc<Gate>),
    /// It could not be opened.
    Failed,
    /// Nobody opens it before the next start, which finds out what it has.
    Shut,
    /// As [`Slot::Offline`].
    Offline,
}

impl Leaving {
    /// Whether its storage has failed.
    pub(super) fn failed(&self) -> bool {
        match self {
            Leaving::Open(open) => open.partition.poisoned().is_some(),
            Leaving::Opening(_) | Leaving::Shut => false,
            Leaving::Failed | Leaving::Offline => true,
        }
    }
}

/// What the old owner gives.
pub enum Released {
    /// The partition, and its last checkpoint.
    Open(Box<HandOver>, Option<Vec<u8>>),
    /// It was not open: it can be opened, with this checkpoint.
    Closed(Option<Vec<u8>>),
    /// Its storage had failed. `again`: it can be opened, with this checkpoint; else not before the
    /// next start. Until somebody has done that a stop is not clean.
    Failed {
        checkpoint: Option<Vec<u8>>,
        again: bool,
    },
    /// The shard stops, or has what only a start can store; nobody opens the partition before the
    /// next start.
    Stopping,
}

/// What moves from one image to the next.
pub fn moves(old: &Image, new: &Image) -> Vec<Move> {
    let mut moves = Vec::new();
    for before in old.topics() {
        let after = new.topic_by_id(before.id);
        let Some(topic) = after.filter(|after| !Arc::ptr_eq(before, after)) else {
            continue;
        };
        let owners = before.partitions.iter().zip(&topic.partitions);
        for (index, (before, after)) in (0..).zip(owners) {
            if before.shard != after.shard {
                moves.push(Move {
                    topic: topic.clone(),
                    index,
                    from: before.shard,
                    to: after.shard,
                });
            }
        }
    }
    moves
}

impl Holdings {
    /// Partitions of this shard come and go by an image that it is about to serve by.
    pub(super) fn begin_moves(&self, moves: &[Move]) {
        if moves.is_empty() {
            return;
        }
        self.moves_seen.set(self.moves_seen.get() + 1);
        let now = self.ground().io.now();
        self.given_away.borrow_mut().retain(|_, until| *until > now);
        for moved in moves {
            let key = (moved.topic.id, moved.index);
            if moved.from == self.shard() {
                let until = now.saturating_add(PASSED_ON_NS);
                self.given_away.borrow_mut().insert(key, until);
                let leaving = match self.hosted.borrow_mut().remove(&key) {
                    Some(Slot::Open(open)) => {
                        open.partition.leave();
                        Leaving::Open(open)
                    }
                    Some(Slot::Opening(gate)) => Leaving::Opening(gate),
                    Some(Slot::Failed(u64::MAX)) => Leaving::Shut,
                    Some(Slot::Failed(_)) => Leaving::Failed,
                    Some(Slot::Offline) => Leaving::Offline,
                    None => continue,
                };
                // One that could not be given away has come back meanwhile.
                if let Some(Leaving::Open(stuck)) = self.leaving.borrow_mut().insert(key, leaving) {
                    self.kept.borrow_mut().push(stuck);
                }
                self.under_way.set(self.under_way.get() + 1);
            } else if moved.to == self.shard() {
                let arriving = Slot::Opening(Gate::new());
                self.hosted.borrow_mut().insert(key, arriving);
                self.under_way.set(self.under_way.get() + 1);
            }
        }
    }

    /// Flushes what an image is going to take from this shard, which serves it meanwhile.
    pub async fn flush_ahead(&self, new: &Image) {
        if self.stopping() {
            return;
        }
        let moves = moves(&self.image(), new);
        let leaving = moves.into_iter().filter(|moved| moved.from == self.shard());
        let open = leaving.filter_map(|moved| self.open_now(&moved.topic, moved.index));
        let open: Vec<_> = open.collect();
        let flushing = open
            .into_iter()
            .map(|open| async move { open.partition.flush_ahead().await });
        abreast(&self.ground().spawner, PARTITIONS_AT_ONCE, flushing).await;
    }

    /// Images so far by which partitions moved, from or to whatever shard.
    #[inline]
    pub fn moves_seen(&self) -> u64 {
        self.moves_seen.get()
    }

    /// Whether a partition was this shard's until a while ago.
    pub fn gave(&self, topic: Uuid, index: i32) -> bool {
        let until = self.given_away.borrow().get(&(topic, index)).copied();
        until.is_some_and(|until| self.ground().io.now() < until)
    }

    /// Moves that this shard has a part in and that are not over: it must not stop as if it had
    /// closed everything.
    pub fn moving(&self) -> usize {
        self.under_way.get()
    }

    /// Gives away a partition that has left, when all of it is written. From now on nothing here
    /// touches its files. The image must be that by which it left.
    pub async fn release(&self, topic: Uuid, index: i32) -> Released {
        let key = (topic, index);
        if self.stopping() {
            return Released::Stopping;
        }
        let leaving = self.leaving.borrow().get(&key).cloned();
        let given = match &leaving {
            Some(Leaving::Open(open)) => open.partition.hand_over().await,
            Some(Leaving::Opening(gate)) => {
                gate.passed().await;
                None
            }
            // As where it came from: nobody there could put together what it has.
            Some(Leaving::Shut) => return Released::Stopping,
            Some(Leaving::Failed | Leaving::Offline) | None => None,
        };
        let failed = leaving.as_ref().is_some_and(Leaving::failed);
        let again = match &leaving {
            Some(Leaving::Open(open)) => open.partition.may_reopen(),
            Some(Leaving::Offline) => false,
            Some(Leaving::Opening(_) | Leaving::Failed | Leaving::Shut) | None => true,
        };
        let held = match &leaving {
            Some(Leaving::Open(open)) => open.partition.held_by_journal(),
            _ => false,
        };
        if held {
            // Its storage has failed, and only the next start can put together what it has: until
            // then the journal keeps it for as long as the partition is there.
            return Released::Stopping;
        }
        if self.stopping() {
            return Released::Stopping;
        }
        if self.leaving.borrow_mut().remove(&key).is_some() {
            self.under_way.set(self.under_way.get() - 1);
        }
        let checkpoint = self.checkpoints.give(topic, index);
        match given {
            Some(given) => Released::Open(Box::new(given), checkpoint),
            None if failed => Released::Failed { checkpoint, again },
            None => Released::Closed(checkpoint),
        }
    }

    /// Opens what has come, and lets those through who wait for it.
    pub async fn arrive(&self, moved: &Move, released: Released) {
        let Move { topic, index, .. } = moved;
        let key = (topic.id, *index);
        let gate = match self.hosted.borrow().get(&key) {
            Some(Slot::Opening(gate)) => gate.clone(),
            _ => unreachable!("what arrives is awaited"),
        };
        let slot = match released {
            // It is opened by the next start: the old owner may be closing it. The move stays under
            // way, so that stop is not taken for a clean one.
            Released::Stopping => {
                self.hosted.borrow_mut().insert(key, Slot::Failed(u64::MAX));
                return gate.open();
            }
            _ if self.stopping() => None,
            Released::Closed(checkpoint) => {
                self.checkpoints.take(topic.id, *index, checkpoint);
                self.under_way.set(self.under_way.get() - 1);
                // Whoever needs it first opens it.
                self.hosted.borrow_mut().remove(&key);
                return gate.open();
            }
            Released::Failed { checkpoint, again } => {
                self.checkpoints.take(topic.id, *index, checkpoint);
                self.under_way.set(self.under_way.get() - 1);
                // The next one who needs it tries.
                let due = self.ground().io.now().saturating_sub(RETRY_NS);
                let slot = match again {
                    true => Slot::Failed(due),
                    false => Slot::Offline,
                };
                self.hosted.borrow_mut().insert(key, slot);
                return gate.open();
            }
            Released::Open(given, checkpoint) => {
                self.checkpoints.take(topic.id, *index, checkpoint);
                match self.directory(topic, *index) {
                    Ok(directory) => {
                        let (opening, config) = self.opening(topic, *index, directory);
                        match Partition::take_over(self.ground(), opening, *given).await {
                            Ok(partition) => Some(Slot::Open(Hosted::new(partition, config))),
                            Err(error) => {
                                tracing::error!("{error}");
                                None
                            }
                        }
                    }
                    // It failed while it moved.
                    Err(_) => None,
                }
            }
        };
        // If the shard stops, the move stays under way: what came was not closed.
        let mut arrived = slot.unwrap_or(Slot::Failed(self.ground().io.now()));
        match self.stopping() {
            true => arrived = Slot::Failed(u64::MAX),
            false => self.under_way.set(self.under_way.get() - 1),
        }
        self.hosted.borrow_mut().insert(key, arrived);
        gate.open();
    }
}
