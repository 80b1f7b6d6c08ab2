use super::*;
use crate::bytes::parts_len;
use crate::record::{BatchBuilder, Rules, validate};

fn rules() -> LogRules {
    LogRules {
        segment_bytes: 4_000,
        roll_ms: 1_000_000,
        index: IndexRules {
            interval_bytes: 400,
            index_bytes_max: 10_000,
        },
        retention_bytes: -1,
        retention_ms: -1,
    }
}

fn batch(records: usize, time: i64) -> (Vec<u8>, BatchInfo) {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder
            .append(Timestamp(time), None, Some(&[7; 90]), &[])
            .expect("a record");
    }
    let bytes = builder.build().expect("a batch");
    let info = validate(&bytes, &Rules::NODE).expect("valid");
    (bytes, info)
}

fn append(log: &mut Log, records: usize, time: i64) -> BatchInfo {
    let (bytes, info) = batch(records, time);
    match log.append(&bytes, &info, Origin::Node, Epoch(0), None, Timestamp(time)) {
        Ok(Appended::Stored(info)) => info,
        other => panic!("{other:?}"),
    }
}

fn least(epoch: Epoch) -> recovery::EpochBound {
    recovery::EpochBound {
        least: epoch,
        told: None,
    }
}

fn everything(log: &Log) -> ReadLimits {
    ReadLimits {
        bytes_max: 1 << 20,
        first_whole: true,
        end: log.next(),
        tail: true,
    }
}

fn write_all(log: &mut Log) -> Option<(Written, Offset)> {
    let mut last = None;
    while let Some(plan) = log.plan_write(1) {
        last = log.wrote(plan.id);
    }
    last
}

#[test]
fn offsets_are_contiguous_over_rolled_segments_and_found_again() {
    let mut log = Log::new(&Pool::new(), true, rules(), Recovered::empty());
    let mut bases = Vec::new();
    for time in 0..40 {
        bases.push(append(&mut log, 5, time).base_offset);
    }
    assert_eq!(log.next(), Offset(200));
    assert!(log.segments().count() > 3);
    for (number, &base) in bases.iter().enumerate() {
        assert_eq!(base, Offset(number as i64 * 5));
        for inside in 0..5 {
            let plan = log.plan_read(base.plus(inside), everything(&log), None);
            let ReadPlan::Range { memory, file, .. } = plan else {
                panic!("{plan:?}")
            };
            assert_eq!(file.1, 0);
            let first = BatchHeader::view(memory[0].bytes()).expect("a header");
            assert_eq!(first.base_offset(), base);
        }
    }
    let (_, offset) = write_all(&mut log).expect("writes");
    assert_eq!(offset, Offset(200));
    let mut sealed = Vec::new();
    while let Some(seal) = log.take_seal() {
        sealed.push(seal.next);
    }
    assert_eq!(sealed.len(), log.segments().count() - 1);
}

#[test]
fn a_read_ends_at_what_is_visible_and_at_whole_batches() {
    let mut log = Log::new(&Pool::new(), true, rules(), Recovered::empty());
    let first = append(&mut log, 2, 0);
    let second = append(&mut log, 2, 1);
    let visible = |end| ReadLimits {
        end: Offset(end),
        ..everything(&log)
    };
    let bytes = |plan| match plan {
        ReadPlan::Range { bytes, .. } => bytes,
        ReadPlan::Empty => 0,
        other => panic!("{other:?}"),
    };
    assert_eq!(bytes(log.plan_read(Offset(0), visible(0), None)), 0);
    assert_eq!(
        bytes(log.plan_read(Offset(0), visible(2), None)),
        first.size as u64
    );
    assert_eq!(
        bytes(log.plan_read(Offset(0), visible(4), None)),
        (first.size + second.size) as u64
    );
    let small = ReadLimits {
        bytes_max: first.size as u64 + 10,
        ..everything(&log)
    };
    assert_eq!(
        bytes(log.plan_read(Offset(1), small, None)),
        first.size as u64
    );
    assert!(matches!(
        log.plan_read(Offset(5), everything(&log), None),
        ReadPlan::OutOfRange
    ));
}

