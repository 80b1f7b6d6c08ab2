//! DescribeTransactions and ListTransactions (KIP-664).

use odradek_engine::types::{ProducerEpoch, ProducerId};

use super::error;
use super::transaction::Partitions;
use super::{State, TransactionsShard};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub state: State,
    pub timeout_ms: i32,
    /// −1: none is open.
    pub start_ms: i64,
    pub producer_id: ProducerId,
    pub epoch: ProducerEpoch,
    pub partitions: Partitions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    pub producer_id: ProducerId,
    pub state: State,
}

/// Which transactions are asked for; where a list is empty, all are.
pub struct Filter<'a> {
    /// Names of states.
    pub states: &'a [&'a str],
    pub producer_ids: &'a [i64],
    /// Only those open for longer, milliseconds; negative: all.
    pub duration_ms: i64,
    /// Whether an id is asked for.
    pub id: &'a dyn Fn(&str) -> bool,
}

impl TransactionsShard {
    /// # Errors
    /// TRANSACTIONAL_ID_NOT_FOUND.
    pub fn describe(&self, id: &str) -> Result<Described, i16> {
        let entry = self.entries.get(id);
        let now = &entry.ok_or(error::TRANSACTIONAL_ID_NOT_FOUND)?.now;
        if now.state == State::Dead {
            return Err(error::TRANSACTIONAL_ID_NOT_FOUND);
        }
        Ok(Described {
            state: now.state,
            timeout_ms: now.timeout_ms,
            start_ms: now.start_ms,
            producer_id: now.producer_id,
            epoch: now.epoch,
            partitions: now.partitions.clone(),
        })
    }

    /// Those that a filter lets through, in the order of their ids.
    pub fn list(&self, filter: &Filter<'_>, now_ms: i64) -> Vec<Listed> {
        let wanted = self.entries.iter().filter(|(id, entry)| {
            let now = &entry.now;
            let (ids, states) = (filter.producer_ids, filter.states);
            now.state != State::Dead
                && (ids.is_empty() || ids.contains(&now.producer_id.0))
                && (states.is_empty() || states.contains(&now.state.name()))
                && (filter.duration_ms < 0
                    || now_ms.saturating_sub(now.start_ms) > filter.duration_ms)
                && (filter.id)(id)
        });
        let listed = wanted.map(|(id, entry)| Listed {
            id: id.clone(),
            producer_id: entry.now.producer_id,
            state: entry.now.state,
        });
        listed.collect()
    }
}
