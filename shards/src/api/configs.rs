//! Changing settings of topics and brokers, for the two APIs that ask for it.
//!
//! A change is checked against what is in force, written as Kafka's own ConfigRecords, and every
//! shard follows it before it is answered. Brokers' settings are the node's, whatever shard's id
//! they are set by; only throttles are kept per id.
//!
//! Source: Kafka `ConfigAdminManager`, `ConfigurationControlManager`, `DynamicBrokerConfig`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use odradek_wire::ErrorCode;
use odradek_wire::metadata_records::{ConfigRecord, MetadataRecord};

use super::change::{self, RECORDS_PER_REQUEST_MAX, Refused};
use super::{Broker, topics};
use crate::catalog::{Image, in_force};
use crate::config::alter::{self, Alteration};
use crate::config::topic::topic_row;
use crate::config::{ConfigError, Given, Settings, TopicConfig, dynamic, row};
use crate::telemetry;

/// Client metrics subscriptions that there may be: a client is matched with each.
const SUBSCRIPTIONS_MAX: usize = 256;

/// `ConfigResource.Type`.
pub(super) mod resource {
    pub use crate::catalog::image::{
        BROKER_RESOURCE as BROKER, CLIENT_METRICS_RESOURCE as CLIENT_METRICS,
        TOPIC_RESOURCE as TOPIC,
    };
    pub const BROKER_LOGGER: i8 = 8;
    pub const GROUP: i8 = 32;
}

/// What a resource's settings are to become.
pub(super) enum Wanted {
    /// Changed so.
    Changes(Vec<Alteration>),
    /// These and no others.
    Exactly(Vec<(String, String)>),
}

/// A resource whose settings are to change.
pub(super) struct Asked {
    pub kind: i8,
    pub name: String,
    pub wanted: Wanted,
}

/// Whether a broker id is one of this node's.
pub(super) fn is_ours(broker: &Broker, name: &str) -> bool {
    let id = name.parse::<i32>();
    id.is_ok_and(|id| broker.ids().contains(&id))
}

/// The id under which a broker's settings are stored.
pub(super) fn stored_name(settings: &Settings, name: &str) -> String {
    match settings.one_address() && !name.is_empty() {
        true => settings.stored_id().to_string(),
        false => name.to_owned(),
    }
}

/// The refusal of a broker id that is not one of this node's.
pub(super) fn foreign(broker: &Broker, name: &str) -> Refused {
    let why = match name.parse::<i32>() {
        Err(_) => format!("a broker id is a number, not '{name}'"),
        Ok(_) => {
            let ids = broker.ids();
            let (first, last) = (ids.start(), ids.end());
            format!("this node's brokers are {first} to {last}, not {name}")
        }
    };
    (ErrorCode::InvalidRequest, why)
}

/// Resources that are named twice are refused.
///
/// Source: Kafka `ConfigAdminManager.preprocess`.
pub(super) fn once_each(
    names: &[(i8, &str)],
    asked: impl Iterator<Item = Result<Asked, Refused>>,
) -> Vec<Result<Asked, Refused>> {
    let mut times = BTreeMap::<(i8, &str), usize>::new();
    for name in names {
        *times.entry(*name).or_default() += 1;
    }
    let one = |(name, asked)| match times[name] {
        1 => asked,
        _ => invalid("Each resource must appear at most once."),
    };
    names.iter().zip(asked).map(one).collect()
}

/// A request that makes no sense.
pub(super) fn invalid<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err((ErrorCode::InvalidRequest, why.into()))
}

/// What a client is told of one resource.
pub(super) fn told(result: &Result<(), Refused>) -> (i16, Option<&str>) {
    match result {
        Ok(()) => (ErrorCode::None.code(), None),
        Err((error, why)) => (error.code(), Some(why)),
    }
}

/// Refuses values that are null though they must not be, and names given twice.
pub(super) fn check_names<'a>(
    names: impl Iterator<Item = (&'a str, bool)> + Clone,
) -> Result<(), Refused> {
    let nulls: Vec<&str> = names
        .clone()
        .filter(|(_, null)| *null)
        .map(|(n, _)| n)
        .collect();
    if !nulls.is_empty() {
        return invalid(format!(
            "Null value not supported for : {}",
            nulls.join(", ")
        ));
    }
    let mut seen = BTreeSet::new();
    for (name, _) in names {
        if !seen.insert(name) {
            return invalid(format!("Error due to duplicate config keys: {name}"));
        }
    }
    Ok(())
}

