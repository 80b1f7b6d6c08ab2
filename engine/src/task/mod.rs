//! The shard-local executor.
//!
//! Tasks run in the order in which they were woken. A pass runs at most a bounded number of them
//! before completions are reaped, so no task keeps the ring waiting. The executor sleeps in the
//! driver only when nothing is ready, and any thread can wake it.
//!
//! Absent on purpose: stealing, priorities, and any knowledge of what tasks do.

mod alive;
mod stall;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

use async_task::Runnable;
pub use async_task::Task;
use crossbeam_queue::SegQueue;

use self::alive::Alive;
use crate::io::{Io, Op, RemoteWake};
use crate::limits;

thread_local! {
    static LOCAL: RefCell<VecDeque<Runnable>> = const { RefCell::new(VecDeque::new()) };
    /// This thread's ring, by which other shards are woken.
    static HERE: RefCell<Option<Io>> = const { RefCell::new(None) };
}

/// Tasks woken by other threads. Not bounded itself: a task is queued at most once.
struct Remote {
    queue: SegQueue<Runnable>,
    wake: Arc<dyn RemoteWake>,
    home: ThreadId,
}

impl Remote {
    /// Wakes the home shard: by a message between rings from another shard, which costs no
    /// system call of its own, else by its eventfd.
    fn wake(&self) {
        if !self.wake.claim() {
            return;
        }
        let here = HERE.with_borrow(|here| here.clone());
        match here {
            Some(io) if self.wake.ring().is_some() => drop(io.submit(Op::Wake {
                peer: self.wake.clone(),
            })),
            _ => self.wake.deliver(),
        }
    }
}

/// Spawns tasks onto a shard's executor. Cheap to clone; stays on its thread.
#[derive(Clone)]
pub struct Spawner {
    remote: Arc<Remote>,
    // Also keeps the handle on its thread.
    alive: Rc<Alive>,
}

impl Spawner {
    /// Starts a task. Dropping the returned handle cancels it; `detach` lets it run.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let remote = self.remote.clone();
        let schedule = move |runnable: Runnable| {
            if std::thread::current().id() == remote.home {
                LOCAL.with_borrow_mut(|local| local.push_back(runnable));
            } else {
                remote.queue.push(runnable);
                remote.wake();
            }
        };
        let (index, future) = Alive::track(&self.alive, future);
        // SAFETY: the future is not Send, and is made, polled and dropped on this thread only:
        // a wake-up from elsewhere sends the runnable home through the remote queue. It borrows
        // nothing (both bounds are 'static), and `schedule` is Send + Sync.
        let (runnable, task) = unsafe { async_task::spawn_unchecked(future, schedule) };
        self.alive.set(index, runnable.waker());
        runnable.schedule();
        task
    }
}

/// Runs one shard's tasks on the thread that made it.
pub struct Executor {
    io: Io,
    remote: Arc<Remote>,
    alive: Rc<Alive>,
    stall: stall::Detector,
}

impl Executor {
    /// An executor over `io`, for this thread. One per thread at a time: tasks are queued by
    /// thread.
    pub fn new(io: Io) -> Self {
        let remote = Arc::new(Remote {
            queue: SegQueue::new(),
            wake: io.remote(),
            home: std::thread::current().id(),
        });
        HERE.set(Some(io.clone()));
        Executor {
            io,
            remote,
            alive: Rc::default(),
            stall: stall::Detector::default(),
        }
    }

    /// Spawns onto this executor.
    pub fn spawner(&self) -> Spawner {
        Spawner {
            remote: self.remote.clone(),
            alive: self.alive.clone(),
        }
    }

    /// Runs until `future` completes; other tasks run meanwhile, and stop where they are.
    pub fn run<F>(&self, future: F) -> F::Output
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let result = Rc::new(RefCell::new(None));
        let output = result.clone();
        let main = self.spawner().spawn(async move {
            let value = future.await;
            *output.borrow_mut() = Some(value);
        });
        loop {
            self.run_ready();
            if main.is_finished() {
                break;
            }
            self.wait();
        }
        result
            .borrow_mut()
            .take()
            .expect("the main task completed; had it panicked, so would this thread have")
    }

    /// Runs tasks that are ready, at most a pass's budget.
    pub fn run_ready(&self) {
        let mut left = limits::TASKS_PER_PASS_MAX;
        while left > 0 && self.run_one() {
            left -= 1;
        }
    }

    /// Runs the task that is ready first, up to its next await; false if none is.
    pub fn run_one(&self) -> bool {
        let Some(runnable) = self.next() else {
            return false;
        };
        self.io.count_poll();
        self.stall.watch(&self.io, || {
            runnable.run();
        });
        true
    }

    /// Reaps completions; sleeps for one if no task is ready.
    pub fn wait(&self) {
        let idle = LOCAL.with_borrow(|local| local.is_empty()) && self.remote.queue.is_empty();
        let wait = if idle {
            self.io
                .next_deadline()
                // Not as of this pass: it may have lasted, and a sleep takes longer than it is asked.
                .map(|at| Duration::from_nanos(at.saturating_sub(self.io.clock())))
        } else {
            Some(Duration::ZERO)
        };
        self.io.reap(wait);
    }

    fn next(&self) -> Option<Runnable> {
        if let Some(runnable) = LOCAL.with_borrow_mut(|local| local.pop_front()) {
            return Some(runnable);
        }
        self.remote.queue.pop()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Tasks left hold operations and buffers of this executor's driver: they go first, those
        // that wait (woken, so that they are queued) and those that are ready. Dropping one may
        // wake or spawn another, so until none is left.
        loop {
            while let Some(runnable) = self.next() {
                drop(runnable);
            }
            // A panic may have left anything borrowed; more drops would end in an abort.
            if std::thread::panicking() || !self.alive.wake_all() {
                break;
            }
        }
        if self.io.flying() > 0 && !self.io.abandonable() {
            // The kernel may still write to what the operation table owns.
            std::mem::forget(self.io.clone());
        }
        HERE.set(None);
    }
}

/// Lets every other ready task run once.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            std::task::Poll::Ready(())
        } else {
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests;
