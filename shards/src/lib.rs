//! The node: shards, network, partitions, catalog, coordinators, APIs.

pub mod config;
pub mod coordinators;
