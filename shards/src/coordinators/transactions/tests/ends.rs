use super::*;

#[test]
fn a_transaction_is_decided_marked_and_complete() {
    for (version, commit) in [(0, true), (0, false), (2, true), (2, false)] {
        let mut w = world();
        let by = w.init(None).unwrap();
        assert_eq!(by, (101, 0));
        let add = w.ask_add(&member(by), &places(&[("a", 0)]), version);
        assert!(w.waits(add), "it is told when it is durable");
        w.flush();
        assert_eq!(w.code(add), 0);
        assert_eq!(w.add(by, &[("a", 0), ("b", 3)], version), 0);
        assert_eq!(w.state(), State::Ongoing);
        let end = w.ask_end(member(by), commit, version);
        assert!(w.waits(end) && w.markers.is_empty(), "first it is durable");
        w.flush();
        let after = if version == 2 { (101, 1) } else { by };
        assert_eq!(w.producer(end), Ok(after));
        let markers = w.mark_one();
        assert_eq!(markers.partitions, places(&[("a", 0), ("b", 3)]));
        assert_eq!(markers.end.producer_epoch.0, after.1);
        assert_eq!(markers.end.coordinator_epoch, Epoch(5));
        assert_eq!(
            (markers.end.commit, markers.end.version),
            (commit, version as i8)
        );
        assert!(w.state().is_prepared());
        w.flush();
        let complete = match commit {
            true => State::CompleteCommit,
            false => State::CompleteAbort,
        };
        assert_eq!(w.state(), complete);
        // The next one.
        assert_eq!(w.add(after, &[("c", 1)], version), 0);
        assert_eq!(w.state(), State::Ongoing);
    }
}

#[test]
fn while_one_is_being_ended_no_other_begins() {
    for version in [0, 2] {
        let mut w = world();
        let by = w.init(None).unwrap();
        w.add(by, &[("a", 0)], version);
        let end = w.ask_end(member(by), true, version);
        let early = w.ask_add(&member(by), &places(&[("b", 0)]), version);
        assert_eq!(w.code(early), error::CONCURRENT_TRANSACTIONS);
        w.flush();
        let after = w.producer(end).unwrap();
        let add = w.ask_add(&member(after), &places(&[("b", 0)]), version);
        assert_eq!(w.code(add), error::CONCURRENT_TRANSACTIONS);
        let again = w.ask_end(member(by), true, version);
        assert_eq!(w.producer(again), Err(error::CONCURRENT_TRANSACTIONS));
        let init = w.ask_init("t", None);
        assert_eq!(w.producer(init), Err(error::CONCURRENT_TRANSACTIONS));
        w.settle();
        assert_eq!(w.add(after, &[("b", 0)], version), 0);
    }
}

#[test]
fn who_may_wait_joins_when_the_one_before_is_complete() {
    for version in [0, 2] {
        let mut w = world();
        let by = w.init(None).unwrap();
        w.add(by, &[("a", 0)], version);
        let after = w.end(by, true, version).unwrap();
        let one = |w: &mut World, by, index| {
            w.ask_add_within(100, &member(by), &places(&[("b", index)]), version)
        };
        let waiting = [0, 1, 2].map(|index| one(&mut w, after, index));
        let fenced = one(&mut w, (by.0, by.1 - 1), 3);
        w.advance(99);
        w.mark_one();
        assert!(waiting.iter().all(|ticket| w.waits(*ticket)));
        // That it is complete is written, and then, at once, who joins.
        w.flush_one();
        assert_eq!(w.code(fenced), error::PRODUCER_FENCED);
        assert_eq!(w.writes.len(), 1, "all of them at one stroke");
        let late = one(&mut w, after, 4);
        assert!(waiting.iter().all(|ticket| w.waits(*ticket)));
        w.flush_one();
        assert_eq!(waiting.map(|ticket| w.code(ticket)), [0; 3]);
        w.flush_one();
        assert_eq!(w.code(late), 0);
        let now = w.shard.transaction("t").expect("it is known");
        let joined = [("b", 0), ("b", 1), ("b", 2), ("b", 4)];
        assert_eq!(now.partitions, places(&joined));
    }
}

