//! From a log directory to a serving shard.
//!
//! Shard 0 goes first: it reads `meta.properties`, folds the metadata log, gives every partition
//! a new leader epoch if the last stop was not clean, and re-homes partitions whose shard does not
//! exist any more. The others start from its image.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::io::strategy::write::Durability;
use odradek_engine::io::{Errno, Handle, Io};
use odradek_engine::log::LogRules;
use odradek_engine::log::index::IndexRules;
use odradek_engine::log::state_file::Key;
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::task::Spawner;
use odradek_engine::types::{Epoch, Offset};
use odradek_wire::Uuid;
use odradek_wire::metadata_records::MetadataRecord;

use super::compaction::compact_forever;
use super::tasks::{checkpoint_forever, flush_forever, keep_snapshots_forever, retain_forever};
use crate::api::throttle::exchange_forever;
use crate::api::transactions::markers;
use crate::api::{Broker, Endpoint, Facts};
use crate::catalog::placement::Load;
use crate::catalog::records::new_owner;
use crate::catalog::{Checkpoints, Controller, ControllerError, Holdings, Image, split_key};
use crate::config::Settings;
use crate::net::{Gate, Server, accept_all, close_idle};
use crate::partition::{
    Ground, Journal, OpenError, Opening, Partition, PartitionName, ReplayError, journal_directory,
    replay,
};
use crate::runtime::{Mailboxes, Quiet};

const META: &str = "meta.properties";
const CLEAN: &str = ".kafka_cleanshutdown";

/// What a shard is started with.
pub struct Boot {
    pub shard: u32,
    pub settings: Arc<Settings>,
    pub endpoints: Arc<[Endpoint]>,
    pub mail: Mailboxes<Broker>,
    pub listeners: Vec<Handle>,
    /// For the connections of all shards.
    pub gate: Arc<Gate>,
    /// From shard 0, for the others.
    pub first: Option<(Arc<Facts>, Arc<Image>)>,
}

/// Why a shard does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("log directory {directory}: {what}: {error}")]
    Directory {
        directory: String,
        what: &'static str,
        error: Errno,
    },
    #[error(
        "the file system of {directory} refuses writes of log.write.strategy={strategy}, \
         log.durable.method={method}: {error}; set others"
    )]
    Strategy {
        directory: String,
        strategy: &'static str,
        method: &'static str,
        error: Errno,
    },
    #[error("{0}")]
    Meta(String),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Controller(#[from] ControllerError),
}

/// Starts a shard: on return it serves.
pub async fn start(io: Io, spawner: Spawner, boot: Boot) -> Result<Rc<Broker>, BootError> {
    let settings = boot.settings.clone();
    let ground = Rc::new(Ground {
        io: io.clone(),
        spawner: spawner.clone(),
        strategy: settings.log_write_strategy,
        dsync: settings
            .log_durable_method
            .by_write(settings.log_write_strategy),
        journal: journal(&io, &spawner, &settings, boot.shard),
        read_tail: settings.log_read_strategy.uses_tail(),
        zeros: OnceCell::new(),
        write_depth: settings.log_write_depth.max(1) as usize,
        durable_lag_ms: settings.durable_lag_max_ms.max(1) as u64,
        durable_policy: settings.durable_acks_all,
        tail_bytes_max: settings.memory_tail_bytes.max(1 << 20) as usize,
        tail_bytes: Cell::new(0),
        root: Default::default(),
        lively: RefCell::default(),
        tails: RefCell::default(),
        written_bytes: Cell::new(0),
        troubles: Quiet::default(),
    });
    let (facts, image, controller) = match boot.first {
        Some((facts, image)) => (facts, image, None),
        None => first(&io, &ground, &settings, boot.mail.shards()).await?,
    };
    if let Some(journal) = &ground.journal {
        journal.begin();
    }
    let (directory, shards) = (&settings.log_dir, boot.mail.shards());
    let checkpoints = Checkpoints::load(&io, directory, boot.shard, shards).await;
    let promised = facts.promised.clone();
    let holdings = Holdings::new(
        boot.shard,
        ground,
        settings.clone(),
        image,
        checkpoints,
        promised,
    );
    let broker = Broker::new(holdings, facts, boot.endpoints, boot.mail, controller);
    let meter = broker.meter.clone();
    let server = Server::new(
        io,
        spawner.clone(),
        settings,
        meter,
        boot.gate,
        broker.clone(),
    );
    broker.takes_connections({
        // Not counted: the server holds the broker.
        let server = Rc::downgrade(&server);
        move |connection| {
            if let Some(server) = server.upgrade() {
                server.adopt(connection);
            }
        }
    });
    let mail = broker.mail.clone();
    spawner
        .spawn({
            let (spawner, broker) = (spawner.clone(), broker.clone());
            async move { mail.serve(boot.shard, spawner, broker).await }
        })
        .detach();
    spawner.spawn(flush_forever(broker.clone())).detach();
    spawner.spawn(retain_forever(broker.clone())).detach();
    spawner.spawn(checkpoint_forever(broker.clone())).detach();
    spawner.spawn(compact_forever(broker.clone())).detach();
    spawner.spawn(exchange_forever(broker.clone())).detach();
    if boot.shard == 0 {
        spawner
            .spawn(keep_snapshots_forever(broker.clone()))
            .detach();
    }
    let timer = broker.groups.clone().keep_time();
    spawner.spawn(timer).detach();
    markers::serve(&broker);
    let timer = broker.transactions.clone().keep_time();
    spawner.spawn(timer).detach();
    // Transactions that were being ended when the last life ended go on, though nobody asks.
    let loading = broker.clone();
    spawner
        .spawn(async move { drop(loading.transactions.all().await) })
        .detach();
    spawner.spawn(close_idle(server.clone())).detach();
    for listener in boot.listeners {
        spawner.spawn(accept_all(server.clone(), listener)).detach();
    }
    Ok(broker)
}

