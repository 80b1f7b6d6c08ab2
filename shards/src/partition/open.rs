//! Opening a partition: what is on disk, and after a kill, which of it is the log.
//!
//! A segment that was finished (rolled, or cleanly closed) has an `.index`; the active one has
//! none while it is in use. So every segment without one is read and judged batch by batch; the
//! cost is bounded by the bytes of unfinished segments. What lies past the accepted end is cut
//! before the partition serves.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use odradek_engine::io::{Errno, Io};
use odradek_engine::log::epochs::Epochs;
use odradek_engine::log::index::{OffsetIndex, SegmentIndex, TimeIndex};
use odradek_engine::log::producers::Producers;
use odradek_engine::log::recovery::{Step, step};
use odradek_engine::log::{Log, LogRules, Recovered, Segment, file_stem, parse_file_name};
use odradek_engine::record::HEADER_BYTES;
use odradek_engine::types::{Epoch, Offset, Position, Timestamp};

use super::{Ground, Partition, PartitionName, Progress, SegmentFile, State, Waiters};

/// Bytes read at once while judging.
const CHUNK_BYTES: usize = 1 << 20;
/// Largest index, snapshot or checkpoint file that is believed.
const SIDE_FILE_BYTES_MAX: usize = 64 << 20;

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
    pub async fn open(ground: &Rc<Ground>, opening: Opening) -> Result<Rc<Partition>, OpenError> {
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
            Ok(names) => recover(ground, &opening, names)
                .await
                .map_err(fail("recovery"))?,
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
            state: std::cell::RefCell::new(State {
                log,
                progress: Progress::new(next, durable_policy),
                epoch: opening.epoch,
                always_durable: opening.always_durable,
                written: Waiters::default(),
                visible: Waiters::default(),
                readers: Vec::new(),
                shown: next,
                files: Default::default(),
                writing: false,
                flushing: false,
                lagging_since: None,
                tail_bytes: 0,
                poisoned: None,
                busy: 0,
                closed: false,
                landed: Default::default(),
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
    let mut bases = Vec::new();
    let mut finished = Vec::new();
    let mut snapshots = Vec::new();
    for name in &names {
        if name.ends_with(".tmp") || name.ends_with(".deleted") {
            io.remove(&directory.join(name)).await?;
            continue;
        }
        match parse_file_name(name) {
            Some((base, "log")) => bases.push(base),
            Some((base, "index")) => finished.push(base),
            Some((base, "snapshot")) => snapshots.push(base),
            _ => {}
        }
    }
    for base in &finished {
        if !bases.contains(base) {
            // Must not vouch for a segment that comes to begin here.
            for extension in ["index", "timeindex"] {
                let orphan = directory.join(file_stem(*base)).with_extension(extension);
                match io.remove(&orphan).await {
                    Ok(()) | Err(Errno(libc::ENOENT)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
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
        replayed_from: Offset(0),
        last_page: Vec::new(),
    };
    // Everything before the first unfinished segment is known by its files.
    let clean = bases
        .iter()
        .position(|base| !finished.contains(base))
        .unwrap_or(bases.len());
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
    let replay_from = state_at.unwrap_or(found.log_start);
    found.replayed_from = replay_from;
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

/// A finished segment by its files alone.
async fn trust(
    io: &Io,
    directory: &Path,
    base: Offset,
    following: Offset,
    file: &SegmentFile,
) -> Option<Segment> {
    let stem = directory.join(file_stem(base));
    let size = file.allocated();
    let index = read_index(io, &stem, base, size, following).await?;
    let latest = index.latest();
    Some(Segment {
        base,
        size,
        latest,
        started: latest.timestamp,
        index: Some(index),
    })
}

/// Reads a segment batch by batch; takes into `found` what is the log.
async fn judge(
    file: &SegmentFile,
    base: Offset,
    epoch: Epoch,
    rules: &LogRules,
    found: &mut Recovered,
    replay_from: Offset,
) -> Result<(Segment, Epoch), Errno> {
    let end = file.allocated();
    let mut index = SegmentIndex::new(base);
    let mut segment = Segment::new(base);
    let (mut at, mut epoch) = (0, epoch);
    let mut want = CHUNK_BYTES;
    'file: while at < end {
        let bytes = file.read(at, want).await?;
        let last = at + bytes.len() as u64 >= end || bytes.len() < want;
        want = CHUNK_BYTES;
        let mut walked = 0;
        loop {
            match step(&bytes[walked..], found.next, epoch, false, last) {
                Step::Batch(info) => {
                    index.on_append(&info, Position(at + walked as u64), &rules.index);
                    found.epochs.assign(info.leader_epoch, info.base_offset);
                    if info.has_producer_id() && info.base_offset >= replay_from {
                        found.producers.applied(&info, info.max_timestamp);
                    }
                    if segment.started == Timestamp::NONE {
                        segment.started = info.base_timestamp;
                    }
                    epoch = info.leader_epoch;
                    found.next = info.next_offset();
                    walked += info.size;
                }
                Step::More(needed) if walked == 0 => {
                    // What garbage claims to be long is no longer than the file.
                    let left = (end - at) as usize;
                    want = needed.max(CHUNK_BYTES * 2).min(left);
                    break;
                }
                Step::More(_) => break,
                Step::End(why) => {
                    at += walked as u64;
                    let zeros = why == "zeros";
                    if !zeros {
                        tracing::info!(position = at, "recovery ends a segment: {why}");
                    }
                    break 'file;
                }
            }
            if bytes.len() - walked < HEADER_BYTES && !last {
                break;
            }
        }
        at += walked as u64;
    }
    segment.size = at;
    segment.latest = index.latest();
    segment.index = Some(index);
    Ok((segment, epoch))
}

/// Segments that do not continue the log are kept under another name, for a person to look at.
async fn set_aside(io: &Io, directory: &Path, bases: &[Offset]) -> Result<(), Errno> {
    for base in bases {
        let from = directory.join(format!("{}.log", file_stem(*base)));
        let to = from.with_extension("log.aside");
        io.rename(&from, &to).await?;
        for extension in ["index", "timeindex", "snapshot"] {
            let _ = io.remove(&from.with_extension(extension)).await;
        }
    }
    io.sync_directory(directory).await
}

async fn read_side(io: &Io, path: &Path) -> Option<Vec<u8>> {
    io.read_file(path, SIDE_FILE_BYTES_MAX).await.ok()
}

/// The `.index` comes last: its presence says that the segment is whole.
async fn write_index(io: &Io, stem: &Path, times: Vec<u8>, offsets: Vec<u8>) -> Result<(), Errno> {
    io.replace_file(&stem.with_extension("timeindex"), times)
        .await?;
    io.replace_file(&stem.with_extension("index"), offsets)
        .await
}

/// A segment's index from its two files, if they are there and sane.
pub(super) async fn read_index(
    io: &Io,
    stem: &Path,
    base: Offset,
    size: u64,
    next: Offset,
) -> Option<SegmentIndex> {
    let offsets = read_side(io, &stem.with_extension("index")).await?;
    let times = read_side(io, &stem.with_extension("timeindex")).await?;
    let offsets = OffsetIndex::parse(base, &offsets, Position(size)).ok()?;
    let times = TimeIndex::parse(base, &times, next).ok()?;
    Some(SegmentIndex::from_parts(offsets, times))
}
