//! AlterPartitionReassignments: partitions move to other shards, live.
//!
//! Where the node is one broker its shards go by ids of their own here, which nobody else is told
//! of: see [`Settings::replica_id`](crate::config::Settings::replica_id).
//!
//! A move is one change of metadata, so it is over when it is answered: there is nothing to list
//! and nothing to cancel. The files stay where they are.
//!
//! Source: KIP-455, Kafka `ReplicationControlManager.alterPartitionReassignments`. There a
//! reassignment is begun, and goes on after it is answered.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use odradek_wire::{ErrorCode, Message, Uuid};

use super::assignment::{Brokers, Place, assigned};
use super::change::{self, RECORDS_PER_REQUEST_MAX, Refused};
use super::{Broker, Call, Outcome, Refusal};
use crate::catalog::Image;
use crate::catalog::records::new_owner;

pub(super) const KEY: i16 = 45;
pub(super) const ADVERTISED: RangeInclusive<i16> = AlterPartitionReassignmentsRequest::MIN_VERSION
    ..=AlterPartitionReassignmentsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// A partition that is to have these replicas.
struct Asked {
    topic: String,
    index: i32,
    /// Ids of brokers; `None`: what is under way is to be cancelled.
    replicas: Option<Vec<i32>>,
}

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: AlterPartitionReassignmentsRequest<'_> = call.decode()?;
    let mut asked = Vec::new();
    for topic in &request.topics {
        asked.extend(topic.partitions.iter().map(|one| Asked {
            topic: topic.name.to_owned(),
            index: one.partition_index,
            replicas: one.replicas.clone(),
        }));
    }
    let count = asked.len();
    let may_change = request.allow_replication_factor_change;
    let task = move |controller: Rc<Broker>| {
        Box::pin(async move { reassign(&controller, &asked, may_change).await }) as _
    };
    let results = match change::at_controller(call.broker, task).await {
        Ok(results) => results,
        Err(refused) => vec![Err(refused); count],
    };
    let mut results = results.iter();
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let asked = topic.partitions.iter().zip(results.by_ref());
        let partitions = asked.map(|(one, result)| ReassignablePartitionResponse {
            partition_index: one.partition_index,
            error_code: result
                .as_ref()
                .err()
                .map_or(ErrorCode::None, |(code, _)| *code)
                .code(),
            error_message: result.as_ref().err().map(|(_, why)| why.as_str()),
        });
        responses.push(ReassignableTopicResponse {
            name: topic.name,
            partitions: partitions.collect(),
        });
    }
    call.reply(&AlterPartitionReassignmentsResponse {
        throttle_time_ms: 0,
        allow_replication_factor_change: request.allow_replication_factor_change,
        error_code: ErrorCode::None.code(),
        error_message: None,
        responses,
    })
}

async fn reassign(
    broker: &Rc<Broker>,
    asked: &[Asked],
    may_change: bool,
) -> Vec<Result<(), Refused>> {
    let change = broker.controller().begin().await;
    let image = change.image().clone();
    let brokers = Brokers::of(broker);
    let mut records = Vec::new();
    let mut results = Vec::with_capacity(asked.len());
    for one in asked {
        let planned = plan(&image, &brokers, one, may_change);
        results.push(planned.and_then(|moved| {
            if records.len() == RECORDS_PER_REQUEST_MAX {
                let why = format!("one request can move {RECORDS_PER_REQUEST_MAX} partitions");
                return Err((ErrorCode::PolicyViolation, why));
            }
            records.extend(moved.map(|(topic, shard)| new_owner(topic, one.index, shard)));
            Ok(())
        }));
    }
    change::commit(broker, change, &records, &mut results).await;
    results
}