/// The shard's journal, if it is to have one.
fn journal(io: &Io, spawner: &Spawner, settings: &Settings, shard: u32) -> Option<Rc<Journal>> {
    let wanted = settings.log_durable_method == Durability::Journal;
    wanted.then(|| {
        Journal::new(
            io.clone(),
            spawner.clone(),
            settings.log_write_strategy,
            journal_directory(&settings.log_dir, shard),
            settings.log_journal_bytes.max(0) as u64,
        )
    })
}

type First = (Arc<Facts>, Arc<Image>, Option<Rc<Controller>>);

/// What only shard 0 does.
async fn first(
    io: &Io,
    ground: &Rc<Ground>,
    settings: &Settings,
    shards: u32,
) -> Result<First, BootError> {
    let directory = &settings.log_dir;
    let fail = |what| {
        let directory = directory.display().to_string();
        move |error| BootError::Directory {
            directory,
            what,
            error,
        }
    };
    try_out(io, settings).await?;
    let mut facts = meta(io, directory, settings, shards).await?;
    let clean = match io.remove(&directory.join(CLEAN)).await {
        Ok(()) => true,
        Err(Errno(libc::ENOENT)) => false,
        Err(error) => return Err(fail("removing the clean-shutdown marker")(error)),
    };
    io.sync_directory(directory)
        .await
        .map_err(fail("syncing it"))?;
    let of_log = directory.join("__cluster_metadata-0");
    let log = Partition::open(
        ground,
        Opening {
            name: PartitionName {
                topic: "__cluster_metadata".into(),
                index: 0,
            },
            directory: of_log.clone(),
            epoch: Epoch(1),
            rules: LogRules {
                segment_bytes: 1 << 30,
                roll_ms: i64::MAX,
                index: IndexRules {
                    interval_bytes: 4096,
                    index_bytes_max: 10 << 20,
                },
                retention_bytes: -1,
                retention_ms: -1,
            },
            always_durable: true,
            log_start: Offset(0),
            topic_id: METADATA_TOPIC_ID.to_string(),
            // Who it is that a journal speaks of is known from this log.
            key: None,
            promised: Offset(0),
            // It is read whole in any case.
            checkpoint: None,
        },
    )
    .await?;
    let (controller, image) = Controller::load(io.clone(), log, of_log).await?;
    let place = |key: &Key| place(&image, directory, key);
    facts.promised = Arc::new(replay(io, &ground.spawner, directory, place).await?);
    let keep_epochs = clean || mutant::is(Mutant::NoEpochBump);
    let change = new_owners(&image, shards, keep_epochs);
    if !clean && image.topic_count() > 0 {
        tracing::info!(
            partitions = image.partition_count(),
            "the last stop was not clean: partitions recover when they are first used"
        );
    }
    // No other shard runs yet: all start from this image.
    let unpublished = async |_| {};
    let image = match change.is_empty() {
        true => image,
        false => {
            let mut begun = controller.begin().await;
            begun.commit(&change, unpublished).await?
        }
    };
    Ok((Arc::new(facts), image, Some(Rc::new(controller))))
}

/// Where a partition lies that a journal speaks of; nowhere if it is gone.
fn place(image: &Image, directory: &Path, key: &Key) -> Option<PathBuf> {
    let (topic, index) = split_key(key);
    let topic = image.topic_by_id(topic)?;
    topic.entry(index)?;
    Some(directory.join(format!("{}-{index}", topic.name)))
}

/// Partitions of shards that are no more go to those that have the fewest; after a stop that was not
/// clean every partition begins a new leader epoch.
fn new_owners(image: &Image, shards: u32, clean: bool) -> Vec<MetadataRecord<'static>> {
    let mut load = Load::of(image, shards);
    let mut change = Vec::new();
    for topic in image.topics() {
        for (index, entry) in (0..).zip(&topic.partitions) {
            let shard = match entry.shard < shards {
                true if clean => continue,
                true => entry.shard,
                false => load.spread(1)[0],
            };
            change.push(new_owner(topic.id, index, shard));
        }
    }
    change
}

