//! GetTelemetrySubscriptions: which metrics a client is asked for, and how often.
//!
//! Sums are asked for as totals (Kafka: as deltas), because /metrics shows totals.
//!
//! Source: KIP-714, Kafka `ClientMetricsManager.processGetTelemetrySubscriptionRequest`.

use std::ops::RangeInclusive;

use odradek_engine::record::Compression;
use odradek_wire::get_telemetry_subscriptions::{
    GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse,
};
use odradek_wire::{Message, Uuid};

use super::groups::random_uuid;
use super::{Call, Outcome, Refusal};
use crate::telemetry::Client;

pub(super) const KEY: i16 = GetTelemetrySubscriptionsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    GetTelemetrySubscriptionsRequest::MIN_VERSION..=GetTelemetrySubscriptionsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// Ids below are Kafka's own (`Uuid.RESERVED`).
const RESERVED: u128 = 100;
/// As Kafka's brokers prefer them.
const CODECS: [Compression; 4] = [
    Compression::Zstd,
    Compression::Lz4,
    Compression::Gzip,
    Compression::Snappy,
];

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: GetTelemetrySubscriptionsRequest = call.decode()?;
    let id = match request.client_instance_id.is_zero() {
        true => Uuid(
            random_uuid(call.broker)
                .saturating_add(RESERVED)
                .to_be_bytes(),
        ),
        false => request.client_instance_id,
    };
    let asked = {
        let mut telemetry = call.broker.telemetry.borrow_mut();
        telemetry.get(id, || client(&call), now(&call))
    };
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => {
            return call.reply(&GetTelemetrySubscriptionsResponse {
                error_code: error.code(),
                ..GetTelemetrySubscriptionsResponse::default()
            });
        }
    };
    call.reply(&GetTelemetrySubscriptionsResponse {
        client_instance_id: id,
        subscription_id: asked.subscription_id,
        accepted_compression_types: CODECS.map(|codec| codec.id() as i8).to_vec(),
        push_interval_ms: asked.interval_ms,
        telemetry_max_bytes: call.broker.settings.telemetry_max_bytes,
        delta_temporality: false,
        requested_metrics: asked.metrics.iter().map(String::as_str).collect(),
        ..GetTelemetrySubscriptionsResponse::default()
    })
}

/// Whether an id is one of a client.
pub(super) fn is_clients(id: Uuid) -> bool {
    u128::from_be_bytes(id.0) >= RESERVED
}

/// Milliseconds of the shard's clock.
pub(super) fn now(call: &Call<'_>) -> u64 {
    call.broker.io.now() / 1_000_000
}

/// Who asks.
pub(super) fn client(call: &Call<'_>) -> Client {
    /// Of a name that a client gives itself.
    const NAME_BYTES_MAX: usize = 256;
    let cut = |text: &str| text[..text.floor_char_boundary(NAME_BYTES_MAX)].to_owned();
    let software = call.peer.software.borrow();
    let software = software.as_ref();
    let address = call.peer.address;
    // As Kafka has it of clients that do not say (`ClientInformation.EMPTY`).
    let unknown = || "unknown".to_owned();
    Client {
        client_id: cut(call.client_id.unwrap_or_default()),
        software_name: software.map_or_else(unknown, |(name, _)| cut(name)),
        software_version: software.map_or_else(unknown, |(_, version)| cut(version)),
        source_address: call.peer.host(),
        source_port: address.map_or_else(String::new, |address| address.port().to_string()),
    }
}
