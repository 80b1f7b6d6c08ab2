//! Metrics of clients (KIP-714): which are asked of whom, and what came.
//! Pure: no I/O, and time comes from outside.
//!
//! *What is asked* is set as `client-metrics` settings ([`Subscriptions`]). *Who pushes* is known to each
//! shard for itself ([`Clients`]), as to each of Kafka's brokers: an id of a subscription is worked out from
//! what is asked of the client, so that any shard knows it again. *What came* is read out of OTLP
//! ([`otlp`]) and kept as the last value of each series, for /metrics.
//!
//! Apache Kafka hands pushes to a plugin and without one does not advertise these APIs; here /metrics
//! is the plugin. Clients are asked for cumulative sums, because that is what a page of metrics shows.
//!
//! # Bounds
//!
//! [`CLIENTS_MAX`] clients, [`SERIES_PER_CLIENT_MAX`] series of one and [`SERIES_MAX`] of all, per shard;
//! who was heard of longest ago makes room, further series are left out and counted. A client is forgotten
//! when it has been silent for three of its intervals.
//!
//! Source: Kafka `ClientMetricsManager`, `ClientMetricsInstance`, `ClientMetricsConfigs`.

mod clients;
mod otlp;
mod settings;
mod subscriptions;

pub use clients::{Asked, CLIENTS_MAX, Clients, Push, SERIES_MAX, SERIES_PER_CLIENT_MAX, Series};
pub use otlp::Malformed;
pub use settings::{check, row, rows};
pub use subscriptions::{Client, Subscriptions};
