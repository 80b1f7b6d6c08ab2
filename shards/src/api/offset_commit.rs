//! OffsetCommit: how far a group has come; answered when that survives power loss.
//!
//! The connection's next request is taken meanwhile, so commits that come together share a write.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::offset_commit::OffsetCommitRequest;

use super::{Call, Outcome, Refusal, Reply, encode_reply, groups};
use crate::catalog::Image;
use crate::coordinators::groups::codec::{self, TopicRef};
use crate::coordinators::groups::{self as coordinator, error};
use odradek_wire::Uuid;

pub(super) const KEY: i16 = OffsetCommitRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    OffsetCommitRequest::MIN_VERSION..=OffsetCommitRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: OffsetCommitRequest<'_> = call.decode()?;
    let (version, correlation_id) = (call.version, call.correlation_id);
    let image = call.broker.image();
    let request = codec::commit_request(&request, version, |topic| resolve(&image, topic));
    let host = match call.broker.groups.serving(&request.group_id).await {
        Ok(host) => host,
        Err(code) => return call.reply(&codec::commit_response(&request.failed(code), version)),
    };
    let answer = host.question(|shard, ticket, now, out| shard.commit(request, ticket, now, out));
    Ok(Outcome::Later(Box::pin(async move {
        let Ok(coordinator::Reply::Commit(reply)) = answer.await else {
            return Err(groups::GONE);
        };
        let response = codec::commit_response(&reply, version);
        let (bytes, _) = encode_reply(KEY, version, correlation_id, &response)?;
        Ok(Reply::bytes(bytes))
    })))
}

fn resolve(image: &Image, topic: TopicRef<'_>) -> Result<codec::Topic, i16> {
    let found = match topic {
        TopicRef::Name(name) => image.topic(name).ok_or(error::UNKNOWN_TOPIC_OR_PARTITION),
        TopicRef::Id(id) => image.topic_by_id(Uuid(id)).ok_or(error::UNKNOWN_TOPIC_ID),
    };
    found.map(|topic| codec::Topic {
        name: topic.name.to_string(),
        partitions: topic.partitions.len() as i32,
    })
}
