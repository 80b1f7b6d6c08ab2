use super::*;
use crate::bytes::Pool;
use crate::log::index::IndexRules;
use crate::log::{Found, LogRules, ReadLimits, ReadPlan, Recovered};
use crate::record::{BatchBuilder, Origin, Rules, validate};
use crate::types::{ProducerEpoch, Sequence};

fn log() -> Log {
    let rules = LogRules {
        segment_bytes: 1 << 20,
        roll_ms: i64::MAX,
        index: IndexRules {
            interval_bytes: 4096,
            index_bytes_max: 1 << 20,
        },
        retention_bytes: -1,
        retention_ms: -1,
    };
    Log::new(&Pool::new(), false, rules, Recovered::empty())
}

/// One transactional record; gives its offset.
fn data(log: &mut Log, id: i64, sequence: i32) -> i64 {
    let mut builder = BatchBuilder::new().transactional().producer(
        ProducerId(id),
        ProducerEpoch(0),
        Sequence(sequence),
    );
    builder
        .append(Timestamp(1), None, Some(b"value"), &[])
        .unwrap();
    let bytes = builder.build().unwrap();
    let info = validate(&bytes, &Rules::NODE).unwrap();
    let appended = log.append(&bytes, &info, Origin::Client, Epoch(0), None, Timestamp(1));
    match appended.unwrap() {
        Appended::Stored(stored) => stored.base_offset.0,
        other => panic!("{other:?}"),
    }
}

fn end(log: &mut Log, id: i64, epoch: i16, commit: bool, version: i8) -> Result<i64, i16> {
    let marker = EndTransactionMarker {
        commit,
        coordinator_epoch: Epoch(3),
    };
    let mut builder = BatchBuilder::new().transactional().control().producer(
        ProducerId(id),
        ProducerEpoch(epoch),
        Sequence::NONE,
    );
    builder.append_marker(Timestamp(2), marker).unwrap();
    let bytes = builder.build().unwrap();
    let info = validate(&bytes, &Rules::NODE).unwrap();
    assert_eq!(EndTransactionMarker::of_batch(&bytes, info), Some(marker));
    let appended = log.append_marker(&bytes, &info, marker, version, Epoch(0), Timestamp(2));
    match appended.unwrap() {
        Appended::Stored(stored) => Ok(stored.base_offset.0),
        Appended::Refused(error) => Err(error.code()),
        other => panic!("{other:?}"),
    }
}

fn aborted(log: &Log, from: i64, to: i64) -> Vec<(i64, i64, i64)> {
    let mut search = AbortedSearch::new(Offset(from), Offset(to));
    assert_eq!(log.search_aborted(&mut search), None);
    let found = search.finish().into_iter();
    found
        .map(|one| (one.producer_id.0, one.first.0, one.last.0))
        .collect()
}

#[test]
fn what_is_stable_lies_before_every_open_transaction_and_every_hidden_end() {
    let mut log = log();
    assert_eq!(log.stable(Offset(0)), Offset(0));
    data(&mut log, 1, 0);
    data(&mut log, 2, 0);
    data(&mut log, 1, 1);
    assert_eq!(log.stable(Offset(3)), Offset(0));
    assert_eq!(end(&mut log, 1, 0, true, 1), Ok(3));
    // The marker is in the log and not visible: a reader would not see how it ended.
    assert_eq!(log.stable(Offset(3)), Offset(0));
    log.shown(Offset(3));
    assert_eq!(log.stable(Offset(3)), Offset(0));
    log.shown(Offset(4));
    assert_eq!(log.stable(Offset(4)), Offset(1), "the other is open");
    assert_eq!(end(&mut log, 2, 0, false, 1), Ok(4));
    log.shown(Offset(5));
    assert_eq!(log.stable(Offset(5)), Offset(5));
    // Never past what is visible, never before the log's start.
    data(&mut log, 3, 0);
    assert_eq!(log.stable(Offset(2)), Offset(2));
    log.raise_start(Offset(6));
    assert_eq!(log.stable(Offset(6)), Offset(6));
}

