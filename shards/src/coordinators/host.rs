//! One coordinator partition at work: carries out what the group coordinator decides.
//!
//! Decisions are made at once, under a borrow that crosses no await; their effects are replies to
//! waiting handlers and records for the writer (`host_write`).
//!
//! Invariant: a host that is retired decides nothing more; whoever waited has been told
//! NOT_COORDINATOR, and the next use loads the partition anew.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use futures_channel::oneshot;
use odradek_engine::io::Io;
use odradek_engine::task::Spawner;

use super::groups::{Effect, Effects, GroupsShard, Reply, Ticket};
use super::host_write::Job;
use crate::partition::Partition;
use crate::runtime::Notice;

/// A reply on its way; fails only if the coordinator went away without a word.
pub type Answer = oneshot::Receiver<Reply>;

/// Wakes the shard's timer when an earlier deadline appears than the one it sleeps for.
#[derive(Default)]
pub(super) struct Alarm {
    pub notice: Notice,
    /// Milliseconds of the wall clock.
    pub armed: Cell<i64>,
}

/// See the module.
pub struct Host {
    pub(super) partition: Rc<Partition>,
    pub(super) io: Io,
    spawner: Spawner,
    alarm: Rc<Alarm>,
    shard: RefCell<GroupsShard>,
    waiting: RefCell<BTreeMap<Ticket, oneshot::Sender<Reply>>>,
    tickets: Cell<u64>,
    pub(super) jobs: RefCell<VecDeque<Job>>,
    pub(super) writing: Cell<bool>,
    retired: Cell<bool>,
}

impl Host {
    /// Around a coordinator that has replayed its partition.
    pub(super) fn new(
        partition: Rc<Partition>,
        io: Io,
        spawner: Spawner,
        alarm: Rc<Alarm>,
        shard: GroupsShard,
    ) -> Rc<Host> {
        let host = Rc::new(Host {
            partition,
            io,
            spawner,
            alarm,
            shard: RefCell::new(shard),
            waiting: RefCell::default(),
            tickets: Cell::new(0),
            jobs: RefCell::default(),
            writing: Cell::new(false),
            retired: Cell::new(false),
        });
        host.ask(|shard, now, out| shard.loaded(now, out));
        host
    }

    /// Whether it decides nothing more.
    pub fn retired(&self) -> bool {
        self.retired.get()
    }

    /// Makes a decision, at the time it is given (milliseconds), and carries out its effects.
    pub fn ask<R>(
        self: &Rc<Self>,
        decide: impl FnOnce(&mut GroupsShard, i64, &mut Effects) -> R,
    ) -> R {
        let mut effects = Effects::new();
        let (result, next) = {
            let mut shard = self.shard.borrow_mut();
            let result = decide(&mut shard, self.io.wall_clock(), &mut effects);
            (result, shard.next_deadline())
        };
        self.perform(effects);
        if next.is_some_and(|next| next < self.alarm.armed.get()) {
            self.alarm.notice.raise();
        }
        result
    }

    /// Looks at what it holds.
    pub(super) fn look<R>(&self, look: impl FnOnce(&GroupsShard) -> R) -> R {
        look(&self.shard.borrow())
    }

    /// Makes a decision whose reply may come later.
    pub fn question(
        self: &Rc<Self>,
        decide: impl FnOnce(&mut GroupsShard, Ticket, i64, &mut Effects),
    ) -> Answer {
        let ticket = Ticket(self.tickets.get());
        self.tickets.set(ticket.0 + 1);
        let (send, receive) = oneshot::channel();
        self.waiting.borrow_mut().insert(ticket, send);
        self.ask(|shard, now, out| decide(shard, ticket, now, out));
        receive
    }

    /// When [`tick`](Self::tick) has something to do, milliseconds.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.shard.borrow().next_deadline()
    }

    /// Does what is due.
    pub(super) fn tick(self: &Rc<Self>) {
        if self
            .next_deadline()
            .is_some_and(|next| next <= self.io.wall_clock())
        {
            self.ask(|shard, now, out| shard.tick(now, out));
        }
    }

    /// Sends everybody away and forgets everything.
    pub(super) fn retire(self: &Rc<Self>) {
        if !self.retired.replace(true) {
            self.ask(|shard, now, out| shard.unload(now, out));
        }
    }

    fn perform(self: &Rc<Self>, effects: Effects) {
        for effect in effects {
            match effect {
                Effect::Reply { ticket, reply } => {
                    if let Some(waiting) = self.waiting.borrow_mut().remove(&ticket) {
                        // Whoever asked may have disconnected.
                        let _ = waiting.send(reply);
                    }
                }
                Effect::Persist { token, records } => {
                    self.queue(Job::Write { token, records });
                }
            }
        }
    }

    pub(super) fn queue(self: &Rc<Self>, job: Job) {
        self.jobs.borrow_mut().push_back(job);
        if !self.writing.replace(true) {
            let me = self.clone();
            self.spawner
                .spawn(async move { me.write_jobs().await })
                .detach();
        }
    }
}
