//! A classic consumer group: who is in it, and what state it is in.
//!
//! Semantics: `org.apache.kafka.coordinator.group.classic.ClassicGroup`. Here are the
//! parts that only look at one group; who calls them when is in `join`, `sync`,
//! `rebalance` and their neighbours.
//!
//! Invariants: `awaiting_join` counts the members that hold a join ticket; `supported`
//! counts the members that offer each protocol; a member is either in `members` or in
//! `pending_members`; `leader` is a member; `static_members` maps into `members`.
//!
//! Deliberately different: orders are by member id (Kafka: hash order).

use std::collections::{BTreeMap, BTreeSet};

use super::effects::{JoinReply, SyncReply, Ticket, Token};
use super::error;
use super::member::{Member, Protocol};
use super::records::GroupMetadata;
use super::state::State;
use super::subscription;
use super::votes::Supported;
use super::writes::Context;

/// The protocol type of Kafka's own consumers.
pub const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// The first join phase of an empty group, which waits for more members to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialDelay {
    pub step_ms: i64,
    pub remaining_ms: i64,
}

#[derive(Debug)]
pub struct ClassicGroup {
    pub(super) id: String,
    state: State,
    previous_state: State,
    pub(super) state_since_ms: Option<i64>,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    members: BTreeMap<String, Member>,
    static_members: BTreeMap<String, String>,
    /// Told to come back with the id they were given.
    pub(super) pending_members: BTreeSet<String>,
    /// Have their join reply but have not asked for their assignment.
    pub(super) pending_sync: BTreeSet<String>,
    awaiting_join: usize,
    supported: Supported,
    /// Topics that the members subscribe to; `None` where that cannot be known.
    pub(super) subscribed: Option<BTreeSet<String>>,
    pub(super) new_member_added: bool,
    pub(super) initial_delay: Option<InitialDelay>,
    /// The write of this generation's assignment.
    pub(super) assignment_write: Option<Token>,
}

impl ClassicGroup {
    pub(super) fn new(id: &str, now_ms: i64) -> Self {
        Self {
            id: id.to_owned(),
            state: State::Empty,
            previous_state: State::Dead,
            state_since_ms: Some(now_ms),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            awaiting_join: 0,
            supported: Supported::default(),
            subscribed: None,
            new_member_added: false,
            initial_delay: None,
            assignment_write: None,
        }
    }

    pub(super) fn from_record(record: &GroupMetadata) -> Self {
        let mut group = Self::new(&record.group_id, 0);
        group.state_since_ms = record.state_since_ms;
        group.generation = record.generation;
        group.protocol_type = record.protocol_type.clone().filter(|t| !t.is_empty());
        group.protocol = record.protocol.clone();
        for member in &record.members {
            group.insert(Member::from_record(member, record.protocol.as_deref()));
        }
        if !group.members.is_empty() {
            group.state = State::Stable;
        }
        group.leader = record.leader.clone().filter(|id| group.has_member(id));
        group.subscribed = group.compute_subscribed();
        group
    }

