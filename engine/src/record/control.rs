//! Control records: what they are, and the end of a transaction.
//!
//! A control batch's records carry their kind in the key. Kinds that are not known are left to
//! whoever reads on: Kafka's rule is to skip them.
//!
//! Source: Kafka `ControlRecordType`, `EndTransactionMarker`, KIP-98, KIP-595, KIP-853.

use super::{BatchInfo, OpenBatch, Record, RecordError};
use crate::types::Epoch;

/// The kind of a control record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i16)]
pub enum ControlType {
    Abort = 0,
    Commit = 1,
    LeaderChange = 2,
    SnapshotHeader = 3,
    SnapshotFooter = 4,
    KraftVersion = 5,
    KraftVoters = 6,
}

const KEY_VERSION: i16 = 0;

impl ControlType {
    /// The kind that a control record's key states; `None` when it is not known.
    ///
    /// # Errors
    /// [`RecordError::Record`] when there is no such key; `index` names the record in it.
    pub fn of(record: &Record<'_>, index: i32) -> Result<Option<Self>, RecordError> {
        let what = "it has no control record key";
        let key = record.key.and_then(|key| key.first_chunk::<4>());
        let &[_, _, high, low] = key.ok_or(RecordError::Record { index, what })?;
        Ok(match i16::from_be_bytes([high, low]) {
            0 => Some(Self::Abort),
            1 => Some(Self::Commit),
            2 => Some(Self::LeaderChange),
            3 => Some(Self::SnapshotHeader),
            4 => Some(Self::SnapshotFooter),
            5 => Some(Self::KraftVersion),
            6 => Some(Self::KraftVoters),
            _ => None,
        })
    }

    /// The key of a control record of this kind.
    pub const fn key(self) -> [u8; 4] {
        let version = KEY_VERSION.to_be_bytes();
        let kind = (self as i16).to_be_bytes();
        [version[0], version[1], kind[0], kind[1]]
    }
}

/// The value of an abort or commit marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndTransactionMarker {
    pub commit: bool,
    pub coordinator_epoch: Epoch,
}

impl EndTransactionMarker {
    const VERSION: i16 = 0;

    /// # Errors
    /// [`RecordError::Record`] when the record is none; `index` names it there.
    pub fn read(record: &Record<'_>, index: i32) -> Result<Self, RecordError> {
        let commit = match ControlType::of(record, index)? {
            Some(ControlType::Commit) => true,
            Some(ControlType::Abort) => false,
            _ => {
                let what = "it does not end a transaction";
                return Err(RecordError::Record { index, what });
            }
        };
        let what = "its transaction marker is cut off";
        let value = record.value.and_then(|value| value.first_chunk::<6>());
        let [_, _, epoch @ ..] = value.ok_or(RecordError::Record { index, what })?;
        Ok(Self {
            commit,
            coordinator_epoch: Epoch(i32::from_be_bytes(*epoch)),
        })
    }

    /// The marker in a checked control batch; `None` if it holds another control record, or is
    /// damaged.
    pub fn of_batch(batch: &[u8], info: BatchInfo) -> Option<Self> {
        let mut scratch = Vec::new();
        let open = OpenBatch::open(batch, info, &mut scratch).ok()?;
        let record = open.records().next()?.ok()?;
        Self::read(&record, 0).ok()
    }

    pub const fn control_type(self) -> ControlType {
        if self.commit {
            ControlType::Commit
        } else {
            ControlType::Abort
        }
    }

    /// The value of its control record.
    pub fn value(self) -> [u8; 6] {
        let mut value = [0; 6];
        value[..2].copy_from_slice(&Self::VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.0.to_be_bytes());
        value
    }
}
