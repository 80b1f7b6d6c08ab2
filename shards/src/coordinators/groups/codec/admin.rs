//! DescribeGroups, ListGroups and DeleteGroups.

use odradek_wire::{delete_groups, describe_groups, list_groups};

use super::super::{DescribedGroup, ListedGroup};

const DESCRIBE_GROUP_ID_NOT_FOUND: i16 = 6;
const LIST_STATES: i16 = 4;
const LIST_TYPES: i16 = 5;

/// Whether DescribeGroups of this version answers GROUP_ID_NOT_FOUND (KIP-1043); older
/// ones call the group Dead.
pub fn knows_group_id_not_found(version: i16) -> bool {
    version >= DESCRIBE_GROUP_ID_NOT_FOUND
}

/// `authorized_operations`: for each group, Kafka's bit field of what the client may do;
/// `i32::MIN` where it did not ask.
pub fn describe_groups_response(
    groups: &[(DescribedGroup, i32)],
) -> describe_groups::DescribeGroupsResponse<'_> {
    let described = groups.iter().map(|(group, authorized_operations)| {
        let members = group
            .members
            .iter()
            .map(|member| describe_groups::DescribedGroupMember {
                member_id: &member.member_id,
                group_instance_id: member.instance_id.as_deref(),
                client_id: &member.client_id,
                client_host: &member.client_host,
                member_metadata: &member.metadata,
                member_assignment: &member.assignment,
            });
        describe_groups::DescribedGroup {
            error_code: group.error,
            error_message: group.error_message.as_deref(),
            group_id: &group.group_id,
            group_state: group.state,
            protocol_type: &group.protocol_type,
            protocol_data: &group.protocol,
            members: members.collect(),
            authorized_operations: *authorized_operations,
        }
    });
    describe_groups::DescribeGroupsResponse {
        throttle_time_ms: 0,
        groups: described.collect(),
    }
}

/// `error_code`: what is said where some coordinator partition cannot be listed.
pub fn list_groups_response(
    groups: &[ListedGroup],
    error_code: i16,
    version: i16,
) -> list_groups::ListGroupsResponse<'_> {
    let listed = groups.iter().map(|group| list_groups::ListedGroup {
        group_id: &group.group_id,
        protocol_type: &group.protocol_type,
        group_state: if version >= LIST_STATES {
            group.state
        } else {
            ""
        },
        group_type: if version >= LIST_TYPES {
            group.group_type
        } else {
            ""
        },
    });
    list_groups::ListGroupsResponse {
        throttle_time_ms: 0,
        error_code,
        groups: listed.collect(),
    }
}

/// Each group once, as Kafka's `KafkaApis.handleDeleteGroupsRequest` takes them.
pub fn delete_groups_request(request: &delete_groups::DeleteGroupsRequest<'_>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let names = request.groups_names.iter();
    names
        .filter(|id| seen.insert(**id))
        .map(|id| (*id).to_owned())
        .collect()
}

pub fn delete_groups_response(
    results: &[(String, i16)],
) -> delete_groups::DeleteGroupsResponse<'_> {
    let results =
        results.iter().map(
            |(group_id, error_code)| delete_groups::DeletableGroupResult {
                group_id,
                error_code: *error_code,
            },
        );
    delete_groups::DeleteGroupsResponse {
        throttle_time_ms: 0,
        results: results.collect(),
    }
}
