//! Making a partition's files durable: of each, one sync at a time.
//!
//! The kernel tells of bytes that it could not write back once, to one of those who sync the file at
//! that time, and calls them clean from then on (`fsync(2)`, Errors: EIO). Another sync beside it, or
//! after it, succeeds and says nothing of them. So after one that failed none is believed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use odradek_engine::io::Errno;
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::Offset;

#[derive(Default)]
struct OfFile {
    one_at_a_time: async_lock::Mutex<()>,
    failed: Cell<bool>,
}

/// See the module. By segment.
#[derive(Default)]
pub(super) struct Syncs(RefCell<BTreeMap<Offset, Rc<OfFile>>>);

impl Syncs {
    fn of(&self, segment: Offset) -> Rc<OfFile> {
        self.0.borrow_mut().entry(segment).or_default().clone()
    }

    /// What was written before the call is durable on return.
    ///
    /// # Errors
    /// Those of `sync`; EIO if an earlier one of this file failed.
    pub(super) async fn make(
        &self,
        segment: Offset,
        sync: impl Future<Output = Result<(), Errno>>,
    ) -> Result<(), Errno> {
        let file = self.of(segment);
        let _turn = file.one_at_a_time.lock().await;
        if file.failed.get() {
            return Err(Errno(libc::EIO));
        }
        let synced = sync.await;
        if mutant::is(Mutant::TrustFailedFlush) {
            return Ok(());
        }
        if synced.is_err() {
            file.failed.set(true);
        }
        // A write may have failed meanwhile.
        match file.failed.get() {
            true => Err(synced.err().unwrap_or(Errno(libc::EIO))),
            false => Ok(()),
        }
    }

    /// A write failed, and may have been told what a sync would have been.
    pub(super) fn fail(&self, segment: Offset) {
        self.of(segment).failed.set(true);
    }

    /// The segment is finished, or gone: nothing is written to it any more.
    pub(super) fn forget(&self, segment: Offset) {
        self.0.borrow_mut().remove(&segment);
    }
}
