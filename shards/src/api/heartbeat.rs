//! Heartbeat: a member says that it lives, and hears whether it must join again.
//!
//! Source: Kafka `GroupCoordinatorService.heartbeat`.

use std::ops::RangeInclusive;

use odradek_wire::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal, groups};
use crate::coordinators::groups::codec;

pub(super) const KEY: i16 = HeartbeatRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    HeartbeatRequest::MIN_VERSION..=HeartbeatRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: HeartbeatRequest<'_> = call.decode()?;
    let error_code = match groups::of_member(call.broker, request.group_id).await {
        // Kafka knows nothing then that the member would have to do, and lets it go on.
        Err(code) if code == ErrorCode::CoordinatorLoadInProgress.code() => 0,
        Err(code) => code,
        Ok(host) => {
            let request = codec::heartbeat_request(&request);
            host.ask(|shard, now, out| shard.heartbeat(&request, now, out))
        }
    };
    call.reply(&HeartbeatResponse {
        error_code,
        ..HeartbeatResponse::default()
    })
}
