//! UnregisterBroker: refused. The brokers are this node's shards; they leave with the setting
//! `shards`.
//!
//! Source: Kafka `ClusterControlManager.unregisterBroker`, KIP-631.

use std::ops::RangeInclusive;

use odradek_wire::unregister_broker::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal, configs};

pub(super) const KEY: i16 = 64;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    UnregisterBrokerRequest::MIN_VERSION..=UnregisterBrokerRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: UnregisterBrokerRequest = call.decode()?;
    let id = request.broker_id;
    let (error, why) = match configs::is_ours(call.broker, &id.to_string()) {
        true => (
            ErrorCode::InvalidRequest,
            format!(
                "broker {id} is a shard of this node and cannot be unregistered: \
                 start the node with fewer shards"
            ),
        ),
        false => (
            ErrorCode::BrokerIdNotRegistered,
            format!("Broker ID {id} is not currently registered"),
        ),
    };
    call.reply(&UnregisterBrokerResponse {
        throttle_time_ms: 0,
        error_code: error.code(),
        error_message: Some(&why),
    })
}
