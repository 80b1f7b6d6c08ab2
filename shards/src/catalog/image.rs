//! The metadata of the node at one moment: immutable, shared by all shards.
//!
//! Folded from metadata records, one after the other; a new image shares with the old one all
//! that did not change.
//!
//! Absent on purpose: I/O, who writes the records, addresses (they depend on the mode).

use std::collections::BTreeMap;
use std::sync::Arc;

use odradek_wire::Uuid;
use odradek_wire::metadata_records::{ConfigRecord, MetadataRecord};

use crate::config::Given;
use crate::quotas::ClientQuotas;

/// Where a partition lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionEntry {
    /// The shard that owns it.
    pub shard: u32,
    pub leader_epoch: i32,
    pub partition_epoch: i32,
    /// The id of its log directory; zero: of the only one, or of none yet. See
    /// [`LogDirs`](crate::runtime::LogDirs).
    pub directory: Uuid,
}

/// A topic.
#[derive(Clone, Debug)]
pub struct Topic {
    pub id: Uuid,
    pub name: Arc<str>,
    /// By index, without gaps.
    pub partitions: Vec<PartitionEntry>,
    /// Settings of its own.
    pub config: Given,
}

impl Topic {
    /// One of its partitions.
    pub fn entry(&self, index: i32) -> Option<&PartitionEntry> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// Topics that only coordinators write.
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }
}

/// Whether a name is one of the node's own topics.
pub fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state")
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Records folded so far.
    pub version: i64,
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: BTreeMap<Uuid, Arc<Topic>>,
    /// The next producer id that is not handed out.
    pub next_producer_id: i64,
    /// Settings of brokers made while running, by id; "" is the default of all.
    brokers: Arc<BTreeMap<String, Given>>,
    /// The finalized level of [`TRANSACTION_VERSION`], if it was ever set.
    transaction_version: Option<i16>,
    quotas: Arc<ClientQuotas>,
    /// Which metrics are asked of clients, by the subscription's name.
    client_metrics: Arc<BTreeMap<String, Given>>,
}

