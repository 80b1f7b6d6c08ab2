//! The world that simulated drivers share: disk, network, virtual time, and what is in flight.
//!
//! Everything that happens is an event at a virtual time; events of one time happen in the
//! order in which they were made. An operation in flight belongs to one driver, which finds its
//! completion among its `ready` ones.
//!
//! Invariants: an operation's memory is touched only between its submission and its completion
//! or the crash that abandons it; handle numbers are never used twice, so that using a closed
//! one is noticed.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CStr;
use std::rc::Rc;

use super::clock;
use super::disk::{Disk, Inode};
use super::driver::SimWake;
use super::faults::{Faults, SimFaults};
use super::file::Covered;
use super::net::{End, FlightId, ListenerId, Net};
use super::rng::Rng;
use super::trace::{Trace, fields_kind};
use crate::io::driver::{Completion, Token};
use crate::io::op::{Handle, Op};
use crate::io::provided::{Provided, ProvidedPool};

/// Apart from the seed's other streams.
const FAULTS: u64 = 0x6661_756c_7473;

/// What a handle stands for. Held by the handle and by the operations in flight on it: like a
/// descriptor's file, it goes when the last of them does.
#[derive(Clone, Copy)]
pub(super) enum Object {
    File {
        inode: Inode,
        write: bool,
        direct: bool,
    },
    Directory(Inode),
    Socket(End),
    Listener(ListenerId),
    Driver(u32),
}

/// An operation in flight.
pub(super) struct Flight {
    pub(super) driver: u32,
    pub(super) token: Token,
    op: *mut Op,
    pub(super) object: Option<Rc<Object>>,
    /// The second object, of a sendfile.
    pub(super) source: Option<Rc<Object>>,
    /// Bytes sent or received so far.
    pub(super) progress: u32,
    /// What a file's sync covers.
    pub(super) covered: Option<Covered>,
    /// Where a write that has taken effect stands in the order of effects; before, where that
    /// order stood at submission.
    pub(super) sequence: u64,
    /// It has taken effect, with this result, and completes later.
    pub(super) result: Option<i32>,
}

impl Flight {
    /// The operation, which is no part of the world: for use beside it. Not beyond completion.
    pub(super) fn op_pointer(&self) -> *mut Op {
        self.op
    }

    pub(super) fn op(&mut self) -> &mut Op {
        // SAFETY: a driver's caller leaves the operation at its address, to the driver alone,
        // until its completion has been reaped; a flight is dropped when it completes, and when
        // its driver is dropped or killed.
        unsafe { &mut *self.op }
    }

    pub(super) fn op_ref(&self) -> &Op {
        // SAFETY: as in `op`.
        unsafe { &*self.op }
    }
}

pub(super) enum Event {
    /// An operation takes effect, or starts to wait for its peer.
    Attempt(FlightId),
    /// An operation that has taken effect completes.
    Finish(FlightId),
    Arrive(End, Vec<u8>),
    Fin(End),
    Reset(End),
}

/// One driver's side of the world.
pub(super) struct Shard {
    pub(super) ready: Vec<Completion>,
    pub(super) wake: std::sync::Arc<SimWake>,
    pub(super) buffers: Rc<ProvidedPool>,
    pub(super) free: Rc<RefCell<Vec<u16>>>,
}

