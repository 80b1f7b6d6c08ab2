//! The moment at which a compacted segment comes into the log, on disk and in memory.
//!
//! While files are exchanged, who has an old one open reads on in it: it has lost its name, not its
//! content, and where batches lie in it is still what the log says. Who opens one waits. When the
//! new ones have their names the log changes, and whoever planned a read before plans it anew.

use std::rc::Rc;

use odradek_engine::io::{Errno, SegmentFile};
use odradek_engine::log::compaction::SWAP;
use odradek_engine::log::{Segment, file_stem};
use odradek_engine::types::Offset;

use super::clean::CleanError;
use super::exchange::{decide, discard, perform};
use crate::partition::Partition;
use crate::runtime::Gate;

impl Partition {
    /// Puts a compacted segment in the place of those up to `until`. `ends`: of its files beside the
    /// log. Durable on return.
    pub(super) async fn exchange(
        &self,
        compacted: Segment,
        until: Offset,
        ends: &[&'static str],
    ) -> Result<(), CleanError> {
        let (io, base) = (&self.ground.io, compacted.base);
        let range = base..until;
        loop {
            let open: Vec<Rc<SegmentFile>> = {
                let state = self.state.borrow();
                let files = state.files.range(range.clone());
                files
                    .filter(|(_, file)| !file.pinned())
                    .map(|(_, file)| file.clone())
                    .collect()
            };
            if open.is_empty() {
                break;
            }
            for file in open {
                file.pin().await?;
            }
        }
        let gate = Gate::new();
        self.state.borrow_mut().compaction.exchange = Some((range.clone(), gate.clone()));
        let done = self.exchange_files(base, until, ends).await;
        {
            let mut state = self.state.borrow_mut();
            let state = &mut *state;
            state.compaction.exchange = None;
            state.compaction.generation += 1;
            if done.is_ok() {
                state.log.replace(compacted, until);
                state.log.trim_indexes(3);
                state.files.retain(|base, _| !range.contains(base));
                self.account(state);
            }
        }
        gate.open();
        match done {
            Ok(()) => Ok(()),
            Err((false, error)) => {
                // If even that fails the next start does it.
                let _ = discard(io, &self.directory, base).await;
                Err(error.into())
            }
            Err((true, error)) => {
                let directory = self.directory.display();
                self.poison(
                    format!("exchanging segment {base} in {directory} failed"),
                    error,
                );
                Err(CleanError::Stopped)
            }
        }
    }

    /// The error says whether the exchange may have been decided: then only a recovery knows what
    /// the files are.
    async fn exchange_files(
        &self,
        base: Offset,
        until: Offset,
        ends: &[&'static str],
    ) -> Result<(), (bool, Errno)> {
        let (io, directory) = (&self.ground.io, &self.directory);
        let old: Vec<Offset> = self.with_log(|log| {
            let bases = log.segments().map(|segment| segment.base);
            bases.filter(|old| *old > base && *old < until).collect()
        });
        let stem = file_stem(base);
        let beside: Vec<String> = ends
            .iter()
            .map(|end| format!("{stem}{end}{SWAP}"))
            .collect();
        decide(io, directory, base, ends).await?;
        let done = perform(io, directory, base, &old, &beside).await;
        done.map_err(|error| (true, error))
    }
}
