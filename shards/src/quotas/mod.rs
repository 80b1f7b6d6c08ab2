//! Quotas of clients: what is set, whom it holds for, what was used, for how long somebody must wait.
//! Pure: no I/O, and time comes from outside.
//!
//! *Whom it holds for* is Kafka's: the most specific of (user, client id), (user, any), user, the same
//! of the default user, then client id, any client id. Everybody is `ANONYMOUS` until there is
//! authentication. An empty client id has no quota by client id, not even the default one.
//!
//! *What was used* of byte rates and of request time is a sum over sliding windows
//! (`quota.window.num`, `quota.window.size.seconds`); changes of metadata are a bucket of tokens
//! (KIP-599). Who is over the quota is answered at once and not read from for as long as it takes to
//! come back to it (KIP-219).
//!
//! # A quota is the node's, whatever its number of shards
//!
//! Every shard keeps the usage of the *whole node*: its own as it happens, the others' as they tell
//! it, [`EXCHANGE`] after the first use that they have not told. So every shard judges by the full
//! quota, no request waits for another core, and nothing that was used is ever left out of a sum: it
//! is only seen late. Shares of the quota, dealt out to shards, would instead refuse a client that
//! uses one core what it may have.
//!
//! The error: within [`EXCHANGE`] and the time of a message between shards, a client may be granted
//! beyond the quota what the other shards grant it in that time, which is at most its rate times that
//! time; the sum catches it up, and the wait that follows pays it back. Over a span much longer than the
//! windows it has what its quota says, with one shard or with many.
//!
//! Changes of metadata are made by the controller, on one shard: their buckets are exact.
//!
//! Connections are counted by address (KIP-612). One too many is kept waiting, unread, for as long as it
//! would have had to come later, and then closed; it does not count.
//!
//! Request time is the time in which a shard works on a request, in percent of one shard's thread, as
//! Kafka's is of one of its threads; a node of four shards can spend 400. Receiving, sending, and what
//! other shards do for a request (`shards.advertise=node`) are not in it.
//!
//! # Bounds
//!
//! Only clients that a quota holds for are kept, [`TRACKED_MAX`] of each kind on each shard; those beyond
//! are counted together as if they were one, which throttles them sooner. Whoever has used nothing
//! for as long as the windows reach is forgotten, which changes no sum.
//!
//! # Other than Kafka
//!
//! A fetch whose first batch is larger than what the quota allows in all windows is answered once they
//! are empty; Kafka never answers it. A produce request counts when it arrives, not when its answer
//! leaves. Addresses are named by address only: a host's name is not looked up.
//!
//! Source: Kafka `ClientQuotaManager`, `ClientRequestQuotaManager`, `ControllerMutationQuotaManager`,
//! `ClientQuotaControlManager`, `ClientQuotasImage`.

mod alter;
mod book;
mod bucket;
mod entity;
mod filter;
mod rate;
mod rules;
mod table;

use std::time::Duration;

pub use alter::{Alteration, Asked, Plan, plan};
pub use book::{Book, TRACKED_MAX, Usage};
pub use bucket::Bucket;
pub use entity::{Entity, Name};
pub use filter::Filter;
pub use rate::{Rate, Windows};
pub use rules::{Found, Rules};
pub use table::ClientQuotas;

/// How long a shard gathers what it tells the others.
pub const EXCHANGE: Duration = Duration::from_millis(100);

/// Who everybody is (`KafkaPrincipal.ANONYMOUS`).
pub const ANONYMOUS: &str = "ANONYMOUS";

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Bytes a second of produce requests.
    Produce,
    /// Bytes a second of fetch answers.
    Fetch,
    /// Percent of a thread's time.
    Request,
    /// Connections a second of an address.
    Connection,
    /// Partitions a second that are made or removed.
    Mutation,
}

impl Kind {
    /// All, in the order of their numbers.
    pub const ALL: [Kind; 5] = [
        Kind::Produce,
        Kind::Fetch,
        Kind::Request,
        Kind::Connection,
        Kind::Mutation,
    ];

    /// Kafka's name of the setting.
    pub const fn key(self) -> &'static str {
        match self {
            Kind::Produce => "producer_byte_rate",
            Kind::Fetch => "consumer_byte_rate",
            Kind::Request => "request_percentage",
            Kind::Connection => "connection_creation_rate",
            Kind::Mutation => "controller_mutation_rate",
        }
    }

    /// The kind of that name.
    pub fn of_key(key: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// Whether it is of addresses, not of users and clients.
    pub const fn is_of_addresses(self) -> bool {
        matches!(self, Kind::Connection)
    }

    /// The most that it can be, where its values are whole numbers, and Kafka's name of their type.
    pub const fn whole_max(self) -> Option<(i64, &'static str)> {
        match self {
            Kind::Produce | Kind::Fetch => Some((i64::MAX, "a LONG")),
            Kind::Connection => Some((i32::MAX as i64, "an INT")),
            Kind::Request | Kind::Mutation => None,
        }
    }
}

/// Nanoseconds as whole milliseconds, as clients are told; a wait that rounds to none is none.
pub fn as_millis(nanoseconds: f64) -> u32 {
    let millis = (nanoseconds / 1e6).round();
    // Saturates; NaN is none.
    millis.min(f64::from(i32::MAX)) as u32
}
