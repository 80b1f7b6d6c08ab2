//! AlterConfigs: all settings of a resource replaced; what is not named is as if never set.
//!
//! Deprecated in Kafka in favour of IncrementalAlterConfigs, and served all the same.
//!
//! Source: Kafka `ConfigurationControlManager.legacyAlterConfigs`.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::change::Refused;
use super::configs::{self, Asked, Wanted};
use super::{Call, Outcome, Refusal};

pub(super) const KEY: i16 = 33;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    AlterConfigsRequest::MIN_VERSION..=AlterConfigsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: AlterConfigsRequest<'_> = call.decode()?;
    let resources = &request.resources;
    let names = resources
        .iter()
        .map(|one| (one.resource_type, one.resource_name));
    let asked = configs::once_each(&names.collect::<Vec<_>>(), resources.iter().map(read));
    let results = configs::alter(call.broker, asked, request.validate_only).await;
    let answers = resources.iter().zip(&results).map(|(asked, result)| {
        let (error_code, error_message) = configs::told(result);
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: asked.resource_type,
            resource_name: asked.resource_name,
        }
    });
    call.reply(&AlterConfigsResponse {
        throttle_time_ms: 0,
        responses: answers.collect(),
    })
}

fn read(asked: &AlterConfigsResource<'_>) -> Result<Asked, Refused> {
    configs::check_names(
        asked
            .configs
            .iter()
            .map(|one| (one.name, one.value.is_none())),
    )?;
    let owned = asked.configs.iter().filter_map(|one| {
        let text = one.value?.to_owned();
        Some((one.name.to_owned(), text))
    });
    Ok(Asked {
        kind: asked.resource_type,
        name: asked.resource_name.to_owned(),
        wanted: Wanted::Exactly(owned.collect()),
    })
}
