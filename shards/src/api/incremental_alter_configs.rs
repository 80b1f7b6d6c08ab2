//! IncrementalAlterConfigs: settings set, deleted, and lists' items added and taken away.
//!
//! Source: KIP-339, Kafka `ConfigAdminManager`.

use std::ops::RangeInclusive;

use odradek_wire::Message;
use odradek_wire::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::change::Refused;
use super::configs::{self, Asked, Wanted};
use super::{Call, Outcome, Refusal};
use crate::config::alter::{Alteration, Operation};

pub(super) const KEY: i16 = 44;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    IncrementalAlterConfigsRequest::MIN_VERSION..=IncrementalAlterConfigsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: IncrementalAlterConfigsRequest<'_> = call.decode()?;
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
    call.reply(&IncrementalAlterConfigsResponse {
        throttle_time_ms: 0,
        responses: answers.collect(),
    })
}

fn read(asked: &AlterConfigsResource<'_>) -> Result<Asked, Refused> {
    let null = |one: &AlterableConfig<'_>| one.config_operation != DELETE && one.value.is_none();
    configs::check_names(asked.configs.iter().map(|one| (one.name, null(one))))?;
    let alterations: Result<_, Refused> = asked.configs.iter().map(alteration).collect();
    Ok(Asked {
        kind: asked.resource_type,
        name: asked.resource_name.to_owned(),
        wanted: Wanted::Changes(alterations?),
    })
}

fn alteration(asked: &AlterableConfig<'_>) -> Result<Alteration, Refused> {
    let text = || asked.value.unwrap_or_default().to_owned();
    Ok(Alteration {
        name: asked.name.to_owned(),
        operation: match asked.config_operation {
            SET => Operation::Set(text()),
            DELETE => Operation::Delete,
            APPEND => Operation::Append(text()),
            SUBTRACT => Operation::Subtract(text()),
            other => return configs::invalid(format!("there is no operation {other} on settings")),
        },
    })
}

#[cfg(test)]
mod tests {
    use odradek_wire::ErrorCode;

    use super::*;

    fn ask(configs: &[(&'static str, i8, Option<&'static str>)]) -> Result<Asked, Refused> {
        let configs = configs
            .iter()
            .map(|(name, operation, value)| AlterableConfig {
                name,
                config_operation: *operation,
                value: *value,
            });
        read(&AlterConfigsResource {
            resource_type: 2,
            resource_name: "t",
            configs: configs.collect(),
        })
    }

    #[test]
    fn only_a_deletion_needs_no_value_and_a_name_comes_once() {
        assert!(ask(&[("a", SET, Some("1")), ("b", DELETE, None)]).is_ok());
        for (configs, text) in [
            (vec![("a", SET, None), ("b", APPEND, None)], "a, b"),
            (
                vec![("a", SET, Some("1")), ("a", DELETE, None)],
                "duplicate",
            ),
            (vec![("a", 4, Some("1"))], "no operation 4"),
        ] {
            let Err((code, why)) = ask(&configs) else {
                panic!("{text}");
            };
            assert_eq!(code, ErrorCode::InvalidRequest);
            assert!(why.contains(text), "{why}");
        }
    }
}