#[test]
fn aborted_transactions_are_found_by_those_who_must_skip_them() {
    let mut log = log();
    data(&mut log, 1, 0);
    data(&mut log, 2, 0);
    end(&mut log, 1, 0, false, 1).unwrap();
    data(&mut log, 1, 1);
    end(&mut log, 2, 0, true, 1).unwrap();
    log.roll();
    end(&mut log, 1, 0, false, 1).unwrap();
    assert_eq!(aborted(&log, 0, 6), [(1, 0, 2), (1, 3, 5)]);
    assert_eq!(aborted(&log, 2, 6), [(1, 0, 2), (1, 3, 5)]);
    // It ended before: a reader would never meet its marker, and drop what is committed later.
    assert_eq!(aborted(&log, 3, 6), [(1, 3, 5)]);
    assert_eq!(aborted(&log, 0, 3), [(1, 0, 2)]);
    assert_eq!(aborted(&log, 6, 9), []);
}

#[test]
fn a_closed_segments_list_is_loaded_when_it_is_asked_for() {
    let mut log = log();
    data(&mut log, 1, 0);
    end(&mut log, 1, 0, false, 1).unwrap();
    let list = log.segments[0].aborted.known().to_vec();
    log.roll();
    log.segments[0].aborted = AbortedList::OnDisk;
    let mut search = AbortedSearch::new(Offset(0), Offset(2));
    assert_eq!(log.search_aborted(&mut search), Some(Offset(0)));
    search.take(Offset(0), &list);
    assert_eq!(log.search_aborted(&mut search), None);
    assert_eq!(search.finish(), list);
    log.set_aborted(Offset(0), list.clone(), 1);
    assert_eq!(aborted(&log, 0, 2), [(1, 0, 1)]);
}

#[test]
fn lists_of_closed_segments_are_let_go_of() {
    let mut log = log();
    for sequence in 0..4 {
        data(&mut log, 1, sequence);
        end(&mut log, 1, 0, false, 1).unwrap();
        log.roll();
    }
    let bases: Vec<Offset> = log.segments().map(|segment| segment.base).collect();
    for base in &bases {
        log.finished(*base);
    }
    let list = log.segments[0].aborted.known().to_vec();
    log.set_aborted(bases[0], list, 2);
    let kept = |log: &Log| {
        let known = log.segments().map(|it| it.aborted != AbortedList::OnDisk);
        known.collect::<Vec<_>>()
    };
    assert_eq!(kept(&log), [true, false, true, true, true]);
}

#[test]
fn under_version_2_a_marker_has_a_greater_epoch_than_what_it_ends() {
    let mut log = log();
    data(&mut log, 1, 0);
    assert_eq!(end(&mut log, 1, 0, true, 2), Err(47));
    assert_eq!(end(&mut log, 1, 1, true, 2), Ok(1));
    assert_eq!(end(&mut log, 1, 1, true, 2), Ok(2), "told again");
    assert_eq!(end(&mut log, 1, 0, true, 1), Err(47));
}

#[test]
fn an_index_is_read_as_it_was_written_and_not_if_it_is_none() {
    let list: Vec<Aborted> = (0..3)
        .map(|n| Aborted {
            producer_id: ProducerId(n),
            first: Offset(n),
            last: Offset(10 + n),
            // An earlier transaction may still be open.
            stable: Offset(5 * n),
        })
        .collect();
    let bytes = Aborted::to_index(&list);
    assert_eq!(bytes.len(), 3 * 34);
    assert_eq!(bytes[..11], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Aborted::from_index(&bytes), Some(list));
    let zeros = [0; 34];
    assert_eq!(Aborted::from_index(&zeros), None, "a marker ends something");
    let mut newer = bytes.clone();
    newer[1] = 1;
    assert_eq!(
        Aborted::from_index(&newer),
        None,
        "of a version that is not known"
    );
    for cut in 1..34 {
        assert_eq!(Aborted::from_index(&bytes[cut..]), None);
    }
    let mut backwards = bytes[34..68].to_vec();
    backwards.extend_from_slice(&bytes[..34]);
    assert_eq!(Aborted::from_index(&backwards), None);
}

