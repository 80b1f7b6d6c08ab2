//! OffsetDelete: forgets a group's offsets of topics that it does not read (KIP-496).
//!
//! Source: Kafka `KafkaApis.handleOffsetDeleteRequest`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::offset_delete::OffsetDeleteRequest;

use super::{Call, Outcome, Refusal, groups};
use crate::catalog::Image;
use crate::coordinators::groups::{self as coordinator, OffsetDeleteReply, Reply, codec, error};

pub(super) const KEY: i16 = OffsetDeleteRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    OffsetDeleteRequest::MIN_VERSION..=OffsetDeleteRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: OffsetDeleteRequest<'_> = call.decode()?;
    let mut request = codec::offset_delete_request(&request);
    let unknown = take_unknown(&call.broker.image(), &mut request);
    let reply = match groups::of_member(call.broker, &request.group_id).await {
        Err(error) => OffsetDeleteReply {
            error,
            topics: Vec::new(),
        },
        Ok(host) => {
            let answer = host
                .question(|shard, ticket, now, out| shard.delete_offsets(request, ticket, now, out))
                .await;
            let Ok(Reply::OffsetDelete(reply)) = answer else {
                return Err(groups::GONE);
            };
            merged(reply, unknown)
        }
    };
    call.reply(&codec::offset_delete_response(&reply))
}

/// By topic: partitions, and what is said of each.
type Results = BTreeMap<String, Vec<(i32, i16)>>;

/// Takes out of a request what does not exist.
fn take_unknown(image: &Image, request: &mut coordinator::OffsetDeleteRequest) -> Results {
    let mut unknown = Results::new();
    for (name, partitions) in &mut request.topics {
        let topic = image.topic(name);
        let exists = |index: &i32| topic.is_some_and(|topic| topic.entry(*index).is_some());
        let absent = partitions.iter().filter(|index| !exists(index));
        let absent: Vec<_> = absent
            .map(|index| (*index, error::UNKNOWN_TOPIC_OR_PARTITION))
            .collect();
        partitions.retain(exists);
        if !absent.is_empty() {
            unknown.entry(name.clone()).or_default().extend(absent);
        }
    }
    request
        .topics
        .retain(|(_, partitions)| !partitions.is_empty());
    unknown
}

/// A group that refuses says nothing of partitions.
fn merged(mut reply: OffsetDeleteReply, mut results: Results) -> OffsetDeleteReply {
    if reply.error == error::NONE {
        for (topic, partitions) in reply.topics {
            results.entry(topic).or_default().extend(partitions);
        }
        reply.topics = results.into_iter().collect();
    }
    reply
}
