//! Writes in flight, what each one changes when it is durable, and the hands that a
//! decision about one group works with.

use std::collections::BTreeMap;

use odradek_engine::types::{ProducerId, TransactionEnd};

use super::effects::{
    Blob, CommitReply, Effect, Effects, JoinReply, Reply, SyncReply, Ticket, Token,
};
use super::fetch::FetchRequest;
use super::member::Protocol;
use super::records::{CommittedOffset, Record};
use super::settings::Settings;
use super::timers::{TimerKey, Timers};

/// What a write is for.
#[derive(Debug)]
pub(super) enum Write {
    /// A group was created by a join.
    NewGroup {
        group: String,
    },
    /// A generation without members. Losing it is harmless: the generation before it
    /// would be loaded, and its members would time out.
    EmptyGeneration,
    /// The leader's assignment.
    Assignment {
        group: String,
        generation: i32,
        assignments: BTreeMap<String, Blob>,
    },
    StaticMember(Box<StaticReplacement>),
    Commit {
        ticket: Ticket,
        group: String,
        offsets: Vec<(String, i32, CommittedOffset)>,
        reply: CommitReply,
    },
    /// Offsets of an open transaction.
    CommitOpen {
        ticket: Ticket,
        group: String,
        producer: ProducerId,
        offsets: Vec<(String, i32, CommittedOffset)>,
        reply: CommitReply,
    },
    /// A transaction's marker.
    End {
        ticket: Ticket,
        end: TransactionEnd,
    },
    Tombstones {
        /// (group, topic, partition)
        offsets: Vec<(String, String, i32)>,
        groups: Vec<String>,
        reply: Option<(Ticket, Reply)>,
    },
}

/// A static member came back to a stable group under a new member id; what to go back
/// to if that cannot be written.
#[derive(Debug)]
pub(super) struct StaticReplacement {
    pub group: String,
    pub ticket: Ticket,
    pub old_member_id: String,
    pub new_member_id: String,
    pub old_protocols: Vec<Protocol>,
    pub old_rebalance_timeout_ms: i32,
    pub old_session_timeout_ms: i32,
    /// As it was before the replacement.
    pub old_leader: Option<String>,
    pub skip_assignment_supported: bool,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub write: Write,
    /// Reads of stable offsets that wait for this write.
    pub readers: Vec<(Ticket, FetchRequest)>,
}

#[derive(Debug, Default)]
pub(super) struct Writes {
    last: u64,
    pub pending: BTreeMap<Token, Pending>,
    pub readers: usize,
}

impl Writes {
    /// A new write.
    pub fn begin(&mut self, write: Write) -> Token {
        self.last += 1;
        let token = Token(self.last);
        let readers = Vec::new();
        self.pending.insert(token, Pending { write, readers });
        token
    }

    /// The latest write, which may have ended.
    pub fn last(&self) -> Token {
        Token(self.last)
    }

    pub fn take(&mut self, token: Token) -> Option<Pending> {
        let pending = self.pending.remove(&token)?;
        self.readers -= pending.readers.len();
        Some(pending)
    }
}

/// Everything but the group that a decision may touch.
pub(super) struct Context<'a> {
    pub settings: &'a Settings,
    pub timers: &'a mut Timers,
    pub writes: &'a mut Writes,
    pub now_ms: i64,
    pub out: &'a mut Effects,
}

impl Context<'_> {
    /// Sets a deadline `timeout_ms` (at least 0) from now.
    pub fn schedule(&mut self, key: TimerKey, timeout_ms: i64) {
        let deadline = self.now_ms.saturating_add(timeout_ms.max(0));
        self.timers.schedule(key, deadline);
    }

    pub fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.out.push(Effect::Reply { ticket, reply });
    }

    pub fn reply_join(&mut self, ticket: Ticket, reply: JoinReply) {
        self.reply(ticket, Reply::Join(reply));
    }

    pub fn reply_sync(&mut self, ticket: Ticket, reply: SyncReply) {
        self.reply(ticket, Reply::Sync(reply));
    }

    pub fn has_room_to_write(&self) -> bool {
        self.writes.pending.len() < self.settings.limits.writes_max
    }

    pub fn persist(&mut self, records: Vec<Record>, write: Write) -> Token {
        let token = self.writes.begin(write);
        self.out.push(Effect::Persist { token, records });
        token
    }
}
