//! The requests of a group's members, each a function: asked, and the answer's parts.

use odradek_wire::Reader;
use odradek_wire::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use odradek_wire::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use odradek_wire::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use odradek_wire::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};

use crate::client::{Connection, Lost};

/// No consumer's: nobody but the members looks into what they tell each other.
const PROTOCOL_TYPE: &str = "sim";
const PROTOCOL: &str = "shares";

/// A member, as it shows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    pub member: String,
    pub generation: i32,
}

/// An answer to JoinGroup.
pub struct Joined {
    pub error: i16,
    pub badge: Badge,
    /// All members, if this one is to lead them.
    pub led: Vec<String>,
}

/// JoinGroup. `timeouts_ms`: of the session, and of a rebalance.
pub async fn join(
    connection: &mut Connection,
    group: &str,
    member: &str,
    timeouts_ms: (i32, i32),
) -> Result<Joined, Lost> {
    const VERSION: i16 = 9;
    let request = JoinGroupRequest {
        group_id: group,
        session_timeout_ms: timeouts_ms.0,
        rebalance_timeout_ms: timeouts_ms.1,
        member_id: member,
        protocol_type: PROTOCOL_TYPE,
        protocols: vec![JoinGroupRequestProtocol {
            name: PROTOCOL,
            metadata: &[],
        }],
        ..JoinGroupRequest::default()
    };
    let body = connection.ask(VERSION, &request).await?;
    let answer = JoinGroupResponse::decode(&mut Reader::new(&body), VERSION).expect("a response");
    let members = answer.members.iter().map(|one| one.member_id.to_owned());
    Ok(Joined {
        error: answer.error_code,
        led: members.collect(),
        badge: Badge {
            member: answer.member_id.to_owned(),
            generation: answer.generation_id,
        },
    })
}

/// SyncGroup: the assignment, or the error. `assignments`: the leader's, of each member.
pub async fn sync(
    connection: &mut Connection,
    group: &str,
    badge: &Badge,
    assignments: &[(String, Vec<u8>)],
) -> Result<Result<Vec<u8>, i16>, Lost> {
    const VERSION: i16 = 5;
    let each = |(member_id, assignment)| SyncGroupRequestAssignment {
        member_id,
        assignment,
    };
    let pairs = assignments.iter();
    let pairs = pairs.map(|(member, assignment)| (member.as_str(), assignment.as_slice()));
    let request = SyncGroupRequest {
        group_id: group,
        generation_id: badge.generation,
        member_id: &badge.member,
        protocol_type: Some(PROTOCOL_TYPE),
        protocol_name: Some(PROTOCOL),
        assignments: pairs.map(each).collect(),
        ..SyncGroupRequest::default()
    };
    let body = connection.ask(VERSION, &request).await?;
    let answer = SyncGroupResponse::decode(&mut Reader::new(&body), VERSION).expect("a response");
    Ok(match answer.error_code {
        0 => Ok(answer.assignment.to_vec()),
        error => Err(error),
    })
}

/// Heartbeat: the error.
pub async fn heartbeat(
    connection: &mut Connection,
    group: &str,
    badge: &Badge,
) -> Result<i16, Lost> {
    const VERSION: i16 = 4;
    let request = HeartbeatRequest {
        group_id: group,
        generation_id: badge.generation,
        member_id: &badge.member,
        ..HeartbeatRequest::default()
    };
    let body = connection.ask(VERSION, &request).await?;
    let answer = HeartbeatResponse::decode(&mut Reader::new(&body), VERSION);
    Ok(answer.expect("a response").error_code)
}

/// LeaveGroup: the error.
pub async fn leave(connection: &mut Connection, group: &str, member: &str) -> Result<i16, Lost> {
    const VERSION: i16 = 5;
    let request = LeaveGroupRequest {
        group_id: group,
        members: vec![MemberIdentity {
            member_id: member,
            ..MemberIdentity::default()
        }],
        ..LeaveGroupRequest::default()
    };
    let body = connection.ask(VERSION, &request).await?;
    let answer = LeaveGroupResponse::decode(&mut Reader::new(&body), VERSION);
    let answer = answer.expect("a response");
    Ok(match answer.error_code {
        0 => answer.members.first().map_or(0, |one| one.error_code),
        error => error,
    })
}
