//! DeleteAcls: refused, each filter. There is no authorizer that would have any.
//!
//! Source: Kafka `AclApis`, `DeleteAclsRequest.getErrorResponse`.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::delete_acls::{DeleteAclsFilterResult, DeleteAclsRequest, DeleteAclsResponse};

use super::describe_acls::NO_AUTHORIZER;
use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = DeleteAclsRequest::API_KEY;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DeleteAclsRequest::MIN_VERSION..=DeleteAclsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DeleteAclsRequest<'_> = call.decode()?;
    let (error, why) = NO_AUTHORIZER;
    let refused = |_: &_| DeleteAclsFilterResult {
        error_code: error.code(),
        error_message: Some(why),
        matching_acls: Vec::new(),
    };
    call.reply(&DeleteAclsResponse {
        throttle_time_ms: 0,
        filter_results: request.filters.iter().map(refused).collect(),
    })
}
