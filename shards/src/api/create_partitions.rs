//! CreatePartitions: more partitions for topics that exist.
//!
//! New partitions go to shards as those of a new topic do. A topic never has fewer than before;
//! keys whose partition is chosen by their count move, as everywhere in Kafka. The node's own
//! topics keep their count: it says who coordinates whom.
//!
//! Source: Kafka `ControllerApis.createPartitions`, `ReplicationControlManager.createPartitions`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_wire::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use odradek_wire::{ErrorCode, Message};

use super::assignment::{Brokers, Place, assigned};
use super::change::{self, RECORDS_PER_REQUEST_MAX, Refused};
use super::throttle::Mutations;
use super::{Broker, Call, Outcome, Refusal, topics};
use crate::catalog::Image;
use crate::catalog::placement::{Fill, Load};

pub(super) const KEY: i16 = 37;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    CreatePartitionsRequest::MIN_VERSION..=CreatePartitionsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// First version that is refused what exceeds a quota.
const STRICT_SINCE: i16 = 3;

/// A topic that is to have more partitions.
struct Growth {
    name: String,
    count: i32,
    /// For each new partition the ids of its brokers; spread by load if `None`.
    brokers: Option<Vec<Vec<i32>>>,
}

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: CreatePartitionsRequest<'_> = call.decode()?;
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for topic in &request.topics {
        *times.entry(topic.name).or_default() += 1;
    }
    let once = |name: &str| times[name] == 1;
    let asked = request.topics.iter().filter(|topic| once(topic.name));
    let growths: Vec<Growth> = asked
        .clone()
        .map(|topic| Growth {
            name: topic.name.to_owned(),
            count: topic.count,
            brokers: topic.assignments.as_ref().map(|given| {
                let brokers = given.iter().map(|one| one.broker_ids.clone());
                brokers.collect()
            }),
        })
        .collect();
    let mut mutations = call.mutations(STRICT_SINCE);
    let grown = grow(call.broker, growths, request.validate_only, &mut mutations).await;
    call.mutated(&mutations);
    // A name that is given twice is answered once, and first.
    let twice = times.iter().filter(|(_, times)| **times > 1);
    let mut results: Vec<_> = twice
        .map(|(name, _)| CreatePartitionsTopicResult {
            name,
            error_code: ErrorCode::InvalidRequest.code(),
            error_message: Some("the request names this topic more than once"),
        })
        .collect();
    results.extend(asked.zip(&grown).map(|(topic, result)| {
        let (error, why) = match result {
            Ok(()) => (ErrorCode::None, None),
            Err((error, why)) => (*error, Some(why.as_str())),
        };
        CreatePartitionsTopicResult {
            name: topic.name,
            error_code: error.code(),
            error_message: why,
        }
    }));
    call.reply(&CreatePartitionsResponse {
        throttle_time_ms: 0,
        results,
    })
}

/// From any shard. On return every shard serves the new partitions.
async fn grow(
    broker: &Rc<Broker>,
    growths: Vec<Growth>,
    validate_only: bool,
    mutations: &mut Mutations,
) -> Vec<Result<(), Refused>> {
    let count = growths.len();
    let mut spent = mutations.clone();
    let task = move |controller: Rc<Broker>| {
        Box::pin(async move {
            let grown = grow_here(&controller, &growths, validate_only, &mut spent).await;
            (grown, spent)
        }) as _
    };
    match change::at_controller(broker, task).await {
        Ok((grown, spent)) => {
            *mutations = spent;
            grown
        }
        Err(refused) => vec![Err(refused); count],
    }
}

async fn grow_here(
    broker: &Rc<Broker>,
    growths: &[Growth],
    validate_only: bool,
    mutations: &mut Mutations,
) -> Vec<Result<(), Refused>> {
    let change = broker.controller().begin().await;
    let image = change.image().clone();
    let brokers = Brokers::of(broker);
    let mut load = Load::of(&image, broker.shards());
    let mut fill = Fill::of(&image, broker.log_dirs());
    let mut records = Vec::new();
    let mut results = Vec::with_capacity(growths.len());
    for growth in growths {
        let room = RECORDS_PER_REQUEST_MAX - records.len();
        let placed = place(&image, &brokers, &mut load, growth, room);
        let placed = placed.and_then(|shards| {
            mutations.spend(broker, shards.len())?;
            Ok(shards)
        });
        results.push(placed.map(|shards| {
            let topic = image.topic(&growth.name).expect("a topic that can grow");
            let first = topic.partitions.len();
            let new = (first..).zip(shards);
            records.extend(
                new.map(|(index, shard)| {
                    topics::new_partition(topic.id, index, shard, fill.place())
                }),
            );
        }));
    }
    if validate_only {
        return results;
    }
    change::commit(broker, change, &records, &mut results).await;
    results
}

