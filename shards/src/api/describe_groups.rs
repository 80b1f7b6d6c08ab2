//! DescribeGroups: state, members and assignments of groups.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::describe_groups::DescribeGroupsRequest;

use super::{Call, Outcome, Refusal};
use crate::coordinators::groups::{DescribedGroup, codec};

pub(super) const KEY: i16 = DescribeGroupsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeGroupsRequest::MIN_VERSION..=DescribeGroupsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// All that can be allowed on a group, as bits by Kafka's `AclOperation` codes: READ, DELETE,
/// DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
/// Nobody asked.
const NO_OPERATIONS: i32 = i32::MIN;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeGroupsRequest<'_> = call.decode()?;
    let not_found = codec::knows_group_id_not_found(call.version);
    let mut described = Vec::new();
    let groups = &call.broker.groups;
    let deadline = groups.load_deadline();
    for group_id in &request.groups {
        described.push(match groups.serving_until(group_id, deadline).await {
            Ok(host) => {
                let group = host.ask(|shard, _, _| shard.describe(group_id, not_found));
                let operations = match request.include_authorized_operations {
                    true => ALL_OPERATIONS,
                    false => NO_OPERATIONS,
                };
                (group, operations)
            }
            Err(code) => (failed(group_id, code), NO_OPERATIONS),
        });
    }
    call.reply(&codec::describe_groups_response(&described))
}

fn failed(group_id: &str, error: i16) -> DescribedGroup {
    DescribedGroup {
        error,
        error_message: None,
        group_id: group_id.to_owned(),
        state: "",
        protocol_type: String::new(),
        protocol: String::new(),
        members: Vec::new(),
    }
}
