//! InitProducerId with a transactional id: a producer begins, and fences all before it.

use odradek_engine::types::{ProducerEpoch, ProducerId};

use super::super::effects::Ticket;
use super::effects::{Effects, Kind, Reply, Write};
use super::error;
use super::transaction::{Entry, Transaction, is_exhausted};
use super::{State, TransactionsShard};

#[derive(Debug, Clone)]
pub struct InitRequest {
    pub id: String,
    pub timeout_ms: i32,
    /// Who the producer was until now, if it says so (KIP-360).
    pub expected: Option<(ProducerId, ProducerEpoch)>,
}

/// Whether an id must be taken for this request.
fn needs_id(now: &Transaction, expected: Option<(ProducerId, ProducerEpoch)>) -> bool {
    now.state.is_settled()
        && is_exhausted(now.epoch)
        && expected.is_none_or(|(_, epoch)| epoch == now.epoch)
}

/// Whether the producer is who it says it was; its epoch is judged later. An id that was replaced
/// because its epochs were used up is known once more: the answer may have got lost.
fn is_known(now: &Transaction, (id, epoch): (ProducerId, ProducerEpoch)) -> bool {
    now.epoch == ProducerEpoch::NONE
        || id == now.producer_id
        || id == now.previous_id && is_exhausted(epoch)
}

impl TransactionsShard {
    /// Whether [`init`](Self::init) will want a producer id that nobody has.
    pub fn init_needs_id(&self, request: &InitRequest) -> bool {
        let valid = self.validate(request).is_ok();
        valid
            && match self.entries.get(&request.id) {
                None => true,
                Some(entry) => !entry.busy() && needs_id(&entry.now, request.expected),
            }
    }

    /// Answered when the producer's epoch is durable.
    pub fn init(
        &mut self,
        request: InitRequest,
        fresh: Option<ProducerId>,
        ticket: Ticket,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let next = self
            .validate(&request)
            .and_then(|()| self.decide_init(&request, fresh, now_ms));
        let write = |kind| Write {
            id: request.id.clone(),
            tickets: vec![ticket],
            kind,
        };
        match next {
            Err(code) => Self::reply(Some(ticket), Reply::Producer(Err(code)), out),
            Ok(next) => {
                let kind = match next.state {
                    State::Empty => Kind::Init,
                    _ => Kind::InitAbort,
                };
                self.write(&request.id, next, write(kind), out);
            }
        }
    }

    fn validate(&self, request: &InitRequest) -> Result<(), i16> {
        let limits = &self.settings.limits;
        if request.id.is_empty() || request.id.len() > limits.id_bytes_max {
            return Err(error::INVALID_REQUEST);
        }
        if request.timeout_ms <= 0 || request.timeout_ms > self.settings.timeout_max_ms {
            return Err(error::INVALID_TRANSACTION_TIMEOUT);
        }
        let is_new = !self.entries.contains_key(&request.id);
        if is_new && self.entries.len() >= limits.ids_max || !self.has_room_to_write() {
            return Err(error::COORDINATOR_NOT_AVAILABLE);
        }
        Ok(())
    }

    fn decide_init(
        &mut self,
        request: &InitRequest,
        fresh: Option<ProducerId>,
        now_ms: i64,
    ) -> Result<Transaction, i16> {
        let entry = match self.entries.get(&request.id) {
            Some(entry) => entry,
            None => {
                let id = fresh.ok_or(error::COORDINATOR_LOAD_IN_PROGRESS)?;
                let now = Transaction::new(id, request.timeout_ms, now_ms);
                let entry = Entry::new(now);
                &*self.entries.entry(request.id.clone()).or_insert(entry)
            }
        };
        if entry.busy() {
            return Err(error::CONCURRENT_TRANSACTIONS);
        }
        let now = &entry.now;
        if request
            .expected
            .is_some_and(|expected| !is_known(now, expected))
        {
            return Err(error::PRODUCER_FENCED);
        }
        if now.state == State::Ongoing {
            return Ok(now.fenced(self.version, now_ms));
        }
        if needs_id(now, request.expected) {
            let id = fresh.ok_or(error::COORDINATOR_LOAD_IN_PROGRESS)?;
            let keeps_last = request.expected.is_some();
            return Ok(now.rotated(id, request.timeout_ms, keeps_last, now_ms));
        }
        let expected = request.expected.map(|(_, epoch)| epoch);
        now.incremented(request.timeout_ms, expected, now_ms)
    }
}
