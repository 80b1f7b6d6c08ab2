//! PushTelemetry: a client's metrics; their last values are shown by /metrics.
//!
//! Source: KIP-714, Kafka `ClientMetricsManager.processPushTelemetryRequest`.

use std::ops::RangeInclusive;

use odradek_engine::record::{Compression, RecordError};
use odradek_wire::push_telemetry::{PushTelemetryRequest, PushTelemetryResponse};
use odradek_wire::{ErrorCode, Message};

use super::get_telemetry_subscriptions::{client, is_clients, now};
use super::{Call, Outcome, Refusal};
use crate::telemetry::{Malformed, Push};

pub(super) const KEY: i16 = PushTelemetryRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    PushTelemetryRequest::MIN_VERSION..=PushTelemetryRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// Bytes that a push may have when it is opened. It is read on the shard's own thread: this is a
/// few milliseconds at most.
const OPENED_BYTES_MAX: usize = 4 << 20;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: PushTelemetryRequest<'_> = call.decode()?;
    let error = taken(&call, &request).err();
    call.reply(&PushTelemetryResponse {
        error_code: error.map_or(0, ErrorCode::code),
        ..PushTelemetryResponse::default()
    })
}

fn taken(call: &Call<'_>, request: &PushTelemetryRequest<'_>) -> Result<(), ErrorCode> {
    let (broker, id) = (call.broker, request.client_instance_id);
    if !is_clients(id) {
        return Err(ErrorCode::InvalidRequest);
    }
    let codec = u8::try_from(request.compression_type).ok();
    let codec = codec.and_then(Compression::from_id);
    let push = Push {
        subscription_id: request.subscription_id,
        terminating: request.terminating,
        codec_known: codec.is_some(),
        bytes: request.metrics.len(),
    };
    let bytes_max = broker.settings.telemetry_max_bytes.max(0) as usize;
    let mut telemetry = broker.telemetry.borrow_mut();
    telemetry.judge(id, || client(call), push, bytes_max, now(call))?;
    if request.metrics.is_empty() {
        return Ok(());
    }
    let mut opened = Vec::new();
    let kept = match codec.unwrap_or(Compression::None) {
        Compression::None => telemetry.keep(id, request.metrics).map_err(malformed),
        codec => match codec.decompress(request.metrics, &mut opened, OPENED_BYTES_MAX) {
            Ok(()) => telemetry.keep(id, &opened).map_err(malformed),
            // It may push less the next time.
            Err(error @ RecordError::OpenedTooLarge { .. }) => {
                Err((ErrorCode::TelemetryTooLarge, error.to_string()))
            }
            Err(error) => Err((ErrorCode::InvalidRecord, error.to_string())),
        },
    };
    kept.map_err(|(code, why)| {
        telemetry.refuse(id, code);
        broker.refusals.log(&broker.io, || {
            let client = call.client_id.unwrap_or_default();
            tracing::warn!("metrics that client {client:?} has pushed are not used: {why}");
        });
        code
    })
}

fn malformed(error: Malformed) -> (ErrorCode, String) {
    (ErrorCode::InvalidRecord, error.to_string())
}