/// See the module.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) rng: Rng,
    /// What drivers hand out: apart, so that drawing from it does not shift what happens.
    pub(super) random: Rng,
    pub(super) time: u64,
    events: BTreeMap<(u64, u64), Event>,
    made: u64,
    pub(super) flights: BTreeMap<FlightId, Flight>,
    by_token: BTreeMap<(u32, Token), FlightId>,
    pub(super) handles: BTreeMap<i32, Rc<Object>>,
    handle_last: i32,
    pub(super) shards: BTreeMap<u32, Shard>,
    shard_last: u32,
    /// Completions and wake-ups so far, of all drivers.
    pub(super) progress: u64,
    pub(super) disk: Disk,
    /// By what path a file was last opened.
    pub(super) paths: BTreeMap<Inode, String>,
    /// Bytes read of files, by those paths.
    pub(super) read: BTreeMap<String, u64>,
    pub(super) net: Net,
    pub(super) trace: Trace,
    pub(super) faults: Faults,
    /// The wall clock has jumped by so much, milliseconds.
    pub(super) clock_offset: i64,
    /// A failure's trace has been printed.
    pub(super) reported: bool,
    /// Part of a name, and whether such a one was made, changed or removed.
    pub(super) watched: Option<(String, bool)>,
}

impl World {
    pub(super) fn new(seed: u64, faults: &SimFaults) -> Self {
        let mut rng = Rng::new(seed);
        World {
            seed,
            random: rng.fork(),
            faults: Faults::new(Rng::new(seed ^ FAULTS), faults.clone()),
            clock_offset: 0,
            rng,
            time: clock::START,
            events: BTreeMap::new(),
            made: 0,
            flights: BTreeMap::new(),
            by_token: BTreeMap::new(),
            handles: BTreeMap::new(),
            handle_last: 2,
            shards: BTreeMap::new(),
            shard_last: 0,
            progress: 0,
            disk: Disk::new(faults.disk_bytes_max),
            paths: BTreeMap::new(),
            read: BTreeMap::new(),
            net: Net::default(),
            trace: Trace::new(seed),
            reported: false,
            watched: None,
        }
    }

    pub(super) fn add_shard(&mut self, shard: Shard) -> u32 {
        self.shard_last += 1;
        self.shards.insert(self.shard_last, shard);
        self.shard_last
    }

    pub(super) fn schedule(&mut self, at: u64, event: Event) {
        self.made += 1;
        self.events.insert((at, self.made), event);
    }

    pub(super) fn next_event(&self) -> Option<u64> {
        self.events.keys().next().map(|key| key.0)
    }

