//! Fetched bytes as a client takes them: whole batches, checked, and of their records those that it
//! may see.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use odradek_engine::record::{
    BatchInfo, EndTransactionMarker, OpenBatch, Rules, batch_end, validate,
};

use crate::keys::{id_of, marker_id};
use crate::oracle::Id;

/// What was asked for, and what may come.
pub struct View {
    /// The offset asked for.
    pub from: i64,
    /// Nothing at or behind it may be shown.
    pub end: i64,
    /// Offsets may be missing.
    pub gaps: bool,
    /// A reader of committed records: the first offsets and producers of transactions that were
    /// aborted, as the node told.
    pub aborted: Option<Vec<(i64, i64)>>,
}

/// What a reader of committed records leaves out.
///
/// Source: Kafka `CompletedFetch.nextFetchedRecord`.
struct Filter {
    ahead: BinaryHeap<Reverse<(i64, i64)>>,
    aborted: BTreeSet<i64>,
}

impl Filter {
    /// Whether a batch is left out. `marker`: how it ends a transaction, if it does.
    fn drops(&mut self, info: &BatchInfo, marker: Option<bool>) -> bool {
        let last = info.last_offset().0;
        while let Some(Reverse((_, producer))) =
            self.ahead.peek().filter(|next| next.0.0 <= last).copied()
        {
            self.ahead.pop();
            self.aborted.insert(producer);
        }
        let producer = info.producer_id.0;
        if marker == Some(false) {
            self.aborted.remove(&producer);
        }
        info.is_control() || info.is_transactional() && self.aborted.contains(&producer)
    }
}

/// The records of whole batches from the asked offset on, into `found`; gives where to go on. Batches
/// must be valid, follow one another, and lie before the end of what is to be seen.
///
/// # Errors
/// What is wrong with the first that is not so.
pub fn records(bytes: &[u8], view: &View, found: &mut Vec<(i64, Id)>) -> Result<i64, String> {
    let (mut at, mut next) = (0, None);
    let mut scratch = Vec::new();
    let mut filter = view.aborted.as_ref().map(|all| Filter {
        ahead: all.iter().copied().map(Reverse).collect(),
        aborted: BTreeSet::new(),
    });
    loop {
        let size = match batch_end(&bytes[at..]) {
            Ok(Some(size)) => size,
            Ok(None) => return Ok(next.map_or(view.from, |next: i64| next.max(view.from))),
            Err(error) => return Err(format!("no batch {at} bytes behind it: {error}")),
        };
        let batch = &bytes[at..at + size];
        let info = validate(batch, &Rules::LOG)
            .map_err(|error| format!("a damaged batch {at} bytes behind it: {error}"))?;
        let base = info.base_offset.0;
        let follows = match next {
            None => base <= view.from || view.gaps,
            Some(next) => base == next || view.gaps && base > next,
        };
        if !follows {
            return Err(format!("a batch at {base} where {next:?} was due"));
        }
        let end = info.next_offset().0;
        if end <= view.from || end > view.end {
            let seen = view.end;
            return Err(format!(
                "a batch from {base} to {end}, to be seen is {seen}"
            ));
        }
        let marker = match info.is_control() {
            true => EndTransactionMarker::of_batch(batch, info).map(|marker| marker.commit),
            false => None,
        };
        let dropped = match &mut filter {
            Some(filter) => filter.drops(&info, marker),
            None => false,
        };
        if !dropped {
            let open = OpenBatch::open(batch, info, &mut scratch);
            let open = open.map_err(|error| error.to_string())?;
            for record in open.records() {
                let record = record.map_err(|error| error.to_string())?;
                let offset = open.offset_of(&record).0;
                let id = match marker {
                    Some(commit) => marker_id(info.producer_id.0, commit),
                    None => id_of(&record)?,
                };
                if offset >= view.from {
                    found.push((offset, id));
                }
            }
        }
        next = Some(end);
        at += size;
    }
}

#[cfg(test)]
mod tests {
    use odradek_engine::record::BatchBuilder;
    use odradek_engine::types::{Epoch, Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};

    use super::*;
    use crate::keys;

    const PRODUCER: (ProducerId, ProducerEpoch) = (ProducerId(5), ProducerEpoch(0));

    fn data(base: i64, number: u64, transactional: bool) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(Offset(base));
        if transactional {
            let (id, epoch) = PRODUCER;
            builder = builder.transactional().producer(id, epoch, Sequence(0));
        }
        keys::append(&mut builder, (1, number), 3, false, Timestamp(1));
        builder.leader_epoch(Epoch(0)).build().expect("a batch")
    }

    fn marker(base: i64, commit: bool) -> Vec<u8> {
        let (id, epoch) = PRODUCER;
        let builder = BatchBuilder::new().base_offset(Offset(base)).control();
        let mut builder = builder.transactional().producer(id, epoch, Sequence::NONE);
        let marker = EndTransactionMarker {
            commit,
            coordinator_epoch: Epoch(0),
        };
        builder
            .append_marker(Timestamp(1), marker)
            .expect("a marker");
        builder.build().expect("a batch")
    }

    fn offsets(bytes: &[u8], view: &View) -> Result<(Vec<i64>, i64), String> {
        let mut found = Vec::new();
        let next = records(bytes, view, &mut found)?;
        Ok((found.iter().map(|(offset, _)| *offset).collect(), next))
    }

    #[test]
    fn readers_of_committed_records_leave_out_what_was_aborted() {
        let log = [
            data(0, 0, true),
            data(1, 1, false),
            marker(2, false),
            data(3, 2, true),
            marker(4, true),
        ];
        let (log, mut view) = (
            log.concat(),
            View {
                from: 0,
                end: 5,
                gaps: false,
                aborted: Some(vec![(0, 5)]),
            },
        );
        assert_eq!(offsets(&log, &view), Ok((vec![1, 3], 5)));
        view.aborted = Some(Vec::new());
        assert_eq!(offsets(&log, &view), Ok((vec![0, 1, 3], 5)));
        view.aborted = None;
        assert_eq!(offsets(&log, &view), Ok((vec![0, 1, 2, 3, 4], 5)));
        view.end = 4;
        assert!(offsets(&log, &view).is_err(), "it may not be seen yet");
    }

    #[test]
    fn offsets_may_be_missing_in_a_compacted_log_only() {
        let log = [data(3, 0, false), data(7, 1, false)].concat();
        let mut view = View {
            from: 1,
            end: 9,
            gaps: true,
            aborted: None,
        };
        assert_eq!(offsets(&log, &view), Ok((vec![3, 7], 8)));
        view.gaps = false;
        assert!(offsets(&log, &view).is_err());
    }
}
