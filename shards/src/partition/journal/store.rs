//! What the journal holds, on its way into the segments.
//!
//! A partition's bytes go there when there are enough for a write that is worth it, when memory runs
//! short, when it rests, closes or moves; and all of those that have entries in the oldest file, when
//! the journal needs that file again.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use odradek_engine::limits::PARTITIONS_AT_ONCE;

use super::{Desk, FILES, Journal};
use crate::partition::{Partition, RETRY_NS, State};
use crate::runtime::abreast;

impl Partition {
    /// Everything pending goes to its files now.
    pub(in crate::partition) fn write_all(&self, state: &mut State) {
        let next = state.log.next();
        if let Some(it) = &mut state.journaled {
            it.write_to = next;
        }
        self.start_writing(state);
    }

    /// Everything that the journal has taken is to be durable in its files.
    pub(in crate::partition) fn store_all(&self, state: &mut State) {
        let stored = state.progress.stored();
        let Some(it) = &mut state.journaled else {
            return;
        };
        if it.taken <= stored || state.poisoned.is_some() {
            return;
        }
        it.store_to = it.taken;
        it.write_to = it.write_to.max(it.taken);
        self.start_writing(state);
        self.go_on_storing(state);
    }

    /// Sees to it that what is to be stored, and is in its files, is flushed; tells who waits.
    pub(in crate::partition) fn go_on_storing(&self, state: &mut State) {
        let (stored, in_file) = (state.progress.stored(), state.progress.in_file());
        let Some(it) = &mut state.journaled else {
            return;
        };
        it.stored.reached(stored);
        // The write that brought it there may have been durable.
        if it.store_to > stored && in_file >= it.store_to {
            self.start_flush(state);
        }
    }

    /// Whether writes to its files bring what the journal holds: they are durable, if writes are.
    pub(in crate::partition) fn storing(&self, state: &State) -> bool {
        self.ground.dsync && self.held(state)
    }

    /// Whether the journal is needed: it holds what is not stored.
    pub(in crate::partition) fn held(&self, state: &State) -> bool {
        let it = state.journaled.as_ref();
        it.is_some_and(|it| it.taken > state.progress.stored())
    }

    /// The same, for others.
    pub fn held_by_journal(&self) -> bool {
        self.held(&self.state.borrow())
    }

    /// Makes durable in its files what the journal has taken so far. `false`: it cannot, and the
    /// journal must keep it.
    async fn store(&self) -> bool {
        let wait = {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            if !self.held(state) {
                return true;
            }
            if state.poisoned.is_some() {
                return false;
            }
            let it = state.journaled.as_mut().expect("it is held");
            let wait = it.stored.add(it.taken);
            self.store_all(state);
            wait
        };
        // It fails if the partition does, or is gone: then nobody needs it.
        wait.done().await.is_ok() || !self.held_by_journal()
    }
}

impl Journal {
    /// Stores what is in a file that is full; then the file is free.
    pub(super) async fn store_file(self: Rc<Self>, file: usize) {
        let stored = self.store_enlisted(file).await;
        let mut desk = self.desk.borrow_mut();
        match stored {
            true => desk.ring.stored(file),
            false => desk.store_at[file] = self.io.now() + RETRY_NS,
        }
        desk.tending -= 1;
        drop(desk);
        self.calm.raise();
        self.work.raise();
    }

    /// Whether nobody needs any more what is in the file.
    async fn store_enlisted(&self, file: usize) -> bool {
        let enlisted = std::mem::take(&mut self.desk.borrow_mut().enlisted[file]);
        let stuck: Rc<RefCell<Vec<Weak<Partition>>>> = Rc::default();
        let left = stuck.clone();
        let storing = enlisted.into_iter().map(move |one| {
            let stuck = stuck.clone();
            async move {
                if let Some(partition) = one.upgrade()
                    && !partition.store().await
                {
                    stuck.borrow_mut().push(one);
                }
            }
        });
        abreast(&self.spawner, PARTITIONS_AT_ONCE, storing).await;
        let stuck = left.take();
        let none = stuck.is_empty();
        self.desk.borrow_mut().enlisted[file].extend(stuck);
        none
    }

    /// Stores what is in any file; it is kept all the same.
    pub(super) async fn store_everything(&self) {
        for file in 0..FILES {
            self.store_enlisted(file).await;
        }
        self.desk.borrow_mut().tending -= 1;
        self.calm.raise();
    }
}

impl Desk {
    /// Whether somebody needs the journal.
    pub(super) fn needed(&self) -> bool {
        let mut enlisted = self.enlisted.iter().flatten();
        enlisted.any(|one| one.upgrade().is_some_and(|one| one.held_by_journal()))
    }
}
