//! Who waits for a partition's progress.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use odradek_engine::io::Io;
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::Offset;

/// Why a wait ended without reaching its mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failed;

#[derive(Default)]
struct Slot {
    outcome: Cell<Option<Result<(), Failed>>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    fn finish(&self, outcome: Result<(), Failed>) {
        self.outcome.set(Some(outcome));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// A wait for one offset. Completes at once if nobody needs to be asked.
pub struct Wait(Rc<Slot>);

impl Wait {
    /// A wait that has already ended.
    pub fn over(outcome: Result<(), Failed>) -> Self {
        let slot = Rc::new(Slot::default());
        slot.outcome.set(Some(outcome));
        Wait(slot)
    }

    /// Completes when the mark has reached the offset, or the partition has failed.
    pub async fn done(self) -> Result<(), Failed> {
        poll_fn(|context| match self.0.outcome.get() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.0.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

impl Wait {
    /// The same, but not past `at`, nanoseconds of [`Io::now`]: `None` then. `u64::MAX` is never.
    pub async fn done_by(self, io: &Io, at: u64) -> Option<Result<(), Failed>> {
        if at == u64::MAX {
            return Some(self.done().await);
        }
        let (mut done, mut over) = (pin!(self.done()), pin!(io.sleep_until(at)));
        poll_fn(|context| {
            if let Poll::Ready(outcome) = done.as_mut().poll(context) {
                return Poll::Ready(Some(outcome));
            }
            over.as_mut().poll(context).map(|()| None)
        })
        .await
    }
}

/// Waits for one mark, by offset.
#[derive(Default)]
pub struct Waiters {
    queue: VecDeque<(Offset, Rc<Slot>)>,
}

impl Waiters {
    /// Waits until the mark is at `offset` or beyond.
    pub fn add(&mut self, offset: Offset) -> Wait {
        let slot = Rc::new(Slot::default());
        // Offsets come in order but for duplicates, which wait for an earlier one.
        let at = self.queue.partition_point(|(other, _)| *other <= offset);
        self.queue.insert(at, (offset, slot.clone()));
        Wait(slot)
    }

    /// Whether somebody waits for more than `reached`.
    pub fn wanted(&self, reached: Offset) -> bool {
        self.queue
            .back()
            .is_some_and(|(offset, _)| *offset > reached)
    }

    /// The mark has reached `offset`.
    pub fn reached(&mut self, offset: Offset) {
        while let Some((wanted, _)) = self.queue.front() {
            if *wanted > offset {
                break;
            }
            let (_, slot) = self.queue.pop_front().expect("just seen");
            if mutant::is(Mutant::DropWaiter) && offset.0 % 8 == 0 {
                continue;
            }
            slot.finish(Ok(()));
        }
    }

    /// Gives back memory that waits for more than there is.
    pub(super) fn shrink(&mut self) {
        self.queue.shrink_to_fit();
    }

    /// The mark will not move any more.
    pub fn fail(&mut self) {
        for (_, slot) in self.queue.drain(..) {
            slot.finish(Err(Failed));
        }
    }
}
