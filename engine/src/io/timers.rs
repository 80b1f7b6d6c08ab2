//! Deadlines of one shard, in order.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::Io;

/// Pending deadlines by (time, sequence).
#[derive(Default)]
pub(super) struct Timers {
    pending: BTreeMap<(u64, u64), Waker>,
    sequence: u64,
}

impl Timers {
    fn add(&mut self, at: u64, waker: Waker) -> (u64, u64) {
        self.sequence += 1;
        self.pending.insert((at, self.sequence), waker);
        (at, self.sequence)
    }

    /// The earliest deadline, nanoseconds of the driver's clock.
    pub(super) fn next(&self) -> Option<u64> {
        self.pending.keys().next().map(|key| key.0)
    }

    /// Takes one waker whose deadline has come.
    pub(super) fn due(&mut self, now: u64) -> Option<Waker> {
        let entry = self.pending.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}

/// Completes at a point in time. Dropping it removes the deadline.
pub struct Sleep {
    io: Io,
    at: u64,
    key: Option<(u64, u64)>,
}

impl Sleep {
    pub(super) fn new(io: Io, at: u64) -> Self {
        Sleep { io, at, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.io.now() >= self.at {
            return Poll::Ready(());
        }
        let at = self.at;
        let key = self.key.take();
        let mut timers = self.io.timers();
        match key.and_then(|key| timers.pending.get_mut(&key).map(|waker| (key, waker))) {
            Some((key, waker)) => {
                waker.clone_from(context.waker());
                drop(timers);
                self.key = Some(key);
            }
            None => {
                let key = timers.add(at, context.waker().clone());
                drop(timers);
                self.key = Some(key);
            }
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.io.timers().pending.remove(&key);
        }
    }
}
