//! DescribeAcls: there is no authorizer to ask.
//!
//! Source: Kafka `AclApis`, which answers so without `authorizer.class.name`; tools that copy
//! access control lists (MirrorMaker 2) then know that there are none.

use std::ops::RangeInclusive;

use odradek_wire::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = DescribeAclsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeAclsRequest::MIN_VERSION..=DescribeAclsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// Kafka's words; also of CreateAcls and DeleteAcls.
pub(super) const NO_AUTHORIZER: (ErrorCode, &str) =
    (ErrorCode::SecurityDisabled, "No Authorizer is configured.");

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    call.decode::<DescribeAclsRequest<'_>>()?;
    let (error, why) = NO_AUTHORIZER;
    call.reply(&DescribeAclsResponse {
        throttle_time_ms: 0,
        error_code: error.code(),
        error_message: Some(why),
        resources: Vec::new(),
    })
}
