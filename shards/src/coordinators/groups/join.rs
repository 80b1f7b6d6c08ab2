//! JoinGroup: who may come in, under which id, and whether that means a rebalance.

use super::GroupsShard;
use super::effects::{Blob, Effects, JoinReply, Ticket};
use super::error;
use super::group::ClassicGroup;
use super::member::{Member, Protocol};
use super::rebalance;
use super::records::Record;
use super::state::State;
use super::static_member;
use super::timers::TimerKey;
use super::writes::{Context, Write};

#[derive(Debug, Clone)]
pub struct JoinRequest {
    pub group_id: String,
    /// Empty where the client has none yet.
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    /// Negative: the session timeout.
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    pub protocols: Vec<Protocol>,
    /// JoinGroup v4 and later: a dynamic member must come back with the id it is given
    /// (KIP-394), so that a retried first join does not leave a ghost behind.
    pub member_id_required: bool,
    /// JoinGroup v9 and later (KIP-814).
    pub skip_assignment_supported: bool,
    /// Random bits for the id of a new member.
    pub new_member_uuid: u128,
    /// Why, in the client's words.
    pub reason: Option<String>,
}

impl JoinRequest {
    fn new_member_id(&self) -> String {
        let prefix = self.instance_id.as_ref().unwrap_or(&self.client_id);
        let hex = format!("{:032x}", self.new_member_uuid);
        let (a, b, c, d, e) = (
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        );
        format!("{prefix}-{a}-{b}-{c}-{d}-{e}")
    }

    pub(super) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or("not provided")
    }
}

impl GroupsShard {
    /// Answered at once, or when the join phase ends.
    pub fn join(
        &mut self,
        mut request: JoinRequest,
        ticket: Ticket,
        now_ms: i64,
        out: &mut Effects,
    ) {
        if let Err(code) = self.admit(&mut request) {
            let (_, mut cx) = self.split(now_ms, out);
            cx.reply_join(ticket, JoinReply::error(code, &request.member_id));
            return;
        }
        let groups_max = self.settings.limits.groups_max;
        let members_full = self.timers.len() >= self.settings.limits.members_max;
        let (groups, mut cx) = self.split(now_ms, out);
        let is_unknown = request.member_id.is_empty();
        if members_full && is_unknown {
            cx.reply_join(ticket, JoinReply::error(error::GROUP_MAX_SIZE_REACHED, ""));
            return;
        }
        let is_new_group = !groups.contains_key(&request.group_id);
        if is_new_group {
            let refusal = if !is_unknown {
                Some(error::UNKNOWN_MEMBER_ID)
            } else if request.protocol_type.is_empty() || request.protocols.is_empty() {
                Some(error::INCONSISTENT_GROUP_PROTOCOL)
            } else if groups.len() >= groups_max || !cx.has_room_to_write() {
                Some(error::COORDINATOR_NOT_AVAILABLE)
            } else {
                None
            };
            if let Some(code) = refusal {
                cx.reply_join(ticket, JoinReply::error(code, &request.member_id));
                return;
            }
            let group = ClassicGroup::new(&request.group_id, now_ms);
            let mut record = group.to_record(|_| Blob::default());
            record.protocol_type = None;
            let write = Write::NewGroup {
                group: group.id.clone(),
            };
            cx.persist(vec![Record::GroupMetadata(record)], write);
            groups.insert(request.group_id.clone(), group);
        }
        let Some(group) = groups.get_mut(&request.group_id) else {
            return;
        };
        if !has_room(group, &request.member_id, &cx) {
            group.remove(&request.member_id, &mut cx);
            cx.reply_join(ticket, JoinReply::error(error::GROUP_MAX_SIZE_REACHED, ""));
            rebalance::maybe_complete_join(group, &mut cx);
        } else if is_unknown {
            join_unknown(group, request, ticket, &mut cx);
        } else {
            join_known(group, request, ticket, &mut cx);
        }
    }

    /// Checks and bounds that need no group; also makes the request tidy.
    fn admit(&self, request: &mut JoinRequest) -> Result<(), i16> {
        let settings = &self.settings;
        let limits = &settings.limits;
        self.check_group_id(&request.group_id)?;
        if request.group_id.is_empty() {
            return Err(error::INVALID_GROUP_ID);
        }
        let session = settings.session_timeout_min_ms..=settings.session_timeout_max_ms;
        if !session.contains(&request.session_timeout_ms) {
            return Err(error::INVALID_SESSION_TIMEOUT);
        }
        if request.rebalance_timeout_ms < 0 {
            request.rebalance_timeout_ms = request.session_timeout_ms;
        }
        // A new member's id is its instance or client id, a hyphen and a UUID.
        let id_bytes_max = limits.string_bytes_max.saturating_sub(37);
        let names = [
            &request.member_id,
            &request.client_host,
            &request.protocol_type,
        ];
        let bases = [
            Some(&request.client_id),
            request.instance_id.as_ref(),
            request.reason.as_ref(),
        ];
        let metadata_bytes: usize = request.protocols.iter().map(|p| p.metadata.len()).sum();
        if names.iter().any(|s| s.len() > limits.string_bytes_max)
            || bases.into_iter().flatten().any(|s| s.len() > id_bytes_max)
            || request.protocols.len() > limits.member_protocols_max
            || request
                .protocols
                .iter()
                .any(|p| p.name.len() > limits.string_bytes_max)
            || metadata_bytes > limits.member_metadata_bytes_max
        {
            return Err(error::INVALID_REQUEST);
        }
        // A protocol named twice would be counted twice: the first mention holds.
        let mut seen = std::collections::BTreeSet::new();
        request.protocols.retain(|p| seen.insert(p.name.clone()));
        Ok(())
    }
}

