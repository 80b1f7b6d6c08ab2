//! From a partition's records to a coordinator.
//!
//! Records of a transaction count when its commit marker follows; until then they are the
//! coordinator's to keep.

use odradek_engine::record::{
    ControlType, EndTransactionMarker, OpenBatch, RecordError, Rules, headers, validate,
};
use odradek_engine::types::Offset;
use odradek_wire::DecodeError;

use super::coordinator::Coordinator;
use crate::catalog::Image;
use crate::config::Settings;
use crate::partition::{Partition, ReadError};

/// Bytes read at once.
const READ_BYTES: u64 = 4 << 20;

/// Why a partition cannot be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("reading it failed at offset {offset}: {error}")]
    Read { offset: i64, error: ReadError },
    #[error("the batch at offset {offset} is malformed: {error}")]
    Batch { offset: i64, error: RecordError },
    #[error("the record at offset {offset} has no key")]
    Keyless { offset: i64 },
    #[error("the record at offset {offset} is malformed: {error}")]
    Record { offset: i64, error: DecodeError },
    #[error("nothing can be read at offset {offset}, before its end")]
    Gap { offset: i64 },
}

/// Replays everything visible.
pub(super) async fn load<C: Coordinator>(
    partition: &Partition,
    settings: &Settings,
    image: &Image,
) -> Result<C, LoadError> {
    let standing = partition.standing();
    let mut replay = Replay {
        shard: C::new(settings, image, standing.epoch),
        scratch: Vec::new(),
    };
    let mut next = standing.log_start;
    while next < standing.visible {
        let bytes = partition
            .copy(next, READ_BYTES)
            .await
            .map_err(|error| LoadError::Read {
                offset: next.0,
                error,
            })?;
        let before = next;
        for (pos, header) in headers(&bytes) {
            let base = header.base_offset();
            let malformed = |error| LoadError::Batch {
                offset: base.0,
                error,
            };
            let end = pos + header.size().map_err(malformed)?;
            let Some(batch) = bytes.get(pos..end) else {
                break;
            };
            replay.batch(batch, base)?;
            next = Offset(header.last_offset().0 + 1);
        }
        if next == before {
            return Err(LoadError::Gap { offset: next.0 });
        }
    }
    Ok(replay.shard)
}

struct Replay<C> {
    shard: C,
    scratch: Vec<u8>,
}

impl<C: Coordinator> Replay<C> {
    fn batch(&mut self, batch: &[u8], base: Offset) -> Result<(), LoadError> {
        let malformed = |error| LoadError::Batch {
            offset: base.0,
            error,
        };
        let info = validate(batch, &Rules::LOG).map_err(malformed)?;
        let open = OpenBatch::open(batch, info, &mut self.scratch).map_err(malformed)?;
        for (index, record) in (0..).zip(open.records()) {
            let record = record.map_err(malformed)?;
            if info.is_control() {
                let kind = ControlType::of(&record, index).map_err(malformed)?;
                if matches!(kind, Some(ControlType::Commit | ControlType::Abort)) {
                    let marker = EndTransactionMarker::read(&record, index).map_err(malformed)?;
                    self.shard.replay_end(info.producer_id, marker.commit);
                }
                continue;
            }
            let offset = open.offset_of(&record).0;
            let key = record.key.ok_or(LoadError::Keyless { offset })?;
            let decoded = C::decode(key, record.value)
                .map_err(|error| LoadError::Record { offset, error })?;
            match decoded {
                Some(record) if info.is_transactional() => {
                    self.shard.replay_open(info.producer_id, record);
                }
                Some(record) => self.shard.replay(record),
                None => {}
            }
        }
        Ok(())
    }
}