/// Changes settings, from any shard. For each resource: nothing, or why not; one that is refused
/// does not hinder the others. On return every shard follows what was changed.
pub(super) async fn alter(
    broker: &Rc<Broker>,
    asked: Vec<Result<Asked, Refused>>,
    validate_only: bool,
) -> Vec<Result<(), Refused>> {
    let count = asked.len();
    let task = move |controller: Rc<Broker>| {
        Box::pin(async move { alter_here(&controller, asked, validate_only).await }) as _
    };
    match change::at_controller(broker, task).await {
        Ok(results) => results,
        Err(refused) => vec![Err(refused); count],
    }
}

/// A resource whose settings change: kind, name, and what differs.
type Changed = (i8, String, Vec<(String, Option<String>)>);

async fn alter_here(
    broker: &Rc<Broker>,
    asked: Vec<Result<Asked, Refused>>,
    validate_only: bool,
) -> Vec<Result<(), Refused>> {
    let change = broker.controller().begin().await;
    // What one resource becomes, the next one is judged by.
    let mut image = Image::clone(change.image());
    let mut changed: Vec<Changed> = Vec::new();
    let mut count = 0;
    let mut results = Vec::with_capacity(asked.len());
    for one in asked {
        let planned = one.and_then(|one| plan(broker, &image, one));
        results.push(planned.and_then(|resources| {
            let size: usize = resources.iter().map(|(_, _, changes)| changes.len()).sum();
            if count + size > RECORDS_PER_REQUEST_MAX {
                let why = format!("one request can change {RECORDS_PER_REQUEST_MAX} settings");
                return Err((ErrorCode::PolicyViolation, why));
            }
            count += size;
            records(&resources).for_each(|record| image.apply(&record));
            changed.extend(resources);
            Ok(())
        }));
    }
    if !validate_only {
        let records: Vec<MetadataRecord<'_>> = records(&changed).collect();
        change::commit(broker, change, &records, &mut results).await;
    }
    results
}

fn records(changed: &[Changed]) -> impl Iterator<Item = MetadataRecord<'_>> {
    changed.iter().flat_map(|(kind, name, changes)| {
        changes.iter().map(|(setting, text)| {
            MetadataRecord::Config(ConfigRecord {
                resource_type: *kind,
                resource_name: name,
                name: setting,
                value: text.as_deref(),
            })
        })
    })
}

/// What is to be written, if it may.
fn plan(broker: &Broker, image: &Image, asked: Asked) -> Result<Vec<Changed>, Refused> {
    match asked.kind {
        resource::TOPIC => plan_topic(&in_force(&broker.settings, image), image, asked),
        resource::BROKER if asked.name.is_empty() || is_ours(broker, &asked.name) => {
            plan_broker(&broker.settings, image, asked)
        }
        resource::BROKER => Err(foreign(broker, &asked.name)),
        resource::BROKER_LOGGER => {
            invalid("levels of loggers are set at the start, by RUST_LOG, and do not change")
        }
        resource::CLIENT_METRICS => plan_subscription(image, asked),
        resource::GROUP => invalid("groups have no settings of their own here"),
        other => invalid(format!("Unknown resource type {other}")),
    }
}

