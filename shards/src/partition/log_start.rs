//! The log start offset, where DeleteRecords has moved it.
//!
//! Segments' names say where the log begins after retention; a start inside a segment needs a
//! place of its own. Kafka keeps all partitions' in one `log-start-offset-checkpoint`, written
//! once a minute: after a crash deleted records may come back. Here it is one file of Kafka's
//! format in the partition's directory, durable before the deletion is answered or takes effect.

use std::path::Path;

use odradek_engine::io::{Errno, Io};
use odradek_engine::log::compaction::OffsetCheckpoint;
use odradek_engine::types::Offset;

use super::{Partition, PartitionName};

pub(super) const FILE: &str = "log-start-offset-checkpoint";
/// More than such a file can have.
const FILE_BYTES_MAX: usize = 4096;

/// Why records were not deleted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    #[error("offset {asked} is after the high watermark {visible}")]
    OutOfRange { asked: i64, visible: i64 },
    #[error("{0}")]
    Failed(String),
}

/// Makes it durable that the log begins at `offset`: after a crash it is this or the one before.
async fn save(
    io: &Io,
    directory: &Path,
    name: &PartitionName,
    offset: Offset,
) -> Result<(), Errno> {
    let text = OffsetCheckpoint::text(&name.topic, name.index, offset);
    io.replace_file(&directory.join(FILE), text.into_bytes())
        .await
}

/// What was [saved](save) last; 0 if nothing was.
pub(super) async fn load(io: &Io, directory: &Path, name: &PartitionName) -> Result<Offset, Errno> {
    let path = directory.join(FILE);
    let bytes = match io.read_file(&path, FILE_BYTES_MAX).await {
        Err(Errno(libc::ENOENT)) => return Ok(Offset(0)),
        read => read?,
    };
    let read = OffsetCheckpoint::parse(&bytes, &name.topic, name.index);
    Ok(read.unwrap_or_else(|| {
        let path = path.display();
        tracing::error!("{path} is damaged: deleted records of that partition may be back");
        Offset(0)
    }))
}

impl Partition {
    /// Deletes what lies before `offset` (`None`: the high watermark): it is shown no more, also
    /// after a crash, and retention takes the segments. Gives the log start offset.
    ///
    /// # Errors
    /// Nothing was deleted, unless storage failed: then it is unknown.
    pub async fn delete_before(&self, offset: Option<Offset>) -> Result<Offset, DeleteError> {
        // Whoever means everything means what was acknowledged.
        self.settle().await;
        let _one_at_a_time = self.start_moves.lock().await;
        let offset = {
            let mut state = self.state.borrow_mut();
            self.check(&state)
                .map_err(|poisoned| DeleteError::Failed(poisoned.0))?;
            let visible = state.progress.visible();
            let offset = offset.unwrap_or(visible);
            if offset > visible {
                return Err(DeleteError::OutOfRange {
                    asked: offset.0,
                    visible: visible.0,
                });
            }
            if offset <= state.log.log_start() {
                return Ok(state.log.log_start());
            }
            state.busy += 1;
            offset
        };
        let saved = save(&self.ground.io, &self.directory, &self.name, offset).await;
        let mut state = self.state.borrow_mut();
        state.ended();
        saved.map_err(|error| {
            DeleteError::Failed(format!("the log start offset cannot be stored: {error}"))
        })?;
        state.log.raise_start(offset);
        Ok(state.log.log_start())
    }
}
