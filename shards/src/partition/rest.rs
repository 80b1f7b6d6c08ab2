//! Looking after partitions that are written to, and letting those rest that are not any more.
//!
//! A partition that is appended to is looked at until it has rested: what it wrote becomes durable
//! within the lag, and after a while without appends or reads it gives its memory back. A partition
//! at rest costs nothing but what it remembers, and nobody looks at it: so the shard's work is by
//! those that are used, not by those that there are.

use std::rc::Rc;

use odradek_engine::types::Offset;

use super::{Ground, Partition, State};

/// So many looks after its last append a partition rests.
const REST_LOOKS: u32 = 50;

/// Where a partition stood when it was last looked at.
#[derive(Default)]
pub(super) struct Looked {
    /// It is among those that are looked at.
    lively: bool,
    end: Offset,
    /// Looks since the end moved.
    looks: u32,
}

impl Ground {
    /// Looks at the partitions that need it; to be called every so often. Whether there are any.
    pub fn look(&self) -> bool {
        let mut lively = self.lively.take();
        lively.retain(|one| one.upgrade().is_some_and(|one| one.look()));
        lively.append(&mut self.lively.borrow_mut());
        let any = !lively.is_empty();
        if !any {
            lively.shrink_to_fit();
        }
        self.lively.replace(lively);
        any
    }
}

impl Partition {
    /// It is looked at from now on.
    pub(super) fn enliven(&self, state: &mut State) {
        if !state.looked.lively {
            state.looked.lively = true;
            self.ground.lively.borrow_mut().push(self.me.clone());
        }
    }

    /// Flushes what is due, rests if it is time. Whether it must be looked at again.
    fn look(self: &Rc<Self>) -> bool {
        self.flush_if_due();
        let mut state = self.state.borrow_mut();
        let end = state.log.next();
        let looked = &mut state.looked;
        if looked.end != end {
            (looked.end, looked.looks) = (end, 0);
        }
        looked.looks += 1;
        if looked.looks > REST_LOOKS {
            let rested = self.rest(&mut state);
            state.looked.lively = !rested;
        }
        state.looked.lively
    }

    /// Gives memory back, unless it was read lately or is not durable yet; whether it did.
    fn rest(&self, state: &mut State) -> bool {
        if state.closed || state.poisoned.is_some() || state.handed_over {
            return true;
        }
        if std::mem::take(&mut state.tail_read) {
            state.looked.looks = 0;
            return false;
        }
        let stored = state.progress.stored();
        if stored < state.log.next() || !state.quiet() || !state.log.shrink(stored) {
            self.store_all(state);
            return false;
        }
        state.progress.shrink();
        state.undurable.shrink();
        state.written.shrink();
        state.visible.shrink();
        state.readers.shrink_to_fit();
        state.rested = state.rested.wrapping_add(1);
        self.account(state);
        true
    }
}
