//! The node's log directories: one, or several (JBOD), each meant to be a disk of its own.
//!
//! Where a partition lives is metadata: its record names the directory by the id that stands in
//! the directory's `meta.properties`. The controller gives a new partition to the directory that
//! has the fewest; a start looks into all of them, and what is found elsewhere than the metadata
//! says, because somebody moved it, stays where it is and the metadata follows. A partition that is
//! found twice stops the start. A node with one directory names none: everything is there.
//!
//! A directory fails when a write or a flush of a partition in it fails, or when reading or opening
//! one does with an error that speaks of the disk. It is offline then until the node is started
//! again: its partitions have no leader, the others are served. One that cannot be used at a start
//! is as one that failed. Without the metadata's directory, or without any, the node ends. With one
//! directory an error is its partition's alone: there is nothing to be kept from it.
//!
//! Shared by all shards. What is kept of a directory, its id and why it failed, is set once and
//! read from then on; each shard sees to its own partitions when it sees that something failed.
//!
//! Source: KIP-112, KIP-858; Kafka `LogManager` (`nextLogDirs`, `handleLogDirFailure`,
//! `loadLogs`), `ReplicaManager.handleLogDirFailure`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use odradek_engine::io::Errno;
use odradek_wire::Uuid;

/// See the module.
#[derive(Default)]
pub struct LogDirs {
    /// Those of partitions first.
    dirs: Vec<LogDir>,
    /// How many are for partitions: all, or all but the last.
    logs: usize,
    /// Which is the metadata's.
    metadata: usize,
    failures: AtomicUsize,
    end: OnceLock<End>,
}

type End = Box<dyn Fn(&str) + Send + Sync>;

struct LogDir {
    path: PathBuf,
    id: OnceLock<Uuid>,
    /// Why it is offline.
    failed: OnceLock<String>,
    settled: AtomicBool,
}

/// Why a partition cannot be reached.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Nowhere {
    #[error("its log directory {0} is offline")]
    Offline(String),
    #[error("its log directory, of directory.id={0}, is none of log.dirs")]
    Unknown(Uuid),
    #[error("it was never used, and not all of log.dirs could be looked into")]
    Unplaced,
}

impl LogDirs {
    /// `logs`: for partitions, each once, at least one. `metadata`: one of these, or another.
    pub fn new(logs: &[PathBuf], metadata: &Path) -> LogDirs {
        let mut paths: Vec<&Path> = logs.iter().map(PathBuf::as_path).collect();
        if !paths.contains(&metadata) {
            paths.push(metadata);
        }
        let dirs = paths.iter().map(|path| LogDir {
            path: path.to_path_buf(),
            id: OnceLock::new(),
            failed: OnceLock::new(),
            settled: AtomicBool::new(false),
        });
        LogDirs {
            dirs: dirs.collect(),
            logs: logs.len(),
            metadata: paths.iter().position(|path| *path == metadata).unwrap_or(0),
            failures: AtomicUsize::new(0),
            end: OnceLock::new(),
        }
    }

    /// Who ends the process when nothing is left to serve; once. Nobody, by default.
    pub fn ends_by(&self, end: impl Fn(&str) + Send + Sync + 'static) {
        let set = self.end.set(Box::new(end));
        assert!(set.is_ok(), "asked once");
    }

    /// Numbers of all directories.
    pub fn all(&self) -> std::ops::Range<usize> {
        0..self.dirs.len()
    }

    /// Numbers of those for partitions.
    pub fn logs(&self) -> std::ops::Range<usize> {
        0..self.logs
    }

    /// Numbers of those for partitions that have not failed.
    pub fn online(&self) -> impl Iterator<Item = usize> {
        self.logs().filter(|number| self.failed(*number).is_none())
    }

    /// Whether partitions can be in more than one.
    #[inline]
    pub fn several(&self) -> bool {
        self.logs > 1
    }

    /// The metadata's.
    pub fn metadata(&self) -> usize {
        self.metadata
    }

    /// Where one is.
    pub fn path(&self, number: usize) -> &Path {
        &self.dirs[number].path
    }

    /// The id that one goes by, once it is known.
    pub fn id(&self, number: usize) -> Option<Uuid> {
        self.dirs[number].id.get().copied()
    }

    /// From now on it goes by this id; said once.
    pub fn identify(&self, number: usize, id: Uuid) {
        let known = self.dirs[number].id.get_or_init(|| id);
        assert_eq!(*known, id, "a directory keeps its id");
    }

    /// Why one is offline, if it is.
    pub fn failed(&self, number: usize) -> Option<&str> {
        self.dirs[number].failed.get().map(String::as_str)
    }

