//! DescribeClientQuotas: there are none.
//!
//! Source: Kafka `ClientQuotaCache.describeClientQuotas`, KIP-546.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use odradek_wire::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = 48;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeClientQuotasRequest::MIN_VERSION..=DescribeClientQuotasRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// `ClientQuotaEntity`.
const ENTITIES: [&str; 3] = ["user", "client-id", "ip"];

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeClientQuotasRequest<'_> = call.decode()?;
    let response = match check(&request.components) {
        Ok(()) => DescribeClientQuotasResponse {
            error_message: None,
            entries: Some(Vec::new()),
            ..DescribeClientQuotasResponse::default()
        },
        Err((error, why)) => DescribeClientQuotasResponse {
            error_code: error.code(),
            error_message: Some(why),
            entries: None,
            ..DescribeClientQuotasResponse::default()
        },
    };
    call.reply(&response)
}

fn check(components: &[ComponentData<'_>]) -> Result<(), (ErrorCode, &'static str)> {
    let mut seen = BTreeSet::new();
    for component in components {
        if component.entity_type.is_empty() {
            return Err((
                ErrorCode::InvalidRequest,
                "Unexpected empty filter component entity type.",
            ));
        }
        if !seen.insert(component.entity_type) {
            return Err((ErrorCode::InvalidRequest, "an entity type is given twice"));
        }
        if !ENTITIES.contains(&component.entity_type) {
            let why = "quotas are of a user, a client-id or an ip";
            return Err((ErrorCode::UnsupportedVersion, why));
        }
    }
    Ok(())
}
