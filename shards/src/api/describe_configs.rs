//! DescribeConfigs: what is set for topics and brokers, and by whom.
//!
//! Every shard answers for every id of the node: their settings are the node's. Loggers and groups
//! have no settings here yet: they are answered empty.
//!
//! Source: Kafka `ConfigHelper.describeConfigs`.

use std::ops::RangeInclusive;

use odradek_wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use odradek_wire::{ErrorCode, Message};

use super::change::Refused;
use super::configs::{foreign, is_ours, resource, stored_name};
use super::topics;
use super::{Broker, Call, Outcome, Refusal};
use crate::catalog::Image;
use crate::config::describe::{
    ConfigEntry, describe_broker, describe_broker_defaults, describe_subscription, describe_topic,
};
use crate::config::{ConfigError, Given, Layers, dynamic};
use crate::telemetry;

pub(super) const KEY: i16 = 32;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeConfigsRequest::MIN_VERSION..=DescribeConfigsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeConfigsRequest<'_> = call.decode()?;
    let broker = call.broker;
    let image = broker.image();
    let answers: Vec<Result<Vec<ConfigEntry>, Refused>> = request
        .resources
        .iter()
        .map(|asked| {
            let mut entries = entries(broker, &image, asked)?;
            if let Some(keys) = asked.configuration_keys.as_ref().filter(|k| !k.is_empty()) {
                entries.retain(|entry| keys.contains(&entry.name.as_str()));
                if asked.resource_type == resource::TOPIC {
                    entries.extend(places(broker, &image, asked.resource_name, keys));
                }
            }
            Ok(entries)
        })
        .collect();
    let results = request.resources.iter().zip(&answers);
    call.reply(&DescribeConfigsResponse {
        throttle_time_ms: 0,
        results: results
            .map(|(asked, answer)| {
                let (error, why, entries) = match answer {
                    // Kafka says "" and not null.
                    Ok(entries) => (ErrorCode::None, Some(""), entries.as_slice()),
                    Err((error, why)) => (*error, Some(why.as_str()), &[][..]),
                };
                DescribeConfigsResult {
                    error_code: error.code(),
                    error_message: why,
                    resource_type: asked.resource_type,
                    resource_name: asked.resource_name,
                    configs: entries.iter().map(|entry| show(entry, &request)).collect(),
                }
            })
            .collect(),
    })
}

fn show<'a>(
    entry: &'a ConfigEntry,
    request: &DescribeConfigsRequest<'_>,
) -> DescribeConfigsResourceResult<'a> {
    DescribeConfigsResourceResult {
        name: &entry.name,
        value: entry.value.as_deref(),
        read_only: entry.read_only,
        config_source: entry.source as i8,
        is_sensitive: entry.is_sensitive,
        synonyms: entry
            .synonyms
            .iter()
            .filter(|_| request.include_synonyms)
            .map(|synonym| DescribeConfigsSynonym {
                name: &synonym.name,
                value: synonym.value.as_deref(),
                source: synonym.source as i8,
            })
            .collect(),
        config_type: entry.kind as i8,
        documentation: entry
            .documentation
            .as_deref()
            .filter(|_| request.include_documentation),
    }
}

/// Where a topic's partitions are, told to whoever asks for it by these names: where the node is one
/// broker no answer of Kafka's has room for it, and `odradek topic move` must know.
fn places(broker: &Broker, image: &Image, topic: &str, keys: &[&str]) -> Vec<ConfigEntry> {
    let Some(topic) = image.topic(topic) else {
        return Vec::new();
    };
    let shards = topic.partitions.iter().map(|entry| entry.shard.to_string());
    let told = [
        ("partition.shards", shards.collect::<Vec<_>>().join(",")),
        ("node.shards", broker.shards().to_string()),
    ];
    let told = told.into_iter().filter(|(name, _)| keys.contains(name));
    told.map(|(name, value)| ConfigEntry::fact(name, value))
        .collect()
}

fn entries(
    broker: &Broker,
    image: &Image,
    asked: &DescribeConfigsResource<'_>,
) -> Result<Vec<ConfigEntry>, Refused> {
    let name = asked.resource_name;
    let invalid = |why: String| Err((ErrorCode::InvalidRequest, why));
    let unreadable = |error: ConfigError| (ErrorCode::UnknownServerError, error.to_string());
    match asked.resource_type {
        resource::TOPIC => {
            topics::valid_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
            let topic = image.topic(name).ok_or((
                ErrorCode::UnknownTopicOrPartition,
                "there is no topic of this name".to_owned(),
            ))?;
            describe_topic(&broker.holdings.settings(), &topic.config).map_err(unreadable)
        }
        resource::BROKER if name.is_empty() => {
            describe_broker_defaults(&broker.holdings.settings()).map_err(unreadable)
        }
        resource::BROKER if is_ours(broker, name) => {
            let (throttles, _) =
                dynamic::split(&image.broker(&stored_name(&broker.settings, name)));
            let settings = broker.holdings.settings();
            if throttles.is_empty() {
                return describe_broker(&settings).map_err(unreadable);
            }
            let Layers {
                broker: mut node,
                cluster,
                ..
            } = settings.layers().clone();
            node.extend(throttles);
            let own = settings.with_dynamic(node, cluster).map_err(unreadable)?;
            describe_broker(&own).map_err(unreadable)
        }
        resource::BROKER_LOGGER if name.is_empty() => invalid("a broker id is needed".into()),
        resource::BROKER_LOGGER if is_ours(broker, name) => Ok(Vec::new()),
        resource::BROKER | resource::BROKER_LOGGER => Err(foreign(broker, name)),
        resource::CLIENT_METRICS if name.is_empty() => {
            invalid("a subscription's name is needed".into())
        }
        resource::GROUP if name.is_empty() => invalid("a group's name is needed".into()),
        resource::CLIENT_METRICS => {
            let given = image.client_metrics().get(name);
            Ok(describe_subscription(
                telemetry::rows(),
                given.unwrap_or(&Given::new()),
            ))
        }
        resource::GROUP => Ok(Vec::new()),
        other => invalid(format!("resources of type {other} have no settings")),
    }
}