#[test]
fn nobody_waits_for_longer_than_it_wants_or_for_one_that_went_away() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.add(by, &[("a", 0)], 2);
    let after = w.end(by, true, 2).unwrap();
    let b = places(&[("b", 0)]);
    let short = w.ask_add_within(50, &member(after), &b, 2);
    let long = w.ask_add_within(100, &member(after), &b, 2);
    w.advance(49);
    assert!(w.waits(short));
    w.advance(1);
    assert_eq!(w.code(short), error::CONCURRENT_TRANSACTIONS);
    assert!(w.waits(long));
    w.act(|shard, _, out| shard.unload(out));
    assert_eq!(w.code(long), error::NOT_COORDINATOR);
    assert_eq!(w.shard.next_deadline(), None);
}

#[test]
fn who_waits_for_a_write_that_fails_goes_on() {
    let mut w = world();
    let by = w.init(None).unwrap();
    let first = w.ask_add(&member(by), &places(&[("a", 0)]), 2);
    let second = w.ask_add_within(100, &member(by), &places(&[("a", 1)]), 2);
    let (token, _) = w.writes.pop_front().expect("the first is being written");
    w.act(|shard, now, out| shard.persisted(token, Err(-1), now, out));
    assert_eq!(w.code(first), -1);
    w.flush();
    assert_eq!(w.code(second), 0);
    let now = w.shard.transaction("t").expect("it is known");
    assert_eq!(now.partitions, places(&[("a", 1)]));
}

#[test]
fn an_end_that_is_asked_for_again() {
    // Before version 2 the same epoch asks again.
    let mut w = world();
    let by = w.init(None).unwrap();
    w.add(by, &[("a", 0)], 0);
    w.end(by, true, 0).unwrap();
    w.settle();
    assert_eq!(w.end(by, true, 0), Ok(by));
    assert_eq!(w.end(by, false, 0), Err(error::INVALID_TXN_STATE));
    // Since then one less asks again, and the same asks for the end of the next.
    let mut w = world();
    let by = w.init(None).unwrap();
    w.add(by, &[("a", 0)], 2);
    let after = w.end(by, true, 2).unwrap();
    w.settle();
    assert_eq!(w.end(by, true, 2), Ok(after));
    assert_eq!(w.end(by, false, 2), Err(error::INVALID_TXN_STATE));
    assert_eq!(w.end(after, true, 2), Err(error::INVALID_TXN_STATE));
    let next = w.end(after, false, 2).unwrap();
    assert_eq!(next, (after.0, after.1 + 1), "nothing was in it");
    w.settle();
    assert_eq!(w.state(), State::CompleteAbort);
    assert_eq!(w.end(by, true, 2), Err(error::PRODUCER_FENCED));
}

#[test]
fn an_empty_one_can_be_aborted_since_version_2_only() {
    let mut w = world();
    let by = w.init(None).unwrap();
    assert_eq!(w.end(by, false, 0), Err(error::INVALID_TXN_STATE));
    assert_eq!(w.end(by, true, 2), Err(error::INVALID_TXN_STATE));
    assert_eq!(w.end(by, false, 2), Ok((by.0, by.1 + 1)));
    assert!(w.markers.is_empty(), "nobody has to be told");
    w.settle();
    assert_eq!(w.state(), State::CompleteAbort);
}

