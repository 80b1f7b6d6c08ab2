//! From log directories to a serving shard.
//!
//! Shard 0 goes first: it reads `meta.properties`, folds the metadata log, gives every partition
//! a new leader epoch if the last stop was not clean, re-homes partitions whose shard does not
//! exist any more, and looks which log directory each is in. The others start from its image.

use std::cell::{Cell, OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use odradek_engine::io::{Errno, Handle, Io};
use odradek_engine::log::LogRules;
use odradek_engine::log::index::IndexRules;
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::task::Spawner;
use odradek_engine::types::{Epoch, Offset};
use odradek_wire::Uuid;
use odradek_wire::metadata_records::MetadataRecord;

use super::compaction::compact_forever;
use super::format::format;
use super::found::{self, Found};
use super::journals::{journals, put_back};
use super::relocate::relocate_forever;
use super::settle::settle;
use super::tasks::{checkpoint_forever, flush_forever, keep_snapshots_forever, retain_forever};
use crate::api::throttle::exchange_forever;
use crate::api::transactions::markers;
use crate::api::{Broker, Endpoint, Facts};
use crate::catalog::placement::Load;
use crate::catalog::records::new_owner;
use crate::catalog::{Checkpoints, Controller, ControllerError, Holdings, Image};
use crate::config::Settings;
use crate::net::{Gate, Server, accept_all, close_idle};
use crate::partition::{Ground, Journal, OpenError, Opening, PartitionName, ReplayError};
use crate::runtime::{LogDirs, Mailboxes, Quiet};

const CLEAN: &str = ".kafka_cleanshutdown";

/// What a shard is started with.
pub struct Boot {
    pub shard: u32,
    pub settings: Arc<Settings>,
    /// The same for all shards.
    pub log_dirs: Arc<LogDirs>,
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
    #[error(
        "partition {partition} is in two log directories, {one} and {other}: remove one of the two, \
         the one whose disk has failed"
    )]
    Twice {
        partition: String,
        one: String,
        other: String,
    },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Controller(#[from] ControllerError),
}

impl BootError {
    pub(super) fn in_directory(
        directory: &Path,
        what: &'static str,
    ) -> impl FnOnce(Errno) -> BootError {
        let directory = directory.display().to_string();
        move |error| BootError::Directory {
            directory,
            what,
            error,
        }
    }
}

/// The log directories of a node with these settings; one for all its shards.
pub fn log_dirs(settings: &Settings) -> Arc<LogDirs> {
    Arc::new(LogDirs::new(&settings.log_dirs, &settings.metadata_dir))
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
        journals: journals(&io, &spawner, &settings, &boot.log_dirs, boot.shard),
        read_tail: settings.log_read_strategy.uses_tail(),
        zeros: OnceCell::new(),
        filling: Cell::new(0),
        write_depth: settings.log_write_depth.max(1) as usize,
        durable_lag_ms: settings.durable_lag_max_ms.max(1) as u64,
        durable_policy: settings.durable_acks_all,
        tail_bytes_max: settings.memory_tail_bytes.max(1 << 20) as usize,
        tail_bytes: Cell::new(0),
        dirs: boot.log_dirs,
        roots: Default::default(),
        lively: RefCell::default(),
        tails: RefCell::default(),
        written_bytes: Cell::new(0),
        recoveries: Default::default(),
        troubles: Quiet::default(),
    });
    let (facts, image, controller) = match boot.first {
        Some((facts, image)) => (facts, image, None),
        None => first(&io, &ground, &settings, boot.mail.shards()).await?,
    };
    ground.journals.iter().for_each(Journal::begin);
    let (directory, shards) = (&settings.metadata_dir, boot.mail.shards());
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
    if controller.is_some() {
        boot.gate.adopt(&holdings.settings());
    }
    let gate = boot.gate.clone();
    let broker = Broker::new(holdings, facts, boot.endpoints, boot.mail, gate, controller);
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
    if broker.log_dirs().several() {
        spawner.spawn(relocate_forever(broker.clone())).detach();
    }
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

