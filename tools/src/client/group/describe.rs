//! A group as its coordinator describes it, whichever protocol it speaks.

use odradek_wire::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
};
use odradek_wire::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use odradek_wire::{ErrorCode, Message};

use super::coordinator::{call_coordinator, find_coordinator};
use super::protocol;
use crate::client::{ClientError, Cluster, Reply, check};

/// See the [module](self).
#[derive(Debug, Clone)]
pub struct Description {
    /// Such as `Stable` or `Empty`; `Dead` for a group that is not there.
    pub state: String,
    pub protocol_type: String,
    /// The assignor's name; empty without members.
    pub protocol: String,
    pub coordinator: i32,
    pub members: Vec<Member>,
}

/// A member and what it is assigned.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: String,
    pub client_id: String,
    pub host: String,
    pub assigned: Vec<(String, i32)>,
}

/// Describes a group.
///
/// # Errors
/// GROUP_ID_NOT_FOUND, or anything else that the coordinator refuses.
pub fn describe(cluster: &mut Cluster, group: &str) -> Result<Description, ClientError> {
    let request = DescribeGroupsRequest {
        groups: vec![group],
        ..DescribeGroupsRequest::default()
    };
    let coordinator = find_coordinator(cluster, group)?;
    let classic = call_coordinator(cluster, group, &request, i16::MAX, |reply| {
        read_classic(reply, group, coordinator)
    });
    let not_found = |outcome: &Result<_, ClientError>| {
        let error = outcome.as_ref().err();
        error.is_some_and(|error| error.code() == Some(ErrorCode::GroupIdNotFound))
    };
    // The newer protocol's groups are not described as classic ones (KIP-1043).
    let newer = <ConsumerGroupDescribeRequest<'_> as Message<'_>>::API_KEY;
    if !not_found(&classic) || !cluster.connection(coordinator)?.serves(newer) {
        return classic;
    }
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![group],
        ..ConsumerGroupDescribeRequest::default()
    };
    call_coordinator(cluster, group, &request, i16::MAX, |reply| {
        read_newer(reply, group, coordinator)
    })
}

fn read_classic(reply: &Reply, group: &str, coordinator: i32) -> Result<Description, ClientError> {
    let response: DescribeGroupsResponse<'_> = reply.read()?;
    let described = response.groups.first().ok_or_else(|| left_out(group))?;
    check(described.error_code, described.error_message, || {
        format!("group {group}")
    })?;
    let members = described.members.iter().map(|member| Member {
        id: member.member_id.to_owned(),
        client_id: member.client_id.to_owned(),
        host: member.client_host.trim_start_matches('/').to_owned(),
        // Groups of other things than consumers have assignments of another form.
        assigned: match described.protocol_type {
            protocol::PROTOCOL_TYPE => {
                protocol::read_assignment(member.member_assignment).unwrap_or_default()
            }
            _ => Vec::new(),
        },
    });
    Ok(Description {
        state: described.group_state.to_owned(),
        protocol_type: described.protocol_type.to_owned(),
        protocol: described.protocol_data.to_owned(),
        coordinator,
        members: members.collect(),
    })
}

fn read_newer(reply: &Reply, group: &str, coordinator: i32) -> Result<Description, ClientError> {
    let response: ConsumerGroupDescribeResponse<'_> = reply.read()?;
    let described = response.groups.first().ok_or_else(|| left_out(group))?;
    check(described.error_code, described.error_message, || {
        format!("group {group}")
    })?;
    let members = described.members.iter().map(|member| Member {
        id: member.member_id.to_owned(),
        client_id: member.client_id.to_owned(),
        host: member.client_host.trim_start_matches('/').to_owned(),
        assigned: partitions(&member.assignment),
    });
    Ok(Description {
        state: described.group_state.to_owned(),
        protocol_type: protocol::PROTOCOL_TYPE.to_owned(),
        protocol: described.assignor_name.to_owned(),
        coordinator,
        members: members.collect(),
    })
}

fn partitions(assignment: &Assignment<'_>) -> Vec<(String, i32)> {
    let topics = assignment.topic_partitions.iter();
    topics
        .flat_map(|topic| {
            let name = |&partition| (topic.topic_name.to_owned(), partition);
            topic.partitions.iter().map(name)
        })
        .collect()
}

fn left_out(group: &str) -> ClientError {
    ClientError::Refused {
        what: format!("group {group}"),
        code: ErrorCode::UnknownServerError.code(),
        message: Some("the coordinator's answer leaves it out".to_owned()),
    }
}
