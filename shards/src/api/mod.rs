//! The Kafka APIs: one file each, and one table.
//!
//! A row of [`table`] is an API: key, versions, handler. Everything else that must know the list
//! (ApiVersions, admission) reads the table.

mod call;
pub mod table;

mod api_versions;
mod fetch;
mod list_offsets;
mod metadata;
mod produce;
pub mod topics;

/// ApiVersions.
pub const API_VERSIONS_KEY: i16 = 18;

pub use call::{Call, Handled, Outcome, Refusal, Reply, ReplyPiece, encode_reply};
