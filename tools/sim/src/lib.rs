//! The production shards on a simulated machine: lives that end by a stop, a kill or a power cut,
//! clients that speak Kafka's protocol, everything that can go wrong with disks, sockets and clocks,
//! and an oracle that knows what was promised: every acknowledged record is there, once, in order,
//! at its offset; of a compacted log the last one of every key; of a transaction all or nothing.
//!
//! A run is decided by its seed. One that fails says how to run it again, and can be
//! [made smaller](shrink).
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // a program around the node

mod admin;
mod batches;
mod chaos;
pub mod client;
mod committed;
mod consumer;
mod damage;
mod ending;
pub mod fetch;
mod fleeting;
mod groups;
mod harm;
mod judge;
mod keyed;
pub mod keys;
mod ledger;
mod life;
mod machine;
mod members;
mod membership;
pub mod mutants;
mod oracle;
pub mod plan;
mod producer;
pub mod reports;
pub mod requests;
mod rng;
mod run;
mod script;
mod shares;
pub mod shrink;
mod site;
mod snare;
pub mod state_file;
mod story;
mod transactional;
mod transactor;
mod writing;

pub use self::oracle::{Id, Partition};
pub use self::run::{Report, run};
pub use self::script::Script;
