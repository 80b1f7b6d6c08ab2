//! The io_uring driver.
//!
//! One ring per shard, entered by its thread alone. Completions are reaped in the same system
//! call that submits. What the kernel cannot do on a ring without a worker thread and is known
//! not to block (listing a directory at start, a bounded sendfile of resident pages, a buffered
//! write) is done at submission and reported by the next reap like any other. So is the one call that
//! does block, before anything is served: the sync of a file system after a kill.

mod buffers;
mod direct;
mod entry;
mod setup;
mod wake;

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use self::buffers::Buffers;
use self::entry::{Prepared, Scratch};
use self::wake::EventWake;
use super::calls::clock::{self, Random};
use super::driver::{Completion, Driver, RemoteWake, Token};
use super::op::{Handle, Op};
use crate::bytes::Pool;

pub use self::setup::{RingError, RingOptions, probe};

/// User data of completions that belong to no operation.
const IGNORED: u64 = u64::MAX;
/// User data of the eventfd read and of peers' ring messages.
const WOKEN: u64 = u64::MAX - 1;

const ENTER_GETEVENTS: u32 = 1;

/// A shard's ring.
pub struct Ring {
    // Dropped first: the kernel lets go of all memory named below when the ring closes.
    ring: IoUring,
    buffers: Option<Buffers>,
    // Boxed: the kernel holds addresses into it while the table grows.
    #[allow(clippy::vec_box)]
    scratch: Vec<Box<Scratch>>,
    /// Entries that found the submission queue full, in order.
    overflow: VecDeque<squeue::Entry>,
    ready: Vec<Completion>,
    wake: Arc<EventWake>,
    wake_word: Box<u64>,
    wake_armed: bool,
    /// How long it looks for completions before it sleeps.
    spin: Duration,
    random: Random,
    extras: bool,
    got: String,
}

impl Ring {
    /// Sets a ring up, giving up feature after feature where the kernel refuses; the last
    /// refusal is returned if none is left to give up.
    pub fn new(options: RingOptions, pool: &Pool) -> Result<Ring, RingError> {
        let (ring, mut got) = setup::ring(&options)?;
        let buffers = match Buffers::register(&ring, pool, &options) {
            Ok(buffers) => {
                got.push_str(&format!(
                    ", {} provided buffers of {} B",
                    options.provided_count, options.provided_bytes
                ));
                Some(buffers)
            }
            Err(error) => {
                got.push_str(&format!(", no provided buffers ({error})"));
                None
            }
        };
        if !options.spin.is_zero() {
            got.push_str(&format!(", sleeps {:?} late", options.spin));
        }
        let wake = Arc::new(EventWake::new(Handle(ring.as_raw_fd())).map_err(RingError::Wake)?);
        let extras = setup::has_extras(&ring);
        Ok(Ring {
            ring,
            buffers,
            scratch: Vec::new(),
            overflow: VecDeque::new(),
            ready: Vec::new(),
            wake,
            wake_word: Box::new(0),
            wake_armed: false,
            spin: options.spin,
            random: Random::new(),
            extras,
            got,
        })
    }

    fn push(&mut self, entry: squeue::Entry) {
        if self.overflow.is_empty() {
            // SAFETY: everything the entry points to is owned by the operation table, by
            // `scratch` or by the ring itself until the completion has been reaped.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
        }
        self.overflow.push_back(entry);
    }

    fn refill(&mut self) {
        let mut submission = self.ring.submission();
        while let Some(entry) = self.overflow.front() {
            // SAFETY: as in `push`.
            if unsafe { submission.push(entry) }.is_err() {
                break;
            }
            self.overflow.pop_front();
        }
    }

    fn arm_wake(&mut self) {
        if !self.wake_armed {
            self.wake_armed = true;
            let word: *mut u64 = &mut *self.wake_word;
            let entry = opcode::Read::new(self.wake.fd(), word.cast(), 8)
                .build()
                .user_data(WOKEN);
            self.push(entry);
        }
    }

