//! What DescribeConfigs answers: values, their sources and their synonyms, as Kafka gives them
//! (`ConfigHelper`): recorded answers of an Apache Kafka broker are compared in a test.
//!
//! A synonym is every place that could have decided, in order of precedence, from the name's own
//! first entry on; the source is that of the first. So `retention.ms` set by hours alone shows
//! the hours' value with the source "default": Kafka's own oddity, kept.

use super::ConfigError;
use super::layers::{Given, Layers};
use super::row::{Row, Update, listener_override, row, rows};
use super::settings::{RETENTION, ROLL, ROLL_JITTER, Settings};
use super::topic::{self, TOPIC};
use super::value::{Kind, Value};

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    /// The topic's own.
    DynamicTopicConfig = 1,
    /// Set for this broker while it ran.
    DynamicBrokerConfig = 2,
    /// Set for every broker.
    DynamicDefaultBrokerConfig = 3,
    /// The file or the command line.
    StaticBrokerConfig = 4,
    /// Nobody set it.
    DefaultConfig = 5,
    /// The client metrics subscription's own.
    ClientMetricsConfig = 7,
}

/// One place that could have decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// The name there.
    pub name: String,
    /// The text there; `None` if it is sensitive.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// One setting as DescribeConfigs shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The setting's name.
    pub name: String,
    /// The value in force; `None` if there is none or it is sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether values are withheld.
    pub is_sensitive: bool,
    /// Whether it cannot change while the node runs.
    pub read_only: bool,
    /// Its type; the wire's code is `kind as i8`.
    pub kind: Kind,
    /// Every place that could have decided, the one that did first.
    pub synonyms: Vec<Synonym>,
    /// Our own words, where there are any.
    pub documentation: Option<String>,
}

impl ConfigEntry {
    /// What is no setting, but told like one.
    pub fn fact(name: &str, value: String) -> ConfigEntry {
        ConfigEntry {
            name: name.to_owned(),
            value: Some(value),
            source: ConfigSource::DefaultConfig,
            is_sensitive: false,
            read_only: true,
            kind: Kind::String,
            synonyms: Vec::new(),
            documentation: None,
        }
    }
}

/// Every setting of a topic whose own settings are `given`, by name.
///
/// # Errors
/// As [`TopicConfig::resolve`](super::TopicConfig::resolve); stored settings were validated.
pub fn describe_topic(settings: &Settings, given: &Given) -> Result<Vec<ConfigEntry>, ConfigError> {
    let shown = TOPIC
        .iter()
        .filter(|t| !t.row.internal || given.contains_key(t.row.name));
    let mut entries = Vec::new();
    for topic in shown {
        let name = topic.row.name;
        let value = topic::value(settings, given, topic)?
            .as_ref()
            .map(Value::to_string);
        let mut synonyms = match topic.node.first() {
            Some((node, _)) => synonyms(settings.layers(), node, false),
            None => Vec::new(),
        };
        if given.contains_key(name) {
            let source = ConfigSource::DynamicTopicConfig;
            synonyms.insert(
                0,
                Synonym {
                    name: name.to_owned(),
                    value: value.clone(),
                    source,
                },
            );
        }
        entries.push(ConfigEntry {
            name: name.to_owned(),
            value,
            source: source(&synonyms),
            is_sensitive: false,
            read_only: false,
            kind: topic.row.kind,
            synonyms,
            documentation: topic.documentation(),
        });
    }
    entries.sort_by(|a: &ConfigEntry, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Every setting, of those in `rows`, of a client metrics subscription that has `given`.
pub fn describe_subscription(rows: &'static [Row], given: &Given) -> Vec<ConfigEntry> {
    let entry = |row: &'static Row| {
        let synonym = |value: &String| Synonym {
            name: row.name.to_owned(),
            value: Some(value.clone()),
            source: ConfigSource::ClientMetricsConfig,
        };
        // The default is no synonym here.
        let own = given.get(row.name);
        let synonyms: Vec<Synonym> = own.into_iter().map(synonym).collect();
        let value = own.map(String::as_str).or(row.default);
        ConfigEntry {
            name: row.name.to_owned(),
            value: value.map(str::to_owned),
            source: source(&synonyms),
            is_sensitive: false,
            read_only: false,
            kind: row.kind,
            synonyms,
            documentation: row.documentation(),
        }
    };
    rows.iter().map(entry).collect()
}

/// Every setting of the node, by name; Kafka's internal ones only where given.
///
/// # Errors
/// None for settings that were loaded; the type says so where a value is read.
pub fn describe_broker(settings: &Settings) -> Result<Vec<ConfigEntry>, ConfigError> {
    let layers = settings.layers();
    let mut names: Vec<&str> = rows()
        .filter(|row| !row.internal)
        .map(|row| row.name)
        .collect();
    let given = [&layers.broker, &layers.cluster, &layers.file];
    names.extend(given.into_iter().flat_map(Given::keys).map(String::as_str));
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| broker_entry(layers, name, false))
        .collect()
}

