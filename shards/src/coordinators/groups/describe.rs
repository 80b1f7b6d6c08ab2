//! DescribeGroups and ListGroups: what an administrator sees.

use super::GroupsShard;
use super::effects::Blob;
use super::error;
use super::group::ClassicGroup;
use super::state::State;

/// The group type of everything here, as ListGroups names it (KIP-848).
pub const GROUP_TYPE: &str = "classic";

#[derive(Debug, Clone, PartialEq)]
pub struct DescribedGroup {
    pub error: i16,
    pub error_message: Option<String>,
    pub group_id: String,
    pub state: &'static str,
    pub protocol_type: String,
    /// The protocol chosen; empty where the group is not stable.
    pub protocol: String,
    pub members: Vec<DescribedMember>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DescribedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Empty where the group is not stable.
    pub metadata: Blob,
    pub assignment: Blob,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ListedGroup {
    pub group_id: String,
    pub protocol_type: String,
    pub state: &'static str,
    pub group_type: &'static str,
}

fn describe(group: &ClassicGroup) -> DescribedGroup {
    let stable = group.state() == State::Stable;
    let protocol = match &group.protocol {
        Some(protocol) if stable => protocol.as_str(),
        _ => "",
    };
    let members = group.members().map(|member| DescribedMember {
        member_id: member.id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: if stable {
            member.metadata(protocol)
        } else {
            Blob::default()
        },
        assignment: member.assignment.clone(),
    });
    DescribedGroup {
        error: error::NONE,
        error_message: None,
        group_id: group.id.clone(),
        state: group.state().name(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol: protocol.to_owned(),
        members: members.collect(),
    }
}

impl GroupsShard {
    /// A group that does not exist is Dead; from DescribeGroups version 6 on
    /// (`not_found_supported`, KIP-1043) it is also GROUP_ID_NOT_FOUND.
    pub fn describe(&self, group_id: &str, not_found_supported: bool) -> DescribedGroup {
        let found = self.groups.get(group_id);
        if let Some(group) = found.filter(|group| group.state() != State::Dead) {
            return describe(group);
        }
        let (error, error_message) = if not_found_supported {
            let message = format!("Group {group_id} not found.");
            (error::GROUP_ID_NOT_FOUND, Some(message))
        } else {
            (error::NONE, None)
        };
        DescribedGroup {
            error,
            error_message,
            group_id: group_id.to_owned(),
            state: State::Dead.name(),
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
        }
    }

    /// The groups in any of these states and of any of these types; an empty filter
    /// passes all. Case does not matter.
    pub fn list(&self, states: &[&str], types: &[&str]) -> Vec<ListedGroup> {
        let passes = |filter: &[&str], value: &str| {
            filter.is_empty() || filter.iter().any(|f| f.trim().eq_ignore_ascii_case(value))
        };
        if !passes(types, GROUP_TYPE) {
            return Vec::new();
        }
        let listed = self
            .groups
            .values()
            .filter(|group| group.state() != State::Dead)
            .filter(|group| passes(states, group.state().name()))
            .map(|group| ListedGroup {
                group_id: group.id.clone(),
                protocol_type: group.protocol_type.clone().unwrap_or_default(),
                state: group.state().name(),
                group_type: GROUP_TYPE,
            });
        listed.collect()
    }
}