    fn enter(&mut self, wait: Option<Duration>) {
        let submitter = self.ring.submitter();
        let result = match wait {
            Some(Duration::ZERO) => {
                // DEFER_TASKRUN delivers completions only to an enter that asks for them.
                // SAFETY: the entries pushed are valid (see `push`); no argument is passed.
                unsafe {
                    let pending = self.ring.submission_shared().len() as u32;
                    submitter.enter::<libc::sigset_t>(pending, 0, ENTER_GETEVENTS, None)
                }
            }
            Some(wait) => {
                let time = Timespec::new()
                    .sec(wait.as_secs())
                    .nsec(wait.subsec_nanos());
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&time))
            }
            None => submitter.submit_and_wait(1),
        };
        match result {
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                // Timed out, interrupted, completion queue full (reaping makes room), or the
                // kernel is short of memory for a moment: all are retried by the next pass.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN | libc::ENOMEM) => {}
                _ => panic!("io_uring_enter failed: {error}"),
            },
        }
    }

    /// Hands over what was submitted and looks for completions for as long as it may: whether it sees
    /// any. The kernel is not entered for that: a flag in memory tells.
    fn spin(&mut self, wait: Option<Duration>) -> bool {
        if self.spin.is_zero() {
            return false;
        }
        self.enter(Some(Duration::ZERO));
        let spin = wait.map_or(self.spin, |wait| wait.min(self.spin));
        let until = clock::monotonic() + spin.as_nanos() as u64;
        loop {
            let flags = self.ring.submission();
            if flags.taskrun() || flags.cq_overflow() {
                return true;
            }
            drop(flags);
            if !self.ring.completion().is_empty() {
                return true;
            }
            if clock::monotonic() >= until {
                return false;
            }
            std::hint::spin_loop();
        }
    }

    fn take(&mut self, entry: &cqueue::Entry, completed: &mut Vec<Completion>) {
        let (data, mut result, flags) = (entry.user_data(), entry.result(), entry.flags());
        if cqueue::notif(flags) {
            // The network lets go of the memory of a zero-copy send.
            return completed.push(Completion {
                token: data as Token,
                result: 0,
                provided: None,
                more_waiting: false,
                lent: false,
            });
        }
        match data {
            IGNORED => return,
            WOKEN => {
                // The eventfd's read, or a peer's message (which leaves the read armed).
                if result != 0 {
                    self.wake_armed = false;
                }
                return;
            }
            _ => {}
        }
        let token = data as Token;
        let provided = cqueue::buffer_select(flags).and_then(|id| {
            let buffers = self.buffers.as_ref().expect("only with provided buffers");
            if result > 0 {
                Some(buffers.lend(id, result as u32))
            } else {
                buffers.give_back(id);
                None
            }
        });
        result = self.scratch[token as usize].finish(result);
        completed.push(Completion {
            token,
            result,
            provided,
            more_waiting: cqueue::sock_nonempty(flags),
            // Only zero-copy sends complete more than once here.
            lent: cqueue::more(flags),
        });
    }
}

impl Driver for Ring {
    fn submit(&mut self, token: Token, op: &mut Op) {
        while self.scratch.len() <= token as usize {
            self.scratch.push(Box::default());
        }
        let group = self.buffers.as_ref().map(Buffers::group);
        match self.scratch[token as usize].prepare(op, group) {
            Prepared::Entry(entry) => self.push(entry.user_data(u64::from(token))),
            Prepared::Finished(result) => self.ready.push(Completion {
                token,
                result,
                provided: None,
                more_waiting: false,
                lent: false,
            }),
        }
    }

    fn cancel(&mut self, token: Token) {
        let entry = opcode::AsyncCancel::new(u64::from(token))
            .build()
            .user_data(IGNORED);
        self.push(entry);
    }

    fn reap(&mut self, wait: Option<Duration>, completed: &mut Vec<Completion>) {
        let mut wait = if self.ready.is_empty() && self.ring.completion().is_empty() {
            wait
        } else {
            Some(Duration::ZERO)
        };
        if wait != Some(Duration::ZERO) {
            self.arm_wake();
            wait = match self.spin(wait) {
                true => Some(Duration::ZERO),
                false => wait.map(|wait| wait.saturating_sub(self.spin)),
            };
        }
        let idle = wait == Some(Duration::ZERO) && {
            let submission = self.ring.submission();
            submission.is_empty() && !submission.taskrun() && !submission.cq_overflow()
        };
        if !idle || !self.overflow.is_empty() {
            self.enter(wait);
            while !self.overflow.is_empty() {
                self.refill();
                self.enter(Some(Duration::ZERO));
            }
        }
        self.wake.clear();
        completed.append(&mut self.ready);
        // Collected first: taking one borrows the whole driver.
        loop {
            let Some(entry) = self.ring.completion().next() else {
                break;
            };
            self.take(&entry, completed);
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

    fn pipes(&self) -> bool {
        self.extras
    }

    fn zero_copy(&self) -> bool {
        self.extras
    }

    fn describe(&self) -> String {
        self.got.clone()
    }
}
