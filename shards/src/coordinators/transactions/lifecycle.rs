//! From the log to a serving coordinator and back.

use odradek_engine::mutant::{self, Mutant};

use super::TransactionsShard;
use super::effects::{Effects, Reply};
use super::error;
use super::transaction::{Entry, Record};

impl TransactionsShard {
    /// Folds one record of the log into the state, in log order, before [`loaded`](Self::loaded).
    pub fn replay(&mut self, record: Record) {
        match record.state {
            Some(now) => {
                self.entries.insert(record.id, Entry::new(now));
            }
            None => {
                self.entries.remove(&record.id);
            }
        }
    }

    /// The log has been replayed: what had been decided is carried out, and time counts.
    pub fn loaded(&mut self, now_ms: i64, out: &mut Effects) {
        let ids: Vec<String> = self.entries.keys().cloned().collect();
        for id in ids {
            if mutant::is(Mutant::ForgetMarkers)
                && let Some(entry) = self.entries.get_mut(&id)
                && entry.now.state.is_prepared()
            {
                entry.now.partitions.pop_last();
            }
            self.schedule(&id);
            self.send_markers(&id, now_ms, out);
        }
    }

    /// This node is no longer the coordinator: whoever waits is told NOT_COORDINATOR, and
    /// everything is forgotten.
    pub fn unload(&mut self, out: &mut Effects) {
        for write in std::mem::take(&mut self.writes).into_values() {
            let reply = write.kind.failed(error::NOT_COORDINATOR);
            Self::reply(write.tickets, reply, out);
        }
        for entry in std::mem::take(&mut self.entries).into_values() {
            let tickets = entry.joiners.iter().map(|joiner| joiner.ticket);
            Self::reply(tickets, Reply::Code(error::NOT_COORDINATOR), out);
        }
        self.deadlines = Default::default();
    }

    /// When [`tick`](Self::tick) has something to do (milliseconds, the caller's clock).
    pub fn next_deadline(&self) -> Option<i64> {
        self.deadlines.next().filter(|_| self.has_room_to_write())
    }
}
