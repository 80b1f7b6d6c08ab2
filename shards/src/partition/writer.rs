//! Carrying the log's write plans out.
//!
//! One task per partition with something to write; it ends when nothing more can start, and a
//! completion starts it again. Requests of one pass are written together: the task runs after
//! the requests that were ready before it.

use std::rc::Rc;

use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::Errno;
use odradek_engine::log::tail::WritePlan;

use super::{Partition, SegmentFile, State};

/// Zeros that are kept to be written, as often as needed.
const ZEROS_BYTES: usize = 64 << 10;
/// Writes of zeros in flight of a shard: where thousands of partitions are written to alike, they all
/// want them at once, and the disk would do nothing else for seconds. Whoever gets none goes on
/// without and asks again.
const FILLING_MAX: usize = 2;

impl Partition {
    /// Sees to it that what is pending gets written.
    pub(super) fn kick(&self, state: &mut State) {
        if !state.log.pending() || state.poisoned.is_some() || self.left_to_journal(state) {
            return;
        }
        self.start_writing(state);
    }

    /// Writes what is pending to its segments.
    pub(super) fn start_writing(&self, state: &mut State) {
        if state.writing || !state.log.pending() || state.poisoned.is_some() {
            return;
        }
        state.writing = true;
        let me = self.me.upgrade().expect("a partition in use");
        self.ground
            .spawner
            .spawn(async move { me.write_pending().await })
            .detach();
    }

    async fn write_pending(self: Rc<Self>) {
        loop {
            if let Err(error) = self.begin_writes().await {
                let directory = self.directory.display();
                return self.give_up(format!("making {directory} ready for writes failed"), error);
            }
            let (plan, durable, segment_bytes, preallocate) = {
                let mut state = self.state.borrow_mut();
                let plan = match state.poisoned {
                    Some(_) => None,
                    None => state.log.plan_write(self.ground.write_depth),
                };
                let Some(plan) = plan else {
                    state.writing = false;
                    return state.quieter();
                };
                let durable = self.durable_wanted(&state) || self.storing(&state);
                let segment_bytes = state.log.rules().segment_bytes;
                (plan, durable, segment_bytes, state.habits.preallocate)
            };
            let file = match self.file(plan.segment, true).await {
                Ok(file) => file,
                Err(error) => {
                    let why = format!("cannot open segment {}", plan.segment.0);
                    return self.give_up(why, error);
                }
            };
            let end = match preallocate {
                true => plan.end.max(segment_bytes),
                false => plan.end,
            };
            if let Err(error) = file.reserve(end, segment_bytes).await {
                let directory = self.directory.display();
                let why = format!("cannot grow segment {} in {directory}", plan.segment.0);
                return self.give_up(why, error);
            }
            file.ahead.clear(plan.pos, plan.end).await;
            self.fill_ahead(&file, &plan);
            self.state.borrow_mut().busy += 1;
            let me = self.clone();
            self.ground
                .spawner
                .spawn(async move { me.write(file, plan, durable).await })
                .detach();
        }
    }

    /// Writes zeros ahead of a stream of small writes.
    fn fill_ahead(self: &Rc<Self>, file: &Rc<SegmentFile>, plan: &WritePlan) {
        if !self.ground.strategy.aligned() {
            return;
        }
        let filling = &self.ground.filling;
        let may = filling.get() < FILLING_MAX;
        let allocated = file.allocated();
        let Some(range) = file.ahead.next(plan.pos, plan.end, allocated, may) else {
            return;
        };
        filling.set(filling.get() + 1);
        let zeros = self.ground.zeros.get_or_init(|| {
            let block = self.ground.io.pool().take(ZEROS_BYTES);
            // SAFETY: the block is new.
            unsafe { block.bytes_mut(0, ZEROS_BYTES) }.fill(0);
            block
        });
        let mut parts = Parts::new();
        let mut left = (range.end - range.start) as usize;
        while left > 0 {
            let len = left.min(ZEROS_BYTES);
            parts.push(Part::block(zeros, 0, len));
            left -= len;
        }
        self.state.borrow_mut().busy += 1;
        let (me, file) = (self.clone(), file.clone());
        let task = async move {
            let io = &me.ground.io;
            let result = io.write(file.handle(), range.start, parts, false).await;
            file.ahead.done(result.is_ok());
            me.ground.filling.set(me.ground.filling.get() - 1);
            me.state.borrow_mut().ended();
        };
        self.ground.spawner.spawn(task).detach();
    }

