//! One shard's driver in a simulated world.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use super::SimWorld;
use super::clock;
use super::world::{Object, Shard};
use crate::bytes::Pool;
use crate::io::driver::{Completion, Driver, RemoteWake, Token};
use crate::io::op::{Handle, Op};
use crate::io::provided::ProvidedPool;

/// A wake-up under way, and one that has arrived.
#[derive(Debug, Default)]
pub(super) struct SimWake {
    claimed: AtomicBool,
    arrived: AtomicBool,
    ring: AtomicI32,
}

impl SimWake {
    pub(super) fn arrive(&self) {
        self.arrived.store(true, Ordering::SeqCst);
    }

    pub(super) fn arrived(&self) -> bool {
        self.arrived.load(Ordering::SeqCst)
    }

    fn clear(&self) {
        self.arrived.store(false, Ordering::SeqCst);
        self.claimed.store(false, Ordering::SeqCst);
    }
}

impl RemoteWake for SimWake {
    fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::SeqCst)
    }

    fn deliver(&self) {
        self.arrive();
    }

    fn ring(&self) -> Option<Handle> {
        Some(Handle(self.ring.load(Ordering::SeqCst)))
    }
}

/// A driver in a [`SimWorld`].
///
/// Dropping it abandons what it has in flight; dropping the last of a world's drivers ends the
/// process that they are, as [`SimWorld::kill_process`] does.
pub struct SimDriver {
    world: SimWorld,
    id: u32,
    wake: Arc<SimWake>,
}

impl SimDriver {
    /// A driver for one shard of the process that runs in `world`.
    pub fn new(world: &SimWorld) -> Self {
        let mut inner = world.inner.borrow_mut();
        // Few and small ones too, so that running out of them is an ordinary event.
        let count = 1 << inner.rng.range(1, 7);
        let size = 1 << inner.rng.range(9, 15);
        let free = Rc::new(RefCell::new((0..count).collect::<Vec<u16>>()));
        let returns = free.clone();
        let returned = Box::new(move |id| returns.borrow_mut().push(id));
        let buffers = ProvidedPool::new(&Pool::new(), count, size, returned);
        let wake = Arc::new(SimWake::default());
        let id = inner.add_shard(Shard {
            ready: Vec::new(),
            wake: wake.clone(),
            buffers,
            free,
        });
        wake.ring
            .store(inner.grant(Object::Driver(id)), Ordering::SeqCst);
        drop(inner);
        SimDriver {
            world: world.clone(),
            id,
            wake,
        }
    }
}

impl Driver for SimDriver {
    fn submit(&mut self, token: Token, op: &mut Op) {
        self.world.inner.borrow_mut().submit(self.id, token, op);
    }

    fn cancel(&mut self, token: Token) {
        self.world.inner.borrow_mut().cancel(self.id, token);
    }

    /// Moves virtual time on to the next event or the end of `wait`, whichever comes first, if
    /// nothing has completed. Panics when nothing ever will: a deadlock. (A wake-up from
    /// another thread must have come before.)
    fn reap(&mut self, wait: Option<Duration>, completed: &mut Vec<Completion>) {
        let mut world = self.world.inner.borrow_mut();
        assert!(
            world.shards.contains_key(&self.id),
            "seed {}: a killed driver was reaped",
            world.seed
        );
        let nanos = wait.map(|wait| u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        let deadline = nanos.map(|nanos| world.time.saturating_add(nanos));
        if nanos == Some(0) {
            world.time += clock::PASS;
        }
        let before = world.progress;
        world.run_due();
        // What another driver got meanwhile is for whoever runs that one.
        while world.shards[&self.id].ready.is_empty()
            && !self.wake.arrived()
            && world.progress == before
            && deadline.is_none_or(|deadline| world.time < deadline)
        {
            let to = match (world.next_event(), deadline) {
                (Some(event), Some(deadline)) => event.min(deadline),
                (Some(event), None) => event,
                (None, Some(deadline)) => deadline,
                (None, None) if world.others_have_work(self.id) => break,
                (None, None) => panic!(
                    "seed {}: deadlock at {} ns: nothing is due, no timer runs, and these wait \
                     for one another: [{}]",
                    world.seed,
                    world.time,
                    world.waiting()
                ),
            };
            world.time = world.time.max(to);
            world.run_due();
        }
        self.wake.clear();
        let shard = world.shards.get_mut(&self.id).expect("checked above");
        completed.append(&mut shard.ready);
    }

    fn now(&self) -> u64 {
        self.world.now()
    }

    fn wall_clock(&self) -> i64 {
        let world = self.world.inner.borrow();
        clock::EPOCH + (world.time / 1_000_000) as i64 + world.clock_offset
    }

    fn random(&mut self) -> u64 {
        self.world.inner.borrow_mut().random.next()
    }

    fn remote(&self) -> Arc<dyn RemoteWake> {
        self.wake.clone()
    }

    fn abandonable(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        format!("simulated, seed {}", self.world.seed())
    }
}

impl Drop for SimDriver {
    fn drop(&mut self) {
        // Always: what is in flight points into memory that goes with this driver's owner.
        let mut world = self.world.inner.borrow_mut();
        if world.shards.contains_key(&self.id) {
            world.abandon(Some(self.id));
        }
    }
}