#[test]
fn without_the_tail_the_same_bytes_come_out_of_the_file() {
    let mut log = Log::new(&Pool::new(), true, rules(), Recovered::empty());
    for time in 0..4 {
        append(&mut log, 2, time);
    }
    write_all(&mut log);
    for offset in 0..8 {
        let mut limits = everything(&log);
        let ReadPlan::Range {
            file,
            memory,
            bytes,
            ..
        } = log.plan_read(Offset(offset), limits, None)
        else {
            panic!("a range at {offset}");
        };
        assert_eq!((file.1, parts_len(&memory) as u64), (0, bytes));
        limits.tail = false;
        let ReadPlan::Range {
            file: (pos, len),
            memory,
            bytes: all,
            ..
        } = log.plan_read(Offset(offset), limits, None)
        else {
            panic!("a range at {offset}");
        };
        assert_eq!((pos, len, all), (file.0, bytes, bytes));
        assert!(memory.is_empty());
    }
}

#[test]
fn evicted_bytes_are_searched_in_the_file() {
    let mut log = Log::new(&Pool::new(), true, rules(), Recovered::empty());
    for time in 0..8 {
        append(&mut log, 5, time);
    }
    write_all(&mut log);
    let end = log.next();
    log.shrink(end);
    let plan = log.plan_read(Offset(6), everything(&log), None);
    let ReadPlan::Search {
        segment, from, to, ..
    } = plan
    else {
        panic!("{plan:?}")
    };
    assert!(from < to);
    let found = Found {
        segment,
        base: Offset(5),
        pos: 500,
        len: 500,
    };
    let plan = log.plan_read(Offset(6), everything(&log), Some(found));
    let ReadPlan::Range { file, .. } = plan else {
        panic!("{plan:?}")
    };
    assert_eq!(file.0, 500);
    // But not where the answer is full: of the others a reader that is behind reads nothing then.
    let full = |first_whole| ReadLimits {
        bytes_max: 0,
        first_whole,
        ..everything(&log)
    };
    let plan = |offset, limits| log.plan_read(Offset(offset), limits, None);
    assert!(matches!(plan(6, full(false)), ReadPlan::Empty));
    assert!(matches!(plan(6, full(true)), ReadPlan::Search { .. }));
    assert!(matches!(plan(100, full(false)), ReadPlan::OutOfRange));
}

/// Rolled segments stay until their files are finished.
fn finish_all(log: &mut Log) {
    while let Some(seal) = log.take_seal() {
        log.finished(seal.base);
    }
}

#[test]
fn retention_takes_old_segments_and_raises_the_start() {
    let mut log = Log::new(&Pool::new(), true, rules(), Recovered::empty());
    for time in 0..40 {
        append(&mut log, 5, time);
    }
    write_all(&mut log);
    finish_all(&mut log);
    let end = log.next();
    log.set_rules(LogRules {
        retention_ms: 15,
        ..rules()
    });
    assert!(!log.finishing());
    let gone = log.expire(Timestamp(40), end);
    assert!(!gone.is_empty());
    assert_eq!(log.log_start(), log.segments().next().unwrap().base);
    assert!(
        log.segments()
            .all(|kept| kept.latest.timestamp >= Timestamp(25))
    );
    assert!(log.expire(Timestamp(40), end).is_empty());
    log.set_rules(LogRules {
        retention_bytes: 3_000,
        ..rules()
    });
    log.expire(Timestamp(40), end);
    assert!(log.bytes() < 3_000 + 4_000);
    log.set_rules(LogRules {
        retention_ms: 1,
        ..rules()
    });
    // The active segment is rolled first, and goes once its files are finished.
    log.expire(Timestamp(1_000), end);
    finish_all(&mut log);
    log.expire(Timestamp(1_000), end);
    assert_eq!((log.log_start(), log.bytes()), (end, 0));
}

#[test]
fn segments_end_by_the_time_of_their_records_whatever_the_clock_says() {
    let rules = LogRules {
        roll_ms: 1_000,
        ..rules()
    };
    let mut log = Log::new(&Pool::new(), true, rules, Recovered::empty());
    let mut append_at = |time, append_time: Option<i64>, clock| {
        let (bytes, info) = batch(1, time);
        let append_time = append_time.map(Timestamp);
        log.append(
            &bytes,
            &info,
            Origin::Node,
            Epoch(0),
            append_time,
            Timestamp(clock),
        )
        .expect("appended");
        log.segments().map(|one| one.base.0).collect::<Vec<_>>()
    };
    assert_eq!(append_at(5_000, None, 1), [0]);
    assert_eq!(append_at(6_000, None, 90_000), [0]);
    assert_eq!(append_at(6_001, None, 90_000), [0, 2]);
    // Of an earlier time than the segment's first.
    assert_eq!(append_at(5, None, 190_000), [0, 2]);
    assert_eq!(append_at(7_001, None, 190_000), [0, 2]);
    // The record's own time counts for nothing where the append's does.
    assert_eq!(append_at(5, Some(7_002), 190_000), [0, 2, 5]);
    assert_eq!(append_at(90_000, Some(8_002), 190_000), [0, 2, 5]);
}

