//! The node: shards, network, partitions, catalog, coordinators, APIs.

pub mod api;
pub mod broker;
pub mod catalog;
pub mod config;
pub mod coordinators;
pub mod metrics;
pub mod net;
pub mod node;
pub mod partition;
pub mod quotas;
pub mod runtime;
pub mod telemetry;
