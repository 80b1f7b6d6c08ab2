//! What of a partition goes into the journal, and what becomes of it there.
//!
//! Only what somebody waits for to be durable, little of it, and only into a file that has room for
//! it: then the segment's write can wait, and cannot fail for want of room. Everything else goes to
//! its segment directly.
//!
//! An entry begins where *durable* ends, or where the entry before it does: so it covers what was
//! written without being durable, too, and the journal's part of the log has no gap.

use std::rc::Rc;

use odradek_engine::limits::JOURNAL_ENTRY_BYTES_MAX;
use odradek_engine::log::journal::Entry;
use odradek_engine::log::journal::frame::Draft;
use odradek_engine::log::journal::span::Span;
use odradek_engine::log::state_file::Key;
use odradek_engine::types::{Offset, Position};

use super::Journal;
use crate::partition::{Partition, State, Waiters};

/// So much is worth a write to the segment.
const SEGMENT_BYTES_MIN: u64 = JOURNAL_ENTRY_BYTES_MAX as u64;

/// A partition's side of its journal.
pub(in crate::partition) struct Journaled {
    key: Key,
    journal: Rc<Journal>,
    /// It stands in the journal's queue.
    queued: bool,
    /// Everything before was given to the journal, or is durable otherwise.
    pub(super) taken: Offset,
    round: u64,
    /// Up to here it must be written to its files now; and be made durable there.
    pub(super) write_to: Offset,
    pub(super) store_to: Offset,
    pub(super) stored: Waiters,
}

impl Journaled {
    /// Nothing taken yet.
    pub fn new(key: Key, journal: Rc<Journal>) -> Box<Journaled> {
        Box::new(Journaled {
            key,
            journal,
            queued: false,
            taken: Offset(0),
            round: 0,
            write_to: Offset(0),
            store_to: Offset(0),
            stored: Waiters::default(),
        })
    }

    /// Nobody waits any more for what was to be stored.
    pub fn fail(&mut self) {
        self.stored.fail();
    }
}

/// What a partition had for a frame.
pub(super) enum Taken {
    /// An entry that makes it durable up to here.
    Entry(Offset),
    Nothing,
    /// More than fits: it is to be asked for the next frame.
    Full,
}

impl Partition {
    /// Leaves what is pending to the journal, as far as it may wait. `false`: it must be written to
    /// its segment.
    pub(in crate::partition) fn left_to_journal(&self, state: &mut State) -> bool {
        let going = state.left() || state.closed;
        let Some(it) = state.journaled.as_mut().filter(|_| !going) else {
            return false;
        };
        let due = it.write_to > state.progress.in_file();
        if !it.queued && it.taken < state.log.next() {
            it.queued = true;
            it.journal.queue(self.me.clone());
        }
        !due
    }

    /// Puts what it has into a frame, or sees to it that it is written otherwise.
    pub(super) fn take(&self, draft: &mut Draft) -> Taken {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some(it) = &mut state.journaled else {
            return Taken::Nothing;
        };
        it.queued = false;
        let key = it.key;
        let from = it.taken.max(state.progress.durable());
        if state.poisoned.is_some() || from >= state.log.next() {
            return Taken::Nothing;
        }
        let Some(span) = self.span_for_journal(state, from) else {
            self.write_all(state);
            return Taken::Nothing;
        };
        if !draft.fits(span.bytes() as usize) {
            state.journaled.as_mut().expect("just seen").queued = true;
            return Taken::Full;
        }
        let Some(parts) = state.log.span_memory(&span) else {
            self.write_all(state);
            return Taken::Nothing;
        };
        let entry = Entry {
            key,
            epoch: state.epoch,
            base: span.base,
            next: span.next,
            segment: span.segment,
            position: Position(span.pos),
        };
        draft.push(&entry, &parts);
        state.journaled.as_mut().expect("just seen").taken = span.next;
        if state.log.waiting_bytes() >= SEGMENT_BYTES_MIN {
            self.write_all(state);
        }
        Taken::Entry(span.next)
    }

    /// What goes into the journal from `from` on; nothing if it does not go this way.
    fn span_for_journal(&self, state: &State, from: Offset) -> Option<Span> {
        if state.left() || state.closed || !self.durable_awaited(state) {
            return None;
        }
        // After a crash nothing is put back into a segment that counts as finished.
        if state.ahead.is_some() {
            return None;
        }
        let span = state.log.span(from)?;
        let file = state.files.get(&span.segment)?;
        let fits = span.bytes() <= JOURNAL_ENTRY_BYTES_MAX as u64 && file.allocated() >= span.end;
        fits.then_some(span)
    }

    /// The journal has no room: what it would have taken is written to its segment.
    pub(super) fn pass_by(&self) {
        let mut state = self.state.borrow_mut();
        if let Some(it) = &mut state.journaled {
            it.queued = false;
            self.write_all(&mut state);
        }
    }

    /// Whether it is the first time that it is asked in this round.
    pub(super) fn enlist(&self, round: u64) -> bool {
        let mut state = self.state.borrow_mut();
        let it = state.journaled.as_mut();
        it.is_some_and(|it| std::mem::replace(&mut it.round, round) != round)
    }

    /// A frame is durable that covers everything up to `end` that was not.
    pub(super) fn journaled(&self, end: Offset) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        if state.poisoned.is_some() || state.handed_over {
            return;
        }
        state.progress.journaled(end);
        state
            .undurable
            .settle(&state.progress, self.ground.io.now());
        self.advanced(state);
    }
}
