//! Opening a partition: what is on disk, and after a kill, which of it is the log.
//!
//! A segment that was finished (rolled, or cleanly closed) has an `.index`; the active one has
//! none while it is in use. So every segment without one is read and judged batch by batch; the
//! cost is bounded by the bytes of unfinished segments. What lies past the accepted end is cut
//! before the partition serves.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;

use odradek_engine::io::{Errno, Io, SegmentFile};
use odradek_engine::log::epochs::Epochs;
use odradek_engine::log::producers::Producers;
use odradek_engine::log::{Log, LogRules, Recovered, Segment, file_stem};
use odradek_engine::types::{Epoch, Offset};

use super::judge::{judge, trust};
use super::listing::Listing;
use super::log_start;
use super::pace::Pace;
use super::side_files::{read_side, set_aside, write_index};
use super::{Ground, Partition, PartitionName, Progress, State, Waiters};

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
}

/// Why a partition cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open partition {partition}: {what}: {error}")]
pub struct OpenError {
    partition: String,
    what: &'static str,
    error: Errno,
}

impl Partition {
    /// Opens a partition, making its directory if need be, recovering what is there.
    pub async fn open(
        ground: &Rc<Ground>,
        mut opening: Opening,
    ) -> Result<Rc<Partition>, OpenError> {
        let partition = opening.name.to_string();
        let fail = |what| {
            let partition = partition.clone();
            move |error| OpenError {
                partition,
                what,
                error,
            }
        };
        let io = &ground.io;
        let found = match io.list(&opening.directory).await {
            Ok(names) => {
                let start = log_start::load(io, &opening.directory).await;
                let start = start.map_err(fail("reading its log start offset"))?;
                opening.log_start = opening.log_start.max(start);
                let found = recover(ground, &opening, names)
                    .await
                    .map_err(fail("recovery"))?;
                if start > found.next {
                    log_start::forget(io, &opening.directory)
                        .await
                        .map_err(fail("removing its log start offset"))?;
                }
                found
            }
            Err(Errno(libc::ENOENT)) => {
                make(io, &opening)
                    .await
                    .map_err(fail("making its directory"))?;
                Recovered::empty()
            }
            Err(error) => return Err(fail("listing its directory")(error)),
        };
        let next = found.next;
        let mut log = Log::new(io.pool(), ground.strategy.aligned(), opening.rules, found);
        log.raise_start(opening.log_start);
        if log.begin_epoch(opening.epoch) {
            let checkpoint = log.epochs().to_checkpoint().into_bytes();
            io.replace_file(
                &opening.directory.join("leader-epoch-checkpoint"),
                checkpoint,
            )
            .await
            .map_err(fail("writing its leader epoch checkpoint"))?;
        }
        let durable_policy = ground.durable_policy || opening.always_durable;
        let partition = Rc::new_cyclic(|me| Partition {
            name: opening.name,
            directory: opening.directory,
            ground: ground.clone(),
            me: me.clone(),
            start_moves: Default::default(),
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
                writing: false,
                pace: Pace::default(),
                held: false,
                flushing: false,
                lagging_since: None,
                tail_bytes: 0,
                poisoned: None,
                busy: 0,
                closed: false,
                abandoned: false,
                landed: Default::default(),
                landed_first: 0,
                finished: Rc::default(),
            }),
        });
        {
            let mut state = partition.state.borrow_mut();
            partition.account(&mut state);
        }
        Ok(partition)
    }
}

async fn make(io: &Io, opening: &Opening) -> Result<(), Errno> {
    io.make_dir(&opening.directory).await?;
    let metadata = format!("version: 0\ntopic_id: {}", opening.topic_id);
    io.replace_file(
        &opening.directory.join("partition.metadata"),
        metadata.into_bytes(),
    )
    .await?;
    let parent = opening.directory.parent().expect("inside a log directory");
    io.sync_directory(parent).await
}

