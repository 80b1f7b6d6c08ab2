//! ListGroups: the groups that this shard coordinates; clients ask every broker.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::list_groups::ListGroupsRequest;

use super::{Call, Outcome, Refusal};
use crate::coordinators::groups::{codec, error};

pub(super) const KEY: i16 = ListGroupsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    ListGroupsRequest::MIN_VERSION..=ListGroupsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ListGroupsRequest<'_> = call.decode()?;
    let mut groups = Vec::new();
    let error = match call.broker.groups.listed().await {
        Err(code) => code,
        Ok(_) if call.broker.stopping() => error::COORDINATOR_NOT_AVAILABLE,
        Ok(hosts) => {
            for host in hosts {
                let (states, types) = (&request.states_filter, &request.types_filter);
                groups.extend(host.ask(|shard, _, _| shard.list(states, types)));
            }
            error::NONE
        }
    };
    call.reply(&codec::list_groups_response(&groups, error, call.version))
}