    async fn write(self: Rc<Self>, file: Rc<SegmentFile>, plan: WritePlan, durable: bool) {
        let WritePlan {
            id,
            segment,
            pos,
            parts,
            fresh,
            ..
        } = plan;
        let ground = &self.ground;
        let result = ground
            .strategy
            .write(&ground.io, file.handle(), pos, parts, durable)
            .await;
        self.state.borrow_mut().ended();
        if let Err(error) = result {
            // Through the page cache a durable write is a write and a flush, and this may be the
            // flush's error. Past it there is no page that could be called clean: what the write has
            // left, nothing, a part or all of it, is what a recovery reads. Nobody was told of it, so
            // it may go or stay; what stays is synced before it is shown, and that sync is the first
            // to be asked for it. So a disk that was full can be forgiven there.
            let synced = durable && !ground.strategy.aligned();
            self.syncs.fail(segment, error, synced);
            let path = self.directory.display();
            return self.poison(format!("writing {path} at {pos} failed"), error);
        }
        let written = ground.written_bytes.get();
        ground.written_bytes.set(written + fresh);
        let sealed;
        {
            let mut state = self.state.borrow_mut();
            if state.poisoned.is_some() {
                return;
            }
            let state = &mut *state;
            state.landed.add(id, durable);
            state.undurable.landed(fresh);
            let wrote = state.log.wrote(id);
            sealed = self.start_seals(state);
            if let Some((_, offset)) = wrote {
                let durable = state.landed.take();
                state.progress.wrote(offset, durable);
                state.undurable.settle(&state.progress, ground.io.now());
                self.advanced(state);
            }
            self.kick(state);
        }
        if sealed || ground.tail_bytes.get() > ground.tail_bytes_max {
            ground.trim();
        }
    }

    /// Finishes rolled segments that are written; whether there were any.
    pub(super) fn start_seals(&self, state: &mut State) -> bool {
        let mut any = false;
        while let Some(seal) = state.log.take_seal() {
            any = true;
            state.busy += 1;
            let me = self.me.upgrade().expect("a partition in use");
            self.ground
                .spawner
                .spawn(async move { me.seal(seal).await })
                .detach();
        }
        any
    }

    /// Marks moved: wakes who waited for them, and sees to those who wait for more.
    pub(super) fn advanced(&self, state: &mut State) {
        let (written, visible) = (state.progress.written(), state.progress.visible());
        state.written.reached(written);
        state.visible.reached(visible);
        if visible > state.shown {
            state.shown = visible;
            state.log.shown(visible);
            for reader in state.readers.drain(..) {
                if let Some(reader) = reader.upgrade() {
                    reader.raise();
                }
            }
        }
        self.go_on_storing(state);
        self.hurry(state);
    }

    /// Ends the writer's task.
    fn give_up(&self, why: String, error: Errno) {
        {
            let mut state = self.state.borrow_mut();
            state.writing = false;
            state.quieter();
        }
        self.poison(why, error);
    }

    /// Makes sure that `bytes` more can be written to the active segment: for whoever must know
    /// before an append.
    ///
    /// # Errors
    /// The disk is full, or does not work; EROFS: the partition takes nothing more.
    pub async fn prepare(&self, bytes: usize) -> Result<(), Errno> {
        // A file that was cut for the last time must not grow again.
        let taking = |partition: &Partition| partition.check(&partition.state.borrow()).is_ok();
        if !taking(self) {
            return Err(Errno(libc::EROFS));
        }
        self.begin_writes().await?;
        let (base, size, segment_bytes) = self.with_log(|log| {
            let active = log.segments().next_back().expect("an active segment");
            (active.base, active.size, log.rules().segment_bytes)
        });
        if !taking(self) {
            return Err(Errno(libc::EROFS));
        }
        let file = self.file(base, true).await?;
        file.reserve(size + bytes as u64, segment_bytes).await?;
        if !taking(self) {
            file.cut(size).await?;
            return Err(Errno(libc::EROFS));
        }
        Ok(())
    }
}
