//! ListConfigResources: what has settings.
//!
//! Source: Kafka `KafkaApis.handleListConfigResources`, KIP-1142.

use std::ops::RangeInclusive;

use odradek_wire::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use odradek_wire::{ErrorCode, Message};

use super::configs::resource;
use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = 74;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    ListConfigResourcesRequest::MIN_VERSION..=ListConfigResourcesRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

const KINDS: [i8; 5] = [
    resource::TOPIC,
    resource::BROKER,
    resource::BROKER_LOGGER,
    resource::CLIENT_METRICS,
    resource::GROUP,
];

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: ListConfigResourcesRequest = call.decode()?;
    let kinds: &[i8] = match (call.version, request.resource_types.as_slice()) {
        // It was ListClientMetricsResources then.
        (0, _) => &[resource::CLIENT_METRICS],
        (_, []) => &KINDS,
        (_, asked) => asked,
    };
    if kinds.iter().any(|kind| !KINDS.contains(kind)) {
        return call.reply(&ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            ..ListConfigResourcesResponse::default()
        });
    }
    let broker = call.broker;
    let image = broker.image();
    let ids: Vec<String> = broker.ids().map(|id| id.to_string()).collect();
    let mut found = Vec::new();
    let asked = KINDS.iter().copied().filter(|kind| kinds.contains(kind));
    for kind in asked {
        let named = |name| ConfigResource {
            resource_name: name,
            resource_type: kind,
        };
        match kind {
            resource::TOPIC => found.extend(image.topics().map(|topic| named(&topic.name))),
            resource::BROKER | resource::BROKER_LOGGER => {
                found.extend(ids.iter().map(|id| named(id)));
            }
            resource::CLIENT_METRICS => {
                found.extend(image.client_metrics().keys().map(|name| named(name)));
            }
            // Groups have no settings here.
            _ => {}
        }
    }
    call.reply(&ListConfigResourcesResponse {
        config_resources: found,
        ..ListConfigResourcesResponse::default()
    })
}
