//! The driver for where io_uring is forbidden: epoll for sockets, a few threads for files.
//!
//! One per shard, used by its thread alone. An operation on a socket is tried when it is submitted,
//! and waits for readiness only if it must. Whatever may wait for a disk goes to the [`pool`],
//! whose threads report through the same wake-up as other shards do. What the ring does at
//! submission (see [`super::ring`]) is done at submission here, too.
//!
//! The same promises as the ring's: one completion per operation, reported by `reap` alone; an
//! operation's memory is its own until then; no order between operations; a handle stays open
//! until the operations on it have ended. Two differences within the seam: time is slept in whole
//! milliseconds, rounded up, and a receive takes a provided buffer only when bytes are there.
//!
//! Absent on purpose: zero-copy sends, and cancelling what a thread has begun.
#![allow(clippy::disallowed_methods)] // this is a driver

mod attempt;
mod buffers;
mod files;
mod handles;
mod job;
mod look;
mod pool;
mod sockets;
mod wake;

use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use self::buffers::Buffers;
use self::handles::{Close, Handles, Way};
use self::job::Job;
use self::look::Look;
use self::pool::JobPool;
use self::sockets::Flight;
use self::wake::PollWake;
use super::calls;
use super::calls::clock::{self, Random};
use super::driver::{Completion, Driver, RemoteWake, Token};
use super::op::{Handle, Op};
use super::provided::Provided;
use crate::bytes::Pool;
use crate::limits::POLL_THREADS_MAX;

/// What the eventfd is known by among events.
const WOKEN: u64 = u64::MAX;
/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// Passes that find completions there already, in a row, without a look at the sockets.
const SKIPS_MAX: u32 = 8;
/// Neither a handle nor an error.
const NONE: i32 = -1;

/// What to ask for.
#[derive(Clone, Debug)]
pub struct PollOptions {
    /// Provided receive buffers.
    pub provided_count: u16,
    /// Bytes of each.
    pub provided_bytes: u32,
}

impl Default for PollOptions {
    fn default() -> Self {
        PollOptions {
            provided_count: 128,
            provided_bytes: 16 * 1024,
        }
    }
}

/// What the system would not give.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    #[error(
        "cannot make an epoll instance or eventfd: {0}; raise the limit of open files (ulimit -n)"
    )]
    Events(std::io::Error),
    #[error("cannot start a thread for files: {0}; raise the limit of processes (ulimit -u)")]
    Thread(std::io::Error),
}

/// A shard's driver. See the module.
pub struct PollDriver {
    epoll: Epoll,
    look: Look,
    events: Vec<EpollEvent>,
    handles: Handles,
    /// By token.
    flights: Vec<Flight>,
    buffers: Buffers,
    pool: JobPool,
    ready: Vec<Completion>,
    skipped: u32,
    wake: Arc<PollWake>,
    random: Random,
    got: String,
}

impl PollDriver {
    /// On this thread's CPUs.
    ///
    /// # Errors
    /// The process may not have as many files or threads.
    pub fn new(options: PollOptions, pool: &Pool) -> Result<PollDriver, PollError> {
        let events = |errno: Errno| PollError::Events(errno.into());
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(events)?;
        let wake = Arc::new(PollWake::new().map_err(PollError::Events)?);
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        let watched = epoll.add(wake.fd(), EpollEvent::new(flags, WOKEN));
        watched.map_err(events)?;
        let PollOptions {
            provided_count,
            provided_bytes,
        } = options;
        Ok(PollDriver {
            epoll,
            look: Look::default(),
            events: vec![EpollEvent::empty(); EVENTS_MAX],
            handles: Handles::default(),
            flights: Vec::new(),
            buffers: Buffers::new(pool, provided_count, provided_bytes),
            pool: JobPool::new(wake.clone()).map_err(PollError::Thread)?,
            ready: Vec::new(),
            skipped: 0,
            wake,
            random: Random::new(),
            got: format!(
                "epoll, up to {POLL_THREADS_MAX} threads for files, {provided_count} provided \
                 buffers of {provided_bytes} B"
            ),
        })
    }

    fn complete(&mut self, token: Token, result: i32, provided: Option<Provided>) {
        let handles = std::mem::replace(&mut self.flights[token as usize].handles, [NONE; 2]);
        let more_waiting = provided.is_some()
            && self
                .handles
                .known(handles[0])
                .is_some_and(|socket| socket.readable);
        self.ready.push(Completion {
            token,
            result,
            provided,
            more_waiting,
            lent: false,
        });
        for handle in handles.into_iter().filter(|handle| *handle != NONE) {
            let close = self.handles.leave(handle);
            self.close(handle, close);
        }
    }