#[test]
fn recovery_accepts_exactly_the_whole_batches_of_any_truncation() {
    let mut bytes = Vec::new();
    let mut ends = vec![0];
    let mut log = Log::new(&Pool::new(), true, rules(), Recovered::empty());
    for time in 0..5 {
        let (mut one, info) = batch(3, time);
        log.append(&one, &info, Origin::Node, Epoch(2), None, Timestamp(time))
            .expect("appended");
        let plan = log.plan_read(Offset(3 * time), everything(&log), None);
        let ReadPlan::Range { memory, .. } = plan else {
            panic!("{plan:?}")
        };
        one = memory
            .iter()
            .flat_map(|part| part.bytes())
            .copied()
            .collect();
        bytes.extend_from_slice(&one);
        ends.push(bytes.len());
    }
    for cut in 0..=bytes.len() {
        for padding in [0, 4096] {
            let mut torn = bytes[..cut].to_vec();
            torn.resize(cut + padding, 0);
            let (mut at, mut next, mut epoch) = (0, Offset(0), Epoch(0));
            while let recovery::Step::Batch(info) =
                recovery::step(&torn[at..], next, least(epoch), None, true)
            {
                at += info.size;
                next = info.next_offset();
                epoch = info.leader_epoch;
            }
            // A batch may end in zeros, which padding makes good.
            let same = |&end: &usize| torn.len() >= end && torn[..end] == bytes[..end];
            let whole = ends.iter().copied().filter(same).max();
            assert_eq!(Some(at), whole, "cut at {cut}");
        }
    }
    // Right by itself, but of another epoch than wrote this offset.
    let first = &bytes[..ends[1]];
    for (told, accepted) in [(1, false), (2, true), (3, false)] {
        let epoch = recovery::EpochBound {
            told: Some(Epoch(told)),
            ..least(Epoch(0))
        };
        let step = recovery::step(first, Offset(0), epoch, None, true);
        assert_eq!(matches!(step, recovery::Step::Batch(_)), accepted);
    }
    // A stale batch of another place is valid by itself and refused here.
    let stale = &bytes[ends[3]..ends[4]];
    assert!(matches!(
        recovery::step(stale, Offset(3), least(Epoch(2)), None, true),
        recovery::Step::End(_)
    ));
}

#[test]
fn a_log_that_is_handed_over_goes_on_where_it_was() {
    for aligned in [true, false] {
        let mut log = Log::new(&Pool::new(), aligned, rules(), Recovered::empty());
        let mut times = 0..;
        let mut add = |log: &mut Log, count| {
            for time in times.by_ref().take(count) {
                append(log, 3, time);
            }
        };
        add(&mut log, 30);
        assert!(!log.settled(), "it is not written");
        write_all(&mut log);
        assert!(!log.settled(), "rolled segments are not finished");
        while let Some(seal) = log.take_seal() {
            log.finished(seal.base);
        }
        assert!(log.settled());
        let segments = |log: &Log| -> Vec<(Offset, u64)> {
            let all = log.segments().map(|segment| (segment.base, segment.size));
            all.collect()
        };
        let (next, before) = (log.next(), segments(&log));
        let checkpoint = log.checkpoint();
        let mut there = Log::new(&Pool::new(), aligned, rules(), log.hand_over());
        assert_eq!((there.next(), segments(&there)), (next, before));
        assert_eq!(there.checkpoint(), checkpoint);
        assert!(there.begin_epoch(Epoch(1)));
        add(&mut there, 1);
        // The next write covers the unfinished page as it was.
        let plan = there.plan_write(1).expect("a write");
        let active = there.segments().next_back().expect("an active segment");
        let (base, end) = (active.base, active.size);
        assert_eq!((plan.segment, plan.end), (base, end));
        let size = crate::bytes::parts_len(&plan.parts) as u64;
        assert_eq!(plan.pos.is_multiple_of(crate::bytes::PAGE as u64), aligned);
        assert!(plan.pos + size >= end && plan.fresh <= size);
        let written: Vec<u8> = plan
            .parts
            .iter()
            .flat_map(|part| part.bytes().to_vec())
            .collect();
        let from = (end - plan.fresh - plan.pos) as usize;
        let header = BatchHeader::view(&written[from..]).expect("a header");
        assert_eq!((header.base_offset(), there.next()), (next, next.plus(3)));
    }
}
