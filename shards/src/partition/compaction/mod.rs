//! Compaction of a partition: what the engine plans, performed beside its reads and appends.
//!
//! A cleaning reads closed segments past everybody else, in slices on the shard's own thread: the
//! core that owns a partition does all of its work, a simulated run can be repeated, and nothing is
//! shared. A slice is short enough that who reads at the log's end does not notice, whatever a batch's
//! size; between two of them the shard does what is due. What it reads and writes is paced.
//!
//! Invariants: no segment is taken out of the log by anybody else while a cleaning runs; a plan that
//! was made before an exchange of segments is never performed on the new ones
//! ([`Compaction::generation`]); an exchange that has begun is finished, by this life or the next.
//!
//! Absent on purpose: which partition is cleaned when, and how much memory there is for it.

mod batches;
mod clean;
mod exchange;
mod output;
mod replace;
mod slices;

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use odradek_engine::io::{Errno, Io};
use odradek_engine::log::compaction::{
    Bounds, Candidate, CompactionRules, OffsetCheckpoint, candidate,
};
use odradek_engine::types::{Offset, Timestamp};

pub use self::clean::{CleanError, Cleaned, Means};
pub(super) use self::exchange::recover;
pub use self::slices::Share;
use super::side_files::read_side;
use super::{Partition, PartitionName, State};
use crate::runtime::Gate;

/// What a partition knows of its compaction.
#[derive(Default)]
pub(super) struct Compaction {
    /// What lies before was cleaned; the inner `None`: nothing. The outer one: not looked at yet.
    cleaned: Option<Option<Offset>>,
    /// Before this offsets may be missing, durably.
    gaps: Offset,
    /// It is or was to be compacted: whoever opens a file of it for reading opens all that it may
    /// need, because the file may lose its name.
    begun: bool,
    /// A cleaning runs.
    running: bool,
    /// Why it is not cleaned any more.
    given_up: Option<String>,
    /// Goes up whenever segments are exchanged: where batches lie must be asked anew.
    generation: u64,
    /// Segments whose files are being exchanged.
    exchange: Option<(Range<Offset>, Rc<Gate>)>,
}

impl State {
    /// See [`Compaction::generation`].
    pub(super) fn generation(&self) -> u64 {
        self.compaction.generation
    }

    /// Whether no segment may be taken out of the log now.
    pub(super) fn compacting(&self) -> bool {
        self.compaction.running
    }

    /// The same while it is copied. Its files lose their names in the end.
    pub(super) fn keep_segments(&mut self, keep: bool) {
        self.compaction.running = keep;
        self.compaction.begun = true;
    }

    /// Whether files that are opened for reading may lose their names.
    pub(super) fn may_be_exchanged(&self) -> bool {
        self.compaction.begun
    }

    /// What to wait for before the file of this segment is looked at.
    pub(super) fn exchanging(&self, segment: Offset) -> Option<Rc<Gate>> {
        let (range, gate) = self.compaction.exchange.as_ref()?;
        range.contains(&segment).then(|| gate.clone())
    }
}

/// One of the checkpoints beside a log; `None` if there is none that is its own, and whole.
async fn load_offset(
    io: &Io,
    directory: &Path,
    file: &str,
    name: &PartitionName,
) -> Result<Option<Offset>, Errno> {
    let bytes = read_side(io, &directory.join(file)).await?;
    Ok(bytes.and_then(|bytes| OffsetCheckpoint::parse(&bytes, &name.topic, name.index)))
}

/// Writes one of them; it is durable on return.
async fn keep_offset(
    io: &Io,
    directory: &Path,
    file: &str,
    name: &PartitionName,
    offset: Offset,
) -> Result<(), Errno> {
    let text = OffsetCheckpoint::text(&name.topic, name.index, offset);
    io.replace_file(&directory.join(file), text.into_bytes())
        .await
}

/// The offset before which a compacted log may have gaps. Where what says so is damaged or lost it is
/// made again: that a gap goes unnoticed is better than that the log ends at the first. `active`: the
/// last segment, from which nothing is taken out.
pub(super) async fn gaps(
    io: &Io,
    directory: &Path,
    name: &PartitionName,
    active: Offset,
) -> Result<Offset, Errno> {
    const FILE: &str = OffsetCheckpoint::GAPS;
    if let Some(told) = load_offset(io, directory, FILE, name).await? {
        return Ok(told);
    }
    tracing::error!(
        partition = %name,
        "its {FILE} is damaged or lost, and made again: any offset before {} may be missing",
        active.0
    );
    keep_offset(io, directory, FILE, name, active).await?;
    Ok(active)
}

impl Partition {
    /// What of it could be cleaned now. `None`: not at all, because it has failed, or leaves.
    ///
    /// # Errors
    /// The disk's: what was cleaned is not known.
    pub async fn cleanable(
        &self,
        rules: &CompactionRules,
        now: Timestamp,
    ) -> Result<Option<Candidate>, Errno> {
        if self.state.borrow().compaction.cleaned.is_none() {
            let load = |file| load_offset(&self.ground.io, &self.directory, file, &self.name);
            let cleaned = load(OffsetCheckpoint::CLEANED).await?;
            let gaps = load(OffsetCheckpoint::GAPS).await?.unwrap_or(Offset(0));
            let mut state = self.state.borrow_mut();
            let known = &mut state.compaction;
            (known.cleaned, known.gaps) = (Some(cleaned), gaps);
        }
        let mut state = self.state.borrow_mut();
        state.compaction.begun = true;
        let known = &state.compaction;
        if known.running || known.given_up.is_some() || self.check(&state).is_err() {
            return Ok(None);
        }
        let (extents, closed_end) = state.log.compactable();
        let progress = &state.progress;
        let stable = state.log.stable(progress.visible());
        let bounds = Bounds {
            log_start: state.log.log_start(),
            log_end: state.log.next(),
            closed_end,
            settled: progress.durable().min(stable),
            cleaned: known.cleaned.flatten(),
        };
        Ok(Some(candidate(&extents, &bounds, rules, now)))
    }

    /// Waits until no cleaning touches the files of a partition that is closed.
    pub(super) async fn stop_compacting(&self) {
        loop {
            let calm = {
                let state = self.state.borrow();
                if !state.compacting() {
                    return;
                }
                state.calm.clone()
            };
            calm.raised().await;
        }
    }

    /// Why it is not cleaned any more, if it is not.
    pub fn compaction_given_up(&self) -> Option<String> {
        self.state.borrow().compaction.given_up.clone()
    }

    /// Writes one of the checkpoints beside the log; it is durable on return.
    async fn keep_offset(&self, file: &str, offset: Offset) -> Result<(), Errno> {
        let (io, directory) = (&self.ground.io, &self.directory);
        keep_offset(io, directory, file, &self.name, offset).await
    }
}
