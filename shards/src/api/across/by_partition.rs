//! APIs that ask about partitions by topics' names: each owner is asked about its own.

use std::collections::BTreeMap;

use odradek_wire::delete_records::{
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use odradek_wire::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, TopicResponse,
};
use odradek_wire::list_offsets::{
    ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use odradek_wire::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::ask::{LOST, alike, ask_each, decode, to};
use super::places::shard_of_partition;
use super::split::{distinct, join, sole};
use crate::api::table::Row;
use crate::api::{Call, Handled};
use crate::catalog::TopicKey;
use crate::net::Request;

/// `request { topics, their name, their partitions, a partition's index }`, the same of the
/// response.
macro_rules! by_partition {
    ($api:ident: $request:ident { $topic:ident, $parts:ident, |$part:ident| $index:expr }
     => $response:ident, $answer:ident { $answer_topic:ident }) => {
        pub(super) fn $api<'a>(
            row: &'static Row,
            call: Call<'a>,
            request: &'a Request<'a>,
        ) -> Handled<'a> {
            Box::pin(async move {
                let asked: $request<'_> = call.decode()?;
                let (image, here) = (call.broker.image(), call.broker.shard);
                let mut owners = Vec::new();
                for topic in &asked.topics {
                    let name = TopicKey::Name(topic.$topic);
                    let parts = topic.$parts.iter();
                    owners
                        .extend(parts.map(|$part| shard_of_partition(&image, here, name, $index)));
                }
                if let Some(shard) = sole(&owners, here) {
                    return to(shard, row, call, request).await;
                }
                let mut requests = Vec::new();
                for shard in distinct(&owners) {
                    let (mut part, mut owner) = (asked.clone(), owners.iter());
                    for topic in &mut part.topics {
                        topic.$parts.retain(|_| owner.next() == Some(&shard));
                    }
                    part.topics.retain(|topic| !topic.$parts.is_empty());
                    requests.push((shard, alike(&call, &part)?));
                }
                let bodies = ask_each(&call, requests).await?;
                let mut answers = BTreeMap::new();
                for (shard, body) in &bodies {
                    let response: $response<'_> = decode(&call, body)?;
                    let topics = response.topics.into_iter();
                    answers.insert(*shard, topics.flat_map(|topic| topic.partitions).collect());
                }
                let mut joined = join(&owners, answers).ok_or(LOST)?.into_iter();
                let topics = asked.topics.iter().map(|topic| $answer {
                    $answer_topic: topic.$topic,
                    partitions: joined.by_ref().take(topic.$parts.len()).collect(),
                });
                call.reply(&$response {
                    topics: topics.collect(),
                    ..$response::default()
                })
            })
        }
    };
}

by_partition!(list_offsets:
    ListOffsetsRequest { name, partitions, |part| part.partition_index }
    => ListOffsetsResponse, ListOffsetsTopicResponse { name });
by_partition!(offset_for_leader_epoch:
    OffsetForLeaderEpochRequest { topic, partitions, |part| part.partition }
    => OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult { topic });
by_partition!(delete_records:
    DeleteRecordsRequest { name, partitions, |part| part.partition_index }
    => DeleteRecordsResponse, DeleteRecordsTopicResult { name });
by_partition!(describe_producers:
    DescribeProducersRequest { name, partition_indexes, |part| *part }
    => DescribeProducersResponse, TopicResponse { name });