/// The shards of a topic's new partitions, at most `room`.
fn place(
    image: &Image,
    brokers: &Brokers,
    load: &mut Load,
    growth: &Growth,
    room: usize,
) -> Result<Vec<u32>, Refused> {
    let refuse = |error, why: String| Err((error, why));
    let Some(topic) = image.topic(&growth.name) else {
        let why = "there is no topic of this name";
        return refuse(ErrorCode::UnknownTopicOrPartition, why.into());
    };
    let now = topic.partitions.len();
    let Ok(count @ 1..) = usize::try_from(i64::from(growth.count) - now as i64) else {
        let why = match growth.count as usize == now {
            true => format!("Topic already has {now} partition(s)."),
            false => format!(
                "The topic {} currently has {now} partition(s); {} would not be an increase.",
                growth.name, growth.count
            ),
        };
        return refuse(ErrorCode::InvalidPartitions, why);
    };
    if topic.is_internal() {
        let why = format!(
            "{} keeps its {now} partitions: their number says who coordinates whom",
            growth.name
        );
        return refuse(ErrorCode::InvalidRequest, why);
    }
    if count > room {
        let why = format!("one request can make at most {RECORDS_PER_REQUEST_MAX} partitions");
        return refuse(ErrorCode::PolicyViolation, why);
    }
    let Some(given) = &growth.brokers else {
        return Ok(load.spread(count));
    };
    if given.len() != count {
        let why = format!(
            "Attempted to add {count} additional partition(s), but only {} assignment(s) were specified.",
            given.len()
        );
        return refuse(ErrorCode::InvalidReplicaAssignment, why);
    }
    let places: Result<Vec<Place>, Refused> =
        given.iter().map(|ids| one_replica(brokers, ids)).collect();
    Ok(load.place(places?.into_iter().map(Place::shard)))
}

fn one_replica(brokers: &Brokers, ids: &[i32]) -> Result<Place, Refused> {
    match assigned(brokers, ids)?[..] {
        [place] => Ok(place),
        _ => Err((
            ErrorCode::InvalidReplicaAssignment,
            format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is \
                 not consistent with previous partitions, which have 1 replica(s).",
                ids.len()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use odradek_wire::Uuid;
    use odradek_wire::metadata_records::{MetadataRecord, TopicRecord};

    use super::*;

    fn image(partitions: usize) -> Image {
        let mut image = Image::default();
        for (number, name) in ["t", "__consumer_offsets"].into_iter().enumerate() {
            let topic_id = Uuid([number as u8 + 1; 16]);
            image.apply(&MetadataRecord::Topic(TopicRecord { name, topic_id }));
            for index in 0..partitions {
                image.apply(&topics::new_partition(topic_id, index, 0, Uuid::ZERO));
            }
        }
        image
    }

    fn ask(
        name: &str,
        count: i32,
        brokers: Option<&[&[i32]]>,
    ) -> Result<Vec<u32>, (ErrorCode, String)> {
        let image = image(2);
        let growth = Growth {
            name: name.to_owned(),
            count,
            brokers: brokers.map(|given| given.iter().map(|ids| ids.to_vec()).collect()),
        };
        let brokers = Brokers {
            first_id: 1000,
            count: 3,
            node: None,
        };
        place(&image, &brokers, &mut Load::of(&image, 3), &growth, 100)
    }

    #[test]
    fn new_partitions_go_where_there_is_least_or_where_they_are_put() {
        assert_eq!(ask("t", 5, None).unwrap(), [2, 1, 2]);
        let given: &[&[i32]] = &[&[1002], &[1000]];
        assert_eq!(ask("t", 4, Some(given)).unwrap(), [2, 0]);
    }

    #[test]
    fn what_kafka_refuses() {
        use ErrorCode::{
            InvalidPartitions, InvalidReplicaAssignment, InvalidRequest, PolicyViolation,
            UnknownTopicOrPartition,
        };
        type Case<'a> = (&'a str, i32, Option<&'a [&'a [i32]]>, ErrorCode, &'a str);
        let cases: [Case<'_>; 11] = [
            ("nope", 3, None, UnknownTopicOrPartition, "no topic"),
            ("t", 2, None, InvalidPartitions, "already has 2"),
            ("t", 1, None, InvalidPartitions, "not be an increase"),
            ("t", -1, None, InvalidPartitions, "not be an increase"),
            ("t", 103, None, PolicyViolation, "at most"),
            ("t", i32::MAX, None, PolicyViolation, "at most"),
            ("__consumer_offsets", 3, None, InvalidRequest, "keeps"),
            ("t", 4, Some(&[&[1000]]), InvalidReplicaAssignment, "only 1"),
            (
                "t",
                3,
                Some(&[&[1003]]),
                InvalidReplicaAssignment,
                "no such",
            ),
            ("t", 3, Some(&[&[]]), InvalidReplicaAssignment, "empty"),
            (
                "t",
                3,
                Some(&[&[1000, 1001]]),
                InvalidReplicaAssignment,
                "consistent",
            ),
        ];
        for (name, count, brokers, code, text) in cases {
            let (error, why) = ask(name, count, brokers).expect_err(text);
            assert_eq!(error, code, "{why}");
            assert!(why.contains(text), "{why}");
        }
        let twice: &[&[i32]] = &[&[1001, 1001]];
        let (_, why) = ask("t", 3, Some(twice)).unwrap_err();
        assert!(why.contains("more than once"), "{why}");
    }
}