impl Image {
    /// A topic by name.
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.by_name.get(name)
    }

    /// A topic by id.
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.by_id.get(&id)
    }

    /// Whether there is a topic of this id, as text.
    pub fn knows(&self, id: &str) -> bool {
        let id = id.parse();
        id.is_ok_and(|id| self.by_id.contains_key(&id))
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl DoubleEndedIterator<Item = &Arc<Topic>> {
        self.by_name.values()
    }

    /// How many topics.
    pub fn topic_count(&self) -> usize {
        self.by_name.len()
    }

    /// How many partitions.
    pub fn partition_count(&self) -> usize {
        self.topics().map(|topic| topic.partitions.len()).sum()
    }

    /// The finalized `transaction.version`; without a word the newest, as of a new cluster.
    pub fn transaction_version(&self) -> i16 {
        self.transaction_version.unwrap_or(TRANSACTION_VERSION_MAX)
    }

    /// The same, if it was ever set.
    pub fn transaction_version_set(&self) -> Option<i16> {
        self.transaction_version
    }

    /// Quotas of clients.
    pub fn quotas(&self) -> &Arc<ClientQuotas> {
        &self.quotas
    }

    /// Settings of brokers made while running, by id; "" is the default of all.
    pub fn brokers(&self) -> &Arc<BTreeMap<String, Given>> {
        &self.brokers
    }

    /// Those of one id.
    pub fn broker(&self, id: &str) -> Given {
        self.brokers.get(id).cloned().unwrap_or_default()
    }

    /// Which metrics are asked of clients, by the subscription's name.
    pub fn client_metrics(&self) -> &Arc<BTreeMap<String, Given>> {
        &self.client_metrics
    }

    fn insert(&mut self, topic: Arc<Topic>) {
        self.by_name.insert(topic.name.clone(), topic.clone());
        self.by_id.insert(topic.id, topic);
    }

    /// Changes a topic; where no other image shares it, in place: thousands of records may be about
    /// the same one.
    fn change(&mut self, id: Uuid, change: impl FnOnce(&mut Topic)) {
        if let Some(mut topic) = self.by_id.remove(&id) {
            self.by_name.remove(&topic.name);
            change(Arc::make_mut(&mut topic));
            self.insert(topic);
        }
    }

    /// Folds one record in. Records of kinds that mean nothing here are passed over.
    pub fn apply(&mut self, record: &MetadataRecord<'_>) {
        self.version += 1;
        match record {
            MetadataRecord::Topic(record) => self.insert(Arc::new(Topic {
                id: record.topic_id,
                name: record.name.into(),
                partitions: Vec::new(),
                config: Given::default(),
            })),
            MetadataRecord::RemoveTopic(record) => {
                if let Some(topic) = self.by_id.remove(&record.topic_id) {
                    self.by_name.remove(&topic.name);
                }
            }
            MetadataRecord::Partition(record) => self.change(record.topic_id, |topic| {
                let entry = PartitionEntry {
                    shard: record.leader.max(0) as u32,
                    // What nobody writes must end nobody.
                    leader_epoch: record.leader_epoch.max(0),
                    partition_epoch: record.partition_epoch.max(0),
                    // One replica, one directory.
                    directory: record.directories.first().copied().unwrap_or(Uuid::ZERO),
                };
                match topic.partitions.get_mut(record.partition_id as usize) {
                    Some(old) => *old = entry,
                    None => topic.partitions.push(entry),
                }
            }),
            MetadataRecord::PartitionChange(record) => {
                self.change(record.topic_id, |topic| {
                    if let Some(entry) = topic.partitions.get_mut(record.partition_id as usize) {
                        // A leader in the record, even the same one, begins a new epoch.
                        if record.leader >= 0 {
                            entry.shard = record.leader as u32;
                            entry.leader_epoch = entry.leader_epoch.saturating_add(1);
                        }
                        if let Some([directory, ..]) = record.directories.as_deref() {
                            entry.directory = *directory;
                        }
                        entry.partition_epoch = entry.partition_epoch.saturating_add(1);
                    }
                });
            }
            MetadataRecord::Config(record) if record.resource_type == TOPIC_RESOURCE => {
                if let Some(topic) = self.by_name.get(record.resource_name) {
                    self.change(topic.id, |topic| give(&mut topic.config, record));
                }
            }
            MetadataRecord::Config(record) if record.resource_type == BROKER_RESOURCE => {
                give_by_name(Arc::make_mut(&mut self.brokers), record);
            }
            MetadataRecord::Config(record) if record.resource_type == CLIENT_METRICS_RESOURCE => {
                give_by_name(Arc::make_mut(&mut self.client_metrics), record);
            }
            MetadataRecord::ClientQuota(record) => Arc::make_mut(&mut self.quotas).apply(record),
            MetadataRecord::ProducerIds(record) => {
                self.next_producer_id = record.next_producer_id;
            }
            MetadataRecord::FeatureLevel(record) if record.name == TRANSACTION_VERSION => {
                self.transaction_version = Some(record.feature_level);
            }
            _ => {}
        }
    }
}

/// What has no settings is not there.
fn give_by_name(all: &mut BTreeMap<String, Given>, record: &ConfigRecord<'_>) {
    let given = all.entry(record.resource_name.to_owned()).or_default();
    give(given, record);
    if given.is_empty() {
        all.remove(record.resource_name);
    }
}

fn give(given: &mut Given, record: &ConfigRecord<'_>) {
    match record.value {
        Some(value) => given.insert(record.name.into(), value.into()),
        None => given.remove(record.name),
    };
}

/// The feature by which transactions raise epochs and add partitions (KIP-890).
pub const TRANSACTION_VERSION: &str = "transaction.version";
/// Its newest level.
const TRANSACTION_VERSION_MAX: i16 = 2;
/// `ConfigResource.Type.TOPIC`.
pub const TOPIC_RESOURCE: i8 = 2;
/// `ConfigResource.Type.BROKER`.
pub const BROKER_RESOURCE: i8 = 4;
/// `ConfigResource.Type.CLIENT_METRICS`.
pub const CLIENT_METRICS_RESOURCE: i8 = 16;
