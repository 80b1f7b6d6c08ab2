//! Metadata: brokers, topics, and who leads what. Creates topics if asked and allowed.

use std::ops::RangeInclusive;
use std::sync::Arc;

use odradek_wire::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use odradek_wire::{ErrorCode, Message, Uuid};

use super::throttle::NEVER_STRICT;
use super::{Broker, Call, Outcome, Refusal, authorized};
use crate::catalog::Topic;

pub(super) const KEY: i16 = 3;
pub(super) const ADVERTISED: RangeInclusive<i16> = 0..=MetadataRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// Of a partition whose log directory has failed (`MetadataResponse.NO_LEADER_ID`).
const NO_LEADER: i32 = -1;

/// What a client asked about, and what there is.
enum Asked<'a> {
    Known(Arc<Topic>),
    Missing(Option<&'a str>, Uuid, ErrorCode),
}

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: MetadataRequest<'_> = call.decode()?;
    let broker = call.broker;
    if call.version < 12
        && let Some(topics) = &request.topics
        && topics
            .iter()
            .any(|topic| topic.name.is_none() || topic.topic_id != Uuid::ZERO)
    {
        return call.reply(&ill_ids(topics, call.version));
    }
    let mut image = broker.image();
    // Version 0 has no null: an empty list means all.
    let topics = request
        .topics
        .filter(|topics| call.version > 0 || !topics.is_empty());
    if let Some(topics) = &topics
        && request.allow_auto_topic_creation
        && broker.settings.auto_create_topics_enable
    {
        let missing: Vec<String> = topics
            .iter()
            .filter_map(|topic| topic.name)
            .filter(|name| image.topic(name).is_none())
            .filter(|name| super::topics::valid_name(name).is_ok())
            .map(str::to_owned)
            .collect();
        if !missing.is_empty() {
            let mut mutations = call.mutations(NEVER_STRICT);
            super::topics::auto_create(broker, missing, &mut mutations).await;
            call.mutated(&mutations);
            image = broker.image();
        }
    }
    let asked: Vec<Asked<'_>> = match topics {
        None => image.topics().cloned().map(Asked::Known).collect(),
        Some(topics) => topics
            .iter()
            // Clients that ask by id send an empty name, or none.
            .map(
                |topic| match topic.name.filter(|_| topic.topic_id.is_zero()) {
                    Some(name) => match image.topic(name) {
                        Some(topic) => Asked::Known(topic.clone()),
                        None if super::topics::valid_name(name).is_err() => {
                            Asked::Missing(Some(name), Uuid::ZERO, ErrorCode::InvalidTopicException)
                        }
                        None => Asked::Missing(
                            Some(name),
                            Uuid::ZERO,
                            ErrorCode::UnknownTopicOrPartition,
                        ),
                    },
                    None => match image.topic_by_id(topic.topic_id) {
                        Some(topic) => Asked::Known(topic.clone()),
                        None => Asked::Missing(None, topic.topic_id, ErrorCode::UnknownTopicId),
                    },
                },
            )
            .collect(),
    };
    let response = MetadataResponse {
        brokers: brokers(broker),
        cluster_id: Some(&broker.facts.cluster_id),
        controller_id: broker.id_of(0),
        topics: asked
            .iter()
            .map(|asked| MetadataResponseTopic {
                topic_authorized_operations: match asked {
                    // Nothing is told of an id that is unknown.
                    Asked::Missing(None, ..) => authorized::NOT_ASKED,
                    _ if request.include_topic_authorized_operations => authorized::TOPIC,
                    _ => authorized::NOT_ASKED,
                },
                ..describe(broker, asked, call.version)
            })
            .collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => authorized::CLUSTER,
            false => authorized::NOT_ASKED,
        },
        ..MetadataResponse::default()
    };
    call.reply(&response)
}

/// Ids instead of names are possible from version 12 on; older versions have the field but not the
/// meaning.
fn ill_ids<'a>(topics: &[MetadataRequestTopic<'a>], version: i16) -> MetadataResponse<'a> {
    let error_code = ErrorCode::InvalidRequest.code();
    let topics = topics.iter().map(|topic| MetadataResponseTopic {
        error_code,
        name: topic.name.or((version < 12).then_some("")),
        topic_id: topic.topic_id,
        ..MetadataResponseTopic::default()
    });
    MetadataResponse {
        topics: topics.collect(),
        ..MetadataResponse::default()
    }
}

fn brokers(broker: &Broker) -> Vec<MetadataResponseBroker<'_>> {
    broker
        .endpoints
        .iter()
        .enumerate()
        .map(|(shard, endpoint)| MetadataResponseBroker {
            node_id: broker.id_of(shard as u32),
            host: &endpoint.host,
            port: i32::from(endpoint.port),
            rack: broker.settings.broker_rack.as_deref(),
        })
        .collect()
}

fn describe<'a>(broker: &Broker, asked: &'a Asked<'_>, version: i16) -> MetadataResponseTopic<'a> {
    match asked {
        Asked::Missing(name, topic_id, error) => MetadataResponseTopic {
            error_code: error.code(),
            // Nullable from version 12.
            name: name.or((version < 12).then_some("")),
            topic_id: *topic_id,
            ..MetadataResponseTopic::default()
        },
        Asked::Known(topic) => MetadataResponseTopic {
            name: Some(&topic.name),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions: topic
                .partitions
                .iter()
                .enumerate()
                .map(|(index, entry)| {
                    let leader = broker.id_of(entry.shard);
                    let told = MetadataResponsePartition {
                        partition_index: index as i32,
                        leader_id: leader,
                        leader_epoch: entry.leader_epoch,
                        replica_nodes: vec![leader],
                        isr_nodes: vec![leader],
                        ..MetadataResponsePartition::default()
                    };
                    match broker.offline(entry) {
                        false => told,
                        true => MetadataResponsePartition {
                            error_code: ErrorCode::LeaderNotAvailable.code(),
                            leader_id: NO_LEADER,
                            offline_replicas: vec![leader],
                            ..told
                        },
                    }
                })
                .collect(),
            ..MetadataResponseTopic::default()
        },
    }
}
