//! What several APIs need of topics: names, and making them through the controller.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use odradek_wire::metadata_records::{
    ConfigRecord, MetadataRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};
use odradek_wire::{ErrorCode, Uuid};

use super::Broker;
use super::change::{self, RECORDS_PER_REQUEST_MAX, Refused};
use super::throttle::Mutations;
use crate::catalog::image::TOPIC_RESOURCE;
use crate::catalog::{Image, Unhosted, placement};
use crate::config::Given;
use crate::partition::Partition;

/// Longest topic name, characters: a directory's name carries it.
const NAME_MAX: usize = 249;

/// Whether a topic may be called so; why not, in words.
///
/// Source: Kafka `Topic.validate`.
pub(super) fn valid_name(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match name {
        "" => Err("Topic name is invalid: it is empty".into()),
        "." | ".." => Err(format!(
            "Topic name is invalid: '{name}' is a directory's name"
        )),
        _ if name.len() > NAME_MAX => Err(format!(
            "Topic name is invalid: it has {} characters, at most {NAME_MAX} are possible",
            name.len()
        )),
        _ if !name.bytes().all(legal) => Err(format!(
            "Topic name is invalid: '{name}' has characters besides ASCII letters and digits, \
             '.', '_' and '-'"
        )),
        _ => Ok(()),
    }
}

/// The Kafka error of a partition that is not served here.
pub(super) fn unhosted(error: Unhosted) -> ErrorCode {
    match error {
        Unhosted::Unknown => ErrorCode::UnknownTopicOrPartition,
        Unhosted::Elsewhere => ErrorCode::NotLeaderOrFollower,
        Unhosted::Failed => ErrorCode::KafkaStorageError,
    }
}

/// The Kafka error of a partition that could not be read or written.
pub(super) fn storage(partition: &Partition) -> ErrorCode {
    match partition.left() {
        true => ErrorCode::NotLeaderOrFollower,
        false => ErrorCode::KafkaStorageError,
    }
}

/// A topic to be made.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: String,
    pub partitions: usize,
    /// The shard of each partition; spread by load where it is `None`.
    pub shards: Option<Vec<Option<u32>>>,
    pub config: Given,
}

/// A topic that was made, or would have been.
#[derive(Clone, Copy, Debug)]
pub struct Created {
    /// Zero if it was only validated.
    pub id: Uuid,
}

/// Makes topics, from any shard. For each: its id, or why not. On return every shard serves them.
pub async fn create(
    broker: &Rc<Broker>,
    topics: Vec<NewTopic>,
    validate_only: bool,
    mutations: &mut Mutations,
) -> Vec<Result<Created, Refused>> {
    let count = topics.len();
    let mut spent = mutations.clone();
    let task = move |controller: Rc<Broker>| {
        Box::pin(async move {
            let created = create_here(&controller, topics, validate_only, &mut spent).await;
            (created, spent)
        }) as _
    };
    match change::at_controller(broker, task).await {
        Ok((created, spent)) => {
            *mutations = spent;
            created
        }
        Err(refused) => vec![Err(refused); count],
    }
}

async fn create_here(
    broker: &Rc<Broker>,
    topics: Vec<NewTopic>,
    validate_only: bool,
    mutations: &mut Mutations,
) -> Vec<Result<Created, Refused>> {
    let controller = broker.controller();
    let change = controller.begin().await;
    let image = change.image().clone();
    let mut load = placement::Load::of(&image, broker.shards());
    let mut fill = placement::Fill::of(&image, broker.log_dirs());
    let mut colliding = Colliding::of(&image);
    let mut records = Vec::new();
    let mut results: Vec<Result<Created, Refused>> = Vec::with_capacity(topics.len());
    for (number, topic) in topics.iter().enumerate() {
        let twice = topics[..number]
            .iter()
            .any(|other| other.name == topic.name);
        if twice || image.topic(&topic.name).is_some() {
            let why = format!("Topic '{}' already exists.", topic.name);
            results.push(Err((ErrorCode::TopicAlreadyExists, why)));
            continue;
        }
        if let Some(other) = colliding.add(&topic.name) {
            let why = format!(
                "Topic '{}' collides with the topic '{other}': in metrics '.' and '_' are the same",
                topic.name
            );
            results.push(Err((ErrorCode::InvalidTopicException, why)));
            continue;
        }
        let size = 1 + topic.config.len() + topic.partitions;
        if records.len() + size > RECORDS_PER_REQUEST_MAX {
            let why = format!(
                "one request can make at most {RECORDS_PER_REQUEST_MAX} partitions and settings"
            );
            results.push(Err((ErrorCode::PolicyViolation, why)));
            continue;
        }
        if let Err(refused) = mutations.spend(broker, topic.partitions) {
            results.push(Err(refused));
            continue;
        }
        if validate_only {
            results.push(Ok(Created { id: Uuid::ZERO }));
            continue;
        }
        let id = new_topic_id(broker);
        results.push(Ok(Created { id }));
        records.push(MetadataRecord::Topic(TopicRecord {
            name: &topic.name,
            topic_id: id,
        }));
        for (name, value) in &topic.config {
            records.push(MetadataRecord::Config(ConfigRecord {
                resource_type: TOPIC_RESOURCE,
                resource_name: &topic.name,
                name,
                value: Some(value),
            }));
        }
        let shards = match &topic.shards {
            Some(shards) => load.place(shards.iter().copied()),
            None => load.spread(topic.partitions),
        };
        for (index, shard) in shards.into_iter().enumerate() {
            records.push(new_partition(id, index, shard, fill.place()));
        }
    }
    change::commit(broker, change, &records, &mut results).await;
    results
}