type First = (Arc<Facts>, Arc<Image>, Option<Rc<Controller>>);

/// What only shard 0 does.
async fn first(
    io: &Io,
    ground: &Rc<Ground>,
    settings: &Settings,
    shards: u32,
) -> Result<First, BootError> {
    let (directory, dirs) = (&settings.metadata_dir, &ground.dirs);
    let fail = |what| BootError::in_directory(directory, what);
    try_out(io, settings, dirs).await?;
    let mut facts = format(io, dirs, settings, shards).await?;
    let found = match dirs.several() {
        true => Some(Found::look(io, dirs).await?),
        false => None,
    };
    let clean = match io.remove(&directory.join(CLEAN)).await {
        Ok(()) => true,
        Err(Errno(libc::ENOENT)) => false,
        Err(error) => return Err(fail("removing the clean-shutdown marker")(error)),
    };
    io.sync_directory(directory)
        .await
        .map_err(fail("syncing it"))?;
    if !clean {
        settle(io, dirs).await;
    }
    let of_log = directory.join(found::METADATA_LOG);
    let opening = move || metadata_log(of_log.clone());
    let (controller, image) = Controller::load(ground, opening).await?;
    let keep_epochs = clean || mutant::is(Mutant::NoEpochBump);
    let mut change = new_owners(&image, shards, keep_epochs);
    let found = match found {
        // There were several, and partitions of the others may have been moved here.
        None if found::elsewhere(&image, dirs) => Some(Found::look(io, dirs).await?),
        found => found,
    };
    if let Some(mut found) = found {
        facts.relocations = found.finish_moves(io, dirs, &image).await?;
        change.extend(found.settle(io, dirs, &image).await?);
    }
    // Before it is recorded where partitions are: in which journal to look is known from before.
    let mut settled = (*image).clone();
    change.iter().for_each(|record| settled.apply(record));
    let promised = put_back(io, &ground.spawner, dirs, &image, &settled).await?;
    facts.promised = Arc::new(promised);
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

fn metadata_log(directory: PathBuf) -> Opening {
    Opening {
        name: PartitionName {
            topic: "__cluster_metadata".into(),
            index: 0,
        },
        directory,
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
        // It is nobody else's, whatever stands there.
        is_topic: Some(Rc::new(|_: &str| true)),
        // Who it is that a journal speaks of is known from this log.
        key: None,
        promised: Offset(0),
        // It is read whole in any case.
        checkpoint: None,
    }
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
async fn try_out(io: &Io, settings: &Settings, dirs: &LogDirs) -> Result<(), BootError> {
    let read = settings.log_read_strategy;
    if !read.available(io) {
        let name = read.name();
        tracing::warn!(
            "log.read.strategy={name} is not available here (it needs io_uring of Linux 6.1): \
             a plain way takes its place"
        );
    }
    let (strategy, method) = (settings.log_write_strategy, settings.log_durable_method);
    for directory in dirs.online().map(|number| dirs.path(number)) {
        let tried = strategy.try_out(io, directory, method.by_write(strategy));
        // Other errors: a full disk, say. A node starts all the same.
        if let Err(error @ Errno(libc::EINVAL | libc::EOPNOTSUPP)) = tried.await {
            return Err(BootError::Strategy {
                directory: directory.display().to_string(),
                strategy: strategy.name(),
                method: method.name(),
                error,
            });
        }
    }
    Ok(())
}

/// Kafka's id of the metadata topic.
const METADATA_TOPIC_ID: Uuid = Uuid([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Leaves the marker of a clean stop, once every shard has stopped.
pub(super) async fn mark_clean(io: &Io, settings: &Settings) -> Result<(), Errno> {
    let path = settings.metadata_dir.join(CLEAN);
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
                before.apply(&new_partition(topic_id, index, shard, Uuid::ZERO));
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
