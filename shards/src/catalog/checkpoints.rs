//! The shard's state file: of every partition, where recovery may start.
//!
//! A pass takes the ends of all partitions that have grown; each is kept once *durable* has reached
//! it, and then the file is replaced whole. A pass comes every
//! `log.flush.offset.checkpoint.interval.ms` while something is written, and sooner where much is:
//! recovery after a kill reads about what was written since the last one.
//!
//! Idle partitions cost their entry (some 90 bytes, and up to 143 for each producer) and nothing
//! else: what was read from the file at the start is carried along, whether or not they are opened.
//!
//! Absent on purpose: trust. Recovery looks at the log before it believes an entry.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use odradek_engine::io::{Errno, Io};
use odradek_engine::limits::STATE_FILE_BYTES_MAX;
use odradek_engine::log::checkpoint::Checkpoint;
use odradek_engine::log::state_file::{self, Key};
use odradek_engine::task::yield_now;
use odradek_wire::Uuid;

use super::holdings::Holdings;
use super::image::Image;
use crate::partition::Partition;

/// Partitions looked at in one go.
const PARTITIONS_PER_GO: usize = 256;
/// The start of the files' names; a shard's number follows. No partition's directory is called so:
/// its name ends in a hyphen and a number.
const NAME: &str = "checkpoints.";

/// See the module.
#[derive(Default)]
pub struct Checkpoints {
    path: PathBuf,
    /// As they stand in the file, or will at its next replacement.
    kept: RefCell<BTreeMap<Key, Vec<u8>>>,
    /// Something was kept since the file was replaced.
    changed: Cell<bool>,
    replacing: async_lock::Mutex<()>,
    failing: Cell<bool>,
}

/// Names a partition's log in files of many.
pub(super) fn key(topic: Uuid, index: i32) -> Key {
    let mut key = [0; 20];
    key[..16].copy_from_slice(&topic.0);
    key[16..].copy_from_slice(&index.to_be_bytes());
    key
}

/// What a [`key`] names.
pub fn split_key(key: &Key) -> (Uuid, i32) {
    let (topic, index) = key.split_first_chunk::<16>().expect("20 bytes");
    let index = i32::from_be_bytes(index.try_into().expect("4 bytes"));
    (Uuid(*topic), index)
}

impl Checkpoints {
    /// Reads a shard's file. If the files of the directory are those of another number of shards,
    /// all of them: partitions have moved.
    pub async fn load(io: &Io, directory: &Path, shard: u32, shards: u32) -> Checkpoints {
        let all = Checkpoints {
            path: directory.join(format!("{NAME}{shard}")),
            ..Checkpoints::default()
        };
        let names = io.list(directory).await.unwrap_or_default();
        let numbers = names.iter().filter_map(|name| name.strip_prefix(NAME));
        let mut numbers: Vec<u32> = numbers.filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable();
        if numbers.iter().copied().eq(0..shards) {
            numbers = vec![shard];
        }
        for number in numbers {
            all.read(io, &directory.join(format!("{NAME}{number}")))
                .await;
        }
        all
    }

    async fn read(&self, io: &Io, path: &Path) {
        let bytes = match io.read_file(path, STATE_FILE_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(Errno(libc::ENOENT)) => return,
            Err(error) => {
                let path = path.display();
                return tracing::warn!("{path} is not used: {error}; segments are read whole");
            }
        };
        let entries = match state_file::read(&bytes) {
            Ok(entries) => entries,
            Err(error) => {
                let path = path.display();
                return tracing::warn!("{path} is not used: {error}; segments are read whole");
            }
        };
        let mut kept = self.kept.borrow_mut();
        for (key, bytes) in entries {
            let later = kept.get(&key).is_none_or(|known| rank(bytes) > rank(known));
            if later {
                kept.insert(key, bytes.to_vec());
            }
        }
    }

