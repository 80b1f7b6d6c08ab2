//! A bounded queue with one reader, who sleeps while it is empty, and writers on any thread.
//!
//! Every interleaving of the sleeping is gone through by `tools/models`, which compiles this very
//! file; the queue itself is a library's.

use std::task::{Context, Poll, Waker};

use crossbeam_queue::ArrayQueue;

use super::locks::Mutex;

/// See the module.
pub struct Inbox<T> {
    queue: ArrayQueue<T>,
    waker: Mutex<Option<Waker>>,
}

impl<T> Inbox<T> {
    /// Room for so many, above 0.
    pub fn new(most: usize) -> Self {
        Inbox {
            queue: ArrayQueue::new(most),
            waker: Mutex::new(None),
        }
    }

    /// Puts one in and wakes the reader.
    ///
    /// # Errors
    /// Gives it back when there is no room.
    pub fn push(&self, one: T) -> Result<(), T> {
        self.queue.push(one)?;
        let waker = self.waker.lock().expect("no panic under this lock").take();
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Takes the next, or sees to it that the reader is woken when there is one.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<T> {
        if let Some(one) = self.queue.pop() {
            return Poll::Ready(one);
        }
        *self.waker.lock().expect("no panic under this lock") = Some(context.waker().clone());
        // What came in between found no waker to wake.
        match self.queue.pop() {
            Some(one) => Poll::Ready(one),
            None => Poll::Pending,
        }
    }
}
