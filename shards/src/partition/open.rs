//! Opening a partition, or making it.

use std::path::PathBuf;
use std::rc::Rc;

use odradek_engine::io::{Errno, Io};
use odradek_engine::log::checkpoint::Checkpoint;
use odradek_engine::log::state_file::Key;
use odradek_engine::log::{Log, LogRules, Recovered};
use odradek_engine::types::{Epoch, Offset};

use super::journal::Journaled;
use super::log_start;
use super::recover::{begin_again, recover};
use super::stray::{self, METADATA, Whose, whose};
use super::{Ahead, Ground, Partition, PartitionName, Progress, State, Waiters};

/// What to open.
pub struct Opening {
    pub name: PartitionName,
    pub directory: PathBuf,
    pub epoch: Epoch,
    pub rules: LogRules,
    /// Internal topics acknowledge at durable only.
    pub always_durable: bool,
    /// Kept records begin here, at least.
    pub log_start: Offset,
    /// Stands in `partition.metadata`, as in Kafka.
    pub topic_id: String,
    /// Whether there is a topic of an id; none: there is no other.
    pub is_topic: Option<IsTopic>,
    /// Names it in its directory's journal; none: it has no part in it.
    pub key: Option<Key>,
    /// A journal held its records up to here, and they were put back.
    pub promised: Offset,
    /// Where recovery may start, after it has looked; the state file's last word.
    pub checkpoint: Option<Checkpoint>,
}

/// Whether there is a topic of an id.
pub type IsTopic = Rc<dyn Fn(&str) -> bool>;

/// Why a partition cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open partition {partition}: {what}: {error}")]
pub struct OpenError {
    partition: String,
    what: &'static str,
    pub error: Errno,
}

/// What of a partition's names is not durable yet.
pub(super) enum Entries {
    /// None, but for what waits for the first write.
    Durable(Option<Ahead>),
    /// Those in its directory.
    Inside,
    /// These and its directory's.
    AndItself,
}

pub(super) fn failed(name: &PartitionName, what: &'static str) -> impl FnOnce(Errno) -> OpenError {
    let partition = name.to_string();
    move |error| OpenError {
        partition,
        what,
        error,
    }
}

impl Partition {
    /// Opens a partition, making its directory if need be, recovering what is there.
    pub async fn open(
        ground: &Rc<Ground>,
        mut opening: Opening,
    ) -> Result<Rc<Partition>, OpenError> {
        let name = opening.name.clone();
        let fail = |what| failed(&name, what);
        let io = &ground.io;
        let entries;
        let listed = io.list(&opening.directory).await;
        let whose = match &listed {
            Ok(_) => {
                let (id, known) = (&opening.topic_id, &opening.is_topic);
                let is_topic = |id: &str| known.as_ref().is_some_and(|known| known(id));
                let told = whose(io, &opening.directory, id, is_topic).await;
                told.map_err(fail("asking whose it is"))?
            }
            Err(_) => Whose::Ours,
        };
        if whose == Whose::Unsaid {
            tracing::warn!(partition = %name, "its {METADATA} is damaged, and made again");
            let said = stray::say(io, &opening.directory, &opening.topic_id).await;
            said.map_err(fail("saying whose it is"))?;
        }
        let found = match listed {
            Ok(_) if whose == Whose::Foreign => {
                tracing::warn!(
                    partition = %name,
                    "its directory is a deleted topic's: what is in it is removed"
                );
                stray::empty(io, &opening.directory)
                    .await
                    .map_err(fail("removing a deleted topic's files"))?;
                make(io, &opening)
                    .await
                    .map_err(fail("making its directory"))?;
                entries = Entries::AndItself;
                Recovered::empty()
            }
            Ok(names) => {
                let start = match names.iter().any(|name| name == log_start::FILE) {
                    true => log_start::load(io, &opening.directory, &name).await,
                    false => Ok(Offset(0)),
                };
                let start = start.map_err(fail("reading its log start offset"))?;
                opening.log_start = opening.log_start.max(start);
                let began = names.iter().any(|name| name.ends_with(".log"));
                let recovered = recover(ground, &opening, names).await;
                if recovered.is_err() {
                    // It may have cut a file, and not have made that durable.
                    ground.dirs.unsettle(&opening.directory);
                }
                let (mut found, mut inside) = recovered.map_err(fail("recovery"))?;
                if found.next < opening.promised {
                    tracing::error!(
                        partition = %name,
                        "the log ends at offset {}, and its journal held records up to {}: those \
                         between are damaged or lost",
                        found.next.0,
                        opening.promised.0
                    );
                }
                if start > found.next {
                    found = begin_again(io, &opening.directory, start)
                        .await
                        .map_err(fail("removing deleted records"))?;
                    inside = Entries::Inside;
                }
                entries = match began {
                    true => inside,
                    // A kill may have come while it was being made.
                    false => Entries::AndItself,
                };
                found
            }
            Err(Errno(libc::ENOENT)) => {
                make(io, &opening)
                    .await
                    .map_err(fail("making its directory"))?;
                entries = Entries::AndItself;
                Recovered::empty()
            }
            Err(error) => return Err(fail("listing its directory")(error)),
        };
        Partition::begin(ground, opening, found, entries).await
    }