/// A partition that begins its life, in this log directory.
pub(crate) fn new_partition(
    topic_id: Uuid,
    index: usize,
    shard: u32,
    directory: Uuid,
) -> MetadataRecord<'static> {
    MetadataRecord::Partition(PartitionRecord {
        partition_id: index as i32,
        topic_id,
        replicas: vec![shard as i32],
        isr: vec![shard as i32],
        leader: shard as i32,
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![directory],
        ..PartitionRecord::default()
    })
}

/// Removes topics, from any shard. For each: nothing, or why not. On return no shard serves them
/// and their files are gone.
pub(super) async fn delete(
    broker: &Rc<Broker>,
    ids: Vec<Uuid>,
    mutations: &mut Mutations,
) -> Vec<Result<(), Refused>> {
    let count = ids.len();
    let mut spent = mutations.clone();
    let task = move |controller: Rc<Broker>| {
        Box::pin(async move {
            let deleted = delete_here(&controller, ids, &mut spent).await;
            (deleted, spent)
        }) as _
    };
    match change::at_controller(broker, task).await {
        Ok((deleted, spent)) => {
            *mutations = spent;
            deleted
        }
        Err(refused) => vec![Err(refused); count],
    }
}

async fn delete_here(
    broker: &Rc<Broker>,
    ids: Vec<Uuid>,
    mutations: &mut Mutations,
) -> Vec<Result<(), Refused>> {
    let controller = broker.controller();
    let change = controller.begin().await;
    let image = change.image().clone();
    let mut records = Vec::new();
    let mut results: Vec<Result<(), Refused>> = Vec::with_capacity(ids.len());
    for topic_id in ids {
        results.push(match image.topic_by_id(topic_id) {
            Some(topic) => mutations.spend(broker, topic.partitions.len()).map(|()| {
                records.push(MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id }));
            }),
            // Another request was faster.
            None => {
                let why = "there is no topic with this id".to_owned();
                Err((ErrorCode::UnknownTopicId, why))
            }
        });
    }
    change::commit(broker, change, &records, &mut results).await;
    results
}

/// Names that contain '.' or '_', by what they become in metrics, where both are '_'.
///
/// Source: Kafka `Topic.hasCollision`.
struct Colliding(BTreeMap<String, String>);

impl Colliding {
    fn of(image: &Image) -> Self {
        let mut names = Colliding(BTreeMap::new());
        for topic in image.topics() {
            names.add(&topic.name);
        }
        names
    }

    /// Adds a name unless another one collides with it: that one.
    fn add(&mut self, name: &str) -> Option<&str> {
        if !name.contains(['.', '_']) {
            return None;
        }
        match self.0.entry(name.replace('.', "_")) {
            Entry::Vacant(entry) => {
                entry.insert(name.to_owned());
                None
            }
            Entry::Occupied(entry) => match entry.get() == name {
                true => None,
                false => Some(entry.into_mut()),
            },
        }
    }
}

/// A random id, none of Kafka's reserved ones, and none that starts with a dash: it would be
/// taken for an option on a command line.
fn new_topic_id(broker: &Broker) -> Uuid {
    loop {
        let random = u128::from(broker.io.random()) << 64 | u128::from(broker.io.random());
        let mut bytes = random.to_be_bytes();
        // RFC 4122, version 4.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let id = Uuid(bytes);
        if !id.to_string().starts_with('-') {
            return id;
        }
    }
}

/// Makes topics that a client asked about, with the node's defaults.
pub(super) async fn auto_create(
    broker: &Rc<Broker>,
    names: Vec<String>,
    mutations: &mut Mutations,
) {
    let topics = names
        .into_iter()
        .map(|name| {
            let internal = crate::catalog::image::is_internal(&name);
            NewTopic {
                partitions: match (internal, name.as_str()) {
                    (true, "__consumer_offsets") => broker.settings.offsets_topic_num_partitions,
                    (true, _) => broker.settings.transaction_state_log_num_partitions,
                    _ => broker.settings.num_partitions,
                }
                .max(1) as usize,
                shards: None,
                config: if internal {
                    internal_config(broker, &name)
                } else {
                    Given::default()
                },
                name,
            }
        })
        .collect();
    for result in create(broker, topics, false, mutations).await {
        if let Err((code, why)) = result
            && code != ErrorCode::TopicAlreadyExists
        {
            broker.refusals.log(&broker.io, || {
                tracing::warn!("automatic creation failed: {why}");
            });
        }
    }
}

/// Settings of the node's own topics.
///
/// Source: Kafka `GroupCoordinatorConfig`, `TransactionLogConfig`.
fn internal_config(broker: &Broker, name: &str) -> Given {
    let segment = match name {
        "__consumer_offsets" => broker.settings.offsets_topic_segment_bytes,
        _ => broker.settings.transaction_state_log_segment_bytes,
    };
    // Less than a topic of clients may ask for has a name of its own, in Kafka, too.
    let name = match segment < SEGMENT_BYTES_MIN {
        true => "internal.segment.bytes",
        false => "segment.bytes",
    };
    [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        (name, segment.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Of `segment.bytes`.
const SEGMENT_BYTES_MIN: i32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_metrics_would_mix_up_collide() {
        let mut names = Colliding(BTreeMap::new());
        assert_eq!(names.add("a.b"), None);
        assert_eq!(names.add("a_b"), Some("a.b"));
        assert_eq!(names.add("a.b"), None);
        assert_eq!(names.add("a-b"), None);
    }

    #[test]
    fn names_are_judged_as_kafka_does() {
        for good in ["a", "A.b_c-9", "__consumer_offsets", &"x".repeat(249)] {
            assert!(valid_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(valid_name(bad).is_err(), "{bad}");
        }
    }
}
