//! ElectLeaders: every partition is led by its only replica, so there is nothing to elect.
//!
//! Source: Kafka `ReplicationControlManager.electLeaders`, KIP-183, KIP-460.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use odradek_wire::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal};
use crate::catalog::Image;

pub(super) const KEY: i16 = 43;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    ElectLeadersRequest::MIN_VERSION..=ElectLeadersRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// `ElectionType`: preferred and unclean.
const TYPES: RangeInclusive<i8> = 0..=1;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ElectLeadersRequest<'_> = call.decode()?;
    if !TYPES.contains(&request.election_type) {
        return call.reply(&ElectLeadersResponse {
            error_code: match call.version {
                // It has no place for it.
                0 => ErrorCode::None.code(),
                _ => ErrorCode::InvalidRequest.code(),
            },
            ..ElectLeadersResponse::default()
        });
    }
    let image = call.broker.image();
    // Asked for all partitions, Kafka leaves out those that need no election.
    let asked = request.topic_partitions.unwrap_or_default();
    let mut topics = BTreeMap::<&str, Vec<(i32, ErrorCode, String)>>::new();
    for topic in &asked {
        let results = topics.entry(topic.topic).or_default();
        for index in &topic.partitions {
            let (error, why) = judge(&image, topic.topic, *index);
            results.push((*index, error, why));
        }
    }
    let results = topics.iter().map(|(topic, results)| ReplicaElectionResult {
        topic,
        partition_result: results
            .iter()
            .map(|(index, error, why)| PartitionResult {
                partition_id: *index,
                error_code: error.code(),
                error_message: Some(why),
            })
            .collect(),
    });
    call.reply(&ElectLeadersResponse {
        replica_election_results: results.collect(),
        ..ElectLeadersResponse::default()
    })
}

fn judge(image: &Image, topic: &str, index: i32) -> (ErrorCode, String) {
    let unknown = |why: String| (ErrorCode::UnknownTopicOrPartition, why);
    let Some(found) = image.topic(topic) else {
        return unknown(format!("No such topic as {topic}"));
    };
    let exists = usize::try_from(index).is_ok_and(|index| index < found.partitions.len());
    if !exists {
        return unknown(format!("No such partition as {topic}-{index}"));
    }
    let why = "Leader election not needed for topic partition.";
    (ErrorCode::ElectionNotNeeded, why.into())
}
