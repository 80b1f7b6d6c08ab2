//! Bytes of requests that a shard holds at once; past the bound, sockets are not read.
//!
//! While there is much room a request gets all it announces. When room becomes scarce it gets a
//! step at a time, each after the last one has arrived, so announcing is not holding. The oldest
//! that is still arriving always gets its next step: with every request half here, one of them
//! comes to its end.
//!
//! Invariant: what is taken exceeds the bound by one request at most.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use odradek_engine::io::{Handle, Io, Op};

use crate::metrics::Meter;

/// What a request gets at once when room is scarce.
const STEP_BYTES: usize = 64 << 10;
/// How long a peer may send nothing within a request while others wait for room, nanoseconds.
const STALL_NS: u64 = 10_000_000_000;
/// How often a waiting request looks for such peers.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub struct Admission {
    max: usize,
    /// Where it is counted how much is taken.
    meter: Rc<Meter>,
    waiting: RefCell<VecDeque<Waker>>,
    /// Requests that are not wholly here, in the order in which they began.
    arriving: RefCell<BTreeMap<u64, Rc<Arriving>>>,
    begun: Cell<u64>,
}

struct Arriving {
    socket: Handle,
    /// When its last step arrived.
    last: Cell<u64>,
    /// It waits for room, not for its peer.
    waits: Cell<bool>,
    evicted: Cell<bool>,
}

impl Admission {
    /// For `max` bytes of requests.
    pub fn new(max: usize, meter: Rc<Meter>) -> Rc<Self> {
        Rc::new(Admission {
            max,
            meter,
            waiting: RefCell::default(),
            arriving: RefCell::default(),
            begun: Cell::new(0),
        })
    }

    /// How much a request that lacks `wanted` bytes gets now.
    fn grant(&self, id: u64, wanted: usize) -> Option<usize> {
        let taken = self.meter.request_memory.get();
        let granted = if taken + wanted <= self.max / 2 {
            wanted
        } else {
            wanted.min(STEP_BYTES)
        };
        let oldest = || self.arriving.borrow().keys().next() == Some(&id);
        if taken + granted > self.max && !oldest() {
            return None;
        }
        self.meter.request_memory.set(taken + granted);
        Some(granted)
    }

    fn give_back(&self, bytes: usize) {
        let taken = &self.meter.request_memory;
        taken.set(taken.get() - bytes);
        self.wake();
    }

    fn wake(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Ends the connections of peers that stopped sending within a request.
    fn evict(&self, io: &Io) {
        let now = io.now();
        for arriving in self.arriving.borrow().values() {
            let stalled = now.saturating_sub(arriving.last.get()) > STALL_NS;
            if stalled && !arriving.waits.get() && !arriving.evicted.replace(true) {
                let socket = arriving.socket;
                drop(io.submit(Op::Shutdown { socket }));
            }
        }
    }
}

/// Room for one request, given back when dropped.
pub struct Reserved {
    admission: Rc<Admission>,
    id: u64,
    granted: usize,
    arriving: Rc<Arriving>,
}

impl Reserved {
    /// No room yet, for a request that begins to arrive on `socket`.
    pub fn new(admission: &Rc<Admission>, socket: Handle, now: u64) -> Self {
        let id = admission.begun.get();
        admission.begun.set(id + 1);
        let arriving = Rc::new(Arriving {
            socket,
            last: Cell::new(now),
            waits: Cell::new(false),
            evicted: Cell::new(false),
        });
        admission.arriving.borrow_mut().insert(id, arriving.clone());
        Reserved {
            admission: admission.clone(),
            id,
            granted: 0,
            arriving,
        }
    }

    /// Bytes that there is room for.
    pub fn granted(&self) -> usize {
        self.granted
    }

    /// Waits for more room, up to `length` bytes in all.
    pub async fn grow(&mut self, io: &Io, length: usize) {
        let wanted = length - self.granted;
        while !self.try_grow(wanted) {
            self.arriving.waits.set(true);
            let admission = self.admission.clone();
            let mut asked = false;
            let mut look = pin!(io.sleep(LOOK));
            poll_fn(|context| {
                if look.as_mut().poll(context).is_ready() {
                    admission.evict(io);
                    return Poll::Ready(());
                }
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                admission
                    .waiting
                    .borrow_mut()
                    .push_back(context.waker().clone());
                Poll::Pending
            })
            .await;
        }
        self.arriving.waits.set(false);
        self.arriving.last.set(io.now());
    }

    fn try_grow(&mut self, wanted: usize) -> bool {
        let granted = self.admission.grant(self.id, wanted);
        self.granted += granted.unwrap_or(0);
        granted.is_some()
    }

    /// A step has arrived.
    pub fn received(&self, now: u64) {
        self.arriving.last.set(now);
    }

    /// Whether the connection was ended because its peer had stalled.
    pub fn evicted(&self) -> bool {
        self.arriving.evicted.get()
    }

    /// The request is wholly here.
    pub fn complete(&self) {
        let mut arriving = self.admission.arriving.borrow_mut();
        arriving.remove(&self.id);
        drop(arriving);
        // Another one is the oldest now.
        self.admission.wake();
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.admission.arriving.borrow_mut().remove(&self.id);
        self.admission.give_back(self.granted);
    }
}
