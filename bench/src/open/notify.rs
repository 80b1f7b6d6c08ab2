//! One task waits, others on its thread raise a flag.

use std::cell::{Cell, RefCell};
use std::task::{Poll, Waker};

/// A flag with at most one waiter.
#[derive(Default)]
pub(crate) struct Notify {
    raised: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Notify {
    /// The current or the next wait ends.
    pub(crate) fn raise(&self) {
        if !self.raised.replace(true)
            && let Some(waiter) = self.waiter.take()
        {
            waiter.wake();
        }
    }

    /// Waits for the flag and lowers it.
    pub(crate) async fn wait(&self) {
        std::future::poll_fn(|context| {
            if self.raised.replace(false) {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