    /// Begins its leader epoch over a log that is durable to its end. What `entries` says of its
    /// directory is durable before it serves.
    pub(super) async fn begin(
        ground: &Rc<Ground>,
        opening: Opening,
        found: Recovered,
        entries: Entries,
    ) -> Result<Rc<Partition>, OpenError> {
        let (io, next) = (&ground.io, found.next);
        let kept = opening.checkpoint.as_ref();
        let kept = kept.map_or(Offset::NONE, |checkpoint| checkpoint.end.offset);
        let mut log = Log::new(io.pool(), ground.strategy.aligned(), opening.rules, found);
        log.raise_start(opening.log_start);
        let directory = &opening.directory;
        let begun = log.begin_epoch(opening.epoch);
        let itself = matches!(entries, Entries::AndItself);
        let (ahead, synced) = match entries {
            Entries::Durable(Some(ahead)) => {
                let epoch = ahead.epoch || begun;
                (Some(Ahead { epoch, ..ahead }), true)
            }
            Entries::Durable(None) => (None, !begun),
            Entries::Inside | Entries::AndItself => (None, false),
        };
        if begun && ahead.is_none() {
            let checkpoint = log.epochs().to_checkpoint().into_bytes();
            io.place_file(&directory.join("leader-epoch-checkpoint"), checkpoint)
                .await
                .map_err(failed(&opening.name, "writing its leader epoch checkpoint"))?;
        }
        if !synced {
            let result = io.sync_directory(directory).await;
            result.map_err(failed(&opening.name, "syncing its directory"))?;
        }
        if itself {
            let parent = directory.parent().expect("inside a log directory");
            let synced = ground.roots.sync(io, parent).await;
            synced.map_err(failed(&opening.name, "syncing the log directory"))?;
        }
        let durable_policy = ground.durable_policy || opening.always_durable;
        let number = ground.dirs.around(directory);
        let journal = number.and_then(|number| ground.journals.get(number));
        let journaled = opening.key.zip(journal.cloned());
        let partition = Rc::new_cyclic(|me| Partition {
            name: opening.name,
            directory: opening.directory,
            ground: ground.clone(),
            me: me.clone(),
            start_moves: Default::default(),
            beginning: Default::default(),
            syncs: Default::default(),
            calming: Default::default(),
            state: std::cell::RefCell::new(State {
                log,
                progress: Progress::new(next, durable_policy),
                epoch: opening.epoch,
                always_durable: opening.always_durable,
                written: Waiters::default(),
                visible: Waiters::default(),
                wanted: Offset(0),
                readers: Vec::new(),
                shown: next,
                files: Default::default(),
                ahead,
                writing: false,
                flushing: false,
                undurable: Default::default(),
                journaled: journaled.map(|(key, journal)| Journaled::new(key, journal)),
                tail_bytes: 0,
                poisoned: None,
                busy: 0,
                checkpoint_at: kept,
                checkpoint: None,
                indexing: Default::default(),
                compaction: Default::default(),
                habits: Default::default(),
                tail_read: false,
                looked: Default::default(),
                rested: 0,
                closed: false,
                abandoned: false,
                leaving: None,
                handed_over: false,
                landed: Default::default(),
                calm: Rc::default(),
            }),
        });
        {
            let mut state = partition.state.borrow_mut();
            partition.account(&mut state);
        }
        Ok(partition)
    }
}

/// Its directory, and what says whose it is. No entry is durable on return.
pub(super) async fn make(io: &Io, opening: &Opening) -> Result<(), Errno> {
    io.make_dir(&opening.directory).await?;
    let path = opening.directory.join(METADATA);
    io.place_file(&path, stray::text(&opening.topic_id)).await
}
