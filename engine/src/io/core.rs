//! The operation table and the handle through which a shard's code reaches its driver.

use std::cell::{Cell, RefCell, RefMut};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::driver::{Completion, Driver, RemoteWake, Token};
use super::op::{Done, Errno, Handle, Op};
use super::timers::{Sleep, Timers};
use crate::bytes::Pool;
use crate::mutant::{self, Mutant};

// Inline on purpose: a box per operation would be an allocation on the hot path.
#[allow(clippy::large_enum_variant)]
enum State {
    Free,
    /// In flight; somebody may be waiting.
    Flying(Option<Waker>),
    /// In flight; its future is gone, what it owns is freed at completion.
    Orphan,
    Landed(Done),
    /// Its result is known, its memory is not free yet.
    LandedLent(Done),
    /// The same, and the result has been taken.
    Lent,
}

struct Slot {
    // Boxed: the driver and the kernel hold addresses into it while the table grows.
    op: Box<Op>,
    state: State,
}

struct Inner {
    driver: RefCell<Box<dyn Driver>>,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<Token>>,
    flying: Cell<usize>,
    timers: RefCell<Timers>,
    completed: RefCell<Vec<Completion>>,
    polls: Cell<u64>,
    now: Cell<u64>,
    /// Wall-clock time of this pass, once somebody has asked.
    wall: Cell<Option<i64>>,
    pool: Pool,
}

/// A shard's way to its driver. Cheap to clone; stays on one thread.
#[derive(Clone)]
pub struct Io(Rc<Inner>);

impl Io {
    /// On `driver`, with buffers from `pool`.
    pub fn new(driver: Box<dyn Driver>, pool: Pool) -> Self {
        let now = driver.now();
        Io(Rc::new(Inner {
            driver: RefCell::new(driver),
            slots: RefCell::default(),
            free: RefCell::default(),
            flying: Cell::new(0),
            timers: RefCell::default(),
            completed: RefCell::default(),
            polls: Cell::new(0),
            now: Cell::new(now),
            wall: Cell::new(None),
            pool,
        }))
    }

    /// The shard's buffer pool.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Starts an operation; await it for its end. Dropping the future lets the operation run
    /// to its end with nobody looking.
    pub fn submit(&self, op: Op) -> Pending {
        let inner = &self.0;
        let token = {
            let mut slots = inner.slots.borrow_mut();
            match inner.free.borrow_mut().pop() {
                Some(token) => {
                    let slot = &mut slots[token as usize];
                    *slot.op = op;
                    slot.state = State::Flying(None);
                    token
                }
                None => {
                    slots.push(Slot {
                        op: Box::new(op),
                        state: State::Flying(None),
                    });
                    (slots.len() - 1) as Token
                }
            }
        };
        inner.flying.set(inner.flying.get() + 1);
        let op: *mut Op = &mut *inner.slots.borrow_mut()[token as usize].op;
        // SAFETY: the box keeps its address while the table grows, and a flying slot's operation
        // is touched by the driver alone until its completion has been reaped.
        inner.driver.borrow_mut().submit(token, unsafe { &mut *op });
        Pending {
            io: self.clone(),
            token: Some(token),
        }
    }

    /// Reaps completions, sleeping at most `wait`, and wakes who waits for them and for time.
    /// Called by the executor between passes.
    pub fn reap(&self, wait: Option<Duration>) {
        let inner = &self.0;
        let mut completed = inner.completed.take();
        {
            let mut driver = inner.driver.borrow_mut();
            driver.reap(wait, &mut completed);
            inner.now.set(driver.now());
            inner.wall.set(None);
        }
        for completion in completed.drain(..) {
            self.land(completion);
        }
        *inner.completed.borrow_mut() = completed;
        let now = inner.now.get();
        while let Some(waker) = { inner.timers.borrow_mut().due(now) } {
            waker.wake();
        }
    }

    fn land(&self, completion: Completion) {
        let inner = &self.0;
        let mut slots = inner.slots.borrow_mut();
        let slot = &mut slots[completion.token as usize];
        // Memory that is lent stays in the slot.
        let op = match completion.lent {
            true => Op::Vacant,
            false => {
                inner.flying.set(inner.flying.get() - 1);
                std::mem::replace(&mut *slot.op, Op::Vacant)
            }
        };
        let done = Done {
            result: if completion.result >= 0 {
                Ok(completion.result as u32)
            } else {
                Err(Errno(-completion.result))
            },
            op,
            provided: completion.provided,
            more_waiting: completion.more_waiting,
        };
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Flying(waker) => {
                slot.state = match completion.lent {
                    true => State::LandedLent(done),
                    false => State::Landed(done),
                };
                drop(slots);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            State::Orphan if completion.lent => slot.state = State::Orphan,
            State::Orphan => {
                drop(slots);
                inner.free.borrow_mut().push(completion.token);
                self.discard(done);
            }
            State::LandedLent(first) if !completion.lent => slot.state = State::Landed(first),
            State::Lent if !completion.lent => {
                drop(slots);
                inner.free.borrow_mut().push(completion.token);
            }
            State::Free | State::Landed(_) | State::LandedLent(_) | State::Lent => {
                unreachable!("operation {} completed twice", completion.token)
            }
        }
    }

