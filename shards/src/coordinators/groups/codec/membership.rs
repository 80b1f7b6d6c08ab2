//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup.

use odradek_wire::heartbeat as wire_heartbeat;
use odradek_wire::join_group as wire_join;
use odradek_wire::leave_group as wire_leave;
use odradek_wire::sync_group as wire_sync;

use super::super::{
    HeartbeatRequest, JoinReply, JoinRequest, LeaveReply, LeaveRequest, LeavingMember, Protocol,
    SyncReply, SyncRequest, error,
};

/// JoinGroup's version from which a dynamic member must come back with its id (KIP-394).
const JOIN_MEMBER_ID_REQUIRED: i16 = 4;
/// JoinGroup's version from which the protocol's name may be null in a response.
const JOIN_PROTOCOL_NULLABLE: i16 = 7;
/// JoinGroup's version from which a static leader may be told to skip assigning (KIP-814).
const JOIN_SKIP_ASSIGNMENT: i16 = 9;
/// LeaveGroup's version from which members leave in batches.
const LEAVE_MEMBERS: i16 = 3;

/// Who sends a request, as the connection knows it.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The request header's client id; empty where it is null.
    pub id: &'a str,
    /// Its address as Kafka shows it: a slash, then the IP address.
    pub host: &'a str,
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}

/// `new_member_uuid`: random bits for the id of a new member.
pub fn join_request(
    request: &wire_join::JoinGroupRequest<'_>,
    version: i16,
    client: Client<'_>,
    new_member_uuid: u128,
) -> JoinRequest {
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: protocol.name.to_owned(),
        metadata: protocol.metadata.into(),
    });
    JoinRequest {
        group_id: request.group_id.to_owned(),
        member_id: request.member_id.to_owned(),
        instance_id: owned(request.group_instance_id),
        client_id: client.id.to_owned(),
        client_host: client.host.to_owned(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type.to_owned(),
        protocols: protocols.collect(),
        member_id_required: version >= JOIN_MEMBER_ID_REQUIRED,
        skip_assignment_supported: version >= JOIN_SKIP_ASSIGNMENT,
        new_member_uuid,
        reason: owned(request.reason),
    }
}

pub fn join_response(reply: &JoinReply, version: i16) -> wire_join::JoinGroupResponse<'_> {
    let members = reply
        .members
        .iter()
        .map(|member| wire_join::JoinGroupResponseMember {
            member_id: &member.member_id,
            group_instance_id: member.instance_id.as_deref(),
            metadata: &member.metadata,
        });
    let protocol_name = match reply.protocol_name.as_deref() {
        None if version < JOIN_PROTOCOL_NULLABLE => Some(""),
        name => name,
    };
    wire_join::JoinGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error,
        generation_id: reply.generation,
        protocol_type: reply.protocol_type.as_deref(),
        protocol_name,
        leader: &reply.leader,
        skip_assignment: reply.skip_assignment,
        member_id: &reply.member_id,
        members: members.collect(),
    }
}

pub fn sync_request(request: &wire_sync::SyncGroupRequest<'_>) -> SyncRequest {
    let assignments = request
        .assignments
        .iter()
        .map(|of| (of.member_id.to_owned(), of.assignment.into()));
    SyncRequest {
        group_id: request.group_id.to_owned(),
        generation: request.generation_id,
        member_id: request.member_id.to_owned(),
        instance_id: owned(request.group_instance_id),
        protocol_type: owned(request.protocol_type),
        protocol_name: owned(request.protocol_name),
        assignments: assignments.collect(),
    }
}

pub fn sync_response(reply: &SyncReply) -> wire_sync::SyncGroupResponse<'_> {
    wire_sync::SyncGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error,
        protocol_type: reply.protocol_type.as_deref(),
        protocol_name: reply.protocol_name.as_deref(),
        assignment: &reply.assignment,
    }
}

pub fn heartbeat_request(request: &wire_heartbeat::HeartbeatRequest<'_>) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: request.group_id.to_owned(),
        generation: request.generation_id,
        member_id: request.member_id.to_owned(),
        instance_id: owned(request.group_instance_id),
    }
}

pub fn leave_request(request: &wire_leave::LeaveGroupRequest<'_>, version: i16) -> LeaveRequest {
    let members = if version < LEAVE_MEMBERS {
        vec![LeavingMember {
            member_id: request.member_id.to_owned(),
            instance_id: None,
            reason: None,
        }]
    } else {
        let members = request.members.iter().map(|member| LeavingMember {
            member_id: member.member_id.to_owned(),
            instance_id: owned(member.group_instance_id),
            reason: owned(member.reason),
        });
        members.collect()
    };
    LeaveRequest {
        group_id: request.group_id.to_owned(),
        members,
    }
}

/// Before version 3 the only member's error is the response's.
pub fn leave_response(reply: &LeaveReply, version: i16) -> wire_leave::LeaveGroupResponse<'_> {
    if version < LEAVE_MEMBERS {
        let of_member = reply.members.first().map_or(error::NONE, |m| m.error);
        let error_code = match reply.error {
            error::NONE => of_member,
            code => code,
        };
        return wire_leave::LeaveGroupResponse {
            error_code,
            ..Default::default()
        };
    }
    let members = reply
        .members
        .iter()
        .map(|member| wire_leave::MemberResponse {
            member_id: &member.member_id,
            group_instance_id: member.instance_id.as_deref(),
            error_code: member.error,
        });
    wire_leave::LeaveGroupResponse {
        throttle_time_ms: 0,
        error_code: reply.error,
        members: members.collect(),
    }
}
