//! What the log says of recoveries: the first few of a second and each that read much; of the others
//! their sum; and, a second after the first, how far the shard has come.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use odradek_engine::types::Offset;

use super::{Ground, PartitionName};

/// So many in a second have a line each.
const FEW: u64 = 8;
/// So many bytes are worth a line in any case.
const MUCH_BYTES: u64 = 16 << 20;
const SECOND: Duration = Duration::from_secs(1);

/// How many of a shard's partitions are open, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    pub open: usize,
    pub all: usize,
}

/// Those of the second that goes on.
#[derive(Default)]
pub struct Recoveries {
    partitions: Cell<u64>,
    /// Of those without a line.
    untold: Cell<u64>,
    bytes: Cell<u64>,
    /// How far the shard has come, as whoever holds its partitions says.
    opened: OnceCell<Box<dyn Fn() -> Opened>>,
}

impl Recoveries {
    /// Who is asked how far the shard has come. Told once.
    pub fn counted_by(&self, count: impl Fn() -> Opened + 'static) {
        let _ = self.opened.set(Box::new(count));
    }
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
        let second = &self.recoveries;
        let before = second.partitions.replace(second.partitions.get() + 1);
        if before < FEW || bytes >= MUCH_BYTES {
            tracing::info!(
                partition = %name,
                read_bytes = bytes,
                checkpoint = checkpoint.map(|offset| offset.0),
                "recovered up to offset {}",
                next.0
            );
        } else {
            second.untold.set(second.untold.get() + 1);
            second.bytes.set(second.bytes.get() + bytes);
        }
        if before > 0 {
            return;
        }
        let ground = self.clone();
        let task = async move {
            ground.io.sleep(SECOND).await;
            let second = &ground.recoveries;
            second.partitions.set(0);
            let (partitions, bytes) = (second.untold.take(), second.bytes.take());
            if partitions > 0 {
                tracing::info!(partitions, read_bytes = bytes, "recovered, too");
            }
            if let Some(count) = second.opened.get() {
                let Opened { open, all } = count();
                tracing::info!("{open} of {all} partitions of this shard are open");
            }
        };
        self.spawner.spawn(task).detach();
    }
}