    /// How many have failed: for whoever wants to know if it is more than before.
    #[inline]
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::Acquire)
    }

    /// The number of the directory of a partition of which the metadata says this.
    ///
    /// # Errors
    /// The partition is offline.
    pub fn of(&self, directory: Uuid) -> Result<usize, Nowhere> {
        let number = match directory.is_zero() {
            true if self.several() => return Err(Nowhere::Unplaced),
            true => 0,
            false => {
                let known = self.logs().find(|one| self.id(*one) == Some(directory));
                known.ok_or(Nowhere::Unknown(directory))?
            }
        };
        match self.failed(number) {
            None => Ok(number),
            Some(_) => Err(Nowhere::Offline(self.path(number).display().to_string())),
        }
    }

    /// The number of the directory that holds this partition's.
    pub fn around(&self, partition: &Path) -> Option<usize> {
        let parent = partition.parent()?;
        self.all().find(|number| self.path(*number) == parent)
    }

    /// From now on all is durable that stands in the segments of its partitions that are not open.
    pub fn settle(&self, number: usize) {
        self.dirs[number].settled.store(true, Ordering::SeqCst);
    }

    /// Whether what a partition's segments hold is durable before anybody of this life opens it.
    pub fn settled(&self, partition: &Path) -> bool {
        let number = self.around(partition);
        number.is_some_and(|number| self.dirs[number].settled.load(Ordering::SeqCst))
    }

    /// Whoever opens this partition again may find what is not durable: it is not known any more of
    /// any in its directory.
    pub fn unsettle(&self, partition: &Path) {
        if let Some(number) = self.around(partition) {
            self.dirs[number].settled.store(false, Ordering::SeqCst);
        }
    }

    /// One cannot be used any more: says so, the first time. May end the process.
    pub fn fail(&self, number: usize, why: &str) {
        if self.dirs[number].failed.set(why.to_owned()).is_err() {
            return;
        }
        self.failures.fetch_add(1, Ordering::Release);
        let path = self.path(number).display();
        let left = self.online().count();
        tracing::error!(
            "log directory {path} has failed and is offline with its partitions: {why}; those in \
             {left} others are served; repair it, then start the node again"
        );
        let end = match number == self.metadata {
            true => format!("the directory of the metadata log, {path}, has failed"),
            false if left == 0 => "all log directories have failed".to_owned(),
            false => return,
        };
        if let Some(act) = self.end.get() {
            act(&end);
        }
    }

    /// Reading or opening a partition failed: its directory has failed if the error speaks of the
    /// disk, and there is another directory.
    pub fn suspect(&self, partition: &Path, error: Errno) {
        let of_the_disk = matches!(
            error.0,
            libc::EIO
                | libc::EROFS
                | libc::ENODEV
                | libc::ENXIO
                | libc::ENOTCONN
                | libc::EUCLEAN
                | libc::EREMOTEIO
                | libc::ENOMEDIUM
                | libc::ESHUTDOWN
        );
        if of_the_disk {
            self.broke(partition, &error.to_string());
        }
    }

    /// A write or a flush of a partition failed: its directory has failed, if there is another.
    /// Whether that was said.
    pub fn broke(&self, partition: &Path, why: &str) -> bool {
        let around = self.around(partition).filter(|_| self.several());
        if let Some(number) = around {
            self.fail(number, &format!("{}: {why}", partition.display()));
        }
        around.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn several(metadata: &str) -> (Arc<LogDirs>, Arc<AtomicBool>) {
        let dirs = LogDirs::new(&["/a".into(), "/b".into()], Path::new(metadata));
        for number in dirs.all() {
            dirs.identify(number, Uuid([number as u8 + 1; 16]));
        }
        let ended = Arc::<AtomicBool>::default();
        let told = ended.clone();
        dirs.ends_by(move |_| told.store(true, Ordering::Relaxed));
        (Arc::new(dirs), ended)
    }

    #[test]
    fn a_partition_is_where_its_record_says() {
        let (dirs, ended) = several("/a");
        let id = |byte| Uuid([byte; 16]);
        assert_eq!((dirs.of(id(1)), dirs.of(id(2))), (Ok(0), Ok(1)));
        assert_eq!(dirs.of(id(7)), Err(Nowhere::Unknown(id(7))));
        assert_eq!(dirs.of(Uuid::ZERO), Err(Nowhere::Unplaced));
        dirs.suspect(Path::new("/b/t-0"), Errno(libc::ENOENT));
        dirs.suspect(Path::new("/c/t-0"), Errno(libc::EIO));
        assert_eq!(dirs.failures(), 0);
        dirs.suspect(Path::new("/b/t-0"), Errno(libc::EIO));
        dirs.suspect(Path::new("/b/t-1"), Errno(libc::EIO));
        assert_eq!(dirs.of(id(2)), Err(Nowhere::Offline("/b".into())));
        assert_eq!((dirs.of(id(1)), dirs.failures()), (Ok(0), 1));
        assert!(dirs.online().eq([0]));
        assert!(!ended.load(Ordering::Relaxed));
    }

    #[test]
    fn without_the_metadata_or_any_directory_it_ends() {
        let (dirs, ended) = several("/a");
        dirs.fail(0, "it burns");
        assert!(ended.load(Ordering::Relaxed));
        let (dirs, ended) = several("/m");
        assert_eq!((dirs.logs(), dirs.metadata()), (0..2, 2));
        dirs.fail(0, "it burns");
        assert!(!ended.load(Ordering::Relaxed));
        dirs.fail(1, "so does this");
        assert!(ended.load(Ordering::Relaxed));
    }

    #[test]
    fn with_one_directory_an_error_is_a_partitions_own() {
        let dirs = LogDirs::new(&["/a".into()], Path::new("/a"));
        assert!(!dirs.broke(Path::new("/a/t-0"), "EIO"));
        assert_eq!((dirs.of(Uuid::ZERO), dirs.failures()), (Ok(0), 0));
    }
}
