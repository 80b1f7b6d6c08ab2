//! When bytes must become durable: at once if somebody waits for it, else within the lag.

use std::rc::Rc;

use super::{Partition, State};

impl Partition {
    /// Whether the next write should be durable by itself.
    pub(super) fn durable_wanted(&self, state: &State) -> bool {
        self.ground.dsync && self.durable_awaited(state)
    }

    /// Whether what is written next should be durable soon.
    pub(super) fn durable_awaited(&self, state: &State) -> bool {
        state.always_durable || state.flush_wanted() || self.visibility_wanted(state)
    }

    /// Whether somebody waits for more to be visible, and only *durable* can bring it.
    fn visibility_wanted(&self, state: &State) -> bool {
        let behind = self.ground.durable_policy || state.always_durable;
        behind
            && (state.visible.wanted(state.progress.durable())
                || state.wanted > state.progress.durable()
                || state.readers.iter().any(|reader| reader.strong_count() > 0))
    }

    /// Flushes now what is written and not durable, if somebody waits for it, or it is a lot.
    pub(super) fn hurry(&self, state: &mut State) {
        let wanted = self.visibility_wanted(state) || state.flush_wanted();
        if wanted && state.progress.durable() < state.progress.written() {
            self.start_flush(state);
        }
    }

    pub(super) fn start_flush(&self, state: &mut State) {
        if state.flushing || state.poisoned.is_some() {
            return;
        }
        state.flushing = true;
        let me = self.me.upgrade().expect("a partition in use");
        self.ground
            .spawner
            .spawn(async move { me.flush().await })
            .detach();
    }

    async fn flush(self: Rc<Self>) {
        let upto = self.state.borrow().progress.in_file();
        let result = self.sync_files().await;
        let mut state = self.state.borrow_mut();
        state.flushing = false;
        if let Err(error) = result {
            state.quieter();
            drop(state);
            return self.poison("fdatasync failed".into(), error);
        }
        let state = &mut *state;
        state.progress.flushed(upto);
        state
            .undurable
            .settle(&state.progress, self.ground.io.now());
        self.advanced(state);
        state.quieter();
    }

    /// fdatasync of every open segment that may hold bytes that are not durable: the active one,
    /// and those that are rolled and not finished.
    async fn sync_files(&self) -> Result<(), odradek_engine::io::Errno> {
        let files: Vec<_> = {
            let state = self.state.borrow();
            let stored = state.progress.stored();
            let mut bases: Vec<_> = state.log.segments().map(|segment| segment.base).collect();
            // The segment that holds the end of what is stored, and all after it.
            let first = bases.partition_point(|base| *base <= stored).max(1) - 1;
            bases.drain(..first);
            bases
                .iter()
                .filter_map(|base| Some((*base, state.files.get(base)?.clone())))
                .collect()
        };
        for (base, file) in files {
            let sync = self.ground.io.data_sync(file.handle());
            self.syncs.make(base, sync).await?;
        }
        Ok(())
    }

    /// Called by the shard's flusher: flushes if the lag is over.
    pub fn flush_if_due(&self) {
        let mut state = self.state.borrow_mut();
        let lag_ms = state.habits.flush_ms.unsigned_abs();
        let lag_ns =
            (self.ground.durable_lag_ms * 1_000_000 / 2).min(lag_ms.saturating_mul(1_000_000));
        let due = state
            .undurable
            .since()
            .is_some_and(|since| self.ground.io.now().saturating_sub(since) >= lag_ns);
        if due {
            self.start_flush(&mut state);
        }
    }
}