#[test]
fn strangers_and_the_fenced_are_refused() {
    for version in [0, 2] {
        let mut w = world();
        assert_eq!(
            w.add((1, 0), &[("a", 0)], version),
            error::INVALID_PRODUCER_ID_MAPPING
        );
        let old = w.init(None).unwrap();
        let by = w.init(None).unwrap();
        assert_eq!(by, (old.0, old.1 + 1));
        assert_eq!(w.add(old, &[("a", 0)], version), error::PRODUCER_FENCED);
        assert_eq!(
            w.add((by.0 + 1, 0), &[("a", 0)], version),
            error::INVALID_PRODUCER_ID_MAPPING
        );
        w.add(by, &[("a", 0)], version);
        assert_eq!(w.end(old, true, version), Err(error::PRODUCER_FENCED));
        let later = (by.0, by.1 + 1);
        assert_eq!(w.end(later, true, version), Err(error::PRODUCER_FENCED));
        let other = (by.0 + 1, by.1);
        assert_eq!(
            w.end(other, true, version),
            Err(error::INVALID_PRODUCER_ID_MAPPING)
        );
        let nameless = Member {
            id: String::new(),
            ..member(by)
        };
        let ticket = w.ask_end(nameless, true, version);
        assert_eq!(w.producer(ticket), Err(error::INVALID_REQUEST));
    }
}

#[test]
fn partitions_are_verified() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.add(by, &[("a", 0)], 0);
    let asked = [("a".to_owned(), 0), ("a".to_owned(), 1)];
    let verified = w.shard.verify(&member(by), &asked);
    assert_eq!(verified, Ok(vec![0, error::TRANSACTION_ABORTABLE]));
    let fenced = w.shard.verify(&member((by.0, by.1 + 1)), &asked);
    assert_eq!(fenced, Err(error::PRODUCER_FENCED));
    w.end(by, true, 0).unwrap();
    let ending = w.shard.verify(&member(by), &asked);
    assert_eq!(ending, Err(error::CONCURRENT_TRANSACTIONS));
    w.settle();
    let over = w.shard.verify(&member(by), &asked[..1]);
    assert_eq!(over, Ok(vec![error::TRANSACTION_ABORTABLE]));
}

#[test]
fn what_was_decided_is_carried_out_after_a_crash() {
    for commit in [true, false] {
        let mut w = world();
        let by = w.init(None).unwrap();
        w.add(by, &[("a", 0)], 2);
        w.end(by, commit, 2).unwrap();
        w.crash();
        assert!(w.state().is_prepared());
        let markers = w.mark_one();
        assert_eq!(markers.end.commit, commit);
        assert_eq!(markers.end.producer_epoch.0, by.1 + 1);
        assert_eq!(markers.end.coordinator_epoch, Epoch(6));
        // It dies again before the end is recorded.
        w.crash();
        w.settle();
        assert!(w.state().is_settled());
        assert_eq!(w.add((by.0, by.1 + 1), &[("a", 0)], 2), 0);
    }
}

#[test]
fn what_was_not_durable_never_was() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.add(by, &[("a", 0)], 0);
    let end = w.ask_end(member(by), true, 0);
    w.crash();
    assert!(w.waits(end));
    assert_eq!(w.state(), State::Ongoing);
    assert!(w.markers.is_empty());
    assert_eq!(w.end(by, true, 0), Ok(by));
}

#[test]
fn time_ends_a_transaction_and_fences_its_producer() {
    for (version, commit, abort) in [
        (0, error::PRODUCER_FENCED, Err(error::PRODUCER_FENCED)),
        // Its abort is as one that is asked for again.
        (2, error::INVALID_TXN_STATE, Ok(1)),
    ] {
        let mut w = world();
        w.shard.set_version(version);
        let by = w.init(None).unwrap();
        w.add(by, &[("a", 0)], version);
        w.advance(i64::from(TIMEOUT_MS));
        assert!(w.writes.is_empty(), "not before its time is over");
        w.advance(1);
        w.flush();
        let markers = w.mark_one();
        assert!(!markers.end.commit);
        assert_eq!(markers.end.producer_epoch.0, by.1 + 1);
        w.settle();
        assert_eq!(w.state(), State::CompleteAbort);
        assert_eq!(w.end(by, true, version), Err(commit));
        let raised = abort.map(|by_so_many| (by.0, by.1 + by_so_many));
        assert_eq!(w.end(by, false, version), raised);
        assert_eq!(w.add(by, &[("a", 0)], version), error::PRODUCER_FENCED);
    }
}