/// The topic and the shard that a partition goes to; `None` if it is there.
fn plan(
    image: &Image,
    brokers: &Brokers,
    asked: &Asked,
    may_change: bool,
) -> Result<Option<(Uuid, u32)>, Refused> {
    let (name, index) = (&asked.topic, asked.index);
    let unknown = |why: String| (ErrorCode::UnknownTopicOrPartition, why);
    let topic = image
        .topic(name)
        .ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let entry = topic
        .entry(index)
        .ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    let Some(replicas) = &asked.replicas else {
        let why = "No partition reassignment is in progress.";
        return Err((ErrorCode::NoReassignmentInProgress, why.into()));
    };
    match assigned(brokers, replicas)?[..] {
        // It has the partition, wherever that is.
        [Place::Anywhere] => Ok(None),
        [Place::Shard(shard)] => Ok((shard != entry.shard).then_some((topic.id, shard))),
        _ if !may_change => Err((
            ErrorCode::InvalidReplicationFactor,
            format!(
                "The replication factor is changed from 1 to {}",
                replicas.len()
            ),
        )),
        _ => Err((
            ErrorCode::InvalidReplicaAssignment,
            format!(
                "{} replicas need as many nodes, and all brokers here are one: a partition has one \
                 replica",
                replicas.len()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::metadata_records::{MetadataRecord, TopicRecord};

    use super::super::topics::new_partition;
    use super::*;

    fn image() -> Image {
        let mut image = Image::default();
        let topic_id = Uuid([7; 16]);
        let name = "t";
        image.apply(&MetadataRecord::Topic(TopicRecord { name, topic_id }));
        image.apply(&new_partition(topic_id, 0, 1, Uuid::ZERO));
        image
    }

    const SHARDS: Brokers = Brokers {
        first_id: 1000,
        count: 3,
        node: None,
    };

    fn ask(
        topic: &str,
        index: i32,
        replicas: Option<&[i32]>,
        may_change: bool,
    ) -> Result<Option<u32>, Refused> {
        ask_of(&SHARDS, topic, index, replicas, may_change)
    }

    fn ask_of(
        brokers: &Brokers,
        topic: &str,
        index: i32,
        replicas: Option<&[i32]>,
        may_change: bool,
    ) -> Result<Option<u32>, Refused> {
        let asked = Asked {
            topic: topic.to_owned(),
            index,
            replicas: replicas.map(<[i32]>::to_vec),
        };
        let planned = plan(&image(), brokers, &asked, may_change);
        planned.map(|moved| moved.map(|(_, shard)| shard))
    }

    #[test]
    fn a_partition_goes_to_one_broker_or_stays() {
        assert_eq!(ask("t", 0, Some(&[1002]), true).unwrap(), Some(2));
        assert_eq!(ask("t", 0, Some(&[1001]), false).unwrap(), None);
        let mut image = image();
        let topic = Uuid([7; 16]);
        image.apply(&new_owner(topic, 0, 2));
        let entry = image.topic("t").unwrap().entry(0).unwrap();
        assert_eq!(
            (entry.shard, entry.leader_epoch, entry.partition_epoch),
            (2, 1, 1)
        );
    }

    #[test]
    fn one_broker_has_every_partition_and_its_shards_have_ids() {
        let node = Brokers {
            node: Some(1),
            ..SHARDS
        };
        let ask = |id| ask_of(&node, "t", 0, Some(&[id]), true).map_err(|(error, _)| error);
        assert_eq!(ask(1), Ok(None));
        assert_eq!(ask(1001), Ok(None));
        assert_eq!(ask(1002), Ok(Some(2)));
        assert_eq!(ask(1003), Err(ErrorCode::InvalidReplicaAssignment));
        assert_eq!(ask(2), Err(ErrorCode::InvalidReplicaAssignment));
    }

    #[test]
    fn what_kafka_refuses_and_what_one_node_cannot_do() {
        use ErrorCode::{
            InvalidReplicaAssignment, InvalidReplicationFactor, NoReassignmentInProgress,
            UnknownTopicOrPartition,
        };
        type Case<'a> = (&'a str, i32, Option<&'a [i32]>, bool, ErrorCode, &'a str);
        let cases: [Case<'_>; 9] = [
            (
                "u",
                0,
                Some(&[1000]),
                true,
                UnknownTopicOrPartition,
                "topic named u",
            ),
            ("t", 1, Some(&[1000]), true, UnknownTopicOrPartition, "t:1"),
            ("t", -1, None, true, UnknownTopicOrPartition, "t:-1"),
            ("t", 0, None, true, NoReassignmentInProgress, "No partition"),
            ("t", 0, Some(&[]), true, InvalidReplicaAssignment, "empty"),
            (
                "t",
                0,
                Some(&[1003]),
                true,
                InvalidReplicaAssignment,
                "broker 1003",
            ),
            (
                "t",
                0,
                Some(&[1000, 1000]),
                true,
                InvalidReplicaAssignment,
                "once",
            ),
            (
                "t",
                0,
                Some(&[1000, 1001]),
                true,
                InvalidReplicaAssignment,
                "one replica",
            ),
            (
                "t",
                0,
                Some(&[1000, 1001]),
                false,
                InvalidReplicationFactor,
                "from 1 to 2",
            ),
        ];
        for (topic, index, replicas, may_change, code, text) in cases {
            let (error, why) = ask(topic, index, replicas, may_change).expect_err(text);
            assert_eq!(error, code, "{why}");
            assert!(why.contains(text), "{why}");
        }
    }
}