    /// What an abandoned operation opened is closed again; a lost wake-up is made good.
    fn discard(&self, done: Done) {
        if let (Op::Wake { peer }, Err(_)) = (&done.op, &done.result) {
            peer.deliver();
        }
        if let (Op::Accept { .. } | Op::Connect { .. } | Op::Open { .. }, Ok(handle)) =
            (&done.op, done.result)
        {
            drop(self.submit(Op::Close {
                handle: Handle(handle as i32),
            }));
        }
    }

    /// Operations in flight.
    pub fn flying(&self) -> usize {
        self.0.flying.get()
    }

    /// Whether the driver has pipes; sendfile takes their place where not.
    pub fn pipes(&self) -> bool {
        self.0.driver.borrow().pipes()
    }

    /// Whether the driver has zero-copy sends; copies take their place where not.
    pub fn zero_copy(&self) -> bool {
        self.0.driver.borrow().zero_copy()
    }

    /// Gives a socket away, to be used through another shard's [`Io`]. No operation on it is in
    /// flight.
    pub fn give_away(&self, socket: Handle) {
        self.0.driver.borrow_mut().give_away(socket);
    }

    /// Whether the driver lets go of everything in flight when it is dropped.
    pub(crate) fn abandonable(&self) -> bool {
        self.0.driver.borrow().abandonable()
    }

    /// Monotonic time as of this pass, nanoseconds.
    pub fn now(&self) -> u64 {
        self.0.now.get()
    }

    /// How often the executor has polled a task, this poll included. Who knows how many of them were
    /// its own knows whether others had something to do.
    pub fn polls(&self) -> u64 {
        self.0.polls.get()
    }

    /// The executor polls a task.
    pub(crate) fn count_poll(&self) {
        self.0.polls.set(self.0.polls.get().wrapping_add(1));
    }

    /// Monotonic time as of this call, nanoseconds: for measuring within a pass.
    pub fn clock(&self) -> u64 {
        self.0.driver.borrow().now()
    }

    /// Wall-clock time as of this pass, milliseconds since the Unix epoch.
    pub fn wall_clock(&self) -> i64 {
        let wall = &self.0.wall;
        wall.get().unwrap_or_else(|| {
            let now = self.0.driver.borrow().wall_clock();
            wall.set(Some(now));
            now
        })
    }

    /// Random bits.
    pub fn random(&self) -> u64 {
        self.0.driver.borrow_mut().random()
    }

    /// Completes after `duration`.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(
            self.now()
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// Completes at `at`, nanoseconds of [`Io::now`].
    pub fn sleep_until(&self, at: u64) -> Sleep {
        Sleep::new(self.clone(), at)
    }

    /// The earliest deadline anybody sleeps to.
    pub fn next_deadline(&self) -> Option<u64> {
        self.0.timers.borrow().next()
    }

    pub(super) fn timers(&self) -> RefMut<'_, Timers> {
        self.0.timers.borrow_mut()
    }

    /// By which other threads wake this shard.
    pub fn remote(&self) -> Arc<dyn RemoteWake> {
        self.0.driver.borrow().remote()
    }

    /// One line on the driver.
    pub fn describe(&self) -> String {
        self.0.driver.borrow().describe()
    }
}

/// An operation in flight.
#[must_use = "await it, or drop it knowingly: the operation runs either way"]
pub struct Pending {
    io: Io,
    token: Option<Token>,
}

impl Pending {
    /// Asks that the operation end early; it still completes.
    pub fn cancel(&self) {
        if let Some(token) = self.token {
            self.io.0.driver.borrow_mut().cancel(token);
        }
    }
}

impl Future for Pending {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        let token = self.token.expect("polled after completion");
        let inner = self.io.0.clone();
        let mut slots = inner.slots.borrow_mut();
        let slot = &mut slots[token as usize];
        match &mut slot.state {
            State::Flying(waker) => {
                match waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
            State::Landed(_) => {
                let State::Landed(done) = std::mem::replace(&mut slot.state, State::Free) else {
                    unreachable!()
                };
                drop(slots);
                inner.free.borrow_mut().push(token);
                self.token = None;
                Poll::Ready(done)
            }
            State::LandedLent(_) => {
                let State::LandedLent(done) = std::mem::replace(&mut slot.state, State::Lent)
                else {
                    unreachable!()
                };
                self.token = None;
                Poll::Ready(done)
            }
            State::Free | State::Orphan | State::Lent => {
                unreachable!("operation {token} has no owner")
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(token) = self.token.take() else {
            return;
        };
        let inner = self.io.0.clone();
        let mut slots = inner.slots.borrow_mut();
        let slot = &mut slots[token as usize];
        match std::mem::replace(&mut slot.state, State::Free) {
            State::Flying(_) if mutant::is(Mutant::FreeEarly) => {
                slot.state = State::Orphan;
                *slot.op = Op::Vacant;
            }
            State::Flying(_) => {
                slot.state = State::Orphan;
                // A receive or accept would otherwise wait for a peer that nobody serves.
                let waits_for_peer = matches!(
                    *slot.op,
                    Op::Accept { .. }
                        | Op::RecvProvided { .. }
                        | Op::Recv { .. }
                        | Op::Writable { .. }
                );
                drop(slots);
                if waits_for_peer {
                    inner.driver.borrow_mut().cancel(token);
                }
            }
            State::Landed(done) => {
                drop(slots);
                inner.free.borrow_mut().push(token);
                self.io.discard(done);
            }
            State::LandedLent(_) => slot.state = State::Lent,
            State::Free | State::Orphan | State::Lent => {
                unreachable!("operation {token} has no owner")
            }
        }
    }
}