#[test]
fn an_open_transaction_times_out_after_a_crash_too() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.add(by, &[("a", 0)], 2);
    w.crash();
    w.advance(i64::from(TIMEOUT_MS) + 1);
    w.flush();
    assert!(!w.mark_one().end.commit);
}

#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.advance(Settings::default().id_expiration_ms);
    w.flush();
    assert_eq!(w.shard.transaction("t"), None);
    assert_eq!(w.shard.next_deadline(), None);
    assert_eq!(
        w.add(by, &[("a", 0)], 2),
        error::INVALID_PRODUCER_ID_MAPPING
    );
    w.crash();
    assert_eq!(w.shard.transaction("t"), None, "also in the log");
    // It begins anew, as somebody else.
    assert_ne!(w.init(None).unwrap().0, by.0);
}

#[test]
fn whoever_waits_is_sent_away() {
    let mut w = world();
    let by = w.init(None).unwrap();
    let add = w.ask_add(&member(by), &places(&[("a", 0)]), 2);
    let other = w.ask_init("other", None);
    w.act(|shard, _, out| shard.unload(out));
    assert_eq!(w.code(add), error::NOT_COORDINATOR);
    assert_eq!(w.producer(other), Err(error::NOT_COORDINATOR));
    let late = w.writes.pop_front().expect("it was being written").0;
    w.act(|shard, now, out| shard.persisted(late, Ok(()), now, out));
}

#[test]
fn transactions_are_described_and_listed() {
    let mut w = world();
    let by = w.init(None).unwrap();
    w.add(by, &[("a", 0)], 2);
    let other = w.ask_init("other", None);
    w.flush();
    w.producer(other).unwrap();
    let described = w.shard.describe("t").unwrap();
    assert_eq!(described.state.name(), "Ongoing");
    assert_eq!(described.start_ms, 1_000_000);
    assert_eq!(described.partitions, places(&[("a", 0)]));
    let unknown = w.shard.describe("nobody");
    assert_eq!(unknown, Err(error::TRANSACTIONAL_ID_NOT_FOUND));
    let list = |states: &[&str], producer_ids: &[i64], duration_ms, id: &dyn Fn(&str) -> bool| {
        let filter = Filter {
            states,
            producer_ids,
            duration_ms,
            id,
        };
        let listed = w.shard.list(&filter, 1_000_500);
        let ids = listed.into_iter().map(|one| one.id);
        ids.collect::<Vec<_>>().join(" ")
    };
    let any = |_: &str| true;
    assert_eq!(list(&[], &[], -1, &any), "other t");
    assert_eq!(list(&["Ongoing"], &[], -1, &any), "t");
    assert_eq!(list(&[], &[by.0], -1, &any), "t");
    assert_eq!(list(&["Ongoing"], &[], 499, &any), "t");
    assert_eq!(list(&["Ongoing"], &[], 500, &any), "");
    assert_eq!(list(&[], &[], -1, &|id| id.starts_with('o')), "other");
    assert!(State::is_name("PrepareEpochFence") && !State::is_name("ongoing"));
}

#[test]
fn tables_are_bounded() {
    let mut w = world();
    w.shard.settings.limits = Limits {
        ids_max: 1,
        partitions_max: 2,
        writes_max: 1,
        ..Limits::default()
    };
    let by = w.init(None).unwrap();
    let second = w.ask_init("second", None);
    assert_eq!(w.producer(second), Err(error::COORDINATOR_NOT_AVAILABLE));
    let too_many = places(&[("a", 0), ("a", 1), ("a", 2)]);
    let add = w.ask_add(&member(by), &too_many, 2);
    assert_eq!(w.code(add), error::INVALID_REQUEST);
    w.shard.settings.limits.writes_max = 0;
    let add = w.ask_add(&member(by), &places(&[("a", 0)]), 2);
    assert_eq!(w.code(add), error::COORDINATOR_NOT_AVAILABLE);
}