async fn recover(
    ground: &Rc<Ground>,
    opening: &Opening,
    names: Vec<String>,
) -> Result<Recovered, Errno> {
    let io = &ground.io;
    let directory = &opening.directory;
    let listing = Listing::of(&names);
    for name in &listing.litter {
        io.remove(&directory.join(name)).await?;
    }
    for base in listing.orphans() {
        // Must not vouch for a segment that comes to begin here.
        for extension in ["index", "timeindex"] {
            let orphan = directory.join(file_stem(base)).with_extension(extension);
            match io.remove(&orphan).await {
                Ok(()) | Err(Errno(libc::ENOENT)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    // Everything before the first unfinished segment is known by its files.
    let clean = listing.clean();
    let Listing {
        bases, snapshots, ..
    } = listing;
    if bases.is_empty() {
        // Nothing was ever written here: a kill may have come while it was being made.
        make(io, opening).await?;
        let mut empty = Recovered::empty();
        empty.segments = VecDeque::from([Segment::new(opening.log_start)]);
        (empty.log_start, empty.next) = (opening.log_start, opening.log_start);
        return Ok(empty);
    }
    let epochs = match read_side(io, &directory.join("leader-epoch-checkpoint")).await {
        Some(bytes) => Epochs::from_checkpoint(&bytes).unwrap_or_default(),
        None => Epochs::new(),
    };
    let mut found = Recovered {
        segments: VecDeque::new(),
        log_start: bases[0].max(opening.log_start),
        next: bases[0],
        epochs,
        producers: Producers::new(),
        last_page: Vec::new(),
    };
    let mut state_at = None;
    for base in snapshots.iter().rev() {
        let path = directory.join(format!("{}.snapshot", file_stem(*base)));
        let usable = bases.get(clean).is_none_or(|first| base <= first);
        if let (true, Some(bytes)) = (usable, read_side(io, &path).await)
            && let Ok(producers) = Producers::from_snapshot(&bytes)
        {
            found.producers = producers;
            state_at = Some(*base);
            break;
        }
    }
    // Where the producers' state must be rebuilt from: the newest snapshot, or all that is kept.
    let replay_from = state_at.unwrap_or(bases[0]);
    let mut epoch = Epoch(0);
    for (number, &base) in bases.iter().enumerate() {
        if base != found.next && number > 0 {
            tracing::error!(
                partition = %opening.name,
                "segment {} does not begin at offset {}; it and what follows are set aside",
                base.0,
                found.next.0
            );
            set_aside(io, directory, &bases[number..]).await?;
            break;
        }
        let file = SegmentFile::open(io, directory, base, ground.strategy, true).await?;
        let following = bases.get(number + 1).copied();
        // After a clean stop the newest snapshot is named after the log's end.
        let until = following.or(state_at.filter(|end| *end > base));
        let trusted = number < clean && until.is_some_and(|until| until <= replay_from);
        let known = match (trusted, until) {
            (true, Some(until)) => trust(io, directory, base, until, &file)
                .await
                .map(|segment| (segment, until)),
            _ => None,
        };
        let mut segment = match known {
            Some((segment, until)) => {
                found.next = until;
                segment
            }
            None => {
                let judged = judge(&file, base, epoch, &opening.rules, &mut found, replay_from);
                let (segment, last_epoch) = judged.await?;
                epoch = last_epoch;
                segment
            }
        };
        let damaged = following.is_some_and(|following| found.next != following);
        // Stale bytes behind the end must not be met by the next recovery.
        file.cut(segment.size).await?;
        if !trusted {
            io.data_sync(file.handle()).await?;
        }
        if let (Some(index), false, false) = (&mut segment.index, trusted, damaged)
            && following.is_some()
        {
            // The process ended before it was finished. It is whole, so it need not be read again.
            index.seal();
            let stem = directory.join(file_stem(base));
            let (times, offsets) = (index.times().as_bytes(), index.offsets().as_bytes());
            match write_index(io, &stem, times.to_vec(), offsets.to_vec()).await {
                // On a full disk it is served as it is, and read again at the next start.
                Ok(()) | Err(Errno(libc::ENOSPC | libc::EDQUOT)) => {}
                Err(error) => return Err(error),
            }
        }
        if following.is_none() || damaged {
            let page = odradek_engine::bytes::page_floor(segment.size);
            found.last_page = file.read(page, (segment.size - page) as usize).await?;
        }
        found.segments.push_back(segment);
        if damaged {
            tracing::error!(
                partition = %opening.name,
                "the log ends at offset {} in the middle; later segments are set aside",
                found.next.0
            );
            set_aside(io, directory, &bases[number + 1..]).await?;
            break;
        }
    }
    found.log_start = found.log_start.min(found.next);
    found.epochs.truncate_from_end(found.next);
    found.epochs.truncate_from_start(found.log_start);
    for base in snapshots.iter().filter(|base| **base > found.next) {
        // Of records that are gone. The newest snapshot is taken for the log's end.
        let path = directory.join(format!("{}.snapshot", file_stem(*base)));
        match io.remove(&path).await {
            Ok(()) | Err(Errno(libc::ENOENT)) => {}
            Err(error) => return Err(error),
        }
    }
    // The active segment is unfinished from now on; its index must not say otherwise.
    let active = found.segments.back_mut().expect("at least one segment");
    let stem = directory.join(file_stem(active.base));
    let mut removed = false;
    for extension in ["index", "timeindex"] {
        match io.remove(&stem.with_extension(extension)).await {
            Ok(()) => removed = true,
            Err(Errno(libc::ENOENT)) => {}
            Err(error) => return Err(error),
        }
    }
    if removed {
        io.sync_directory(directory).await?;
    }
    for closed in found.segments.iter_mut().rev().skip(1) {
        closed.index = None;
    }
    Ok(found)
}
