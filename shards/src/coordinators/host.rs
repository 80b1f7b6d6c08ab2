//! One coordinator partition at work: carries out what the coordinator decides.
//!
//! Decisions are made at once, under a borrow that crosses no await; their effects are replies to
//! waiting handlers and records for the writer (`host_write`).
//!
//! Invariant: a host that is retired decides nothing more; whoever waited has been told
//! NOT_COORDINATOR, and the next use loads the partition anew.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use futures_channel::oneshot;
use odradek_engine::io::Io;
use odradek_engine::task::Spawner;

use super::clock::SteadyClock;
use super::coordinator::{Coordinator, EffectsOf};
use super::effects::{Effect, Ticket};
use super::host_write::Job;
use crate::partition::Partition;
use crate::runtime::{Notice, Quiet};

/// A reply on its way; fails only if the coordinator went away without a word.
pub type Answer<C> = oneshot::Receiver<<C as Coordinator>::Reply>;

/// What runs errands.
pub(super) type Runner<C> = Box<dyn Fn(&Rc<Host<C>>, <C as Coordinator>::Errand)>;

/// What the hosts of a shard have in common.
pub(super) struct Common<C: Coordinator> {
    /// Wakes the shard's timer when an earlier deadline appears than the one it sleeps for.
    pub notice: Notice,
    pub clock: SteadyClock,
    /// Milliseconds of that clock.
    pub armed: Cell<i64>,
    pub runner: OnceCell<Runner<C>>,
    /// Told the partition of a host whose writes failed.
    pub failed: OnceCell<Box<dyn Fn(i32)>>,
    /// Rate limit of log lines about these.
    pub failures: Quiet,
}

impl<C: Coordinator> Default for Common<C> {
    fn default() -> Self {
        Common {
            notice: Notice::default(),
            clock: SteadyClock::default(),
            armed: Cell::new(0),
            runner: OnceCell::new(),
            failed: OnceCell::new(),
            failures: Quiet::default(),
        }
    }
}

/// See the module.
pub struct Host<C: Coordinator> {
    pub(super) partition: Rc<Partition>,
    pub(super) io: Io,
    spawner: Spawner,
    pub(super) common: Rc<Common<C>>,
    shard: RefCell<C>,
    waiting: RefCell<BTreeMap<Ticket, oneshot::Sender<C::Reply>>>,
    tickets: Cell<u64>,
    pub(super) jobs: RefCell<VecDeque<Job<C>>>,
    pub(super) writing: Cell<bool>,
    retired: Cell<bool>,
}

impl<C: Coordinator> Host<C> {
    /// Around a coordinator that has replayed its partition.
    pub(super) fn new(
        partition: Rc<Partition>,
        io: Io,
        spawner: Spawner,
        common: Rc<Common<C>>,
        shard: C,
    ) -> Rc<Host<C>> {
        let host = Rc::new(Host {
            partition,
            io,
            spawner,
            common,
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

    /// Its partition.
    pub fn partition(&self) -> &Rc<Partition> {
        &self.partition
    }

    /// Whether it decides nothing more.
    pub fn retired(&self) -> bool {
        self.retired.get()
    }

    /// Makes a decision, at the time it is given (milliseconds), and carries out its effects.
    pub fn ask<R>(self: &Rc<Self>, decide: impl FnOnce(&mut C, i64, &mut EffectsOf<C>) -> R) -> R {
        let mut effects = Vec::new();
        let (result, next) = {
            let mut shard = self.shard.borrow_mut();
            let now = self.common.clock.now_ms(&self.io);
            let result = decide(&mut shard, now, &mut effects);
            (result, shard.next_deadline())
        };
        self.perform(effects);
        if next.is_some_and(|next| next < self.common.armed.get()) {
            self.common.notice.raise();
        }
        result
    }

    /// Looks at what it holds.
    pub fn look<R>(&self, look: impl FnOnce(&C) -> R) -> R {
        look(&self.shard.borrow())
    }

    /// Makes a decision whose reply may come later. There is none once the host is retired: whoever
    /// found it before, and waited for something since, would else wait for a write that fails
    /// without a word.
    pub fn question(
        self: &Rc<Self>,
        decide: impl FnOnce(&mut C, Ticket, i64, &mut EffectsOf<C>),
    ) -> Answer<C> {
        let ticket = Ticket(self.tickets.get());
        self.tickets.set(ticket.0 + 1);
        let (send, receive) = oneshot::channel();
        if self.retired() {
            return receive;
        }
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
            .is_some_and(|next| next <= self.common.clock.now_ms(&self.io))
        {
            self.ask(|shard, now, out| shard.tick(now, out));
        }
    }

    /// Sends everybody away and forgets everything.
    pub(super) fn retire(self: &Rc<Self>) {
        if !self.retired.replace(true) {
            self.ask(|shard, now, out| shard.unload(now, out));
            self.waiting.borrow_mut().clear();
        }
    }

    fn perform(self: &Rc<Self>, effects: EffectsOf<C>) {
        for effect in effects {
            match effect {
                Effect::Reply { ticket, reply } => {
                    if let Some(waiting) = self.waiting.borrow_mut().remove(&ticket) {
                        // Whoever asked may have disconnected.
                        let _ = waiting.send(reply);
                    }
                }
                Effect::Persist { token, records } => self.queue(Job::Write {
                    token,
                    records,
                    producer: None,
                }),
                Effect::PersistOpen {
                    token,
                    producer,
                    records,
                } => self.queue(Job::Write {
                    token,
                    records,
                    producer: Some(producer),
                }),
                Effect::End { token, end } => self.queue(Job::End { token, end }),
                Effect::Errand(errand) => {
                    if let Some(run) = self.common.runner.get() {
                        run(self, errand);
                    }
                }
            }
        }
    }

    pub(super) fn queue(self: &Rc<Self>, job: Job<C>) {
        self.jobs.borrow_mut().push_back(job);
        if !self.writing.replace(true) {
            let me = self.clone();
            self.spawner
                .spawn(async move { me.write_jobs().await })
                .detach();
        }
    }
}