    /// Closes what nobody waits for.
    fn close(&mut self, handle: i32, close: Close) {
        match close {
            Close::No => {}
            Close::Socket => calls::sockets::close(handle),
            Close::File => self.pool.submit(Job::close(handle)),
        }
    }

    /// Looks at the sockets, sleeping at most so long.
    fn look(&mut self, wait: Option<Duration>) {
        let mut events = std::mem::take(&mut self.events);
        let count = match self.look.wait(&self.epoll, &mut events, wait) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => panic!("epoll_wait failed: {errno}"),
        };
        for event in &events[..count] {
            if event.data() != WOKEN {
                self.heard(event.data() as i32, event.events());
            }
        }
        self.events = events;
    }
}

impl Driver for PollDriver {
    fn submit(&mut self, token: Token, op: &mut Op) {
        while self.flights.len() <= token as usize {
            self.flights.push(Flight::default());
        }
        let (one, two) = (
            |one: &Handle| [one.0, NONE],
            |a: &Handle, b: &Handle| [a.0, b.0],
        );
        let handles = match op {
            Op::Vacant => unreachable!("an empty slot was submitted"),
            Op::SendZeroCopy { .. } => return self.complete(token, -libc::EOPNOTSUPP, None),
            Op::Accept { listener: socket }
            | Op::RecvProvided { socket }
            | Op::Recv { socket, .. }
            | Op::Send { socket, .. }
            | Op::Writable { socket } => {
                let socket = socket.0;
                return self.begin(token, op, socket);
            }
            Op::Connect { address } => {
                let address = *address;
                return self.connect(token, op, address);
            }
            Op::Close { handle } => match self.handles.close(handle.0) {
                Close::File => [NONE; 2],
                close => {
                    let handle = handle.0;
                    self.close(handle, close);
                    return self.complete(token, 0, None);
                }
            },
            Op::Open { .. }
            | Op::Rename { .. }
            | Op::Remove { .. }
            | Op::RemoveDir { .. }
            | Op::MakeDir { .. }
            | Op::List { .. }
            | Op::SyncFileSystem { .. }
            | Op::Space { .. } => [NONE; 2],
            Op::Write { file, .. }
            | Op::Read {
                file,
                cached: false,
                ..
            }
            | Op::DataSync { file }
            | Op::Sync { file }
            | Op::Allocate { file, .. }
            | Op::Truncate { file, .. } => one(file),
            Op::SpliceIn {
                file,
                pipe,
                worker: true,
                ..
            } => two(file, pipe),
            Op::Shutdown { .. }
            | Op::Read { cached: true, .. }
            | Op::WriteNow { .. }
            | Op::Size { .. }
            | Op::DataAfter { .. }
            | Op::Resident { .. }
            | Op::Peer { .. }
            | Op::Listen { .. }
            | Op::Sendfile { .. }
            | Op::Pipe { .. }
            | Op::SpliceIn { worker: false, .. }
            | Op::SpliceOut { .. }
            | Op::Wake { .. } => {
                let result = self.at_once(token, op);
                return self.complete(token, result, None);
            }
        };
        self.hand_over(token, op, handles);
    }

    fn cancel(&mut self, token: Token) {
        self.end_early(token);
    }

    fn reap(&mut self, wait: Option<Duration>, completed: &mut Vec<Completion>) {
        self.collect();
        let busy = !self.ready.is_empty();
        if busy && self.skipped < SKIPS_MAX {
            self.skipped += 1;
        } else {
            self.skipped = 0;
            let zero = Some(Duration::ZERO);
            let sleeps = !busy && wait != zero && self.wake.sleep();
            self.look(if sleeps { wait } else { zero });
        }
        self.wake.awake();
        self.collect();
        completed.append(&mut self.ready);
    }

    fn give_away(&mut self, socket: Handle) {
        for token in self.handles.give_away(socket.0, &self.epoll) {
            self.flights[token as usize].waits = false;
            self.complete(token, -libc::ECANCELED, None);
        }
    }

    fn now(&self) -> u64 {
        clock::monotonic()
    }

    fn wall_clock(&self) -> i64 {
        clock::realtime()
    }

    fn random(&mut self) -> u64 {
        self.random.next()
    }

    fn remote(&self) -> Arc<dyn RemoteWake> {
        self.wake.clone()
    }

    fn abandonable(&self) -> bool {
        self.pool.idle()
    }

    fn pipes(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        self.got.clone()
    }
}
