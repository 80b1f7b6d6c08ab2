//! LeaveGroup: members go, or are sent away.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::leave_group::LeaveGroupRequest;

use super::{Call, Outcome, Refusal, groups};
use crate::coordinators::groups::{LeaveReply, codec};

pub(super) const KEY: i16 = LeaveGroupRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    LeaveGroupRequest::MIN_VERSION..=LeaveGroupRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: LeaveGroupRequest<'_> = call.decode()?;
    let reply = match groups::of_member(call.broker, request.group_id).await {
        Err(error) => LeaveReply {
            error,
            members: Vec::new(),
        },
        Ok(host) => {
            let request = codec::leave_request(&request, call.version);
            host.ask(|shard, now, out| shard.leave(&request, now, out))
        }
    };
    call.reply(&codec::leave_response(&reply, call.version))
}
