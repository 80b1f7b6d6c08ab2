//! A flag to wait on.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A flag that one task waits on and many places raise: a parked fetch.
#[derive(Default)]
pub struct Notice {
    raised: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Notice {
    /// Raises the flag.
    pub fn raise(&self) {
        self.raised.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until the flag is raised, and lowers it.
    pub async fn raised(&self) {
        poll_fn(|context| {
            if self.raised.take() {
                return Poll::Ready(());
            }
            self.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}
