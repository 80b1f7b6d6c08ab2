use super::*;
use crate::bytes::{Pool, parts_len};
use crate::log::index::IndexRules;
use crate::log::{Appended, LogRules, Recovered};
use crate::record::{BatchBuilder, Origin, Rules, validate};
use crate::types::{Epoch, Timestamp};

fn log() -> Log {
    let rules = LogRules {
        segment_bytes: 1_000,
        roll_ms: i64::MAX,
        index: IndexRules {
            interval_bytes: 400,
            index_bytes_max: 10_000,
        },
        retention_bytes: -1,
        retention_ms: -1,
    };
    Log::new(&Pool::new(), true, rules, Recovered::empty())
}

/// Gives the batch's length.
fn append(log: &mut Log) -> u64 {
    let mut builder = BatchBuilder::new();
    let value = [7; 300];
    builder
        .append(Timestamp(1), None, Some(&value), &[])
        .expect("a record");
    let bytes = builder.build().expect("a batch");
    let info = validate(&bytes, &Rules::NODE).expect("valid");
    let appended = log.append(&bytes, &info, Origin::Node, Epoch(0), None, Timestamp(1));
    assert!(matches!(appended, Ok(Appended::Stored(_))));
    bytes.len() as u64
}

#[test]
fn a_span_is_whole_batches_of_one_segment_written_or_not() {
    let mut log = log();
    let one = append(&mut log);
    assert_eq!(log.span(Offset(1)), None, "nothing is there");
    append(&mut log);
    let span = log.span(Offset(1)).expect("one batch");
    assert_eq!((span.pos, span.bytes(), span.next), (one, one, Offset(2)));
    assert_eq!(log.waiting_bytes(), 2 * one);
    let memory = log.span_memory(&span).expect("in memory");
    assert_eq!(parts_len(&memory) as u64, one);
    let plan = log.plan_write(1).expect("a write");
    assert_eq!(log.waiting_bytes(), 0);
    log.wrote(plan.id);
    assert_eq!(log.span(Offset(0)).expect("both").bytes(), 2 * one);
    // The third does not fit into the segment.
    append(&mut log);
    assert_eq!(log.span(Offset(1)), None);
    assert_eq!(log.span(Offset(2)).expect("the third").segment, Offset(2));
}

#[test]
fn bytes_wait_without_end_where_a_segment_ends_among_them() {
    let mut log = log();
    for _ in 0..3 {
        append(&mut log);
    }
    assert_eq!(log.waiting_bytes(), u64::MAX);
}

#[test]
fn a_deletion_of_what_is_not_written_leaves_the_written_mark_where_it_is() {
    let mut log = log();
    append(&mut log);
    let plan = log.plan_write(1).expect("a write");
    append(&mut log);
    log.raise_start(Offset(2));
    let (_, written) = log.wrote(plan.id).expect("it moved");
    assert_eq!(written, Offset(1));
}