    /// Where the recovery of a partition may start.
    pub fn of(&self, topic: Uuid, index: i32) -> Option<Checkpoint> {
        let kept = self.kept.borrow();
        let bytes = kept.get(&key(topic, index))?;
        match Checkpoint::decode(bytes) {
            Ok(checkpoint) => Some(checkpoint),
            Err(error) => {
                let path = self.path.display();
                tracing::warn!("{path}: an entry is not used: {error}; its segment is read whole");
                None
            }
        }
    }

    /// A partition's entry, for the shard that has it from now on.
    pub(super) fn give(&self, topic: Uuid, index: i32) -> Option<Vec<u8>> {
        self.kept.borrow_mut().remove(&key(topic, index))
    }

    /// The entry of a partition that has come. Also none counts: it is no older than what an
    /// earlier stay here has left.
    pub(super) fn take(&self, topic: Uuid, index: i32, entry: Option<Vec<u8>>) {
        let (key, mut kept) = (key(topic, index), self.kept.borrow_mut());
        match entry {
            Some(entry) => kept.insert(key, entry),
            None => kept.remove(&key),
        };
        self.changed.set(true);
    }

    /// Keeps what a partition's *durable* mark has reached.
    fn keep(&self, key: &Key, partition: &Partition) {
        if let Some(checkpoint) = partition.durable_checkpoint() {
            let mut bytes = Vec::new();
            checkpoint.encode(&mut bytes);
            self.kept.borrow_mut().insert(*key, bytes);
            self.changed.set(true);
        }
    }

    /// Replaces the file if there is something new.
    async fn replace(&self, io: &Io, image: &Image, shard: u32) {
        let _one_at_a_time = self.replacing.lock().await;
        if !self.changed.replace(false) {
            return;
        }
        let bytes = {
            let mut kept = self.kept.borrow_mut();
            let here = |key: &Key| {
                let (topic, index) = split_key(key);
                let topic = image.topic_by_id(topic);
                let entry = topic.and_then(|topic| topic.partitions.get(index as usize));
                entry.is_some_and(|entry| entry.shard == shard)
            };
            kept.retain(|key, _| here(key));
            let (bytes, left_out) =
                state_file::write(kept.iter().map(|(key, one)| (key, &one[..])));
            if left_out > 0 {
                tracing::warn!(
                    "{left_out} checkpoints do not fit into {}",
                    self.path.display()
                );
            }
            bytes
        };
        let failed = io.replace_file(&self.path, bytes).await.err();
        if let Some(error) = failed
            && !self.failing.get()
        {
            let path = self.path.display();
            tracing::warn!("cannot replace {path}: {error}; a recovery would take longer");
        }
        self.failing.set(failed.is_some());
        if failed.is_some() {
            self.changed.set(true);
        }
    }
}

/// Which of two entries for one partition is the later.
fn rank(bytes: &[u8]) -> Option<(i32, i64)> {
    let checkpoint = Checkpoint::decode(bytes).ok()?;
    Some((checkpoint.epoch.0, checkpoint.end.offset.0))
}

impl Holdings {
    /// Takes the ends of the open partitions that have grown. Whether that must be done again
    /// soon: some wait for what was taken last.
    pub async fn take_checkpoints(&self) -> bool {
        let mut again = false;
        self.each_open(|_, partition| again |= partition.take_checkpoint())
            .await;
        again
    }

    /// Keeps those of them that are durable now; whether some are not.
    pub async fn keep_checkpoints(&self) -> bool {
        let mut waiting = false;
        self.each_open(|key, partition| {
            self.checkpoints.keep(key, partition);
            waiting |= partition.checkpoint_waits();
        })
        .await;
        waiting
    }

    /// Replaces the state file, if anything new is kept.
    pub async fn write_checkpoints(&self) {
        let image = self.image();
        self.checkpoints
            .replace(&self.ground().io, &image, self.shard())
            .await;
    }

    async fn each_open(&self, mut visit: impl FnMut(&Key, &Partition)) {
        let open = self.open_keys();
        for some in open.chunks(PARTITIONS_PER_GO) {
            for ((topic, index), partition) in some {
                visit(&key(*topic, *index), partition);
            }
            yield_now().await;
        }
    }
}
