//! What a decision asks of the world: replies to send and records to make durable.
//! The effects themselves are those of every coordinator ([`shared::Effect`]).

use std::convert::Infallible;
use std::sync::Arc;

use super::super::effects as shared;
pub use super::super::effects::{Producer, Ticket, Token};
use super::records::Record;

/// Bytes that clients exchange through the coordinator; opaque to it but for the topics
/// in a consumer's subscription.
pub type Blob = Arc<[u8]>;

/// Kafka's topic id; all zero where it is not known.
pub type TopicId = [u8; 16];

pub type Effect = shared::Effect<Reply, Record, Infallible>;
pub type Effects = Vec<Effect>;

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
    Commit(CommitReply),
    Fetch(FetchReply),
    DeleteGroups(Vec<(String, i16)>),
    OffsetDelete(OffsetDeleteReply),
    /// A transaction has ended in the coordinator's partition, or an error code.
    Ended(Result<(), i16>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct JoinReply {
    pub error: i16,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// The members with their metadata, for the leader only.
    pub members: Vec<JoinedMember>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JoinedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub metadata: Blob,
}

impl JoinReply {
    pub fn error(error: i16, member_id: &str) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct SyncReply {
    pub error: i16,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Blob,
}

impl SyncReply {
    pub fn error(error: i16) -> Self {
        Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Blob::default(),
        }
    }
}

/// The answer for each partition of a commit, in the request's order.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitReply {
    pub topics: Vec<CommitReplyTopic>,
}

impl CommitReply {
    /// Nothing of it is kept after all.
    pub(super) fn fail(&mut self, code: i16) {
        let partitions = self.topics.iter_mut().flat_map(|t| &mut t.partitions);
        for (_, error) in partitions.filter(|(_, error)| *error == 0) {
            *error = code;
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct CommitReplyTopic {
    pub name: String,
    pub topic_id: TopicId,
    /// (partition, error)
    pub partitions: Vec<(i32, i16)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FetchReply {
    pub group_id: String,
    pub error: i16,
    pub topics: Vec<FetchReplyTopic>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FetchReplyTopic {
    pub name: String,
    pub topic_id: TopicId,
    pub partitions: Vec<FetchedOffset>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FetchedOffset {
    pub partition: i32,
    /// −1 where nothing is committed.
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: String,
    pub error: i16,
}

impl FetchedOffset {
    pub fn none(partition: i32, error: i16) -> Self {
        Self {
            partition,
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
            error,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct OffsetDeleteReply {
    pub error: i16,
    /// (topic, [(partition, error)])
    pub topics: Vec<(String, Vec<(i32, i16)>)>,
}
