//! A directory into which many put entries at once: one sync for all that are there.

use std::cell::Cell;
use std::path::Path;

use odradek_engine::io::{Errno, Io};

/// See the module. Of one directory.
#[derive(Default)]
pub struct DirectorySync {
    asked: Cell<u64>,
    /// All that had asked so far when the last sync began.
    done: Cell<u64>,
    one_at_a_time: async_lock::Mutex<()>,
}

impl DirectorySync {
    /// Makes the entries durable that stand in `directory` now. Who asks while a sync runs shares
    /// the next one: the one that runs may have begun before their entries.
    ///
    /// # Errors
    /// Those of a sync that began after the call; others that share it try again, each for itself.
    pub async fn sync(&self, io: &Io, directory: &Path) -> Result<(), Errno> {
        let mine = self.asked.get() + 1;
        self.asked.set(mine);
        let _turn = self.one_at_a_time.lock().await;
        if self.done.get() >= mine {
            return Ok(());
        }
        let asked = self.asked.get();
        io.sync_directory(directory).await?;
        self.done.set(asked);
        Ok(())
    }
}
