//! The first half of a cleaning: the dirty part's keys into the map.
//!
//! Source: Kafka `Cleaner.buildOffsetMap`.

use super::{KeyMap, Transactions};
use crate::log::Aborted;
use crate::record::{BatchInfo, ControlType, OpenBatch, RecordError};
use crate::types::Offset;

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Indexed {
    /// Its keys are noted. So many bytes were looked at, as they are when opened.
    Whole(usize),
    /// The map is full: it tells of everything before this batch only.
    Full,
}

/// See the module.
pub struct Indexer {
    map: KeyMap,
    transactions: Transactions,
    /// The dirty part begins here.
    from: Offset,
    end: Offset,
    records: u64,
    scratch: Vec<u8>,
}

impl Indexer {
    /// For what lies from `from` on; with all transactions of the log that were aborted.
    pub fn new(map: KeyMap, from: Offset, aborted: impl IntoIterator<Item = Aborted>) -> Self {
        // Of one that ended before, the marker is not met: it would go on for ever.
        let here = aborted.into_iter().filter(|one| one.last >= from);
        Self {
            map,
            transactions: Transactions::new(here),
            from,
            end: from,
            records: 0,
            scratch: Vec::new(),
        }
    }

    /// The next batch, checked, as [`validate`](crate::record::validate()) gave it. After
    /// [`Indexed::Full`] no other may follow.
    ///
    /// # Errors
    /// The batch's, when it cannot be opened.
    pub fn batch(&mut self, bytes: &[u8], info: &BatchInfo) -> Result<Indexed, RecordError> {
        if info.last_offset() < self.from {
            return Ok(Indexed::Whole(0));
        }
        let mut looked_at = 0;
        if info.is_control() {
            let kind = control_kind(bytes, info, &mut self.scratch)?;
            self.transactions.control(info, kind);
        } else if !self.transactions.data(info) {
            let open = OpenBatch::open(bytes, *info, &mut self.scratch)?;
            looked_at = open.records_bytes();
            for record in open.records() {
                let record = record?;
                let offset = open.offset_of(&record);
                let Some(key) = record.key.filter(|_| offset >= self.from) else {
                    continue;
                };
                self.records += 1;
                // Keys of a part of this batch may stay in the map: they are of records that stay,
                // and what is older of them goes.
                if !self.map.put(key, offset) {
                    return Ok(Indexed::Full);
                }
            }
        }
        self.end = info.next_offset();
        Ok(Indexed::Whole(looked_at))
    }

    /// The map tells of everything before `offset`: a segment's end, where records may be missing.
    pub fn reached(&mut self, offset: Offset) {
        self.end = self.end.max(offset);
    }

    /// The map tells of everything before this.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Records looked at.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The map, and up to where it tells.
    pub fn finish(self) -> (KeyMap, Offset) {
        (self.map, self.end)
    }
}

/// What a control batch's record says; `None` when it has none any more.
#[allow(clippy::option_option)]
pub(super) fn control_kind(
    bytes: &[u8],
    info: &BatchInfo,
    scratch: &mut Vec<u8>,
) -> Result<Option<Option<ControlType>>, RecordError> {
    let open = OpenBatch::open(bytes, *info, scratch)?;
    match open.records().next() {
        None => Ok(None),
        Some(record) => ControlType::of(&record?, 0).map(Some),
    }
}
