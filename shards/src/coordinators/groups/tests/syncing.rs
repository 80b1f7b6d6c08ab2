use super::*;

#[test]
fn assignments_are_given_out_when_they_are_durable() {
    let mut w = world();
    let tickets = [w.join(consumer()), w.join(consumer())];
    w.advance(6_000);
    w.flush();
    let [leader, follower] = tickets.map(|ticket| w.joined(ticket));
    let early = w.sync(&follower, &[(&follower.member_id, "forged")]);
    assert!(w.waits(early));
    assert!(w.writes.is_empty(), "only the leader assigns");
    let given = [(follower.member_id.as_str(), "f"), ("stranger", "s")];
    let mine = w.sync(&leader, &given);
    assert!(w.waits(early) && w.waits(mine));
    assert_eq!(w.heartbeat(&follower), error::NONE);
    w.flush();
    assert_eq!(&*w.synced(early).assignment, b"f");
    assert!(w.synced(mine).assignment.is_empty(), "it forgot itself");
    assert_eq!(w.synced(mine).protocol_name.as_deref(), Some("range"));
    assert_eq!(w.state(), State::Stable);
    let again = w.sync(&follower, &[]);
    assert_eq!(&*w.synced(again).assignment, b"f");
    let Some(Record::GroupMetadata(record)) = w.log.last() else {
        panic!("{:?}", w.log);
    };
    assert_eq!(record.members.len(), 2);
    assert_eq!(record.generation, 1);
}

#[test]
fn a_second_assignment_of_the_same_generation_is_not_written() {
    let mut w = world();
    let ticket = w.join(consumer());
    w.advance(3_000);
    w.flush();
    let leader = w.joined(ticket);
    let first = w.sync(&leader, &[(&leader.member_id, "1")]);
    let second = w.sync(&leader, &[(&leader.member_id, "2")]);
    assert_eq!(w.synced(first).error, error::REBALANCE_IN_PROGRESS);
    assert_eq!(w.writes.len(), 1);
    w.flush();
    assert_eq!(&*w.synced(second).assignment, b"1");
}

#[test]
fn an_assignment_that_cannot_be_stored_makes_everybody_rejoin() {
    let mut w = world();
    let ticket = w.join(consumer());
    w.advance(3_000);
    w.flush();
    let leader = w.joined(ticket);
    let sync = w.sync(&leader, &[]);
    w.end_write(Err(error::NOT_LEADER_OR_FOLLOWER));
    assert_eq!(w.synced(sync).error, error::NOT_COORDINATOR);
    assert_eq!(w.state(), State::PreparingRebalance);
}

#[test]
fn an_assignment_that_is_too_large_is_refused() {
    let settings = settings(|s| s.limits.group_record_bytes_max = 1_000);
    let mut w = with_settings(settings);
    let ticket = w.join(consumer());
    w.advance(3_000);
    let leader = w.joined(ticket);
    let sync = w.sync(&leader, &[(&leader.member_id, &"x".repeat(1_000))]);
    assert_eq!(w.synced(sync).error, error::UNKNOWN_SERVER_ERROR);
    assert_eq!(w.state(), State::PreparingRebalance);
}

#[test]
fn an_assignment_that_becomes_durable_too_late_is_not_given_out() {
    let mut w = world();
    let ticket = w.join(consumer());
    w.advance(3_000);
    w.flush();
    let leader = w.joined(ticket);
    let sync = w.sync(&leader, &[(&leader.member_id, "late")]);
    w.join(consumer());
    assert_eq!(w.synced(sync).error, error::REBALANCE_IN_PROGRESS);
    w.flush();
    assert_eq!(w.state(), State::PreparingRebalance);
}

#[test]
fn sync_checks_member_generation_and_protocol() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    let good = SyncRequest {
        group_id: "g".into(),
        generation: 1,
        member_id: member.member_id.clone(),
        instance_id: None,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: Vec::new(),
    };
    let cases = [
        (error::NONE, good.clone()),
        (
            error::INVALID_GROUP_ID,
            SyncRequest {
                group_id: String::new(),
                ..good.clone()
            },
        ),
        (
            error::UNKNOWN_MEMBER_ID,
            SyncRequest {
                group_id: "none".into(),
                ..good.clone()
            },
        ),
        (
            error::UNKNOWN_MEMBER_ID,
            SyncRequest {
                member_id: "stranger".into(),
                ..good.clone()
            },
        ),
        (
            error::ILLEGAL_GENERATION,
            SyncRequest {
                generation: 0,
                ..good.clone()
            },
        ),
        (
            error::INCONSISTENT_GROUP_PROTOCOL,
            SyncRequest {
                protocol_type: Some("connect".into()),
                ..good.clone()
            },
        ),
        (
            error::INCONSISTENT_GROUP_PROTOCOL,
            SyncRequest {
                protocol_name: Some("roundrobin".into()),
                ..good.clone()
            },
        ),
    ];
    for (code, request) in cases {
        let ticket = w.sync_with(request.clone());
        assert_eq!(w.synced(ticket).error, code, "{request:?}");
    }
    w.join(consumer());
    let ticket = w.sync_with(good);
    assert_eq!(w.synced(ticket).error, error::REBALANCE_IN_PROGRESS);
}