/// Which metrics are asked of clients (KIP-714).
///
/// Source: Kafka `ClientMetricsConfigs.validate`.
fn plan_subscription(image: &Image, asked: Asked) -> Result<Vec<Changed>, Refused> {
    if asked.name.is_empty() {
        return invalid("Subscription name can't be empty");
    }
    let now = image.client_metrics().get(&asked.name).cloned();
    let is_new = now.is_none();
    let now = now.unwrap_or_default();
    let changes = alter::changes(telemetry::row, &now, &asked.wanted.alterations(&now))
        .map_err(|error| (ErrorCode::InvalidConfig, error.to_string()))?;
    let after = alter::changed(&now, &changes);
    telemetry::check(&after).map_err(|(is_ill, why)| match is_ill {
        true => (ErrorCode::InvalidConfig, why),
        false => (ErrorCode::InvalidRequest, why),
    })?;
    if is_new && !after.is_empty() && image.client_metrics().len() >= SUBSCRIPTIONS_MAX {
        let why = format!("there are {SUBSCRIPTIONS_MAX} client metrics subscriptions, the most");
        return Err((ErrorCode::PolicyViolation, why));
    }
    Ok(vec![(resource::CLIENT_METRICS, asked.name, changes)])
}

fn plan_topic(settings: &Settings, image: &Image, asked: Asked) -> Result<Vec<Changed>, Refused> {
    let config = |why: String| (ErrorCode::InvalidConfig, why);
    topics::valid_name(&asked.name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
    let topic = image.topic(&asked.name);
    let now = topic.map(|topic| topic.config.clone()).unwrap_or_default();
    let row = |name: &str| topic_row(name).ok().map(|topic| &topic.row);
    let changes = alter::changes(row, &now, &asked.wanted.alterations(&now))
        .map_err(|error| config(error.to_string()))?;
    TopicConfig::resolve(settings, &alter::changed(&now, &changes))
        .map_err(|error| config(error.to_string()))?;
    // Kafka, too, looks last whether there is such a topic.
    if topic.is_none() {
        let why = format!("The topic '{}' does not exist.", asked.name);
        return Err((ErrorCode::UnknownTopicOrPartition, why));
    }
    Ok(vec![(resource::TOPIC, asked.name, changes)])
}

fn plan_broker(given: &Settings, image: &Image, mut asked: Asked) -> Result<Vec<Changed>, Refused> {
    let refuse = |error: ConfigError| (ErrorCode::InvalidRequest, error.to_string());
    let first = given.stored_id().to_string();
    asked.name = stored_name(given, &asked.name);
    let (mut own, mut node) = (image.broker(&asked.name), image.broker(&first));
    // Throttles stand under the id itself, everything else under the node's first.
    let mut now = own.clone();
    if !asked.name.is_empty() {
        now.extend(dynamic::split(&node).1);
    }
    let changes = alter::changes(row::row, &now, &asked.wanted.alterations(&now))
        .map_err(|error| (ErrorCode::InvalidConfig, error.to_string()))?;
    for (name, text) in &changes {
        if let Some(text) = text {
            dynamic::check_changeable(name, text).map_err(refuse)?;
        }
    }
    let all_in_one = asked.name.is_empty() || asked.name == first;
    let (throttles, others): (Vec<_>, Vec<_>) = changes
        .into_iter()
        .partition(|(name, _)| all_in_one || dynamic::is_throttle(name));
    own = alter::changed(&own, &throttles);
    let cluster = if asked.name.is_empty() {
        own.clone()
    } else {
        image.broker("")
    };
    if asked.name == first {
        node = own.clone();
    }
    node = alter::changed(&node, &others);
    let mut checked: Given = dynamic::split(&node).1;
    if !asked.name.is_empty() {
        checked.extend(dynamic::split(&own).0);
    }
    let settings = given.with_dynamic(checked, cluster).map_err(refuse)?;
    for topic in image.topics() {
        // What did not fit before is not this change's fault.
        let fits = |settings| TopicConfig::resolve(settings, &topic.config);
        if let (Ok(_), Err(error)) = (fits(given), fits(&settings)) {
            let why = format!("topic {}: {error}", topic.name);
            return Err((ErrorCode::InvalidRequest, why));
        }
    }
    let changed = [(asked.name, throttles), (first, others)];
    let changed = changed
        .into_iter()
        .filter(|(_, changes)| !changes.is_empty());
    Ok(changed
        .map(|(name, changes)| (resource::BROKER, name, changes))
        .collect())
}

impl Wanted {
    fn alterations(self, given: &Given) -> Vec<Alteration> {
        match self {
            Wanted::Changes(alterations) => alterations,
            Wanted::Exactly(wanted) => alter::replacement(given, wanted),
        }
    }
}
