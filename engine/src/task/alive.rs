//! The tasks that are not done, so that an executor can drop them with itself.
//!
//! A task that waits is held by wakers alone, which lie in what it waits for: an operation's slot,
//! a partition's waiters. Those are often held by the task itself; nobody else would end that
//! circle.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A waker per task, by index.
#[derive(Default)]
pub(super) struct Alive {
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

/// A future that is forgotten here when it goes.
pub(super) struct Tracked<F> {
    future: F,
    _mark: Mark,
}

struct Mark {
    alive: Rc<Alive>,
    index: usize,
}

impl Alive {
    /// Gives a future a place.
    pub(super) fn track<F>(alive: &Rc<Alive>, future: F) -> (usize, Tracked<F>) {
        let index = alive.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut wakers = alive.wakers.borrow_mut();
            wakers.push(None);
            wakers.len() - 1
        });
        let alive = alive.clone();
        let _mark = Mark { alive, index };
        (index, Tracked { future, _mark })
    }

    /// By what the task there is woken.
    pub(super) fn set(&self, index: usize, waker: Waker) {
        self.wakers.borrow_mut()[index] = Some(waker);
    }

    /// Wakes every task there is, once. Whether there was any.
    pub(super) fn wake_all(&self) -> bool {
        let all: Vec<Waker> = {
            let mut wakers = self.wakers.borrow_mut();
            wakers.iter_mut().filter_map(Option::take).collect()
        };
        let any = !all.is_empty();
        for waker in all {
            waker.wake();
        }
        any
    }
}

impl<F: Future> Future for Tracked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the future is never moved out of its place: this is the only way to it, and
        // there is no Drop of `Tracked` itself.
        unsafe { self.map_unchecked_mut(|tracked| &mut tracked.future) }.poll(context)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let waker = self.alive.wakers.borrow_mut()[self.index].take();
        self.alive.free.borrow_mut().push(self.index);
        drop(waker);
    }
}
