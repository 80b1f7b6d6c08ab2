//! JoinGroup: a member comes into a group, and waits for the others.
//!
//! The reply comes when the rebalance does, which holds up this connection alone, as in Kafka.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::join_group::JoinGroupRequest;

use super::{Call, Outcome, Refusal, groups};
use crate::coordinators::groups::{JoinReply, Reply, codec};

pub(super) const KEY: i16 = JoinGroupRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    JoinGroupRequest::MIN_VERSION..=JoinGroupRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: JoinGroupRequest<'_> = call.decode()?;
    let reply = match groups::of_member(call.broker, request.group_id).await {
        Err(code) => JoinReply::error(code, request.member_id),
        Ok(host) => {
            let client = codec::Client {
                id: call.client_id.unwrap_or_default(),
                host: &groups::client_host(call.peer),
            };
            let uuid = groups::random_uuid(call.broker);
            let request = codec::join_request(&request, call.version, client, uuid);
            let answer = host
                .question(|shard, ticket, now, out| shard.join(request, ticket, now, out))
                .await;
            let Ok(Reply::Join(reply)) = answer else {
                return Err(groups::GONE);
            };
            reply
        }
    };
    call.reply(&codec::join_response(&reply, call.version))
}
