//! Directories into which many put entries at once: one sync for all that are there.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use odradek_engine::io::{Errno, Io};

/// See the module. It remembers every directory that it was asked about: log directories, of which
/// there are few.
#[derive(Default)]
pub struct DirectorySync(RefCell<BTreeMap<PathBuf, Rc<Turns>>>);

#[derive(Default)]
struct Turns {
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
        let turns = {
            let mut all = self.0.borrow_mut();
            match all.get(directory) {
                Some(turns) => turns.clone(),
                None => all.entry(directory.to_owned()).or_default().clone(),
            }
        };
        let mine = turns.asked.get() + 1;
        turns.asked.set(mine);
        let _turn = turns.one_at_a_time.lock().await;
        if turns.done.get() >= mine {
            return Ok(());
        }
        let asked = turns.asked.get();
        io.sync_directory(directory).await?;
        turns.done.set(asked);
        Ok(())
    }
}
