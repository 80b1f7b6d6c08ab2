//! The coordinator's records as plain values: Kafka's `GroupMetadata` and `OffsetCommit`
//! keys and values (group-coordinator's message schemas). Bytes are the codec's business.

use super::effects::{Blob, TopicId};

#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    GroupMetadata(GroupMetadata),
    /// Removes the group.
    GroupTombstone {
        group_id: String,
    },
    OffsetCommit {
        group_id: String,
        topic: String,
        partition: i32,
        value: CommittedOffset,
    },
    OffsetTombstone {
        group_id: String,
        topic: String,
        partition: i32,
    },
}

/// A group as of its last stable (or empty) generation.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupMetadata {
    pub group_id: String,
    pub protocol_type: Option<String>,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// When the group entered its state; `None` in values older than version 2.
    pub state_since_ms: Option<i64>,
    pub members: Vec<GroupMetadataMember>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GroupMetadataMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Negative (in values older than version 1): the session timeout is used.
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Blob,
    pub assignment: Blob,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CommittedOffset {
    pub offset: i64,
    /// −1 where the client named none.
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_timestamp_ms: i64,
    /// Set by clients of OffsetCommit up to version 4 that name a retention of their own.
    pub expire_timestamp_ms: Option<i64>,
    pub topic_id: TopicId,
}
