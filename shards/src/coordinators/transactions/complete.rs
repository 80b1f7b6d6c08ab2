//! Writes and markers come to their end: what was decided is in force.

use odradek_engine::types::{ProducerEpoch, ProducerId, TransactionEnd};

use super::super::effects::Token;
use super::effects::{Effect, Effects, Kind, Markers, Reply, Write};
use super::error;
use super::transaction::Record;
use super::{State, TransactionsShard};

impl TransactionsShard {
    /// Tells the end of a [`Persist`](Effect::Persist): durable, or not written at all. In the
    /// order of tokens; an unknown token is ignored (it was unloaded).
    pub fn persisted(
        &mut self,
        token: Token,
        outcome: Result<(), i16>,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let Some(Write { id, tickets, kind }) = self.writes.remove(&token) else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        let next = entry.next.take();
        if let Err(code) = outcome {
            Self::reply(tickets, kind.failed(code), out);
            self.schedule(&id);
            return self.add_waiting(&id, now_ms, out);
        }
        if kind == Kind::Forget {
            let joiners = std::mem::take(&mut entry.joiners);
            self.entries.remove(&id);
            self.deadlines.set(&id, None);
            return self.add_all(&id, joiners, now_ms, out);
        }
        entry.now = next.expect("something was written");
        let now = &entry.now;
        match kind {
            Kind::Init => {
                let producer = (now.producer_id, now.epoch);
                Self::reply(tickets, Reply::Producer(Ok(producer)), out);
            }
            Kind::InitAbort => {
                let code = error::CONCURRENT_TRANSACTIONS;
                Self::reply(tickets, Reply::Producer(Err(code)), out);
            }
            Kind::Prepare => {
                let after = now.completed(now_ms);
                let producer = (after.producer_id, after.epoch);
                Self::reply(tickets, Reply::Producer(Ok(producer)), out);
            }
            Kind::Join => Self::reply(tickets, Reply::Code(error::NONE), out),
            Kind::Complete | Kind::Forget => {}
        }
        self.schedule(&id);
        self.send_markers(&id, now_ms, out);
        self.add_waiting(&id, now_ms, out);
    }

    /// Sends the markers of a transaction whose end is decided.
    pub(super) fn send_markers(&mut self, id: &str, now_ms: i64, out: &mut Effects) {
        let Some(entry) = self.entries.get(id) else {
            return;
        };
        let now = &entry.now;
        if !now.state.is_prepared() || entry.next.is_some() {
            return;
        }
        if now.partitions.is_empty() {
            let (producer_id, epoch) = (now.producer_id, now.epoch);
            return self.marked(id, producer_id, epoch, now_ms, out);
        }
        out.push(Effect::Errand(Markers {
            id: id.to_owned(),
            end: TransactionEnd {
                producer_id: now.producer_id,
                producer_epoch: now.epoch,
                coordinator_epoch: self.coordinator_epoch,
                commit: now.state == State::PrepareCommit,
                version: now.client_version as i8,
            },
            partitions: now.partitions.clone(),
        }));
    }

    /// Every partition of the transaction that this producer ended by this epoch has its marker,
    /// durably, or is no more.
    pub fn marked(
        &mut self,
        id: &str,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let Some(entry) = self.entries.get(id) else {
            return;
        };
        let now = &entry.now;
        let awaited = now.state.is_prepared()
            && entry.next.is_none()
            && (now.producer_id, now.epoch) == (producer_id, epoch);
        if awaited {
            let next = now.completed(now_ms);
            let write = Write {
                id: id.to_owned(),
                tickets: Vec::new(),
                kind: Kind::Complete,
            };
            self.write(id, next, write, out);
        }
    }

    /// Does what is due: aborts transactions whose time is up, forgets ids that nobody uses, sends
    /// away who has waited for long enough.
    pub fn tick(&mut self, now_ms: i64, out: &mut Effects) {
        while self.has_room_to_write()
            && let Some(id) = self.deadlines.pop(now_ms)
        {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            if entry.busy() {
                Self::send_away(entry, now_ms, out);
                self.schedule(&id);
                continue;
            }
            let now = &entry.now;
            if now.state == State::Ongoing {
                let (producer, timeout_ms) = (now.producer_id.0, now.timeout_ms);
                tracing::info!(
                    "the transaction of {id} (producer {producer}) is aborted: it has been open \
                     for longer than its {timeout_ms} ms"
                );
                let next = now.fenced(self.version, now_ms);
                let write = Write {
                    id: id.clone(),
                    tickets: Vec::new(),
                    kind: Kind::Prepare,
                };
                self.write(&id, next, write, out);
            } else {
                self.forget(id, out);
            }
        }
    }

    /// Forgets an id.
    fn forget(&mut self, id: String, out: &mut Effects) {
        self.last_token += 1;
        let token = Token(self.last_token);
        let version = self.version;
        if let Some(entry) = self.entries.get_mut(&id) {
            // Nothing else begins meanwhile.
            entry.next = Some(entry.now.clone());
        }
        let write = Write {
            id: id.clone(),
            tickets: Vec::new(),
            kind: Kind::Forget,
        };
        self.writes.insert(token, write);
        out.push(Effect::Persist {
            token,
            records: vec![Record {
                id,
                state: None,
                version,
            }],
        });
    }
}
