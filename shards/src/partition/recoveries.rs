//! What the log says of recoveries: each that read much, and of the others their sum, once a second.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::{Ground, PartitionName};
use odradek_engine::types::Offset;

/// So many bytes are worth a line.
const MUCH_BYTES: u64 = 16 << 20;
const PAUSE: Duration = Duration::from_secs(1);

/// Those that were not told of yet.
#[derive(Default)]
pub struct Recoveries {
    partitions: Cell<u64>,
    bytes: Cell<u64>,
}

impl Ground {
    /// A partition was recovered: its log ends at `next`, and `bytes` of it were read, from the
    /// `checkpoint` on if there was one.
    pub(super) fn tell_recovered(
        self: &Rc<Self>,
        name: &PartitionName,
        next: Offset,
        bytes: u64,
        checkpoint: Option<Offset>,
    ) {
        let (next, checkpoint) = (next.0, checkpoint.map(|offset| offset.0));
        if bytes >= MUCH_BYTES {
            tracing::info!(
                partition = %name,
                read_bytes = bytes,
                checkpoint,
                "recovered up to offset {next}"
            );
            return;
        }
        tracing::debug!(
            partition = %name,
            read_bytes = bytes,
            checkpoint,
            "recovered up to offset {next}"
        );
        let waiting = &self.recoveries;
        waiting.bytes.set(waiting.bytes.get() + bytes);
        if waiting.partitions.replace(waiting.partitions.get() + 1) > 0 {
            return;
        }
        let ground = self.clone();
        let task = async move {
            ground.io.sleep(PAUSE).await;
            let waiting = &ground.recoveries;
            let (partitions, bytes) = (waiting.partitions.take(), waiting.bytes.take());
            tracing::info!(partitions, read_bytes = bytes, "recovered");
        };
        self.spawner.spawn(task).detach();
    }
}
