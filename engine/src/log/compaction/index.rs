//! The first half of a cleaning: the dirty part's keys into the map.
//!
//! Source: Kafka `Cleaner.buildOffsetMap`.

use std::task::Poll;

use smallvec::SmallVec;

use super::{KeyHash, KeyMap, STEP_RECORDS, Transactions};
use crate::log::Aborted;
use crate::record::{BatchInfo, ControlType, OpenBatch, RecordError, RecordIter};
use crate::types::Offset;

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Indexed {
    /// Its keys are noted.
    Whole,
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

    /// The next batch, checked, as [`validate`](crate::record::validate()) gave it. It is gone over
    /// [step by step](Indexing::step). After [`Indexed::Full`] no other may follow.
    ///
    /// # Errors
    /// The batch's, when it cannot be opened.
    pub fn begin<'a>(
        &'a mut self,
        bytes: &'a [u8],
        info: &BatchInfo,
    ) -> Result<Indexing<'a>, RecordError> {
        let mut open = None;
        if info.last_offset() < self.from {
            // Not even its marker is of use.
        } else if info.is_control() {
            let kind = control_kind(bytes, info, &mut self.scratch)?;
            self.transactions.control(info, kind);
        } else if !self.transactions.data(info) {
            let batch = OpenBatch::open(bytes, *info, &mut self.scratch)?;
            open = Some((batch, batch.records()));
        }
        Ok(Indexing {
            map: &mut self.map,
            end: &mut self.end,
            records: &mut self.records,
            from: self.from,
            behind: info.next_offset(),
            open,
        })
    }

    /// The same at one stretch.
    ///
    /// # Errors
    /// Also what a step ends with.
    pub fn batch(&mut self, bytes: &[u8], info: &BatchInfo) -> Result<Indexed, RecordError> {
        let mut indexing = self.begin(bytes, info)?;
        loop {
            if let Poll::Ready(indexed) = indexing.step()? {
                return Ok(indexed);
            }
        }
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

/// A batch whose keys are noted; see [`Indexer::begin`]. Of one that is let go of in between some keys
/// stay in the map, as of one that did not fit.
pub struct Indexing<'a> {
    map: &'a mut KeyMap,
    end: &'a mut Offset,
    records: &'a mut u64,
    from: Offset,
    /// Where the next batch begins.
    behind: Offset,
    open: Option<(OpenBatch<'a>, RecordIter<'a>)>,
}

impl Indexing<'_> {
    /// Goes over some records more, [`STEP_RECORDS`] at most.
    ///
    /// # Errors
    /// The first record that is malformed.
    pub fn step(&mut self) -> Result<Poll<Indexed>, RecordError> {
        let mut keys: SmallVec<[(KeyHash, Offset); STEP_RECORDS]> = SmallVec::new();
        let mut all = true;
        if let Some((open, records)) = &mut self.open {
            for record in records.take(STEP_RECORDS) {
                let record = record?;
                all = false;
                let offset = open.offset_of(&record);
                if let Some(key) = record.key.filter(|_| offset >= self.from) {
                    let key = self.map.hash(key);
                    self.map.fetch(key);
                    keys.push((key, offset));
                }
            }
        }
        for (key, offset) in keys {
            *self.records += 1;
            // Keys of a part of this batch may stay in the map: they are of records that stay, and
            // what is older of them goes.
            if !self.map.put(key, offset) {
                return Ok(Poll::Ready(Indexed::Full));
            }
        }
        if !all {
            return Ok(Poll::Pending);
        }
        // What lies before the dirty part changes nothing.
        *self.end = self.behind.max(*self.end);
        Ok(Poll::Ready(Indexed::Whole))
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
