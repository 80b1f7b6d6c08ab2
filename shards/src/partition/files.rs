//! The open segments of a partition, and its directory.

use std::rc::Rc;

use odradek_engine::io::Errno;
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::Offset;

use super::{Partition, SegmentFile};

/// Handles kept open per partition besides the active segment's.
const CLOSED_OPEN_MAX: usize = 4;

impl Partition {
    /// The file of a segment, opened if need be. A file that is created here takes no byte
    /// before its directory entry is durable.
    pub(super) async fn file(&self, base: Offset, create: bool) -> Result<Rc<SegmentFile>, Errno> {
        let (file, mut state) = loop {
            let (exchange, generation, pin) = {
                let state = self.state.borrow();
                if let Some(file) = state.files.get(&base) {
                    return Ok(file.clone());
                }
                let pin = state.may_be_exchanged() && !create;
                (state.exchanging(base), state.generation(), pin)
            };
            if let Some(exchange) = exchange {
                exchange.passed().await;
                continue;
            }
            let opened = self.open_file(base, create, pin).await;
            let state = self.state.borrow_mut();
            // What was opened under a name may be another file than the log's by now, or there may
            // be none any more.
            if state.generation() == generation && state.exchanging(base).is_none() {
                break (opened?, state);
            }
        };
        let file = state.files.entry(base).or_insert(file).clone();
        if state.files.len() > CLOSED_OPEN_MAX {
            // The oldest goes, if a flush need not find it here: all of it is durable. Whoever
            // uses it keeps it open until done.
            let stored = state.progress.stored();
            let bases: Vec<Offset> = state.log.segments().map(|segment| segment.base).collect();
            let settled = bases.partition_point(|base| *base <= stored).max(1) - 1;
            let oldest = state
                .files
                .keys()
                .copied()
                .find(|key| *key != base && bases[..settled].binary_search(key).is_ok());
            if let Some(oldest) = oldest {
                state.files.remove(&oldest);
            }
        }
        Ok(file)
    }

    async fn open_file(
        &self,
        base: Offset,
        create: bool,
        pin: bool,
    ) -> Result<Rc<SegmentFile>, Errno> {
        let ground = &self.ground;
        let (io, directory) = (&ground.io, &self.directory);
        let file = SegmentFile::open(io, directory, base, ground.strategy, create).await?;
        if create && file.allocated() == 0 && !mutant::is(Mutant::AckBeforeDirectorySync) {
            io.sync_directory(directory).await?;
        }
        if pin {
            file.pin().await?;
        }
        Ok(file)
    }

    /// Sees to it that a file can be read to its end even if compaction takes its name. `false`: it
    /// has lost it meanwhile, and where its batches lie must be asked anew.
    pub(super) async fn hold(&self, file: &SegmentFile, segment: Offset) -> Result<bool, Errno> {
        if file.pinned() || !self.state.borrow().may_be_exchanged() {
            return Ok(true);
        }
        let generation = self.generation();
        let pinned = file.pin().await;
        let exchange = self.state.borrow().exchanging(segment);
        if let Some(exchange) = exchange {
            exchange.passed().await;
        }
        match self.exchanged(generation) {
            true => Ok(false),
            false => pinned.map(|()| true),
        }
    }
}
