//! The embedded controller, on shard 0: the only writer of metadata.
//!
//! A change is answered when its records are durable in `__cluster_metadata-0` and every shard
//! has applied the new image. Changes come one after the other.
//!
//! Now and then the image is kept beside the log ([`super::snapshot`]), and what the log has of it
//! goes.
//!
//! A log whose disk was full is opened again by the first change after that. The one that failed may be
//! in it all the same: then it has happened, late, and whoever asks now is to ask again.
//!
//! Absent on purpose: how an image reaches the shards; whoever commits says so.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use async_lock::{Mutex, MutexGuard};
use odradek_engine::io::{Errno, Io};
use odradek_engine::log::Appended;
use odradek_engine::record::{Origin, Rules, validate};
use odradek_engine::types::{Offset, Timestamp};
use odradek_wire::metadata_records::MetadataRecord;

use super::image::Image;
use super::records::{self, MetadataError};
use super::snapshot;
use crate::partition::{Ground, Mark, OpenError, Opening, Partition};

/// Why a change did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the metadata log cannot be written: {0}")]
    Log(String),
    #[error("an earlier change of metadata, which was refused, is in the log after all: try again")]
    Late,
    #[error("reading the metadata log failed: {0}")]
    Read(String),
    #[error("the metadata log is not readable: {0}")]
    Metadata(#[from] MetadataError),
    #[error(
        "the metadata log in {directory} begins at offset {start}, and no snapshot beside it that \
         can be read tells what was before: restore a *.checkpoint file of {start} or later"
    )]
    NoSnapshot { directory: String, start: i64 },
    #[error("keeping a snapshot of the metadata failed: {0}")]
    Snapshot(String),
}

/// Larger snapshots are none of this node's.
const SNAPSHOT_BYTES_MAX: usize = 4 << 30;

/// When a snapshot is due.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotRules {
    /// Bytes of records since the last, above 0.
    pub bytes: u64,
    /// Time since the last, if anything came since; none: no matter how long.
    pub every: Option<Duration>,
}

/// See the module.
pub struct Controller {
    io: Io,
    ground: Rc<Ground>,
    /// The log's.
    opening: Box<dyn Fn() -> Opening>,
    log: RefCell<Rc<Partition>>,
    directory: PathBuf,
    image: Mutex<Arc<Image>>,
    /// What the log has before this is in the image.
    applied: Cell<Offset>,
    /// Bytes of records that are in no snapshot,
    since: Cell<u64>,
    /// and since when none was made, nanoseconds of the shard's clock.
    last: Cell<u64>,
}

/// The right to change metadata, until dropped.
pub struct Change<'a> {
    controller: &'a Controller,
    image: MutexGuard<'a, Arc<Image>>,
}

impl Controller {
    /// Opens the metadata log, reads the newest snapshot and the log from there on, and folds them.
    pub async fn load(
        ground: &Rc<Ground>,
        opening: impl Fn() -> Opening + 'static,
    ) -> Result<(Controller, Arc<Image>), ControllerError> {
        let (io, directory) = (ground.io.clone(), opening().directory);
        let log = Partition::open(ground, opening()).await?;
        let standing = log.standing();
        let (start, end) = (standing.log_start, standing.next);
        let (next, mut image) = match newest(&io, &directory, start, end).await? {
            Some(found) => found,
            None if start == Offset(0) => (start, Image::default()),
            None => {
                let directory = directory.display().to_string();
                let start = start.0;
                return Err(ControllerError::NoSnapshot { directory, start });
            }
        };
        let (applied, since) = fold_from(&log, next, &mut image).await?;
        let image = Arc::new(image);
        let controller = Controller {
            last: Cell::new(io.now()),
            io,
            ground: ground.clone(),
            opening: Box::new(opening),
            log: RefCell::new(log),
            directory,
            image: Mutex::new(image.clone()),
            applied: Cell::new(applied),
            since: Cell::new(since),
        };
        Ok((controller, image))
    }

    /// Waits for the right to change metadata.
    pub async fn begin(&self) -> Change<'_> {
        Change {
            controller: self,
            image: self.image.lock().await,
        }
    }

    /// Keeps a snapshot if it is time, lets go of older ones and of what the log has of them. After
    /// a crash there is the new one or there is not.
    ///
    /// # Errors
    /// The disk's. Nothing is lost; it is due again with the next change.
    pub async fn keep_snapshot(&self, rules: SnapshotRules) -> Result<(), ControllerError> {
        let since = self.since.get();
        let waited = Duration::from_nanos(self.io.now().saturating_sub(self.last.get()));
        let due = since >= rules.bytes || rules.every.is_some_and(|every| waited >= every);
        if since == 0 || !due {
            return Ok(());
        }
        let (image, end) = {
            let image = self.image.lock().await;
            self.since.set(0);
            self.last.set(self.io.now());
            (image.clone(), self.applied.get())
        };
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            ControllerError::Snapshot(format!("{what}: {error}"))
        };
        let now = Timestamp(self.io.wall_clock());
        let bytes =
            snapshot::encode(&image, now, now).map_err(|error| failed("encoding", &error))?;
        let path = self.directory.join(snapshot::name(end));
        let kept = self.io.replace_file(&path, bytes).await;
        kept.map_err(|error| failed(&path.display().to_string(), &error))?;
        let all = snapshots(&self.io, &self.directory).await;
        let all = all.map_err(|error| failed("listing", &error))?;
        let old = all.len().saturating_sub(snapshot::KEPT);
        let (old, kept) = all.split_at(old);
        if kept.len() == snapshot::KEPT {
            let deleted = self.log().delete_before(Some(kept[0])).await;
            deleted.map_err(|error| failed("deleting records", &error))?;
        }
        for end in old {
            let path = self.directory.join(snapshot::name(*end));
            let removed = self.io.remove(&path).await;
            removed.map_err(|error| failed(&path.display().to_string(), &error))?;
        }
        Ok(())
    }

    /// The metadata log.
    pub fn log(&self) -> Rc<Partition> {
        self.log.borrow().clone()
    }

    /// Opens the log again if its disk was full a while ago. Gives the image if the log has more than
    /// was known. Only with the right to change metadata.
    async fn reopen(&self, image: &Image) -> Result<Option<Image>, ControllerError> {
        let before = self.log();
        if before.closed() || !before.reopen_due() {
            return Ok(None);
        }
        let log = Partition::open(&self.ground, (self.opening)()).await?;
        let mut image = image.clone();
        let (applied, bytes) = fold_from(&log, self.applied.get(), &mut image).await?;
        before.retire();
        self.log.replace(log);
        self.applied.set(applied);
        self.since.set(self.since.get() + bytes);
        Ok((bytes > 0).then_some(image))
    }
}

