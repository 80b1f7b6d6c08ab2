//! ElectLeaders: every partition is led by its only replica, so there is nothing to elect; and
//! nobody, where that one's log directory cannot be reached.
//!
//! Source: Kafka `ReplicationControlManager.electLeaders`, KIP-183, KIP-460.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use odradek_wire::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal};
use crate::catalog::Image;

pub(super) const KEY: i16 = 43;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    ElectLeadersRequest::MIN_VERSION..=ElectLeadersRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// `ElectionType`.
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// A partition's error code, and what it says.
type Judged = (ErrorCode, Cow<'static, str>);

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ElectLeadersRequest<'_> = call.decode()?;
    let without_leader = match request.election_type {
        PREFERRED => (
            ErrorCode::PreferredLeaderNotAvailable,
            "The preferred leader was not available.",
        ),
        UNCLEAN => (
            ErrorCode::EligibleLeadersNotAvailable,
            "Eligible topic partition leaders are not available.",
        ),
        _ => {
            return call.reply(&ElectLeadersResponse {
                error_code: match call.version {
                    // It has no place for it.
                    0 => ErrorCode::None.code(),
                    _ => ErrorCode::InvalidRequest.code(),
                },
                ..ElectLeadersResponse::default()
            });
        }
    };
    let image = call.broker.image();
    let judge = |topic: &str, index: i32| {
        judge(call.broker, &image, topic, index)
            .unwrap_or((without_leader.0, without_leader.1.into()))
    };
    let topics: Vec<(&str, Vec<(i32, Judged)>)> = match &request.topic_partitions {
        Some(asked) => {
            let judged = asked.iter().map(|asked| {
                let partitions = asked.partitions.iter();
                let partitions = partitions.map(|index| (*index, judge(asked.topic, *index)));
                (asked.topic, partitions.collect())
            });
            judged.collect()
        }
        // Asked for all partitions, Kafka leaves out those that need no election.
        None => {
            let judged = image.topics().map(|topic| {
                let partitions = 0..topic.partitions.len() as i32;
                let partitions = partitions.map(|index| (index, judge(&topic.name, index)));
                let told =
                    partitions.filter(|(_, (error, _))| *error != ErrorCode::ElectionNotNeeded);
                (&*topic.name, told.collect())
            });
            judged.collect()
        }
    };
    let results = topics
        .iter()
        .map(|(topic, partitions)| ReplicaElectionResult {
            topic,
            partition_result: partitions
                .iter()
                .map(|(index, (error, why))| PartitionResult {
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

/// None: the partition has no leader, and gets none.
fn judge(broker: &Broker, image: &Image, topic: &str, index: i32) -> Option<Judged> {
    let unknown = |why: String| Some((ErrorCode::UnknownTopicOrPartition, why.into()));
    let Some(found) = image.topic(topic) else {
        return unknown(format!("No such topic as {topic}"));
    };
    let Some(entry) = found.entry(index) else {
        return unknown(format!("No such partition as {topic}-{index}"));
    };
    let why = "Leader election not needed for topic partition.";
    let led = !broker.offline(entry);
    led.then_some((ErrorCode::ElectionNotNeeded, why.into()))
}
