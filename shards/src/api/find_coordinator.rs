//! FindCoordinator: which broker, that is which shard, a group's requests go to.
//!
//! Source: Kafka `KafkaApis.getCoordinator`, KIP-699 (several keys from version 4). Where Kafka
//! answers COORDINATOR_NOT_AVAILABLE once, because `__consumer_offsets` is only being created,
//! this waits for it.

use std::ops::RangeInclusive;
use std::rc::Rc;

use odradek_wire::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal, topics};
use crate::coordinators::{OFFSETS_TOPIC, partition_for};

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
    if request.key_type == GROUP
        && !broker.stopping()
        && broker.image().topic(OFFSETS_TOPIC).is_none()
    {
        topics::auto_create(broker, vec![OFFSETS_TOPIC.to_owned()]).await;
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

fn find<'a>(broker: &'a Rc<Broker>, key_type: i8, key: &'a str) -> Coordinator<'a> {
    let failed = |error: ErrorCode, message| Coordinator {
        key,
        node_id: -1,
        host: "",
        port: -1,
        error_code: error.code(),
        error_message: message,
    };
    match key_type {
        GROUP => {}
        // Fatal to a producer, which would otherwise ask again until its time is up.
        TRANSACTION => {
            return failed(
                ErrorCode::UnsupportedVersion,
                Some("Transactions are not served by this node."),
            );
        }
        _ => return failed(ErrorCode::InvalidRequest, None),
    }
    let image = broker.image();
    let shard = image
        .topic(OFFSETS_TOPIC)
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
