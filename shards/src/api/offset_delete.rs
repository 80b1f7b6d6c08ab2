//! OffsetDelete: forgets a group's offsets of topics that it does not read (KIP-496).

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::offset_delete::OffsetDeleteRequest;

use super::{Call, Outcome, Refusal, groups};
use crate::coordinators::groups::{OffsetDeleteReply, Reply, codec};

pub(super) const KEY: i16 = OffsetDeleteRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    OffsetDeleteRequest::MIN_VERSION..=OffsetDeleteRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: OffsetDeleteRequest<'_> = call.decode()?;
    let reply = match call.broker.groups.serving(request.group_id).await {
        Err(error) => OffsetDeleteReply {
            error,
            topics: Vec::new(),
        },
        Ok(host) => {
            let request = codec::offset_delete_request(&request);
            let answer = host
                .question(|shard, ticket, now, out| shard.delete_offsets(request, ticket, now, out))
                .await;
            let Ok(Reply::OffsetDelete(reply)) = answer else {
                return Err(groups::GONE);
            };
            reply
        }
    };
    call.reply(&codec::offset_delete_response(&reply))
}
