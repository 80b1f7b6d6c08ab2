//! SyncGroup: a member asks for its assignment; the leader brings everybody's.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::sync_group::SyncGroupRequest;

use super::{Call, Outcome, Refusal, groups};
use crate::coordinators::groups::{Reply, SyncReply, codec};

pub(super) const KEY: i16 = SyncGroupRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    SyncGroupRequest::MIN_VERSION..=SyncGroupRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: SyncGroupRequest<'_> = call.decode()?;
    let reply = match groups::of_member(call.broker, request.group_id).await {
        Err(code) => SyncReply::error(code),
        Ok(host) => {
            let request = codec::sync_request(&request);
            let answer = host
                .question(|shard, ticket, now, out| shard.sync(request, ticket, now, out))
                .await;
            let Ok(Reply::Sync(reply)) = answer else {
                return Err(groups::GONE);
            };
            reply
        }
    };
    call.reply(&codec::sync_response(&reply))
}