    pub fn state(&self) -> State {
        self.state
    }
    pub fn generation(&self) -> i32 {
        self.generation
    }
    pub(super) fn previous_state(&self) -> State {
        self.previous_state
    }
    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }
    pub(super) fn member_ids(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }
    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }
    /// For changes to anything but the join ticket and the protocols, which are counted.
    pub(super) fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id)
    }
    pub(super) fn has_member(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }
    pub(super) fn static_member_id(&self, instance_id: &str) -> Option<&str> {
        self.static_members.get(instance_id).map(String::as_str)
    }
    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }
    pub(super) fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }
    pub(super) fn has_all_members_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_members.is_empty()
    }
    pub(super) fn can_rebalance(&self) -> bool {
        self.state.can_rebalance()
    }
    /// Empty, never joined: it exists for the offsets of consumers that assign
    /// partitions themselves.
    pub fn is_simple(&self) -> bool {
        self.protocol_type.is_none()
            && self.state == State::Empty
            && self.pending_members.is_empty()
    }
    pub(super) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub(super) fn transition(&mut self, to: State, now_ms: i64) {
        let allowed = self.state.may_become(to);
        assert!(allowed, "a group cannot go from {:?} to {to:?}", self.state);
        self.previous_state = self.state;
        self.state = to;
        self.state_since_ms = Some(now_ms);
    }

    /// Back from Dead as if nothing had happened.
    pub(super) fn revive(&mut self) {
        assert_eq!(self.state, State::Dead);
        self.state = State::Empty;
    }

    /// Whether a member with these protocols can be in this group.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols
                .iter()
                .any(|offered| self.supported.by_all(&offered.name, self.members.len()))
    }

    /// The protocol that its members would agree on now.
    pub(super) fn select_protocol(&self) -> Option<&str> {
        self.supported.select(self.members.values())
    }

    /// Puts a member in; the first one leads.
    pub(super) fn insert(&mut self, member: Member) {
        if let Some(instance) = &member.instance_id {
            self.static_members
                .insert(instance.clone(), member.id.clone());
        }
        self.pending_members.remove(&member.id);
        self.supported.add(&member.protocols);
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.leader.get_or_insert_with(|| member.id.clone());
        let previous = self.members.insert(member.id.clone(), member);
        assert!(previous.is_none(), "a member id is given out once");
    }

    fn take(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.supported.remove(&member.protocols);
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        if let Some(instance) = &member.instance_id {
            self.static_members.remove(instance);
        }
        Some(member)
    }

    /// Removes a member or pending member; whatever it waits for is answered
    /// UNKNOWN_MEMBER_ID, so that it joins again if it still lives.
    pub(super) fn remove(&mut self, id: &str, cx: &mut Context) {
        cx.timers
            .cancel(&super::timers::TimerKey::session(&self.id, id));
        self.pending_members.remove(id);
        self.pending_sync.remove(id);
        let Some(member) = self.take(id) else { return };
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        if let Some(ticket) = member.awaiting_join {
            cx.reply_join(ticket, JoinReply::error(error::UNKNOWN_MEMBER_ID, ""));
        }
        if let Some(ticket) = member.awaiting_sync {
            cx.reply_sync(ticket, SyncReply::error(error::UNKNOWN_MEMBER_ID));
        }
    }

    /// A static member goes on under a new id (KIP-345); whoever waits under the old
    /// one is fenced.
    pub(super) fn rename_static_member(&mut self, old: &str, new: &str, cx: &mut Context) {
        cx.timers
            .cancel(&super::timers::TimerKey::session(&self.id, old));
        let was_leader = self.is_leader(old);
        let mut member = self.take(old).expect("the static member is in the group");
        if let Some(ticket) = member.awaiting_join.take() {
            cx.reply_join(ticket, JoinReply::error(error::FENCED_INSTANCE_ID, old));
        }
        if let Some(ticket) = member.awaiting_sync.take() {
            cx.reply_sync(ticket, SyncReply::error(error::FENCED_INSTANCE_ID));
        }
        member.id = new.to_owned();
        member.is_new = false;
        self.insert(member);
        if was_leader {
            self.leader = Some(new.to_owned());
        }
        if self.pending_sync.remove(old) {
            self.pending_sync.insert(new.to_owned());
        }
    }

    /// Gives a member new protocols, timeouts and a join ticket. A ticket it already
    /// held belongs to a connection that its client has given up.
    pub(super) fn update_member(
        &mut self,
        id: &str,
        protocols: Vec<Protocol>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
        ticket: Option<Ticket>,
        cx: &mut Context,
    ) {
        let mut member = self.members.remove(id).expect("the member is in the group");
        self.supported.remove(&member.protocols);
        member.protocols = protocols;
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        self.supported.add(&member.protocols);
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        self.awaiting_join += usize::from(ticket.is_some());
        if let Some(old) = std::mem::replace(&mut member.awaiting_join, ticket) {
            cx.reply_join(old, JoinReply::error(error::REBALANCE_IN_PROGRESS, id));
        }
        self.members.insert(id.to_owned(), member);
    }

    pub(super) fn take_join_ticket(&mut self, id: &str) -> Option<Ticket> {
        let ticket = self.members.get_mut(id)?.awaiting_join.take()?;
        self.awaiting_join -= 1;
        Some(ticket)
    }

    /// Makes sure that the leader is one who has joined. False where nobody has.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |member: &Member| member.awaiting_join.is_some();
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(has_joined) {
            return true;
        }
        match self.members.values().find(|member| has_joined(member)) {
            Some(member) => {
                self.leader = Some(member.id.clone());
                true
            }
            None => false,
        }
    }

    /// Ends the join phase: a new generation with its protocol, or an empty one.
    pub(super) fn begin_generation(&mut self, now_ms: i64) {
        self.generation = self.generation.saturating_add(1);
        self.protocol = self.select_protocol().map(str::to_owned);
        self.subscribed = self.compute_subscribed();
        self.pending_sync.clear();
        self.assignment_write = None;
        if self.members.is_empty() {
            self.leader = None;
            self.transition(State::Empty, now_ms);
        } else {
            self.transition(State::CompletingRebalance, now_ms);
        }
    }

    fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.as_deref()?;
        let mut all = BTreeSet::new();
        for member in self.members.values() {
            all.extend(subscription::topics(&member.metadata(protocol))?);
        }
        Some(all)
    }

    /// The longest rebalance timeout of its members, milliseconds.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        let timeouts = self.members.values().map(|m| m.rebalance_timeout_ms);
        i64::from(timeouts.max().unwrap_or(0).max(0))
    }

    /// Is this a member, and the one its instance id stands for? The error if not.
    pub(super) fn validate_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), i16> {
        if let Some(instance) = instance_id {
            match self.static_member_id(instance) {
                None => return Err(error::UNKNOWN_MEMBER_ID),
                Some(current) if current != id => return Err(error::FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        if self.has_member(id) {
            Ok(())
        } else {
            Err(error::UNKNOWN_MEMBER_ID)
        }
    }
}

#[cfg(test)]
impl ClassicGroup {
    /// The invariants at the top of this file.
    pub(super) fn check(&self) {
        let awaiting = self.members.values().filter(|m| m.awaiting_join.is_some());
        assert_eq!(self.awaiting_join, awaiting.count());
        let mut supported = Supported::default();
        for member in self.members.values() {
            supported.add(&member.protocols);
        }
        assert_eq!(self.supported, supported);
        for (id, member) in &self.members {
            assert_eq!(*id, member.id);
            assert!(!self.pending_members.contains(id), "in two places");
            if let Some(instance) = &member.instance_id {
                assert_eq!(self.static_members.get(instance), Some(id));
            }
            let waits_for_sync = member.awaiting_sync.is_some();
            assert!(!waits_for_sync || self.state == State::CompletingRebalance);
        }
        let statics = self.members.values().filter(|m| m.instance_id.is_some());
        assert_eq!(self.static_members.len(), statics.count());
        assert_eq!(self.leader.is_some(), !self.members.is_empty());
        assert!(self.leader.iter().all(|id| self.has_member(id)));
        assert!(self.pending_sync.iter().all(|id| self.has_member(id)));
        let may_have_members = !matches!(self.state, State::Empty | State::Dead);
        assert!(self.members.is_empty() || may_have_members);
    }
}
