//! OffsetFetch: how far groups have come.

use std::ops::RangeInclusive;

use odradek_wire::offset_fetch::OffsetFetchRequest;
use odradek_wire::{Message, Uuid};

use super::groups::GONE;
use super::{Call, Outcome, Refusal};
use crate::coordinators::groups::{Reply, codec};

pub(super) const KEY: i16 = OffsetFetchRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    OffsetFetchRequest::MIN_VERSION..=OffsetFetchRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: OffsetFetchRequest<'_> = call.decode()?;
    let image = call.broker.image();
    let name_of = |id| Some(image.topic_by_id(Uuid(id))?.name.to_string());
    let mut replies = Vec::new();
    let deadline = call.broker.groups.load_deadline();
    for request in codec::fetch_requests(&request, call.version, name_of) {
        let groups = &call.broker.groups;
        let reply = match groups.serving_until(&request.group_id, deadline).await {
            Err(code) => request.failed(code),
            Ok(host) => {
                let answer = host
                    .question(|shard, ticket, now, out| shard.fetch(request, ticket, now, out))
                    .await;
                let Ok(Reply::Fetch(reply)) = answer else {
                    return Err(GONE);
                };
                reply
            }
        };
        replies.push(reply);
    }
    // Topics may have been created since.
    let image = call.broker.image();
    let id_of = |name: &str| image.topic(name).map(|topic| topic.id.0);
    call.reply(&codec::fetch_response(&replies, call.version, id_of))
}
