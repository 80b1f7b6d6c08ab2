//! CreateTopics: checks what is asked, and has the controller make it.
//!
//! A node is one failure domain: more than one replica is clamped to one or refused, as
//! `replication.factor.excess` says; more than there are brokers is always refused.
//!
//! Source: Kafka `ControllerApis.createTopics`, `ReplicationControlManager.createTopic`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use odradek_wire::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use odradek_wire::{ErrorCode, Message, Uuid};

use super::assignment::{Brokers, Place};
use super::change::Refused;
use super::topics::{self, NewTopic};
use super::{Broker, Call, Outcome, Refusal};
use crate::config::choice::FactorExcess;
use crate::config::describe::{ConfigEntry, describe_topic};
use crate::config::{Given, TopicConfig};

pub(super) const KEY: i16 = 19;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    CreateTopicsRequest::MIN_VERSION..=CreateTopicsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// First version that is refused what exceeds a quota.
const STRICT_SINCE: i16 = 6;

/// Partitions of one request, at most, as in Kafka.
const PARTITIONS_MAX: usize = 10_000;

/// What became of one topic.
struct Made {
    id: Uuid,
    partitions: i32,
    entries: Vec<ConfigEntry>,
}

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: CreateTopicsRequest<'_> = call.decode()?;
    let broker = call.broker;
    // What is well formed goes to the controller in one change.
    let mut wanted = Vec::new();
    let mut checked: Vec<Result<(i32, Given), Refused>> = Vec::with_capacity(request.topics.len());
    let mut names: Vec<&str> = request.topics.iter().map(|topic| topic.name).collect();
    names.sort_unstable();
    let mut asked_once: Vec<&CreatableTopic<'_>> = Vec::with_capacity(request.topics.len());
    let mut seen = BTreeSet::new();
    for asked in &request.topics {
        // A name that is given twice is answered once.
        if !seen.insert(asked.name) {
            continue;
        }
        asked_once.push(asked);
        let at = names.partition_point(|name| *name < asked.name);
        let result = match names.get(at + 1) == Some(&asked.name) {
            true => Err((
                ErrorCode::InvalidRequest,
                "the request names this topic more than once".into(),
            )),
            false => check(broker, asked),
        };
        checked.push(result.map(|topic| {
            let kept = (topic.partitions as i32, topic.config.clone());
            wanted.push(topic);
            kept
        }));
    }
    let created = match wanted.is_empty() {
        true => Vec::new(),
        false => {
            let mut mutations = call.mutations(STRICT_SINCE);
            let created =
                topics::create(broker, wanted, request.validate_only, &mut mutations).await;
            call.mutated(&mutations);
            created
        }
    };
    let mut created = created.into_iter();
    let mut made: Vec<Result<Made, Refused>> = Vec::with_capacity(checked.len());
    for result in checked {
        made.push(match result {
            Err(refused) => Err(refused),
            Ok((partitions, config)) => created
                .next()
                .expect("a result for each topic asked for")
                .map(|created| Made {
                    id: created.id,
                    partitions,
                    entries: describe_topic(&broker.holdings.settings(), &config)
                        .unwrap_or_default(),
                }),
        });
    }
    call.reply(&CreateTopicsResponse {
        throttle_time_ms: 0,
        topics: asked_once
            .iter()
            .zip(&made)
            .map(|(asked, made)| answer(asked.name, made))
            .collect(),
    })
}

fn answer<'a>(name: &'a str, made: &'a Result<Made, Refused>) -> CreatableTopicResult<'a> {
    match made {
        Err((error, why)) => CreatableTopicResult {
            name,
            error_code: error.code(),
            error_message: Some(why),
            ..CreatableTopicResult::default()
        },
        Ok(made) => CreatableTopicResult {
            name,
            topic_id: made.id,
            error_message: None,
            num_partitions: made.partitions,
            replication_factor: 1,
            configs: Some(
                made.entries
                    .iter()
                    .map(|entry| CreatableTopicConfigs {
                        name: &entry.name,
                        value: entry.value.as_deref(),
                        read_only: entry.read_only,
                        config_source: entry.source as i8,
                        is_sensitive: entry.is_sensitive,
                    })
                    .collect(),
            ),
            ..CreatableTopicResult::default()
        },
    }
}

