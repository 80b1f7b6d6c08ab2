//! From a partition's records to a coordinator.
//!
//! Records of a transaction count when its commit marker follows, as in Kafka; this node writes
//! none, but may be given a log that has them.

use std::collections::BTreeMap;

use odradek_engine::record::{
    ControlType, EndTransactionMarker, OpenBatch, RecordError, Rules, headers, validate,
};
use odradek_engine::types::{Offset, ProducerId};
use odradek_wire::DecodeError;

use super::groups::{GroupsShard, Record, Settings, codec};
use crate::partition::{Partition, ReadError};

/// Bytes read at once.
const READ_BYTES: u64 = 4 << 20;

/// Why a partition's groups cannot be served.
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
pub(super) async fn load(
    partition: &Partition,
    settings: Settings,
) -> Result<GroupsShard, LoadError> {
    let mut replay = Replay {
        shard: GroupsShard::new(settings),
        open: BTreeMap::new(),
        scratch: Vec::new(),
    };
    let standing = partition.standing();
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

struct Replay {
    shard: GroupsShard,
    /// Records of transactions without an end, by producer.
    open: BTreeMap<ProducerId, Vec<Record>>,
    scratch: Vec<u8>,
}

impl Replay {
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
                    let records = self.open.remove(&info.producer_id).unwrap_or_default();
                    for record in records.into_iter().filter(|_| marker.commit) {
                        self.shard.replay(record);
                    }
                }
                continue;
            }
            let offset = open.offset_of(&record).0;
            let key = record.key.ok_or(LoadError::Keyless { offset })?;
            let decoded = codec::decode_record(key, record.value)
                .map_err(|error| LoadError::Record { offset, error })?;
            match decoded {
                Some(record) if info.is_transactional() => {
                    self.open.entry(info.producer_id).or_default().push(record);
                }
                Some(record) => self.shard.replay(record),
                None => {}
            }
        }
        Ok(())
    }
}