#[test]
fn members_that_never_sync_are_removed() {
    let mut w = world();
    let mut patient = consumer();
    patient.session_timeout_ms = 1_000_000;
    let tickets = [w.join(patient.clone()), w.join(patient)];
    w.advance(6_000);
    w.flush();
    let [leader, silent] = tickets.map(|ticket| w.joined(ticket));
    let sync = w.sync(&leader, &[(&leader.member_id, "l")]);
    w.flush();
    assert_eq!(w.synced(sync).error, error::NONE);
    w.advance(60_000);
    assert_eq!(w.heartbeat(&silent), error::UNKNOWN_MEMBER_ID);
    assert_eq!(w.heartbeat(&leader), error::REBALANCE_IN_PROGRESS);
}

#[test]
fn heartbeats_keep_a_member_and_silence_loses_it() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    for _ in 0..5 {
        w.advance(9_999);
        assert_eq!(w.heartbeat(&member), error::NONE);
    }
    let stale = JoinReply {
        generation: 7,
        ..member.clone()
    };
    assert_eq!(w.heartbeat(&stale), error::ILLEGAL_GENERATION);
    w.advance(10_000);
    assert_eq!(w.heartbeat(&member), error::UNKNOWN_MEMBER_ID);
    assert_eq!(w.state(), State::Empty);
    assert_eq!(w.shard.group("g").map(ClassicGroup::generation), Some(2));
}

#[test]
fn a_member_that_leaves_starts_a_rebalance_and_the_last_one_empties_the_group() {
    let mut w = world();
    let members = w.stable_group(vec![consumer(), consumer()]);
    let [a, b] = [&members[0], &members[1]];
    let errors = w.leave(&[(&a.member_id, None), ("stranger", None), ("", Some("i"))]);
    let unknown = error::UNKNOWN_MEMBER_ID;
    assert_eq!(errors, [error::NONE, unknown, unknown]);
    assert_eq!(w.heartbeat(b), error::REBALANCE_IN_PROGRESS);
    assert_eq!(w.leave(&[(&b.member_id, None)]), [error::NONE]);
    assert_eq!(w.state(), State::Empty);
    w.flush();
    let Some(Record::GroupMetadata(record)) = w.log.last() else {
        panic!("{:?}", w.log);
    };
    assert!(record.members.is_empty());
    assert_eq!((record.generation, &record.protocol), (2, &None));
}

#[test]
fn a_pending_member_may_leave_and_a_missing_group_knows_nobody() {
    let mut w = world();
    assert_eq!(w.leave(&[("m", None)]), [error::UNKNOWN_MEMBER_ID]);
    let mut member = consumer();
    member.member_id_required = true;
    let ticket = w.join(member);
    let id = w.joined(ticket).member_id;
    assert_eq!(w.leave(&[(&id, None)]), [error::NONE]);
    assert_eq!(w.leave(&[(&id, None)]), [error::UNKNOWN_MEMBER_ID]);
}

#[test]
fn a_member_that_leaves_while_it_waits_is_answered() {
    let mut w = world();
    let tickets = [w.join(consumer()), w.join(consumer())];
    w.advance(6_000);
    let [_, follower] = tickets.map(|ticket| w.joined(ticket));
    let sync = w.sync(&follower, &[]);
    w.leave(&[(&follower.member_id, None)]);
    assert_eq!(w.synced(sync).error, error::UNKNOWN_MEMBER_ID);
}

#[test]
fn unloading_answers_everybody() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    let commit = w.commit(commit_of(&member, 5));
    let read = w.fetch(true);
    let join = w.join(consumer());
    w.act(|shard, now_ms, out| shard.unload(now_ms, out));
    assert_eq!(w.joined(join).error, error::NOT_COORDINATOR);
    assert_eq!(w.commit_error(commit), error::NOT_COORDINATOR);
    assert!(!w.waits(read));
    assert!(w.shard.group("g").is_none());
    w.flush();
    assert_eq!(w.committed(), -1);
}
