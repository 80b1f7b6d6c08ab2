//! Making a partition's files durable, one after the other.
//!
//! The kernel tells of bytes that it could not write back once, to one of those who sync the file at
//! that time, and calls them clean from then on (`fsync(2)`, Errors: EIO). Another sync beside it, or
//! after it, succeeds and says nothing of them. So there is one at a time, and after one that failed
//! none is believed.

use std::cell::Cell;

use odradek_engine::io::Errno;
use odradek_engine::mutant::{self, Mutant};

/// See the module.
#[derive(Default)]
pub(super) struct Syncs {
    one_at_a_time: async_lock::Mutex<()>,
    failed: Cell<bool>,
}

impl Syncs {
    /// What was written before the call is durable on return.
    ///
    /// # Errors
    /// Those of `sync`; EIO if an earlier one failed.
    pub(super) async fn make(
        &self,
        sync: impl Future<Output = Result<(), Errno>>,
    ) -> Result<(), Errno> {
        let _turn = self.one_at_a_time.lock().await;
        if self.failed.get() {
            return Err(Errno(libc::EIO));
        }
        match sync.await {
            Err(_) if mutant::is(Mutant::TrustFailedFlush) => Ok(()),
            synced => {
                self.failed.set(synced.is_err());
                synced
            }
        }
    }

    /// A write failed, and may have been told what a sync would have been.
    pub(super) fn fail(&self) {
        self.failed.set(true);
    }
}
