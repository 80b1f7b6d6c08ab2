//! Finishing segments, letting old ones go, closing.

use std::rc::Rc;

use odradek_engine::io::Errno;
use odradek_engine::log::checkpoint::Checkpoint;
use odradek_engine::log::{Seal, Segment, file_stem};
use odradek_engine::mutant::{self, Mutant};
use odradek_engine::types::{Offset, Position, Timestamp};

use super::recover::{remove, remove_indexes};
use super::stray::remove_directory;
use super::{Mark, Partition, Trouble};

impl Partition {
    /// Finishes a rolled segment: padding cut, bytes durable, then its indexes beside it.
    pub(super) async fn seal(self: Rc<Self>, mut seal: Seal) {
        self.fill_seal(&mut seal).await;
        let turn = self.leave_finished(seal.base).await;
        let mut finished = self.finish(&seal, true).await;
        if self.with_log(|log| log.segments().all(|kept| kept.base != seal.base)) {
            // Retention was faster.
            finished = self.remove_segment(seal.base).await;
        }
        drop(turn);
        {
            let mut state = self.state.borrow_mut();
            state.log.finished(seal.base);
            state.ended();
        }
        if finished.is_ok() {
            self.syncs.forget(seal.base);
        }
        if let Err(error) = finished {
            let directory = self.directory.display();
            let why = format!("finishing segment {} in {directory} failed", seal.base.0);
            self.poison(why, error);
        }
    }

    /// Cuts the padding, makes the bytes durable, and puts the producers' snapshot beside them and,
    /// if the segment is `whole`, its indexes: all of them durable on return.
    ///
    /// The `.index` says that the segment was finished. A loss of power may leave it without the
    /// others, and then recovery reads the segment; the bytes it speaks of are durable before, and so
    /// is the `.txnindex`, as most segments have none.
    async fn finish(&self, seal: &Seal, whole: bool) -> Result<(), Errno> {
        let io = &self.ground.io;
        let file = self.file(seal.base, false).await?;
        file.cut(seal.size).await?;
        self.syncs.make(seal.base, io.sync(file.handle())).await?;
        let snapshot = self
            .directory
            .join(format!("{}.snapshot", file_stem(seal.next)));
        io.place_file(&snapshot, seal.producers.clone()).await?;
        if !seal.aborted.is_empty() {
            let path = self.directory.join(file_stem(seal.base));
            let path = path.with_extension("txnindex");
            io.place_file(&path, seal.aborted.clone()).await?;
            if whole {
                io.sync_directory(&self.directory).await?;
            }
        }
        if whole {
            let stem = self.directory.join(file_stem(seal.base));
            let (times, offsets) = (seal.time_index.clone(), seal.index.clone());
            io.place_file(&stem.with_extension("timeindex"), times)
                .await?;
            io.place_file(&stem.with_extension("index"), offsets)
                .await?;
        }
        io.sync_directory(&self.directory).await
    }

    /// Takes down the log's end for recovery to start from, if it has grown since the last time.
    /// Whether it must be asked again later: what was taken last is not durable yet.
    pub fn take_checkpoint(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let next = state.log.next();
        if state.checkpoint_at == next || state.left() {
            return false;
        }
        if state.checkpoint.is_some() {
            return true;
        }
        if let Some(checkpoint) = state.log.checkpoint() {
            state.checkpoint_at = next;
            state.checkpoint = Some(checkpoint);
        }
        false
    }

    /// The checkpoint that was taken, once, when *durable* has reached it.
    pub fn durable_checkpoint(&self) -> Option<Checkpoint> {
        let mut state = self.state.borrow_mut();
        let stored = state.progress.stored();
        state.checkpoint.take_if(|taken| taken.end.offset <= stored)
    }

    /// Whether a checkpoint was taken that is not durable yet.
    pub fn checkpoint_waits(&self) -> bool {
        self.state.borrow().checkpoint.is_some()
    }

    /// Lets go of what retention no longer keeps. Gives the log start offset.
    pub async fn expire(&self, now: Timestamp, producers_ms: i64) -> Result<Offset, Errno> {
        self.prove_latest(now).await;
        let (gone, start, unwritten) = {
            let mut state = self.state.borrow_mut();
            if self.check_read(&state).is_err() {
                return Ok(state.log.log_start());
            }
            let visible = state.progress.visible();
            state.log.expire_producers(now, producers_ms);
            if state.compacting() {
                // Its turn comes when the cleaning has ended.
                return Ok(state.log.log_start());
            }
            let gone = state.log.expire(now, visible);
            for segment in &gone {
                state.files.remove(&segment.base);
            }
            self.start_seals(&mut state);
            state.busy += 1;
            let first = state.log.segments().next().map(|first| first.base);
            // What is left has not been written yet, so there may be no file of it.
            let unwritten = first.filter(|first| *first >= state.progress.in_file());
            (gone, state.log.log_start(), unwritten)
        };
        let removed = self.remove_segments(&gone, unwritten).await;
        self.state.borrow_mut().ended();
        removed?;
        if !gone.is_empty() {
            tracing::info!(
                partition = %self.name,
                segments = gone.len(),
                "retention raised the log start offset to {}",
                start.0
            );
        }
        Ok(start)
    }

