//! What must be done on disk before a partition that was opened is written to.
//!
//! A segment that was finished has an index beside it, and a snapshot of the producers named after
//! its end; an unfinished one must have neither, or a recovery would believe them and miss what was
//! written since. And the directory must know the leader epoch that the next batch bears. All that
//! waits for the first write: a partition that is opened and only read leaves its directory as it
//! was, so that thousands of them open fast, and a life that wrote nothing leaves nothing to recover.
//!
//! Invariant: no byte is written to a segment, and none grows, before this is done and durable.

use std::path::Path;

use async_lock::MutexGuard;
use odradek_engine::io::{Errno, Io};
use odradek_engine::log::file_stem;
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::Offset;

use super::Partition;
use super::recover::{remove, remove_indexes};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ahead {
    /// The active segment as it was found.
    pub active: Offset,
    /// Its index says that it is finished.
    pub finished: bool,
    /// It has an index of whatever kind.
    pub indexed: bool,
    /// Producers' snapshots past its beginning.
    pub snapshots: Vec<Offset>,
    /// The leader epoch has no entry on disk.
    pub epoch: bool,
}

impl Ahead {
    /// Whether the partition is as a clean stop leaves one that ends here.
    pub(super) fn is_clean(&self, end: Offset) -> bool {
        self.finished && self.snapshots.last() == Some(&end)
    }

    /// Removes what says that the active segment is finished; for good once the directory is synced.
    pub(super) async fn remove(&self, io: &Io, directory: &Path) -> Result<(), Errno> {
        for base in &self.snapshots {
            // The newest snapshot is taken for the end of a segment that was finished. If this one
            // is finished again and a loss of power takes the newer snapshot, this must not be there.
            remove(
                io,
                &directory.join(format!("{}.snapshot", file_stem(*base))),
            )
            .await?;
        }
        match self.indexed {
            true => remove_indexes(io, directory, self.active).await,
            false => Ok(()),
        }
    }
}

impl Partition {
    /// Makes the partition's directory ready for writes, once.
    ///
    /// # Errors
    /// The disk's; EROFS: the partition was closed meanwhile.
    pub(super) async fn begin_writes(&self) -> Result<(), Errno> {
        if self.state.borrow().ahead.is_none() {
            return Ok(());
        }
        let _turn = self.beginning.lock().await;
        let (ahead, epochs) = {
            let mut state = self.state.borrow_mut();
            let Some(ahead) = state.ahead.clone() else {
                return Ok(());
            };
            if state.handed_over || state.poisoned.is_some() {
                return Err(Errno(libc::EROFS));
            }
            state.busy += 1;
            let epochs = ahead.epoch.then(|| state.log.epochs().to_checkpoint());
            (ahead, epochs)
        };
        let done = self.make_ready(&ahead, epochs).await;
        let mut state = self.state.borrow_mut();
        if done.is_ok() {
            state.ahead = None;
        }
        state.ended();
        done
    }

    async fn make_ready(&self, ahead: &Ahead, epochs: Option<String>) -> Result<(), Errno> {
        let io = &self.ground.io;
        if mutant::is(Mutant::StayFinished) {
            return Ok(());
        }
        if ahead.finished {
            self.keep_entries(ahead.active).await;
        }
        ahead.remove(io, &self.directory).await?;
        if let Some(epochs) = epochs {
            let path = self.directory.join("leader-epoch-checkpoint");
            io.place_file(&path, epochs.into_bytes()).await?;
        }
        // Also if there was nothing to remove: a life that was killed may have removed it and not
        // come here, and a loss of power would bring it back.
        io.sync_directory(&self.directory).await
    }

    /// A segment is finished that nothing was written to since it was opened: what is about to be
    /// put beside it stays.
    pub(super) async fn leave_finished(&self, segment: Offset) -> Option<MutexGuard<'_, ()>> {
        self.state.borrow().ahead.as_ref()?;
        let turn = self.beginning.lock().await;
        let mut state = self.state.borrow_mut();
        if let Some(ahead) = state.ahead.as_mut().filter(|ahead| ahead.active == segment) {
            (ahead.finished, ahead.indexed) = (false, false);
            ahead.snapshots.clear();
        }
        Some(turn)
    }
}
