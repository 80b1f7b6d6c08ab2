//! DescribeClientQuotas.
//!
//! Source: KIP-546, Kafka `ClientQuotasImage.describe`.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::describe_client_quotas::{
    DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData, EntryData, ValueData,
};

use super::{Call, Outcome, Refusal};
use crate::quotas::Filter;

pub(super) const KEY: i16 = 48;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeClientQuotasRequest::MIN_VERSION..=DescribeClientQuotasRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeClientQuotasRequest<'_> = call.decode()?;
    let filter = match Filter::read(&request.components, request.strict) {
        Ok(filter) => filter,
        Err((error, why)) => {
            return call.reply(&DescribeClientQuotasResponse {
                error_code: error.code(),
                error_message: Some(&why),
                entries: None,
                ..DescribeClientQuotasResponse::default()
            });
        }
    };
    let image = call.broker.image();
    let asked = image.quotas().all();
    let asked = asked.filter(|(entity, _)| filter.matches(entity));
    let entries = asked.map(|(entity, values)| EntryData {
        entity: entity
            .parts()
            .map(|(entity_type, entity_name)| EntityData {
                entity_type,
                entity_name,
            })
            .collect(),
        values: values
            .iter()
            .map(|(key, value)| ValueData { key, value: *value })
            .collect(),
    });
    call.reply(&DescribeClientQuotasResponse {
        error_message: None,
        entries: Some(entries.collect()),
        ..DescribeClientQuotasResponse::default()
    })
}