/// Is there room for this member under `group.max.size`?
fn has_room(group: &ClassicGroup, member_id: &str, cx: &Context) -> bool {
    let max = cx.settings.group_size_max;
    match group.state() {
        State::Empty | State::Dead => true,
        // Those who wait are counted, not all members: where the maximum has been
        // lowered, the last to rejoin are the ones to go.
        State::PreparingRebalance => {
            let member = group.member(member_id);
            member.is_some_and(|member| member.awaiting_join.is_some())
                || group.awaiting_join() < max
        }
        State::CompletingRebalance | State::Stable => {
            group.has_member(member_id) || group.members().len() < max
        }
    }
}

fn join_unknown(group: &mut ClassicGroup, request: JoinRequest, ticket: Ticket, cx: &mut Context) {
    if group.state() == State::Dead {
        // It is being removed; the client will find a new one a moment later.
        let reply = JoinReply::error(error::COORDINATOR_NOT_AVAILABLE, "");
        cx.reply_join(ticket, reply);
        return;
    }
    if !group.supports(&request.protocol_type, &request.protocols) {
        let reply = JoinReply::error(error::INCONSISTENT_GROUP_PROTOCOL, "");
        cx.reply_join(ticket, reply);
        return;
    }
    let new_id = request.new_member_id();
    if let Some(instance) = &request.instance_id {
        match group.static_member_id(instance).map(str::to_owned) {
            Some(old_id) => static_member::rejoin(group, request, &old_id, &new_id, ticket, cx),
            None => add_member(group, request, new_id, ticket, cx),
        }
    } else if request.member_id_required {
        let timeout_ms = i64::from(request.session_timeout_ms);
        cx.schedule(TimerKey::session(&group.id, &new_id), timeout_ms);
        let reply = JoinReply::error(error::MEMBER_ID_REQUIRED, &new_id);
        group.pending_members.insert(new_id);
        cx.reply_join(ticket, reply);
    } else {
        add_member(group, request, new_id, ticket, cx);
    }
}

fn join_known(group: &mut ClassicGroup, request: JoinRequest, ticket: Ticket, cx: &mut Context) {
    let id = request.member_id.clone();
    let refusal = if group.state() == State::Dead {
        Some(error::COORDINATOR_NOT_AVAILABLE)
    } else if !group.supports(&request.protocol_type, &request.protocols) {
        Some(error::INCONSISTENT_GROUP_PROTOCOL)
    } else if group.pending_members.contains(&id) {
        if request.instance_id.is_none() {
            return add_member(group, request, id, ticket, cx);
        }
        // Only dynamic members are told to come back.
        Some(error::UNKNOWN_SERVER_ERROR)
    } else {
        group
            .validate_member(&id, request.instance_id.as_deref())
            .err()
    };
    if let Some(code) = refusal {
        cx.reply_join(ticket, JoinReply::error(code, &id));
        return;
    }
    let has_changed = group
        .member(&id)
        .is_none_or(|member| member.protocols != request.protocols);
    let must_rebalance = match group.state() {
        State::PreparingRebalance => true,
        // With the same metadata it has only missed its reply.
        State::CompletingRebalance => has_changed,
        // The leader may know of changes that no metadata shows (new partitions).
        State::Stable => has_changed || group.is_leader(&id),
        State::Empty | State::Dead => {
            let reply = JoinReply::error(error::UNKNOWN_MEMBER_ID, &id);
            cx.reply_join(ticket, reply);
            return;
        }
    };
    if must_rebalance {
        let reason = request.reason().to_owned();
        group.update_member(
            &id,
            request.protocols,
            request.rebalance_timeout_ms,
            request.session_timeout_ms,
            Some(ticket),
            cx,
        );
        rebalance::prepare_or_complete(group, &reason, cx);
    } else {
        cx.reply_join(ticket, group.join_reply(&id));
    }
}

fn add_member(
    group: &mut ClassicGroup,
    request: JoinRequest,
    id: String,
    ticket: Ticket,
    cx: &mut Context,
) {
    let reason = request.reason().to_owned();
    if group.members().len() == 0 {
        group.protocol_type = Some(request.protocol_type.clone());
    }
    if group.state() == State::PreparingRebalance && group.previous_state() == State::Empty {
        group.new_member_added = true;
    }
    group.insert(Member {
        id: id.clone(),
        instance_id: request.instance_id,
        client_id: request.client_id,
        client_host: request.client_host,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: request.protocols,
        assignment: Blob::default(),
        awaiting_join: Some(ticket),
        awaiting_sync: None,
        is_new: true,
    });
    // Its client may be gone without a trace (a parked request's socket is not read), and
    // its retry would be another member: it may not wait for ever.
    let timeout_ms = cx.settings.new_member_join_timeout_ms;
    cx.schedule(TimerKey::session(&group.id, &id), timeout_ms);
    rebalance::prepare_or_complete(group, &reason, cx);
}