/// Folds what a log has from an offset on; gives where that ends, and its bytes.
async fn fold_from(
    log: &Partition,
    mut next: Offset,
    image: &mut Image,
) -> Result<(Offset, u64), ControllerError> {
    let mut folded = 0;
    loop {
        let bytes = log
            .copy(next, 4 << 20)
            .await
            .map_err(|error| ControllerError::Read(error.to_string()))?;
        let before = next;
        for (pos, header) in odradek_engine::record::headers(&bytes) {
            let end = pos + header.size().map_err(MetadataError::from)?;
            records::fold(image, &bytes[pos..end])?;
            folded += (end - pos) as u64;
            next = Offset(header.last_offset().0 + 1);
        }
        if next == before {
            return Ok((next, folded));
        }
    }
}

/// Where the snapshots in a directory end, in order.
async fn snapshots(io: &Io, directory: &Path) -> Result<Vec<Offset>, Errno> {
    let names = io.list(directory).await?;
    let mut ends: Vec<Offset> = names
        .iter()
        .filter_map(|name| snapshot::end_of(name))
        .collect();
    ends.sort_unstable();
    Ok(ends)
}

/// The newest snapshot that can be read and that a log from `start` to `end` goes on from: where it
/// ends, and its image.
async fn newest(
    io: &Io,
    directory: &Path,
    start: Offset,
    end: Offset,
) -> Result<Option<(Offset, Image)>, ControllerError> {
    let all = snapshots(io, directory).await;
    let all = all.map_err(|error| ControllerError::Read(error.to_string()))?;
    let usable = all.into_iter().filter(|at| (start..=end).contains(at));
    for at in usable.rev() {
        let path = directory.join(snapshot::name(at));
        let read = io.read_file(&path, SNAPSHOT_BYTES_MAX).await;
        let image = match read {
            Ok(bytes) => snapshot::decode(&bytes).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match image {
            Ok(image) => return Ok(Some((at, image))),
            Err(error) => tracing::error!("{} is not used: {error}", path.display()),
        }
    }
    Ok(None)
}

impl Change<'_> {
    /// Metadata as it stands; it does not change while this exists.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Makes records durable, folds them, and has the image published. On return every shard
    /// that `publish` reached serves by it.
    ///
    /// # Errors
    /// Nothing of the change was published. Whether its records are in the log is unknown if the log
    /// failed.
    pub async fn commit(
        &mut self,
        change: &[MetadataRecord<'_>],
        publish: impl AsyncFnOnce(Arc<Image>),
    ) -> Result<Arc<Image>, ControllerError> {
        if let Some(found) = self.controller.reopen(&self.image).await? {
            let found = Arc::new(found);
            *self.image = found.clone();
            publish(found).await;
            return Err(ControllerError::Late);
        }
        let image = self.store(change).await?;
        publish(image.clone()).await;
        Ok(image)
    }

    async fn store(
        &mut self,
        change: &[MetadataRecord<'_>],
    ) -> Result<Arc<Image>, ControllerError> {
        if change.is_empty() {
            return Ok(self.image.clone());
        }
        let now = Timestamp(self.controller.io.wall_clock());
        let log = |error: &dyn std::fmt::Display| ControllerError::Log(error.to_string());
        let batch = records::encode(change, Offset(0), now).map_err(|error| log(&error))?;
        let info = validate(&batch, &Rules::NODE).map_err(|error| log(&error))?;
        // A change that finds the disk full is refused; the log stays as it is.
        let partition = self.controller.log();
        let room = partition.prepare(batch.len()).await;
        room.map_err(|error| {
            let why = match error {
                Errno(libc::EROFS) => {
                    "it takes nothing more: the node stops, or a write failed".to_owned()
                }
                error => format!("no room for {} bytes: {error}", batch.len()),
            };
            ControllerError::Log(why)
        })?;
        let appended = partition
            .append(&batch, &info, Origin::Node, None, now)
            .map_err(|error| ControllerError::Log(format!("{error:?}")))?;
        let Appended::Stored(stored) = appended else {
            return Err(ControllerError::Log("the batch was not taken".into()));
        };
        partition
            .wait(Mark::Visible, stored.next_offset())
            .done()
            .await
            .map_err(|_| ControllerError::Log("it is offline".into()))?;
        let mut image = Image::clone(&self.image);
        records::fold(&mut image, &batch)?;
        self.controller.applied.set(stored.next_offset());
        let since = &self.controller.since;
        since.set(since.get() + batch.len() as u64);
        let image = Arc::new(image);
        *self.image = image.clone();
        Ok(image)
    }
}
