//! FindCoordinator: which broker, that is which shard, the requests of a group or of a transactional
//! id go to.
//!
//! Source: Kafka `KafkaApis.getCoordinator`, KIP-699 (several keys from version 4). Where Kafka
//! answers COORDINATOR_NOT_AVAILABLE once, because the topic is only being created,
//! this waits for it.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_wire::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::throttle::NEVER_STRICT;
use super::{Broker, Call, Outcome, Refusal, topics};
use crate::coordinators::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, partition_for};

pub(super) const KEY: i16 = FindCoordinatorRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    FindCoordinatorRequest::MIN_VERSION..=FindCoordinatorRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// The first version with several keys.
const BATCHED: i16 = 4;
/// Kafka's `FindCoordinatorRequest.CoordinatorType`.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: FindCoordinatorRequest<'_> = call.decode()?;
    let broker = call.broker;
    if let Some(topic) = topic_of(request.key_type)
        && !broker.stopping()
        && broker.image().topic(topic).is_none()
    {
        let mut mutations = call.mutations(NEVER_STRICT);
        topics::auto_create(broker, vec![topic.to_owned()], &mut mutations).await;
        call.mutated(&mutations);
    }
    let find = |key| find(broker, request.key_type, key);
    if call.version >= BATCHED {
        return call.reply(&FindCoordinatorResponse {
            coordinators: request.coordinator_keys.iter().copied().map(find).collect(),
            ..FindCoordinatorResponse::default()
        });
    }
    let found = find(request.key);
    call.reply(&FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    })
}

/// Where a kind of coordinator records.
fn topic_of(key_type: i8) -> Option<&'static str> {
    match key_type {
        GROUP => Some(OFFSETS_TOPIC),
        TRANSACTION => Some(TRANSACTIONS_TOPIC),
        _ => None,
    }
}

fn find<'a>(broker: &'a Rc<Broker>, key_type: i8, key: &'a str) -> Coordinator<'a> {
    let failed = |error: ErrorCode, message| Coordinator {
        key,
        node_id: -1,
        host: "",
        port: -1,
        error_code: error.code(),
        error_message: message,
    };
    let Some(topic) = topic_of(key_type) else {
        return failed(ErrorCode::InvalidRequest, None);
    };
    let image = broker.image();
    let shard = image
        .topic(topic)
        .filter(|_| !broker.stopping())
        .and_then(|topic| {
            let index = partition_for(key, topic.partitions.len());
            topic.partitions.get(index)
        })
        .map(|entry| entry.shard);
    let endpoint = shard.and_then(|shard| Some((shard, broker.endpoint(shard)?)));
    match endpoint {
        Some((shard, endpoint)) => Coordinator {
            key,
            node_id: broker.id_of(shard),
            host: &endpoint.host,
            port: i32::from(endpoint.port),
            error_code: ErrorCode::None.code(),
            error_message: None,
        },
        None => failed(ErrorCode::CoordinatorNotAvailable, None),
    }
}