/// What can be said without the controller.
fn check(broker: &Broker, asked: &CreatableTopic<'_>) -> Result<NewTopic, Refused> {
    if asked.name == "__cluster_metadata" {
        let why = format!("'{}' is the name of the metadata log", asked.name);
        return Err((ErrorCode::InvalidRequest, why));
    }
    topics::valid_name(asked.name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
    let given = asked.configs.iter().map(|item| (item.name, item.value));
    let (_, config) = TopicConfig::from_request(&broker.holdings.settings(), given)
        .map_err(|error| (ErrorCode::InvalidConfig, error.to_string()))?;
    let (partitions, shards) = if asked.assignments.is_empty() {
        factor(broker, asked)?;
        (count(broker, asked.num_partitions)?, None)
    } else {
        let shards = assigned(broker, asked)?;
        (shards.len(), Some(shards))
    };
    Ok(NewTopic {
        name: asked.name.to_owned(),
        partitions,
        shards,
        config,
    })
}

fn count(broker: &Broker, asked: i32) -> Result<usize, Refused> {
    let count = match asked {
        -1 => broker.settings.num_partitions,
        1.. => asked,
        _ => {
            let why = "a topic needs at least 1 partition (-1: num.partitions)";
            return Err((ErrorCode::InvalidPartitions, why.into()));
        }
    };
    match usize::try_from(count) {
        Ok(count @ 1..=PARTITIONS_MAX) => Ok(count),
        _ => Err(too_many()),
    }
}

fn too_many() -> Refused {
    let why = format!("at most {PARTITIONS_MAX} partitions can be made at once");
    (ErrorCode::PolicyViolation, why)
}

/// Whether a replication factor is possible.
fn factor(broker: &Broker, asked: &CreatableTopic<'_>) -> Result<(), Refused> {
    let refuse = |why: String| Err((ErrorCode::InvalidReplicationFactor, why));
    let factor = match asked.replication_factor {
        -1 => broker.settings.default_replication_factor,
        1.. => i32::from(asked.replication_factor),
        _ => {
            return refuse(
                "the replication factor must be at least 1 (-1: default.replication.factor)".into(),
            );
        }
    };
    let brokers = broker.ids().count() as i64;
    if i64::from(factor) > brokers {
        return refuse(format!(
            "replication factor {factor} needs as many brokers, and there are {brokers}"
        ));
    }
    excess(broker, asked.name, factor as usize)
}

/// More replicas than nodes.
fn excess(broker: &Broker, name: &str, factor: usize) -> Result<(), Refused> {
    if factor > 1 {
        match broker.settings.replication_factor_excess {
            FactorExcess::Clamp => {
                tracing::info!("topic {name}: replication factor {factor} became 1, one per node");
            }
            FactorExcess::Refuse => {
                let why = format!(
                    "replication factor {factor} needs as many nodes: all brokers here are one node, and \
                     replication.factor.excess=refuse"
                );
                return Err((ErrorCode::InvalidReplicationFactor, why));
            }
        }
    }
    Ok(())
}

/// The shards of partitions placed by hand.
fn assigned(broker: &Broker, asked: &CreatableTopic<'_>) -> Result<Vec<Option<u32>>, Refused> {
    let invalid = |why: String| Err((ErrorCode::InvalidReplicaAssignment, why));
    if asked.replication_factor != -1 {
        let why = "with replicas assigned by hand the replication factor must be -1";
        return Err((ErrorCode::InvalidRequest, why.into()));
    }
    if asked.num_partitions != -1 {
        let why = "with replicas assigned by hand the number of partitions must be -1";
        return Err((ErrorCode::InvalidRequest, why.into()));
    }
    if asked.assignments.len() > PARTITIONS_MAX {
        return Err(too_many());
    }
    let factor = asked.assignments[0].broker_ids.len();
    let brokers = Brokers::of(broker);
    let mut places = vec![None; asked.assignments.len()];
    for assignment in &asked.assignments {
        let index = assignment.partition_index;
        let slot = usize::try_from(index)
            .ok()
            .and_then(|index| places.get_mut(index));
        match slot {
            None => {
                return invalid("partitions must be numbered from 0 without gaps".into());
            }
            Some(Some(_)) => {
                return invalid(format!("partition {index} is assigned twice"));
            }
            Some(slot) => {
                if assignment.broker_ids.is_empty() {
                    return invalid("a partition has no replicas".into());
                }
                if assignment.broker_ids.len() != factor {
                    return invalid("all partitions need the same number of replicas".into());
                }
                let mut seen = Vec::new();
                for id in &assignment.broker_ids {
                    if brokers.place(*id).is_none() {
                        return invalid(format!("there is no broker {id}"));
                    }
                    if seen.contains(id) {
                        return invalid(format!("broker {id} is named twice for one partition"));
                    }
                    seen.push(*id);
                }
                // The first replica is the preferred leader.
                *slot = brokers.place(assignment.broker_ids[0]);
            }
        }
    }
    excess(broker, asked.name, factor)?;
    let places = places.into_iter().flatten();
    Ok(places.map(Place::shard).collect())
}
