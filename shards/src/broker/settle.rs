//! What a life that was killed has left is made durable at once, before anything reads it.
//!
//! Recovery takes what it finds for durable, so that must be: a sync of the whole file system does it
//! for all partitions, where one for each would be thousands of waits for the disk. It is over before
//! anything of this life is written; the last life's writes have ended with it (its rings and threads
//! are gone before its lock on the directory is).
//!
//! Where it fails, or is not known to do what is wanted, the directory is not settled, and each
//! recovery syncs what it found. The error is believed to be of any file: its own sync still tells
//! which, and recovery reads past the page cache, which may show what the disk does not have.

use std::path::Path;

use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::{Errno, Io, OpenMode};
use odradek_engine::mutant::{self, Mutant};

use crate::runtime::LogDirs;

/// Made and removed in a log directory.
const FILE: &str = ".settle.tmp";

/// See the module. Of every log directory that has not failed.
pub(super) async fn settle(io: &Io, dirs: &LogDirs) {
    for number in dirs.all().filter(|number| dirs.failed(*number).is_none()) {
        let path = dirs.path(number);
        match sync(io, path).await {
            Ok(()) => dirs.settle(number),
            Err(Errno(libc::EOPNOTSUPP)) => {}
            Err(error) => tracing::warn!(
                "the file system of {} could not be synced: {error}; each partition's recovery finds out \
                 what of its log is on the disk, and syncs that",
                path.display()
            ),
        }
    }
}

async fn sync(io: &Io, directory: &Path) -> Result<(), Errno> {
    if mutant::is(Mutant::SettleUnsynced) {
        return Ok(());
    }
    io.sync_file_system(directory).await?;
    flush(io, directory).await
}

/// Has the disk's own cache written: by the sync of a file that is new. A sync of the file system
/// need not, if there is nothing to be written of metadata, as after writes past the page cache over
/// blocks that were written before (XFS forces its log, and the disk's cache is flushed with that;
/// btrfs ends a transaction, if there is one).
async fn flush(io: &Io, directory: &Path) -> Result<(), Errno> {
    let path = directory.join(FILE);
    let mode = OpenMode {
        write: true,
        create: true,
        truncate: true,
        ..OpenMode::default()
    };
    let file = io.open(&path, mode).await?;
    let parts = Parts::from_iter([Part::Owned(b"settled".to_vec())]);
    let synced = match io.write(file, 0, parts, false).await {
        Ok(()) => io.sync(file).await,
        failed => failed,
    };
    io.close(file).await;
    io.remove(&path).await?;
    synced
}