    /// Nothing is too old because an entry of a `.timeindex` says so, in which a bit may be another than
    /// it was: Kafka believes it. The batches must say the same.
    async fn prove_latest(&self, now: Timestamp) {
        while let Some((base, size)) = self.with_log(|log| log.doubted(now)) {
            let generation = self.generation();
            let latest = match self.latest_by_batches(base, Position(size)).await {
                Ok(latest) => latest,
                Err(error) => {
                    self.ground.troubles.log(&self.ground.io, || {
                        tracing::error!(
                            "how old segment {base} of {} is cannot be told, so it stays: {error}",
                            self.name
                        );
                    });
                    return;
                }
            };
            let mut state = self.state.borrow_mut();
            if state.generation() != generation || state.exchanging(base).is_some() {
                // Its turn comes again.
                return;
            }
            state.log.tell_latest(base, latest);
        }
    }

    /// `unwritten`: the first segment that is left, if nothing is in its file yet.
    async fn remove_segments(
        &self,
        gone: &[Segment],
        unwritten: Option<Offset>,
    ) -> Result<(), Errno> {
        if let (Some(first), false) = (unwritten, gone.is_empty()) {
            // Only the name of a segment's file tells the next start where offsets go on.
            self.file(first, true).await?;
        }
        for segment in gone {
            self.remove_segment(segment.base).await?;
            // One after the other: a loss of power that brought back this one and not the next
            // would leave a hole, and the log would end before it.
            if !mutant::is(Mutant::RemoveOutOfOrder) {
                self.ground.io.sync_directory(&self.directory).await?;
            }
        }
        Ok(())
    }

    /// The `.log` goes first: an index without its segment is ignored, a segment without its
    /// index would be read again.
    async fn remove_segment(&self, base: Offset) -> Result<(), Errno> {
        self.syncs.forget(base);
        let (io, stem) = (&self.ground.io, self.directory.join(file_stem(base)));
        remove(io, &stem.with_extension("log")).await?;
        remove_indexes(io, &self.directory, base).await?;
        remove(io, &stem.with_extension("snapshot")).await
    }

    /// Takes no more, writes everything, and leaves files that need no recovery.
    pub async fn close(&self) -> Result<(), Errno> {
        {
            let mut state = self.state.borrow_mut();
            if state.handed_over {
                return Ok(());
            }
            // First of all: what came after `next` would be neither written nor refused.
            state.closed = true;
        }
        let next = self.with_log(|log| log.next());
        let written = self.wait(Mark::Written, next).done().await;
        self.calm_down().await;
        if written.is_err() || self.poisoned().is_some() {
            return Ok(());
        }
        let (seal, clean) = {
            let mut state = self.state.borrow_mut();
            let ahead = state.ahead.as_ref();
            let clean = ahead.is_some_and(|ahead| ahead.is_clean(next));
            // If the topic is deleted meanwhile, its files are not removed before they are all there.
            state.busy += 1;
            (state.log.close(), clean)
        };
        let turn = self.leave_finished(seal.base).await;
        let mut finished = Ok(());
        if seal.size > 0 && !clean {
            // With a gap it stays unfinished: the next start goes on from the checkpoint at its
            // end, and fills the gap when somebody looks for it.
            finished = self.finish(&seal, seal.gap.is_none()).await;
        }
        drop(turn);
        self.state.borrow_mut().ended();
        if let Err(error) = finished {
            // Whoever asks how it stands is not told that it was written out.
            let directory = self.directory.display();
            self.poison(
                format!("closing segment {} in {directory} failed", seal.base),
                error,
            );
            return Err(error);
        }
        let mut state = self.state.borrow_mut();
        state.progress.flushed(next);
        self.advanced(&mut state);
        Ok(())
    }

    /// Waits until nothing touches the files of a partition that is closed to what is new. What
    /// retention has let go of was shown to be gone: it must not be back after the next start.
    async fn calm_down(&self) {
        // One waits at a time: a topic may be deleted while the node stops.
        let _turn = self.calming.lock().await;
        loop {
            let calm = {
                let mut state = self.state.borrow_mut();
                if state.poisoned.is_none() {
                    self.start_seals(&mut state);
                }
                self.kick(&mut state);
                let finishing =
                    state.poisoned.is_none() && (state.log.finishing() || state.log.pending());
                if state.quiet() && !finishing {
                    return;
                }
                state.calm.clone()
            };
            calm.raised().await;
        }
    }

    /// Removes the partition's files; it serves nothing from now on.
    pub async fn destroy(&self) -> Result<(), Errno> {
        {
            let mut state = self.state.borrow_mut();
            state.closed = true;
            // Nothing more is written.
            state.poisoned.get_or_insert_with(|| Trouble {
                why: "the topic is deleted".into(),
                passing_since: None,
            });
            self.abandon(&mut state);
            state.journaled = None;
            state.files.clear();
        }
        // What is under way would make files again that are gone by then.
        self.calm_down().await;
        self.stop_compacting().await;
        let io = &self.ground.io;
        let _none_moves = self.start_moves.lock().await;
        remove_directory(io, &self.directory).await?;
        let parent = self.directory.parent().expect("inside a log directory");
        self.ground.roots.sync(io, parent).await
    }
}