/// Strategies that do not work here are said so now, not by the first write.
async fn try_out(io: &Io, settings: &Settings) -> Result<(), BootError> {
    let read = settings.log_read_strategy;
    if !read.available(io) {
        let name = read.name();
        tracing::warn!(
            "log.read.strategy={name} is not available here (it needs io_uring of Linux 6.1): \
             a plain way takes its place"
        );
    }
    let (strategy, method) = (settings.log_write_strategy, settings.log_durable_method);
    let directory = &settings.log_dir;
    match strategy
        .try_out(io, directory, method.by_write(strategy))
        .await
    {
        Err(error @ Errno(libc::EINVAL | libc::EOPNOTSUPP)) => Err(BootError::Strategy {
            directory: directory.display().to_string(),
            strategy: strategy.name(),
            method: method.name(),
            error,
        }),
        // A full disk, say: a node starts all the same.
        _ => Ok(()),
    }
}

/// Kafka's id of the metadata topic.
const METADATA_TOPIC_ID: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Reads `meta.properties`, or writes it on the first start.
async fn meta(
    io: &Io,
    directory: &Path,
    settings: &Settings,
    shards: u32,
) -> Result<Facts, BootError> {
    let path = directory.join(META);
    let fail = |what| {
        let directory = directory.display().to_string();
        move |error| BootError::Directory {
            directory,
            what,
            error,
        }
    };
    let new_id = || {
        let (a, b) = (io.random(), io.random());
        Uuid((u128::from(a) << 64 | u128::from(b)).to_be_bytes()).to_string()
    };
    let mut before = Vec::new();
    let mut known = BTreeMap::new();
    match io.read_file(&path, 64 << 10).await {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                if let Some((key, value)) = line.split_once('=') {
                    known.insert(key.trim().to_owned(), value.trim().to_owned());
                }
            }
            before = bytes;
        }
        Err(Errno(libc::ENOENT)) => {}
        Err(error) => return Err(fail("reading meta.properties")(error)),
    }
    let node = settings.node_id.to_string();
    if let Some(other) = known.get("node.id").filter(|other| **other != node) {
        return Err(BootError::Meta(format!(
            "{} belongs to node.id={other}, and this node has node.id={node}: \
             set node.id={other} or another log.dirs",
            path.display()
        )));
    }
    let facts = Facts {
        cluster_id: known.remove("cluster.id").unwrap_or_else(new_id),
        directory_id: known.remove("directory.id").unwrap_or_else(new_id),
        promised: Arc::default(),
    };
    if let Some(count) = known
        .get("shards")
        .filter(|count| **count != shards.to_string())
    {
        tracing::info!("the node had {count} shards and has {shards} now");
    }
    let text = format!(
        "version=1\nnode.id={node}\ncluster.id={}\ndirectory.id={}\nshards={shards}\n",
        facts.cluster_id, facts.directory_id
    );
    // Not without need: a node starts on a full disk, too.
    if before != text.as_bytes() {
        io.replace_file(&path, text.into_bytes())
            .await
            .map_err(fail("writing meta.properties"))?;
    }
    Ok(facts)
}

/// Leaves the marker of a clean stop, once every shard has stopped.
pub(super) async fn mark_clean(io: &Io, settings: &Settings) -> Result<(), Errno> {
    let path = settings.log_dir.join(CLEAN);
    io.replace_file(&path, b"{\"version\":0}".to_vec()).await
}

#[cfg(test)]
mod tests {
    use odradek_wire::metadata_records::TopicRecord;

    use super::*;
    use crate::api::topics::new_partition;

    #[test]
    fn partitions_of_shards_that_are_gone_go_where_there_is_least() {
        let mut before = Image::default();
        for (number, name) in ["__consumer_offsets", "t"].into_iter().enumerate() {
            let topic_id = Uuid([number as u8 + 1; 16]);
            before.apply(&MetadataRecord::Topic(TopicRecord { name, topic_id }));
            for (index, shard) in [0, 3, 2, 0, 1].into_iter().enumerate() {
                before.apply(&new_partition(topic_id, index, shard));
            }
        }
        let owners = |clean| {
            let mut image = before.clone();
            for record in new_owners(&before, 2, clean) {
                image.apply(&record);
            }
            let entries = image.topics().flat_map(|topic| topic.partitions.clone());
            let all: Vec<_> = entries.map(|one| (one.shard, one.leader_epoch)).collect();
            assert_eq!(all.iter().filter(|(shard, _)| *shard == 0).count(), 5);
            all
        };
        let stayed = [(0, 0), (1, 1), (1, 1), (0, 0), (1, 0)];
        assert_eq!(owners(true)[..5], stayed);
        // Every partition begins a leader epoch.
        assert!(owners(false).iter().all(|(_, epoch)| *epoch == 1));
    }
}
