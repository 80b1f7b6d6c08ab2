//! Coordinators: each decides over the records of one partition of an internal topic.
//!
//! [`groups`] decides and does nothing else. Around it: [`Host`] is one partition's coordinator
//! at work, [`Groups`] the coordinators of a shard, [`partition_for`] says where a group belongs.

pub mod groups;
mod host;
mod host_load;
mod host_write;
mod hosts;
mod place;
pub mod producer_ids;

pub use host::{Answer, Host};
pub use hosts::{Groups, OFFSETS_TOPIC};
pub use place::partition_for;
