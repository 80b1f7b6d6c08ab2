//! The classic consumer-group coordinator's decisions, without I/O and without a clock.
//!
//! One [`GroupsShard`] decides for the groups of one `__consumer_offsets` partition:
//! *decide, then perform*. An operation takes a request and the time, changes the state,
//! and pushes [`Effects`]: replies to send and records to make durable. The caller
//! performs them, tells the end of each write ([`GroupsShard::persisted`]) and calls
//! [`GroupsShard::tick`] when [`GroupsShard::next_deadline`] has passed.
//!
//! Semantics are those of Apache Kafka 4.3.1's classic groups (`GroupMetadataManager`,
//! `OffsetMetadataManager`); each file names where it differs on purpose.
//!
//! Invariants: every ticket is answered exactly once, at the latest when its timeouts
//! have passed and its writes have ended; a generation only grows; an assignment comes
//! from the leader of its generation; what is fetched is durable.
//!
//! Not here: finding the coordinator, loading the log, authorization, and the consumer-group protocol of KIP-848, which will stand beside
//! `group.rs` as another kind of group.

pub mod codec;
mod commit;
mod committed;
mod delete;
mod describe;
mod effects;
pub mod error;
mod expiry;
mod fetch;
mod group;
mod join;
mod leave;
mod lifecycle;
mod member;
mod offsets;
mod open_offsets;
mod persisted;
mod rebalance;
mod records;
mod settings;
mod state;
mod static_member;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod timers;
mod transactional;
mod view;
mod votes;
mod writes;

use std::collections::BTreeMap;

pub use commit::{CommitPartition, CommitRequest, CommitTopic};
pub use committed::CommittedAt;
pub use delete::OffsetDeleteRequest;
pub use describe::{DescribedGroup, DescribedMember, GROUP_TYPE, ListedGroup};
pub use effects::{
    Blob, CommitReply, CommitReplyTopic, Effect, Effects, FetchReply, FetchReplyTopic,
    FetchedOffset, JoinReply, JoinedMember, OffsetDeleteReply, Producer, Reply, SyncReply, Ticket,
    Token, TopicId,
};
pub use fetch::{FetchRequest, FetchTopic};
pub use group::{CONSUMER_PROTOCOL_TYPE, ClassicGroup};
pub use join::JoinRequest;
pub use leave::{LeaveReply, LeaveRequest, LeavingMember, LeftMember};
pub use member::Protocol;
pub use offsets::NO_TOPIC_ID;
pub use records::{CommittedOffset, GroupMetadata, GroupMetadataMember, Record};
pub use settings::{Limits, Settings};
pub use state::State;
pub use sync::{HeartbeatRequest, SyncRequest};

use offsets::Offsets;
use open_offsets::OpenOffsets;
use timers::Timers;
use writes::{Context, Writes};

/// The groups of one coordinator partition.
#[derive(Debug, Default)]
pub struct GroupsShard {
    settings: Settings,
    groups: BTreeMap<String, ClassicGroup>,
    offsets: Offsets,
    /// Of transactions that are open; each is in flight among the offsets, too.
    open_offsets: OpenOffsets,
    timers: Timers,
    writes: Writes,
    /// Where the search for expired offsets goes on.
    expiry_cursor: Option<String>,
}

impl GroupsShard {
    /// Without groups; [`replay`](Self::replay) what is stored, then say
    /// [`loaded`](Self::loaded).
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    pub fn group(&self, id: &str) -> Option<&ClassicGroup> {
        self.groups.get(id)
    }

    /// The groups, and everything else that a decision about one of them touches.
    fn split<'a>(
        &'a mut self,
        now_ms: i64,
        out: &'a mut Effects,
    ) -> (&'a mut BTreeMap<String, ClassicGroup>, Context<'a>) {
        let cx = Context {
            settings: &self.settings,
            timers: &mut self.timers,
            writes: &mut self.writes,
            now_ms,
            out,
        };
        (&mut self.groups, cx)
    }

    fn check_group_id(&self, id: &str) -> Result<(), i16> {
        if id.len() > self.settings.limits.string_bytes_max {
            return Err(error::INVALID_GROUP_ID);
        }
        Ok(())
    }
}
