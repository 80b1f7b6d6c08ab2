//! CreateAcls: refused, each one. There is no authorizer to obey them.
//!
//! Source: Kafka `AclApis`, `CreateAclsRequest.getErrorResponse`.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::create_acls::{AclCreationResult, CreateAclsRequest, CreateAclsResponse};

use super::describe_acls::NO_AUTHORIZER;
use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = CreateAclsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    CreateAclsRequest::MIN_VERSION..=CreateAclsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: CreateAclsRequest<'_> = call.decode()?;
    let (error, why) = NO_AUTHORIZER;
    let refused = |_: &_| AclCreationResult {
        error_code: error.code(),
        error_message: Some(why),
    };
    call.reply(&CreateAclsResponse {
        throttle_time_ms: 0,
        results: request.creations.iter().map(refused).collect(),
    })
}