    /// Lets everything happen that is due.
    pub(super) fn run_due(&mut self) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > self.time {
                break;
            }
            match entry.remove() {
                Event::Attempt(id) => self.attempt(id),
                Event::Finish(id) => self.finish(id),
                Event::Arrive(end, bytes) => self.arrive(end, bytes),
                Event::Fin(end) => self.arrive_fin(end),
                Event::Reset(end) => self.arrive_reset(end),
            }
        }
    }

    /// A new handle.
    pub(super) fn grant(&mut self, object: Object) -> i32 {
        self.handle_last += 1;
        self.handles.insert(self.handle_last, Rc::new(object));
        self.handle_last
    }

    fn object(&self, handle: Handle, op: &Op) -> Rc<Object> {
        match self.handles.get(&handle.0) {
            Some(object) => object.clone(),
            None => panic!(
                "seed {}: {} on handle {}, which is not open",
                self.seed,
                fields_kind(op),
                handle.0
            ),
        }
    }

    /// Lets go of an object; the last to do so ends it.
    pub(super) fn release(&mut self, object: Rc<Object>) {
        match Rc::into_inner(object) {
            Some(Object::File { inode, .. } | Object::Directory(inode)) => {
                self.disk.release(inode);
            }
            Some(Object::Socket(end)) => self.close_socket(end),
            Some(Object::Listener(id)) => self.close_listener(id),
            Some(Object::Driver(_)) | None => {}
        }
    }

    pub(super) fn submit(&mut self, driver: u32, token: Token, op: &mut Op) {
        if !self.shards.contains_key(&driver) {
            // Killed: what its tasks still ask for while they are dropped leads nowhere.
            return;
        }
        self.trace.submit(self.time, driver, token, op);
        self.watch(op);
        let object = match &*op {
            Op::Accept { listener: handle }
            | Op::RecvProvided { socket: handle }
            | Op::Recv { socket: handle, .. }
            | Op::Send { socket: handle, .. }
            | Op::Sendfile { socket: handle, .. }
            | Op::Writable { socket: handle }
            | Op::Shutdown { socket: handle }
            | Op::Peer { socket: handle, .. }
            | Op::Write { file: handle, .. }
            | Op::WriteNow { file: handle, .. }
            | Op::Read { file: handle, .. }
            | Op::DataSync { file: handle }
            | Op::Sync { file: handle }
            | Op::Allocate { file: handle, .. }
            | Op::Truncate { file: handle, .. }
            | Op::Size { file: handle, .. }
            | Op::DataAfter { file: handle, .. }
            | Op::Resident { file: handle, .. } => Some(self.object(*handle, op)),
            Op::Close { handle } => {
                let object = self.object(*handle, op);
                self.handles.remove(&handle.0);
                Some(object)
            }
            Op::Wake { peer } => peer
                .ring()
                .and_then(|ring| self.handles.get(&ring.0).cloned()),
            _ => None,
        };
        if let (Op::Send { .. } | Op::Sendfile { .. }, Some(object)) = (&*op, &object) {
            self.check_alone(object, token);
        }
        let source = match &*op {
            Op::Sendfile { file, .. } => Some(self.object(*file, op)),
            _ => None,
        };
        let sequence = self.disk.sequence();
        let covered = match (&*op, object.as_deref()) {
            (Op::DataSync { .. } | Op::Sync { .. }, Some(Object::File { inode, .. })) => {
                Some(self.disk.file(*inode).covered(sequence))
            }
            (Op::SyncFileSystem { .. }, _) => Some(self.disk.covered()),
            _ => None,
        };
        let delay = clock::delay(&mut self.rng, op) * self.slowness(op);
        self.made += 1;
        let id = self.made;
        let now = matches!(op, Op::WriteNow { .. });
        let flight = Flight {
            driver,
            token,
            op,
            object,
            source,
            progress: 0,
            covered,
            sequence,
            result: None,
        };
        self.flights.insert(id, flight);
        let before = self.by_token.insert((driver, token), id);
        assert!(before.is_none(), "token {token} is in flight already");
        if now {
            self.attempt(id);
            self.schedule(self.time + delay, Event::Finish(id));
        } else if matches!(self.flights[&id].op_ref(), Op::Write { .. }) {
            // Takes effect somewhere before it completes.
            let effect = self.rng.range(0, delay + 1);
            let finish = self.time + delay;
            self.schedule(self.time + effect, Event::Attempt(id));
            self.schedule(finish, Event::Finish(id));
        } else {
            self.schedule(self.time + delay, Event::Attempt(id));
        }
    }

    /// Looks whether an operation is on a name that is watched.
    fn watch(&mut self, op: &Op) {
        let Some((part, touched)) = &mut self.watched else {
            return;
        };
        let path = match op {
            Op::Open { path, mode } if mode.create => path,
            Op::Rename { from: path, .. }
            | Op::Remove { path }
            | Op::RemoveDir { path }
            | Op::MakeDir { path } => path,
            _ => return,
        };
        *touched |= text(path).is_ok_and(|path| path.contains(&*part));
    }

    /// How many times as long as usual an operation takes.
    fn slowness(&mut self, op: &Op) -> u64 {
        let times = self.faults.now.slow_times.max(1);
        let disk = matches!(
            op,
            Op::Write { .. }
                | Op::Read { cached: false, .. }
                | Op::DataSync { .. }
                | Op::Sync { .. }
                | Op::SyncFileSystem { .. }
                | Op::Allocate { .. }
                | Op::Truncate { .. }
        );
        if times == 1 || !disk {
            return 1;
        }
        self.faults.count("slow disk");
        times
    }

    /// Panics if something else is being sent on the socket.
    fn check_alone(&self, socket: &Rc<Object>, token: Token) {
        let other = self.flights.values().find(|flight| {
            let sends = matches!(flight.op_ref(), Op::Send { .. } | Op::Sendfile { .. });
            let object = flight.object.as_ref();
            sends && object.is_some_and(|object| Rc::ptr_eq(object, socket))
        });
        if let Some(other) = other {
            panic!(
                "seed {}: two sends on one socket at a time (operations #{} and #{token}): their \
                 bytes would mix",
                self.seed, other.token
            );
        }
    }

    /// Ends an operation that waits for a peer, or has not begun to.
    pub(super) fn cancel(&mut self, driver: u32, token: Token) {
        let Some(&id) = self.by_token.get(&(driver, token)) else {
            return;
        };
        let flight = &self.flights[&id];
        let result = match flight.op_ref() {
            Op::Recv { .. } | Op::Send { .. } if flight.progress > 0 => flight.progress as i32,
            Op::Accept { .. }
            | Op::Connect { .. }
            | Op::RecvProvided { .. }
            | Op::Recv { .. }
            | Op::Send { .. }
            | Op::Writable { .. } => -libc::ECANCELED,
            // Begun, like a file operation on a ring: it runs to its end.
            _ => return,
        };
        self.complete(id, result);
    }

    pub(super) fn complete(&mut self, id: FlightId, result: i32) {
        self.complete_with(id, result, None, false);
    }

    pub(super) fn complete_with(
        &mut self,
        id: FlightId,
        result: i32,
        provided: Option<Provided>,
        more_waiting: bool,
    ) {
        let mut flight = self.flights.remove(&id).expect("it is in flight");
        let (driver, token) = (flight.driver, flight.token);
        self.by_token.remove(&(driver, token));
        self.trace
            .done(self.time, driver, token, flight.op(), result);
        let shard = self.shards.get_mut(&driver).expect("its driver lives");
        self.progress += 1;
        shard.ready.push(Completion {
            token,
            result,
            provided,
            more_waiting,
            lent: false,
        });
        for object in [flight.object, flight.source].into_iter().flatten() {
            self.release(object);
        }
    }

    /// Abandons what is in flight: all of it, or one driver's. Each write is lost, done, or
    /// done in some of its sectors; everything else on the disk is done or not.
    pub(super) fn abandon(&mut self, driver: Option<u32>) {
        let wanted = |flight: &Flight| driver.is_none_or(|driver| driver == flight.driver);
        let ids: VecDeque<FlightId> = self
            .flights
            .iter()
            .filter(|(_, flight)| wanted(flight))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.settle(id);
            let flight = self.flights.remove(&id).expect("just listed");
            self.by_token.remove(&(flight.driver, flight.token));
            for object in [flight.object, flight.source].into_iter().flatten() {
                self.release(object);
            }
        }
        match driver {
            Some(driver) => drop(self.shards.remove(&driver)),
            None => self.shards.clear(),
        }
        if self.shards.is_empty() {
            self.events.clear();
            self.handles.clear();
            self.net = Net::default();
            self.disk.release_all();
        }
    }

    /// Whether a driver other than `this` has something to reap.
    pub(super) fn others_have_work(&self, this: u32) -> bool {
        self.shards
            .iter()
            .any(|(id, shard)| *id != this && (!shard.ready.is_empty() || shard.wake.arrived()))
    }

    /// What waits, in words: for whoever asks why nothing happens.
    pub(super) fn waiting(&self) -> String {
        let waiting = self.flights.values().map(|flight| {
            let kind = fields_kind(flight.op_ref());
            format!("driver {} #{} {kind}", flight.driver, flight.token)
        });
        waiting.collect::<Vec<_>>().join(", ")
    }
}

/// A path as text. Names on the simulated disk are UTF-8.
pub(super) fn text(path: &CStr) -> Result<&str, i32> {
    path.to_str().map_err(|_| libc::EILSEQ)
}
