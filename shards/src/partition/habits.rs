//! How a partition's files are written, where its topic asks for more than the node does anyway.
//!
//! The node makes every byte durable within `durable.lag.max.ms`, and at once where somebody waits
//! for it. `flush.messages` and `flush.ms` can only make it sooner.

use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::Offset;

use super::{Mark, Partition, State};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// `flush.messages`: so many records, from 1, are durable before the last of them is acknowledged.
    pub flush_messages: i64,
    /// `flush.ms`: bytes are flushed after so long, about; milliseconds.
    pub flush_ms: i64,
    /// `preallocate`: a segment's file has its whole length from the first write on.
    pub preallocate: bool,
}

impl Default for Habits {
    fn default() -> Self {
        Habits {
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            preallocate: false,
        }
    }
}

impl Partition {
    /// Follows these from now on.
    pub fn set_habits(&self, habits: Habits) {
        self.state.borrow_mut().habits = habits;
    }
}

impl State {
    /// Whether so many records are not durable that `flush.messages` asks for a flush.
    pub(super) fn flush_wanted(&self) -> bool {
        self.many_by(self.log.next())
    }

    fn many_by(&self, offset: Offset) -> bool {
        offset.0.saturating_sub(self.progress.durable().0) >= self.habits.flush_messages
    }

    /// The mark that an ack waits for: internal topics know only the strongest, and
    /// `flush.messages` asks for it now and then.
    pub(super) fn effective(&self, mark: Mark, offset: Offset) -> Mark {
        if mutant::is(Mutant::AckBeforeDurable) {
            return Mark::Written;
        }
        match self.always_durable || self.many_by(offset) {
            true => Mark::Visible,
            false => mark,
        }
    }
}
