//! Threads that wait for disks, so that the shard's does not.
//!
//! A few threads per shard, started when they are first needed, on the shard's own CPU (they
//! inherit its affinity). What is handed to them and not begun is bounded; what goes beyond that
//! waits in order on the shard's side, like entries that find a ring full, and is bounded by the
//! operations there are. A disk that answers nothing keeps these threads, never the shard.
//!
//! Absent on purpose: any order between jobs, as on a ring.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::job::{Finished, Job};
use super::wake::PollWake;
use crate::io::driver::RemoteWake;
use crate::limits::{POLL_JOBS_MAX, POLL_THREADS_MAX};

/// Deepest call is a directory listing.
const STACK_BYTES: usize = 128 << 10;

#[derive(Default)]
struct Desk {
    jobs: VecDeque<Job>,
    finished: Vec<Finished>,
    idle: usize,
    closed: bool,
}

struct Shared {
    desk: Mutex<Desk>,
    work: Condvar,
    wake: Arc<PollWake>,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing panics while it holds the lock.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn work(&self) {
        let mut desk = self.desk();
        loop {
            if let Some(job) = desk.jobs.pop_front() {
                drop(desk);
                let finished = job.run();
                desk = self.desk();
                desk.finished.push(finished);
                // Under the lock: the driver takes it after it was woken, and finds this.
                self.wake.wake();
            } else if desk.closed {
                return;
            } else {
                desk.idle += 1;
                desk = self.work.wait(desk).unwrap_or_else(PoisonError::into_inner);
                desk.idle -= 1;
            }
        }
    }
}

/// See the module. Dropping it waits for what its threads are doing.
pub(super) struct JobPool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Those that do not fit.
    waiting: VecDeque<Job>,
    /// Handed over and not back.
    away: usize,
    back: Vec<Finished>,
}

impl JobPool {
    /// With one thread; more come with the work.
    ///
    /// # Errors
    /// There cannot be even one.
    pub(super) fn new(wake: Arc<PollWake>) -> Result<Self, std::io::Error> {
        let shared = Arc::new(Shared {
            desk: Mutex::default(),
            work: Condvar::new(),
            wake,
        });
        let mut pool = JobPool {
            shared,
            threads: Vec::new(),
            waiting: VecDeque::new(),
            away: 0,
            back: Vec::new(),
        };
        pool.grow()?;
        Ok(pool)
    }

    fn grow(&mut self) -> Result<(), std::io::Error> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new()
            .name("files".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.work())?;
        self.threads.push(thread);
        Ok(())
    }

    /// Whether no job is on its way.
    pub(super) fn idle(&self) -> bool {
        self.away == 0 && self.waiting.is_empty()
    }

    /// Takes a job.
    pub(super) fn submit(&mut self, job: Job) {
        self.waiting.push_back(job);
        self.hand_over();
    }

    fn hand_over(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (handed, idle, short) = {
            let mut desk = self.shared.desk();
            let room = POLL_JOBS_MAX - desk.jobs.len();
            let count = room.min(self.waiting.len());
            desk.jobs.extend(self.waiting.drain(..count));
            (count, desk.idle, desk.jobs.len().saturating_sub(desk.idle))
        };
        self.away += handed;
        for _ in 0..short {
            // Where no more threads can be had, those there are do all of it.
            if self.threads.len() >= POLL_THREADS_MAX || self.grow().is_err() {
                break;
            }
        }
        for _ in 0..handed.min(idle) {
            self.shared.work.notify_one();
        }
    }

    /// Takes what is done, until there is none.
    pub(super) fn finished(&mut self) -> Option<Finished> {
        if self.back.is_empty() && self.away > 0 {
            std::mem::swap(&mut self.back, &mut self.shared.desk().finished);
            // Taken from its end below.
            self.back.reverse();
            self.away -= self.back.len();
            self.hand_over();
        }
        self.back.pop()
    }
}

impl Drop for JobPool {
    fn drop(&mut self) {
        // What nobody has begun is not begun; memory that a thread is using must outlive its call.
        let mut desk = self.shared.desk();
        desk.closed = true;
        desk.jobs.clear();
        drop(desk);
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
