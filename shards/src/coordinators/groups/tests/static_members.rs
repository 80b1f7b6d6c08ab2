use super::*;

fn pair() -> (World, JoinReply, JoinReply) {
    let mut w = world();
    let mut members = w.stable_group(vec![static_consumer("a"), static_consumer("b")]);
    let b = members.remove(1);
    (w, members.remove(0), b)
}

#[test]
fn a_restarted_follower_takes_its_place_without_a_rebalance() {
    let (mut w, a, b) = pair();
    let ticket = w.join(static_consumer("b"));
    assert!(w.waits(ticket), "the new id is not durable yet");
    w.flush();
    let back = w.joined(ticket);
    assert_eq!((back.error, back.generation), (error::NONE, 1));
    assert_ne!(back.member_id, b.member_id);
    assert_eq!(back.leader, a.member_id);
    assert!(!back.skip_assignment && back.members.is_empty());
    assert_eq!(w.state(), State::Stable);
    // It still has what was assigned to its former self.
    let sync = w.sync(&back, &[]);
    assert_eq!(&*w.synced(sync).assignment, b.member_id.as_bytes());
    assert_eq!(w.heartbeat(&b), error::UNKNOWN_MEMBER_ID);
    let fenced = HeartbeatRequest {
        group_id: "g".into(),
        generation: 1,
        member_id: b.member_id.clone(),
        instance_id: Some("b".into()),
    };
    let code = w.act(|shard, now_ms, out| shard.heartbeat(&fenced, now_ms, out));
    assert_eq!(code, error::FENCED_INSTANCE_ID);
    // The old id's session ends without effect.
    w.advance(9_000);
    assert_eq!(w.heartbeat(&a), error::NONE);
    assert_eq!(w.heartbeat(&back), error::NONE);
    w.advance(5_000);
    assert_eq!(w.state(), State::Stable);
}

#[test]
fn a_restarted_leader_is_told_to_skip_the_assignment() {
    let (mut w, _, _) = pair();
    let ticket = w.join(static_consumer("a"));
    w.flush();
    let back = w.joined(ticket);
    assert!(back.skip_assignment);
    assert_eq!(back.leader, back.member_id);
    assert_eq!(back.members.len(), 2);
}

#[test]
fn an_older_leader_is_not_told_that_it_leads() {
    let (mut w, a, _) = pair();
    let ticket = w.join(JoinRequest {
        skip_assignment_supported: false,
        ..static_consumer("a")
    });
    w.flush();
    let back = w.joined(ticket);
    assert_eq!(back.leader, a.member_id);
    assert!(!back.skip_assignment && back.members.is_empty());
}

#[test]
fn a_restart_that_changes_the_protocol_rebalances() {
    let (mut w, _, _) = pair();
    let ticket = w.join(JoinRequest {
        protocols: protocols(&["roundrobin"]),
        ..static_consumer("b")
    });
    assert_eq!(w.state(), State::PreparingRebalance);
    assert!(w.waits(ticket));
}

#[test]
fn a_restart_that_cannot_be_stored_is_taken_back() {
    let (mut w, _, b) = pair();
    let ticket = w.join(static_consumer("b"));
    w.end_write(Err(error::REQUEST_TIMED_OUT));
    assert_eq!(w.joined(ticket).error, error::COORDINATOR_NOT_AVAILABLE);
    assert_eq!(w.heartbeat(&b), error::NONE);
    assert_eq!(w.state(), State::Stable);
}

#[test]
fn a_restart_during_the_join_phase_fences_the_one_who_waits() {
    let (mut w, a, b) = pair();
    let waiting = w.join(JoinRequest {
        member_id: a.member_id.clone(),
        ..static_consumer("a")
    });
    let restarted = w.join(static_consumer("a"));
    assert_eq!(w.joined(waiting).error, error::FENCED_INSTANCE_ID);
    let other = w.join(JoinRequest {
        member_id: b.member_id,
        ..static_consumer("b")
    });
    assert_eq!(w.joined(restarted).generation, 2);
    assert_eq!(w.joined(other).generation, 2);
}

#[test]
fn a_restart_while_the_leader_assigns_rebalances() {
    let mut w = world();
    let tickets = [w.join(static_consumer("a")), w.join(static_consumer("b"))];
    w.advance(6_000);
    let [_, b] = tickets.map(|ticket| w.joined(ticket));
    let sync = w.sync(&b, &[]);
    let restarted = w.join(static_consumer("b"));
    assert_eq!(w.synced(sync).error, error::FENCED_INSTANCE_ID);
    assert_eq!(w.state(), State::PreparingRebalance);
    assert!(w.waits(restarted));
}

#[test]
fn a_rebalance_that_begins_before_the_new_id_is_durable_answers_it() {
    let (mut w, a, _) = pair();
    let restarted = w.join(static_consumer("b"));
    let leader = w.join(JoinRequest {
        member_id: a.member_id,
        ..static_consumer("a")
    });
    assert_eq!(w.joined(leader).generation, 2);
    assert_eq!(w.joined(restarted).generation, 2);
    w.flush();
    assert_eq!(w.state(), State::CompletingRebalance);
}

#[test]
fn a_static_member_that_does_not_rejoin_keeps_its_place_until_its_session_ends() {
    let mut w = world();
    let mut slow = static_consumer("b");
    slow.session_timeout_ms = 200_000;
    slow.rebalance_timeout_ms = 20_000;
    let mut fast = static_consumer("a");
    fast.rebalance_timeout_ms = 20_000;
    let members = w.stable_group(vec![fast.clone(), slow]);
    fast.member_id = members[0].member_id.clone();
    let leader = w.join(fast);
    w.advance(20_000);
    let reply = w.joined(leader);
    assert_eq!((reply.generation, reply.members.len()), (2, 2));
}

#[test]
fn an_administrator_removes_by_instance_id() {
    let (mut w, a, b) = pair();
    let errors = w.leave(&[("", Some("b")), (&b.member_id, Some("a"))]);
    assert_eq!(errors, [error::NONE, error::FENCED_INSTANCE_ID]);
    assert_eq!(w.heartbeat(&a), error::REBALANCE_IN_PROGRESS);
}
