//! LeaveGroup: members go, or are sent away by an administrator (by instance id alone).

use super::GroupsShard;
use super::effects::Effects;
use super::error;
use super::group::ClassicGroup;
use super::rebalance;
use super::state::State;
use super::writes::Context;

#[derive(Debug, Clone)]
pub struct LeaveRequest {
    pub group_id: String,
    pub members: Vec<LeavingMember>,
}

#[derive(Debug, Clone)]
pub struct LeavingMember {
    /// Empty: whoever holds the instance id.
    pub member_id: String,
    pub instance_id: Option<String>,
    /// LeaveGroup v5 and later.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LeaveReply {
    pub error: i16,
    pub members: Vec<LeftMember>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LeftMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub error: i16,
}

impl LeftMember {
    fn new(member: &LeavingMember, error: i16) -> Self {
        Self {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            error,
        }
    }
}

impl GroupsShard {
    /// Answered at once: what a leaving member waits for does not depend on the record
    /// of the generation without it.
    pub fn leave(&mut self, request: &LeaveRequest, now_ms: i64, out: &mut Effects) -> LeaveReply {
        let failed = |error| LeaveReply {
            error,
            members: Vec::new(),
        };
        if request.group_id.is_empty() {
            return failed(error::INVALID_GROUP_ID);
        }
        let (groups, mut cx) = self.split(now_ms, out);
        let Some(group) = groups.get_mut(&request.group_id) else {
            let unknown = |member| LeftMember::new(member, error::UNKNOWN_MEMBER_ID);
            return LeaveReply {
                error: error::NONE,
                members: request.members.iter().map(unknown).collect(),
            };
        };
        if group.state() == State::Dead {
            return failed(error::COORDINATOR_NOT_AVAILABLE);
        }
        let mut members = Vec::new();
        let mut reason = None;
        for member in &request.members {
            let outcome = remove(group, member, &mut cx);
            if outcome.is_ok() {
                reason.get_or_insert(member.reason.as_deref().unwrap_or("not provided"));
            }
            members.push(LeftMember::new(
                member,
                outcome.err().unwrap_or(error::NONE),
            ));
        }
        match (group.state(), reason) {
            (State::Stable | State::CompletingRebalance, Some(reason)) => {
                rebalance::prepare_or_complete(group, reason, &mut cx);
            }
            (State::PreparingRebalance, Some(_)) => {
                rebalance::maybe_complete_join(group, &mut cx);
            }
            _ => {}
        }
        LeaveReply {
            error: error::NONE,
            members,
        }
    }
}

fn remove(group: &mut ClassicGroup, member: &LeavingMember, cx: &mut Context) -> Result<(), i16> {
    let instance_id = member.instance_id.as_deref();
    let id = if member.member_id.is_empty() {
        let holder = instance_id.and_then(|instance| group.static_member_id(instance));
        holder.ok_or(error::UNKNOWN_MEMBER_ID)?.to_owned()
    } else {
        if !group.pending_members.contains(&member.member_id) {
            group.validate_member(&member.member_id, instance_id)?;
        }
        member.member_id.clone()
    };
    group.remove(&id, cx);
    Ok(())
}