#[test]
fn reading_batch_by_batch_finds_the_same() {
    let mut undecided = Undecided::default();
    let mut log = log();
    for (id, sequence) in [(1, 0), (2, 0)] {
        data(&mut log, id, sequence);
    }
    for (first, id) in log.producers().open() {
        undecided.0.insert(id, first);
    }
    assert_eq!(Undecided::of(log.producers()).0, undecided.0);
    end(&mut log, 2, 0, false, 1).unwrap();
    let marker = EndTransactionMarker {
        commit: false,
        coordinator_epoch: Epoch(3),
    };
    let bytes = {
        let mut builder = BatchBuilder::new()
            .base_offset(Offset(2))
            .transactional()
            .control()
            .producer(ProducerId(2), ProducerEpoch(0), Sequence::NONE);
        builder.append_marker(Timestamp(2), marker).unwrap();
        builder.build().unwrap()
    };
    let info = validate(&bytes, &Rules::LOG).unwrap();
    let found = undecided.marker(&info, marker);
    assert_eq!(
        found.as_slice(),
        log.segments.back().unwrap().aborted.known()
    );
    assert_eq!(undecided.marker(&info, marker), None, "it was told before");
}

#[test]
fn readers_of_committed_records_end_where_it_is_stable_also_when_that_is_long_ago() {
    let mut log = log();
    data(&mut log, 1, 0);
    end(&mut log, 1, 0, true, 1).unwrap();
    log.shown(Offset(2));
    let before = log.bytes();
    let open = data(&mut log, 2, 0);
    for sequence in 1..5 {
        data(&mut log, 2, sequence);
    }
    let stable = log.stable(log.next());
    assert_eq!(stable, Offset(open));
    let limits = ReadLimits {
        bytes_max: 1 << 20,
        first_whole: true,
        end: stable,
        tail: true,
    };
    let bytes = |log: &Log, found| match log.plan_read(Offset(0), limits, found) {
        ReadPlan::Range { bytes, .. } => Some(bytes),
        ReadPlan::Search { target, .. } if target == stable => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(bytes(&log, None), Some(before));
    // As after a start, a move, or under much traffic.
    log.recent.drain(..log.recent.len() - 1);
    let first = Found {
        segment: Offset(0),
        base: Offset(0),
        pos: 0,
        len: 1,
    };
    assert_eq!(bytes(&log, Some(first)), None, "it must be searched for");
    log.found_end(stable, Offset(0), before);
    assert_eq!(bytes(&log, Some(first)), Some(before));
    // What was found is of that end only.
    end(&mut log, 2, 0, true, 1).unwrap();
    log.recent.drain(..log.recent.len() - 1);
    let all = ReadLimits {
        end: log.next(),
        ..limits
    };
    let plan = log.plan_read(Offset(0), all, Some(first));
    assert!(matches!(plan, ReadPlan::Range { bytes, .. } if bytes == log.bytes()));
}

#[test]
fn what_was_read_ends_before_its_bound() {
    let mut log = log();
    for sequence in 0..3 {
        data(&mut log, 1, sequence);
    }
    let each = log.bytes() / 3;
    let bounds = |log: &Log| {
        let ends = (1..=3).map(|count| log.bound(Offset(0), Position(count * each)).0);
        ends.collect::<Vec<_>>()
    };
    assert_eq!(bounds(&log), [1, 2, 3]);
    log.roll();
    data(&mut log, 1, 3);
    // Without an exact place the segment's end bounds it.
    log.recent.clear();
    assert!(bounds(&log).iter().all(|bound| *bound == 3));
}
