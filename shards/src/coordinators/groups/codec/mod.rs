//! Between the decisions' plain values and Kafka's bytes: requests and responses of every
//! version that the pinned Kafka speaks, and the records of `__consumer_offsets`.
//!
//! What a version cannot say is filled in here the way Kafka's request and response
//! classes do; nothing is decided here.

mod admin;
mod log;
mod membership;
mod offsets;
#[cfg(test)]
mod tests;

pub use admin::{
    delete_groups_request, delete_groups_response, describe_groups_response,
    knows_group_id_not_found, list_groups_response,
};
pub use log::{EncodedRecord, decode_record, encode_record};
pub use membership::{
    Client, heartbeat_request, join_request, join_response, leave_request, leave_response,
    sync_request, sync_response,
};
pub use offsets::{
    Topic, TopicRef, commit_request, commit_response, fetch_requests, fetch_response,
    offset_delete_request, offset_delete_response, txn_commit_request, txn_commit_response,
};
