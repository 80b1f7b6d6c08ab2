//! SyncGroup and Heartbeat: members fetch what the leader assigned, and stay.
//!
//! Deliberately different from Kafka: while the leader's assignment is being written, a
//! second one for the same generation is not (in the log it would win, in memory the
//! first); and a second request of a member answers the one it displaces.

use std::collections::BTreeMap;

use odradek_engine::mutant::{self, Mutant};

use super::GroupsShard;
use super::effects::{Blob, Effects, SyncReply, Ticket};
use super::error;
use super::group::ClassicGroup;
use super::rebalance;
use super::records::{GroupMetadata, Record};
use super::state::State;
use super::timers::TimerKey;
use super::writes::{Context, Write};

#[derive(Debug, Clone)]
pub struct SyncRequest {
    pub group_id: String,
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
    /// SyncGroup v5 and later.
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    /// (member id, assignment); the leader's are taken.
    pub assignments: Vec<(String, Blob)>,
}

#[derive(Debug, Clone)]
pub struct HeartbeatRequest {
    pub group_id: String,
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
}

/// Bytes a member takes in the group's record besides its blobs and names.
const MEMBER_OVERHEAD: usize = 64;

impl GroupsShard {
    /// Answered at once, or when the leader's assignment is durable.
    pub fn sync(&mut self, request: SyncRequest, ticket: Ticket, now_ms: i64, out: &mut Effects) {
        let (groups, mut cx) = self.split(now_ms, out);
        if request.group_id.is_empty() {
            cx.reply_sync(ticket, SyncReply::error(error::INVALID_GROUP_ID));
            return;
        }
        match groups.get_mut(&request.group_id) {
            Some(group) if group.state() != State::Empty => {
                sync_group(group, request, ticket, &mut cx);
            }
            _ => cx.reply_sync(ticket, SyncReply::error(error::UNKNOWN_MEMBER_ID)),
        }
    }

    /// The error code, 0 where the member is in good standing.
    pub fn heartbeat(&mut self, request: &HeartbeatRequest, now_ms: i64, out: &mut Effects) -> i16 {
        if request.group_id.is_empty() {
            return error::INVALID_GROUP_ID;
        }
        let (groups, mut cx) = self.split(now_ms, out);
        let Some(group) = groups.get(&request.group_id) else {
            return error::UNKNOWN_MEMBER_ID;
        };
        if group.state() == State::Dead {
            return error::COORDINATOR_NOT_AVAILABLE;
        }
        let id = &request.member_id;
        if let Err(code) = group.validate_member(id, request.instance_id.as_deref()) {
            return code;
        }
        if request.generation != group.generation {
            return error::ILLEGAL_GENERATION;
        }
        rebalance::reschedule_session(group, id, &mut cx);
        match group.state() {
            State::PreparingRebalance => error::REBALANCE_IN_PROGRESS,
            _ => error::NONE,
        }
    }
}

fn validate(group: &ClassicGroup, request: &SyncRequest) -> Result<(), i16> {
    let differs = |said: &Option<String>, is: &Option<String>| matches!((said, is), (Some(said), Some(is)) if said != is);
    if group.state() == State::Dead {
        return Err(error::COORDINATOR_NOT_AVAILABLE);
    }
    group.validate_member(&request.member_id, request.instance_id.as_deref())?;
    if request.generation != group.generation {
        Err(error::ILLEGAL_GENERATION)
    } else if differs(&request.protocol_type, &group.protocol_type)
        || differs(&request.protocol_name, &group.protocol)
    {
        Err(error::INCONSISTENT_GROUP_PROTOCOL)
    } else {
        Ok(())
    }
}

fn sync_group(group: &mut ClassicGroup, request: SyncRequest, ticket: Ticket, cx: &mut Context) {
    if let Err(code) = validate(group, &request) {
        cx.reply_sync(ticket, SyncReply::error(code));
        return;
    }
    let id = request.member_id.clone();
    match group.state() {
        State::CompletingRebalance => {
            received(group, &id, cx);
            if let Some(member) = group.member_mut(&id)
                && let Some(displaced) = member.awaiting_sync.replace(ticket)
            {
                cx.reply_sync(displaced, SyncReply::error(error::REBALANCE_IN_PROGRESS));
            }
            if group.is_leader(&id) && group.assignment_write.is_none() {
                persist_assignment(group, request.assignments, cx);
            }
        }
        State::Stable => {
            received(group, &id, cx);
            cx.reply_sync(ticket, current_assignment(group, &id));
        }
        _ => cx.reply_sync(ticket, SyncReply::error(error::REBALANCE_IN_PROGRESS)),
    }
}

pub(super) fn current_assignment(group: &ClassicGroup, member_id: &str) -> SyncReply {
    SyncReply {
        error: error::NONE,
        protocol_type: group.protocol_type.clone(),
        protocol_name: group.protocol.clone(),
        assignment: group
            .member(member_id)
            .map(|member| member.assignment.clone())
            .unwrap_or_default(),
    }
}

fn received(group: &mut ClassicGroup, member_id: &str, cx: &mut Context) {
    group.pending_sync.remove(member_id);
    if group.pending_sync.is_empty() {
        cx.timers.cancel(&TimerKey::sync(&group.id));
    }
}

fn persist_assignment(
    group: &mut ClassicGroup,
    assignments: Vec<(String, Blob)>,
    cx: &mut Context,
) {
    // Members that the leader forgot get nothing; strangers are not recorded.
    let assignments: BTreeMap<String, Blob> = assignments
        .into_iter()
        .filter(|(id, _)| group.has_member(id))
        .collect();
    let record = group.to_record(|member| assignments.get(&member.id).cloned().unwrap_or_default());
    if record_bytes(&record) > cx.settings.limits.group_record_bytes_max {
        assignment_failed(group, error::UNKNOWN_SERVER_ERROR, cx);
    } else if !cx.has_room_to_write() {
        assignment_failed(group, error::COORDINATOR_NOT_AVAILABLE, cx);
    } else {
        let early = mutant::is(Mutant::AnswerSyncEarly).then(|| assignments.clone());
        let write = Write::Assignment {
            group: group.id.clone(),
            generation: group.generation,
            assignments,
        };
        let token = cx.persist(vec![Record::GroupMetadata(record)], write);
        group.assignment_write = Some(token);
        if let Some(early) = early {
            let assignment = |id: &str| early.get(id).cloned().unwrap_or_default();
            rebalance::install_assignment(group, assignment, cx);
        }
    }
}

/// An upper estimate of the record's size on the log.
fn record_bytes(record: &GroupMetadata) -> usize {
    let members = record.members.iter().map(|member| {
        MEMBER_OVERHEAD
            + member.member_id.len()
            + member.instance_id.as_ref().map_or(0, String::len)
            + member.client_id.len()
            + member.client_host.len()
            + member.subscription.len()
            + member.assignment.len()
    });
    members.sum()
}

/// The assignment could not be stored: nobody has it, and all join again.
pub(super) fn assignment_failed(group: &mut ClassicGroup, code: i16, cx: &mut Context) {
    rebalance::fail_assignment(group, code, cx);
    rebalance::prepare_or_complete(group, "the assignment could not be stored", cx);
}
