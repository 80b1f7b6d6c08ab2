use super::*;

const LAST: i16 = i16::MAX - 1;

#[test]
fn each_producer_of_an_id_fences_those_before() {
    let mut w = world();
    assert_eq!(w.init(None), Ok((101, 0)));
    assert_eq!(w.init(None), Ok((101, 1)));
    // One that says who it was keeps its id, and is answered the same when it asks again.
    assert_eq!(w.init(Some((101, 1))), Ok((101, 2)));
    assert_eq!(w.init(Some((101, 1))), Ok((101, 2)));
    assert_eq!(w.init(Some((101, 0))), Err(error::PRODUCER_FENCED));
    assert_eq!(w.init(Some((99, 2))), Err(error::PRODUCER_FENCED));
}

#[test]
fn timeouts_are_bounded() {
    for (timeout_ms, error) in [
        (0, error::INVALID_TRANSACTION_TIMEOUT),
        (-1, error::INVALID_TRANSACTION_TIMEOUT),
        (900_001, error::INVALID_TRANSACTION_TIMEOUT),
    ] {
        let mut w = world();
        let request = InitRequest {
            id: "t".into(),
            timeout_ms,
            expected: None,
        };
        assert!(!w.shard.init_needs_id(&request), "no id is lost for it");
        let ticket = w.ticket();
        w.act(|shard, now, out| shard.init(request, None, ticket, now, out));
        assert_eq!(w.producer(ticket), Err(error));
    }
}

#[test]
fn an_open_transaction_of_the_one_before_is_aborted_first() {
    for version in [1, 2] {
        let mut w = world();
        w.shard.set_version(version);
        let old = w.init(None).unwrap();
        w.add(old, &[("a", 0)], version);
        let init = w.ask_init("t", None);
        w.flush();
        assert_eq!(w.producer(init), Err(error::CONCURRENT_TRANSACTIONS));
        let markers = w.mark_one();
        assert!(!markers.end.commit);
        assert_eq!(markers.end.producer_epoch.0, old.1 + 1);
        w.settle();
        assert_eq!(w.init(None), Ok((old.0, old.1 + 2)));
    }
}

#[test]
fn when_epochs_are_used_up_a_new_id_takes_over() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.skip_to(LAST);
    let next = w.init(Some((by.0, LAST))).unwrap();
    assert_eq!(next, (102, 0));
    // Its answer got lost.
    assert_eq!(w.init(Some((by.0, LAST))), Ok((102, 0)));
    assert_eq!(w.init(Some((by.0, 3))), Err(error::PRODUCER_FENCED));
}

#[test]
fn a_transaction_that_uses_up_the_epochs_goes_on_under_a_new_id() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.skip_to(LAST);
    let by = (by.0, LAST);
    assert_eq!(w.add(by, &[("a", 0)], 2), 0);
    let end = w.ask_end(member(by), true, 2);
    w.flush();
    assert_eq!(w.producer(end), Ok((102, 0)));
    // Its markers are of the old id, with the epoch that no client is given.
    let markers = w.mark_one();
    assert_eq!(markers.end.producer_id.0, by.0);
    assert_eq!(markers.end.producer_epoch.0, i16::MAX);
    w.flush();
    assert_eq!(w.end(by, true, 2), Ok((102, 0)), "its answer got lost");
    assert_eq!(w.add((102, 0), &[("a", 0)], 2), 0);
}

#[test]
fn the_new_id_is_kept_over_a_crash() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.skip_to(LAST);
    w.add((by.0, LAST), &[("a", 0)], 2);
    let end = w.ask_end(member((by.0, LAST)), true, 2);
    w.flush();
    let next = w.producer(end).unwrap();
    w.crash();
    w.settle();
    assert_eq!(w.add(next, &[("a", 0)], 2), 0);
}

#[test]
fn a_fence_at_the_last_epoch_stays_there() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.skip_to(LAST);
    w.add((by.0, LAST), &[("a", 0)], 2);
    w.advance(i64::from(TIMEOUT_MS) + 1);
    w.flush();
    assert_eq!(w.mark_one().end.producer_epoch.0, i16::MAX);
    w.settle();
    let late = w.end((by.0, LAST), false, 2);
    assert_eq!(late, Err(error::PRODUCER_FENCED));
    // Nobody has that epoch: whoever begins gets a new id.
    assert_eq!(w.init(None), Ok((102, 0)));
}
