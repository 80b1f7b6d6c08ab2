//! Making a partition's files durable: of each, one sync at a time.
//!
//! The kernel tells of bytes that it could not write back once, to one of those who sync the file at
//! that time, and calls them clean from then on (`fsync(2)`, Errors: EIO). Another sync beside it, or
//! after it, succeeds and says nothing of them. So after one that failed none is believed, whatever
//! it failed of: also for want of room, and when there is room again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use odradek_engine::io::Errno;
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::Offset;

#[derive(Default)]
struct OfFile {
    one_at_a_time: async_lock::Mutex<()>,
    failed: Cell<Option<Errno>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Syncs {
    /// By segment.
    files: RefCell<BTreeMap<Offset, Rc<OfFile>>>,
    failed: Cell<bool>,
}

impl Syncs {
    fn of(&self, segment: Offset) -> Rc<OfFile> {
        self.files.borrow_mut().entry(segment).or_default().clone()
    }

    /// What was written before the call is durable on return.
    ///
    /// # Errors
    /// Those of `sync`, or of what failed earlier of this file.
    pub(super) async fn make(
        &self,
        segment: Offset,
        sync: impl Future<Output = Result<(), Errno>>,
    ) -> Result<(), Errno> {
        let file = self.of(segment);
        let _turn = file.one_at_a_time.lock().await;
        if let Some(error) = file.failed.get() {
            return Err(error);
        }
        let synced = sync.await;
        if mutant::is(Mutant::TrustFailedFlush) {
            return Ok(());
        }
        if let Err(error) = synced {
            file.failed.set(Some(error));
            self.failed.set(true);
        }
        // A write may have failed meanwhile.
        file.failed.get().map_or(Ok(()), Err)
    }

    /// A write failed, and may have been told what a sync would have been; `synced`: it was one, too.
    pub(super) fn fail(&self, segment: Offset, error: Errno, synced: bool) {
        self.of(segment).failed.set(Some(error));
        if synced {
            self.failed.set(true);
        }
    }

    /// Whether one has failed, of whatever file.
    pub(super) fn failed(&self) -> bool {
        self.failed.get()
    }

    /// The segment is finished, or gone: nothing is written to it any more.
    pub(super) fn forget(&self, segment: Offset) {
        self.files.borrow_mut().remove(&segment);
    }
}
