//! Work that many wait for, done by one.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Closed until whoever does the work opens it, once and for all.
pub struct Gate(RefCell<Option<Vec<Waker>>>);

impl Gate {
    /// A closed one.
    pub fn new() -> Rc<Gate> {
        Rc::new(Gate(RefCell::new(Some(Vec::new()))))
    }

    /// Lets everybody through.
    pub fn open(&self) {
        for waker in self.0.take().into_iter().flatten() {
            waker.wake();
        }
    }

    /// Waits until it is open.
    pub async fn passed(&self) {
        let mut asked = false;
        poll_fn(|context| match &mut *self.0.borrow_mut() {
            Some(waiting) if !asked => {
                asked = true;
                waiting.push(context.waker().clone());
                Poll::Pending
            }
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        })
        .await;
    }
}
