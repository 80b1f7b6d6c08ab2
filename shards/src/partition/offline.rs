//! What a partition and its log directory have to do with each other when a disk fails; see
//! [`LogDirs`](crate::runtime::LogDirs).

use odradek_engine::io::Errno;

use super::{Partition, ReadError, Trouble, passing};

impl Partition {
    /// Serves nothing more if its log directory has failed, whoever found out.
    pub fn follow_directory(&self) {
        let dirs = &self.ground.dirs;
        let around = dirs.around(&self.directory);
        let Some(why) = around.and_then(|number| dirs.failed(number)) else {
            return;
        };
        let mut state = self.state.borrow_mut();
        let trouble = || Trouble {
            why: format!("its log directory has failed: {why}"),
            passing_since: None,
        };
        // Also a disk that was only full is not waited for any more.
        state.poisoned.get_or_insert_with(trouble).passing_since = None;
        state.calm.raise();
        self.abandon(&mut state);
    }

    /// Tells its log directory of a write or a flush that failed. `false`: that is no matter of the
    /// directory. A disk that is full has not failed, even if this partition cannot go on.
    pub(super) fn broke(&self, why: &str, error: Errno) -> bool {
        let dirs = &self.ground.dirs;
        passing(error).is_none() && dirs.broke(&self.directory, &format!("{why}: {error}"))
    }

    /// Tells its log directory of what went wrong while it was read.
    pub(super) fn told<T>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        if let Err(ReadError::Io(Errno(code))) = read {
            self.ground.dirs.suspect(&self.directory, Errno(code));
        }
        read
    }
}
