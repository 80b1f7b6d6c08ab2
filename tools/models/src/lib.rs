//! Every interleaving of what crosses threads in the node: who wakes whom, and whether a call can be
//! lost.
//!
//! The node's own files are compiled here a second time, with loom's atomics and locks in the place
//! of the standard library's; loom then runs each model in every order that its threads could take.
//! A lost call shows as a deadlock.
//!
//! Modelled is every protocol of the node's own by which a thread sleeps until another calls: the
//! drivers' claims and naps, and the mailboxes' inboxes. What else threads share needs no model:
//! - `net/gate.rs`: one counter, changed by single read-modify-write operations and never read to
//!   decide about anything else; and one lock, held over one look-up in a map, with nothing else
//!   taken, awaited or called under it. Nobody sleeps until one of them changes: an acceptor that
//!   finds no place looks again after a while.
//! - what is asked of the shards for metrics: messages through the same mailboxes, and answers
//!   through the `futures` crate's one-shot channel. A shard's counters are its own: no other thread
//!   reads them. Who asks waits for a bounded time, and does without.
//! - the poll driver's threads, which sleep on a condition of the standard library: what they wait
//!   for is looked at and changed under its lock only.
//! - flags that tell by themselves (a log directory has failed, a file could not be read, the phase
//!   of the node): whoever sees one late does what it would have done a moment before.

#[cfg(test)]
mod atomics {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
}

#[cfg(test)]
mod locks {
    pub(super) use loom::sync::Mutex;
}

#[cfg(test)]
#[path = "../../../engine/src/io/called.rs"]
mod called;

#[cfg(test)]
#[path = "../../../shards/src/runtime/inbox.rs"]
mod inbox;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use loom::future::block_on;
    use loom::sync::Notify;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    use crate::called::{Claim, Nap};
    use crate::inbox::Inbox;

    /// What is put down for a driver, and what tells it.
    struct Calls {
        down: AtomicUsize,
        told: Notify,
    }

    impl Calls {
        fn new() -> Self {
            Calls {
                down: AtomicUsize::new(0),
                told: Notify::new(),
            }
        }

        /// Puts something down and calls.
        fn call(&self, call: impl FnOnce() -> bool) {
            self.down.fetch_add(1, Ordering::SeqCst);
            if call() {
                self.told.notify();
            }
        }

        fn take(&self) -> usize {
            self.down.swap(0, Ordering::SeqCst)
        }
    }

    #[test]
    fn no_call_is_lost_by_a_driver_that_may_always_be_told() {
        loom::model(|| {
            let of = Arc::new((Claim::new(), Calls::new()));
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let of = of.clone();
                    thread::spawn(move || of.1.call(|| of.0.call()))
                })
                .collect();
            let (claim, calls) = (&of.0, &of.1);
            let mut taken = calls.take();
            while taken < 2 {
                calls.told.wait();
                claim.awake();
                taken += calls.take();
            }
            callers
                .into_iter()
                .for_each(|caller| caller.join().unwrap());
        });
    }

    #[test]
    fn no_call_is_lost_by_a_driver_that_is_told_while_it_sleeps() {
        loom::model(|| {
            let of = Arc::new((Nap::new(), Calls::new()));
            let callers: Vec<_> = (0..2)
                .map(|_| {
                    let of = of.clone();
                    thread::spawn(move || of.1.call(|| of.0.call()))
                })
                .collect();
            let (nap, calls) = (&of.0, &of.1);
            let mut taken = calls.take();
            while taken < 2 {
                if nap.sleep() {
                    calls.told.wait();
                }
                nap.awake();
                taken += calls.take();
            }
            callers
                .into_iter()
                .for_each(|caller| caller.join().unwrap());
        });
    }

    #[test]
    fn nothing_stays_in_an_inbox_whose_reader_sleeps() {
        loom::model(|| {
            let inbox = Arc::new(Inbox::new(2));
            let writers: Vec<_> = (0..2)
                .map(|one| {
                    let inbox = inbox.clone();
                    thread::spawn(move || inbox.push(one).unwrap())
                })
                .collect();
            let mut sum = 0;
            for _ in 0..2 {
                sum += block_on(poll_fn(|context| inbox.poll(context)));
            }
            assert_eq!(sum, 1);
            writers
                .into_iter()
                .for_each(|writer| writer.join().unwrap());
        });
    }
}
