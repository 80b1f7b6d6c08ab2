//! What a decision asks of the world.

use odradek_engine::types::{ProducerEpoch, ProducerId, TransactionEnd};

use super::super::effects as shared;
use super::super::effects::Ticket;
use super::transaction::{Partitions, Record};

/// Markers to be written into every partition of a transaction that has ended. Tell
/// [`marked`](super::TransactionsShard::marked) when all are durable, or
/// [`abandoned`](super::TransactionsShard::abandoned) when a partition says that this coordinator
/// or this epoch is fenced. A partition that exists no more needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    pub id: String,
    pub end: TransactionEnd,
    pub partitions: Partitions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The producer's id and epoch from now on, or why there are none.
    Producer(Result<(ProducerId, ProducerEpoch), i16>),
    /// An error code.
    Code(i16),
}

pub type Effect = shared::Effect<Reply, Record, Markers>;
pub type Effects = Vec<Effect>;

/// What a write is for: who is told when it is durable.
#[derive(Debug)]
pub(super) struct Write {
    pub id: String,
    pub tickets: Vec<Ticket>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The producer gets its epoch.
    Init,
    /// A transaction in the way of a new producer is aborted: that one comes again.
    InitAbort,
    Join,
    /// The client asked for the end; or the time was up.
    Prepare,
    Complete,
    Forget,
}

impl Kind {
    /// What whoever asked is told if it cannot be written.
    pub fn failed(self, code: i16) -> Reply {
        match self {
            Kind::Join => Reply::Code(code),
            _ => Reply::Producer(Err(code)),
        }
    }
}
