//! One member of a classic group, and how it votes.

use super::effects::{Blob, Ticket};
use super::records::GroupMetadataMember;

/// A protocol (assignment strategy) that a member offers, in its order of preference.
#[derive(Debug, Clone, PartialEq)]
pub struct Protocol {
    pub name: String,
    pub metadata: Blob,
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocols: Vec<Protocol>,
    pub assignment: Blob,
    /// Set and taken only through the group, which counts the waiting.
    pub awaiting_join: Option<Ticket>,
    pub awaiting_sync: Option<Ticket>,
    /// Has never finished a join: it does not know its id for certain, so it cannot
    /// send heartbeats and is expired even while it waits.
    pub is_new: bool,
}

impl Member {
    pub fn from_record(record: &GroupMetadataMember, protocol: Option<&str>) -> Self {
        let rebalance_timeout_ms = if record.rebalance_timeout_ms < 0 {
            record.session_timeout_ms
        } else {
            record.rebalance_timeout_ms
        };
        Self {
            id: record.member_id.clone(),
            instance_id: record.instance_id.clone(),
            client_id: record.client_id.clone(),
            client_host: record.client_host.clone(),
            rebalance_timeout_ms,
            session_timeout_ms: record.session_timeout_ms,
            protocols: vec![Protocol {
                name: protocol.unwrap_or_default().to_owned(),
                metadata: record.subscription.clone(),
            }],
            assignment: record.assignment.clone(),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        }
    }

    /// The metadata it offers for a protocol; empty where it does not offer it.
    pub fn metadata(&self, protocol: &str) -> Blob {
        self.protocols
            .iter()
            .find(|offered| offered.name == protocol)
            .map(|offered| offered.metadata.clone())
            .unwrap_or_default()
    }

    /// The first of its protocols that every member supports.
    pub fn vote(&self, is_candidate: impl Fn(&str) -> bool) -> Option<&str> {
        self.protocols
            .iter()
            .map(|offered| offered.name.as_str())
            .find(|name| is_candidate(name))
    }

    /// A member that waits for the coordinator cannot be blamed for silence.
    pub fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }
}
