//! What a coordinator's decision asks of its host: replies to send, records to make durable, ends
//! of transactions, and what is to be done elsewhere.
//!
//! A host names each request that may be answered later by a [`Ticket`]; exactly one
//! [`Effect::Reply`] carries it back, from that call or from a later one.

use odradek_engine::types::{ProducerEpoch, ProducerId, TransactionEnd};

/// The host's name for a request that waits for its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The coordinator's name for a write; later writes have greater tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// By whose transaction something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// Markers of it that the partition had seen when its coordinator was asked: if there are more
    /// by now, the transaction is over.
    pub markers: u32,
}

/// `E`: what is to be done elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<R, W, E> {
    Reply {
        ticket: Ticket,
        reply: R,
    },
    /// Append these records, in order, after those of every smaller token. When all are
    /// durable, or have failed, say so by `persisted(token, …)`, again in the order of
    /// tokens. They may be cut into several batches: each record stands alone.
    Persist {
        token: Token,
        records: Vec<W>,
    },
    /// The same as part of a producer's transaction.
    PersistOpen {
        token: Token,
        producer: Producer,
        records: Vec<W>,
    },
    /// Write the marker that ends a transaction in the coordinator's own partition; told by
    /// `persisted` as well.
    End {
        token: Token,
        end: TransactionEnd,
    },
    Errand(E),
}
