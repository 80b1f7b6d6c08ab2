//! Coordinators: each decides over the records of one partition of an internal topic.
//!
//! [`groups`] and [`transactions`] decide and do nothing else. Around them: [`Host`] is one
//! partition's coordinator at work, [`Hosts`] the coordinators of a shard, [`partition_for`] says
//! where a group or a transactional id belongs.

mod clock;
mod coordinator;
pub mod effects;
pub mod groups;
mod host;
mod host_load;
mod host_write;
mod hosts;
mod place;
pub mod producer_ids;
pub mod transactions;

pub use coordinator::Coordinator;
pub use host::{Answer, Host};
pub use hosts::{Hosts, OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
pub use place::partition_for;

/// The group coordinators of a shard.
pub type Groups = Hosts<groups::GroupsShard>;
/// One of them.
pub type GroupHost = Host<groups::GroupsShard>;
/// The transaction coordinators of a shard.
pub type Transactions = Hosts<transactions::TransactionsShard>;
/// One of them.
pub type TransactionHost = Host<transactions::TransactionsShard>;
