//! EndTxn: the decision to commit or to abort.
//!
//! Under transaction version 2 each end raises the epoch, so that the same epoch means the next
//! transaction and one less means that the client asks again; a transaction that nothing was
//! written in may be aborted. Before that an end that is asked for again is answered as done.
//!
//! Source: Kafka `TransactionCoordinator.endTransaction`, `endTransactionWithTV1`.

use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::{ProducerEpoch, ProducerId};

use super::super::effects::Ticket;
use super::effects::{Effects, Kind, Reply, Write};
use super::error;
use super::partitions::Member;
use super::transaction::{Entry, Transaction, is_exhausted};
use super::{State, TransactionsShard};

#[derive(Debug, Clone)]
pub struct EndRequest {
    pub member: Member,
    pub commit: bool,
    /// The transaction version that the request speaks.
    pub client_version: i16,
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It was done before.
    Again,
    Prepare,
}

/// A request of version 2 that repeats one: the epoch was raised since, or began anew. One that is
/// late is like it when the coordinator aborted by itself, unless that took the last epoch of all,
/// which no client is given.
fn is_repeated(now: &Transaction, member: &Member) -> bool {
    let raised = Some(now.epoch.0) == member.epoch.0.checked_add(1);
    raised && now.epoch.0 < i16::MAX || is_repeated_overflow(now, member)
}

fn is_repeated_overflow(now: &Transaction, member: &Member) -> bool {
    now.previous_id == member.producer_id
        && member.epoch.0 == i16::MAX - 1
        && now.epoch == ProducerEpoch(0)
}

fn step(entry: &Entry, request: &EndRequest) -> Result<Step, i16> {
    match request.client_version >= 2 {
        true => step_raising(entry, request),
        false => step_before(entry, request),
    }
}

fn step_raising(
    entry: &Entry,
    EndRequest { member, commit, .. }: &EndRequest,
) -> Result<Step, i16> {
    let now = &entry.now;
    if entry.busy() {
        return Err(error::CONCURRENT_TRANSACTIONS);
    }
    if now.producer_id != member.producer_id && !is_repeated_overflow(now, member) {
        return Err(error::INVALID_PRODUCER_ID_MAPPING);
    }
    let again = is_repeated(now, member);
    let complete = matches!(now.state, State::CompleteCommit | State::CompleteAbort);
    if now.epoch != member.epoch && !(again && complete) {
        return Err(error::PRODUCER_FENCED);
    }
    match (now.state, commit) {
        (State::Ongoing, _) => Ok(Step::Prepare),
        (State::CompleteCommit, true) | (State::CompleteAbort, false) if again => Ok(Step::Again),
        (State::Empty, false) => Ok(Step::Prepare),
        (State::CompleteCommit | State::CompleteAbort, false) if !again => Ok(Step::Prepare),
        _ => Err(error::INVALID_TXN_STATE),
    }
}

fn step_before(entry: &Entry, EndRequest { member, commit, .. }: &EndRequest) -> Result<Step, i16> {
    let now = &entry.now;
    if now.producer_id != member.producer_id {
        return Err(error::INVALID_PRODUCER_ID_MAPPING);
    }
    if now.epoch != member.epoch {
        return Err(error::PRODUCER_FENCED);
    }
    if entry.busy() {
        return Err(error::CONCURRENT_TRANSACTIONS);
    }
    match (now.state, commit) {
        (State::Ongoing, _) => Ok(Step::Prepare),
        (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(Step::Again),
        _ => Err(error::INVALID_TXN_STATE),
    }
}

impl TransactionsShard {
    fn decide_end(&self, request: &EndRequest) -> Result<(&Transaction, Step), i16> {
        let member = &request.member;
        if member.id.is_empty() {
            return Err(error::INVALID_REQUEST);
        }
        let entry = self.entries.get(&member.id);
        let entry = entry.ok_or(error::INVALID_PRODUCER_ID_MAPPING)?;
        let step = step(entry, request)?;
        Ok((&entry.now, step))
    }

    /// Whether [`end`](Self::end) will want a producer id that nobody has.
    pub fn end_needs_id(&self, request: &EndRequest) -> bool {
        request.client_version >= 2
            && matches!(self.decide_end(request),
                Ok((now, Step::Prepare)) if is_exhausted(now.epoch))
    }

    /// Answered when the decision is durable, with the producer's id and epoch from then on; the
    /// markers follow.
    pub fn end(
        &mut self,
        request: &EndRequest,
        fresh: Option<ProducerId>,
        ticket: Ticket,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let decided = self.decide_end(request).and_then(|(now, step)| {
            if step == Step::Again {
                return Ok(Err((now.producer_id, now.epoch)));
            }
            if !self.has_room_to_write() {
                return Err(error::COORDINATOR_NOT_AVAILABLE);
            }
            let version = request.client_version;
            let next_id = match version >= 2 && is_exhausted(now.epoch) {
                true => fresh.ok_or(error::COORDINATOR_LOAD_IN_PROGRESS)?,
                false => ProducerId::NONE,
            };
            Ok(Ok(now.prepared(request.commit, version, next_id, now_ms)))
        });
        match decided {
            Err(code) => Self::reply(Some(ticket), Reply::Producer(Err(code)), out),
            Ok(Err(producer)) => Self::reply(Some(ticket), Reply::Producer(Ok(producer)), out),
            Ok(Ok(next)) => {
                let mut ticket = Some(ticket);
                if mutant::is(Mutant::AnswerEndEarly) {
                    let after = next.completed(now_ms);
                    let producer = (after.producer_id, after.epoch);
                    Self::reply(ticket.take(), Reply::Producer(Ok(producer)), out);
                }
                let write = Write {
                    id: request.member.id.clone(),
                    tickets: ticket.into_iter().collect(),
                    kind: Kind::Prepare,
                };
                self.write(&request.member.id, next, write, out);
            }
        }
    }
}