/// The settings made for every broker of the cluster (the resource without a name), by name.
///
/// # Errors
/// As [`describe_broker`].
pub fn describe_broker_defaults(settings: &Settings) -> Result<Vec<ConfigEntry>, ConfigError> {
    let layers = settings.layers();
    layers
        .cluster
        .keys()
        .map(|name| broker_entry(layers, name, true))
        .collect()
}

fn broker_entry(
    layers: &Layers,
    name: &str,
    defaults_alone: bool,
) -> Result<ConfigEntry, ConfigError> {
    let row = row(name);
    let kind = row.map_or(Kind::Unknown, |row| row.kind);
    let is_sensitive = kind.is_sensitive();
    let value = match row {
        _ if is_sensitive => None,
        Some(_) if defaults_alone => layers.cluster.get(name).cloned(),
        Some(row) => layers.value(row)?.as_ref().map(Value::to_string),
        None => None,
    };
    let mut synonyms = synonyms(layers, name, is_sensitive);
    if defaults_alone {
        synonyms.retain(|s| s.source == ConfigSource::DynamicDefaultBrokerConfig);
    }
    Ok(ConfigEntry {
        name: name.to_owned(),
        value,
        source: source(&synonyms),
        is_sensitive,
        read_only: row.is_none_or(|row| row.update == Update::ReadOnly),
        kind,
        synonyms,
        documentation: row.and_then(|row| row.documentation()),
    })
}

fn source(synonyms: &[Synonym]) -> ConfigSource {
    synonyms
        .first()
        .map_or(ConfigSource::DefaultConfig, |first| first.source)
}

/// Names that can decide a setting, in order (`DynamicBrokerConfig.brokerConfigSynonyms`).
fn names_deciding(name: &str) -> Vec<&str> {
    for group in [ROLL, ROLL_JITTER, RETENTION] {
        if group.iter().any(|(member, _)| *member == name) {
            return group.iter().map(|(member, _)| *member).collect();
        }
    }
    if name == "log.flush.interval.ms" {
        return vec![name, "log.flush.scheduler.interval.ms"];
    }
    match listener_override(name) {
        Some(base) => vec![name, base],
        None => vec![name],
    }
}

fn synonyms(layers: &Layers, name: &str, is_sensitive: bool) -> Vec<Synonym> {
    let names = names_deciding(name);
    let given = [
        (&layers.broker, ConfigSource::DynamicBrokerConfig),
        (&layers.cluster, ConfigSource::DynamicDefaultBrokerConfig),
        (&layers.file, ConfigSource::StaticBrokerConfig),
    ];
    let mut found = Vec::new();
    let mut add = |name: &str, text: &str, source| {
        let value = (!is_sensitive).then(|| text.to_owned());
        found.push(Synonym {
            name: name.to_owned(),
            value,
            source,
        });
    };
    for (layer, source) in given {
        for name in &names {
            if let Some(text) = layer.get(*name) {
                add(name, text, source);
            }
        }
    }
    for name in &names {
        if let Some(text) = row(name).and_then(|row| row.default) {
            add(name, text, ConfigSource::DefaultConfig);
        }
    }
    let own = found
        .iter()
        .position(|synonym| synonym.name == name)
        .unwrap_or(found.len());
    found.split_off(own)
}
