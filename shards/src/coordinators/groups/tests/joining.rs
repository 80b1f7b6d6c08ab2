use super::*;

#[test]
fn the_first_generation_waits_for_more_members_and_has_one_leader() {
    let mut w = world();
    let first = w.join(consumer());
    w.advance(2_999);
    assert!(w.waits(first));
    assert_eq!(w.state(), State::PreparingRebalance);
    // A newcomer extends the delay by another step.
    let second = w.join(consumer());
    w.advance(1);
    assert!(w.waits(first));
    w.advance(3_000);
    let (first, second) = (w.joined(first), w.joined(second));
    assert_eq!(first.generation, 1);
    assert_eq!(first.leader, first.member_id);
    assert_eq!(second.leader, first.member_id);
    assert_eq!(first.members.len(), 2);
    assert!(second.members.is_empty());
    assert_eq!(first.protocol_name.as_deref(), Some("range"));
    assert_eq!(w.state(), State::CompletingRebalance);
}

#[test]
fn the_initial_delay_ends_with_the_rebalance_timeout() {
    let mut w = world();
    let mut member = consumer();
    member.rebalance_timeout_ms = 7_000;
    let first = w.join(member.clone());
    for _ in 0..3 {
        w.advance(2_000);
        w.join(member.clone());
    }
    // Steps of 3, 3 and 1 seconds.
    w.advance(999);
    assert!(w.waits(first));
    w.advance(1);
    assert_eq!(w.joined(first).members.len(), 4);
}

#[test]
fn a_first_join_must_come_back_with_its_id() {
    let mut w = world();
    let mut member = consumer();
    member.member_id_required = true;
    let ticket = w.join(member.clone());
    let reply = w.joined(ticket);
    assert_eq!(reply.error, error::MEMBER_ID_REQUIRED);
    assert_eq!(
        reply.member_id,
        "client-00000000-0000-0000-0000-000000000001"
    );
    member.member_id = reply.member_id;
    let ticket = w.join(member);
    w.advance(3_000);
    assert_eq!(w.joined(ticket).error, error::NONE);
}

#[test]
fn a_pending_member_that_stays_away_is_forgotten() {
    let mut w = world();
    let mut member = consumer();
    member.member_id_required = true;
    let ticket = w.join(member.clone());
    member.member_id = w.joined(ticket).member_id;
    w.advance(10_000);
    let ticket = w.join(member);
    assert_eq!(w.joined(ticket).error, error::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_pending_member_holds_the_join_phase_open_until_its_time_is_up() {
    let mut w = world();
    let old = w.stable_group(vec![consumer()]).remove(0);
    let mut newcomer = consumer();
    newcomer.member_id_required = true;
    let pending = w.join(newcomer);
    assert_eq!(w.joined(pending).error, error::MEMBER_ID_REQUIRED);
    let again = w.join(JoinRequest {
        member_id: old.member_id,
        ..consumer()
    });
    assert!(w.waits(again));
    w.advance(10_000);
    assert_eq!(w.joined(again).generation, 2);
}

#[test]
fn bad_requests_get_kafkas_errors() {
    let mut w = world();
    let mut errors = Vec::new();
    let no_protocol = JoinRequest {
        protocols: Vec::new(),
        ..consumer()
    };
    for request in [
        JoinRequest {
            group_id: String::new(),
            ..consumer()
        },
        JoinRequest {
            session_timeout_ms: 5_999,
            ..consumer()
        },
        JoinRequest {
            session_timeout_ms: 1_800_001,
            ..consumer()
        },
        JoinRequest {
            member_id: "stranger".into(),
            ..consumer()
        },
        no_protocol,
        JoinRequest {
            group_id: "x".repeat(40_000),
            ..consumer()
        },
        JoinRequest {
            client_id: "x".repeat(40_000),
            ..consumer()
        },
        JoinRequest {
            protocols: protocols(&["a"; 65]),
            ..consumer()
        },
    ] {
        let ticket = w.join(request);
        errors.push(w.joined(ticket).error);
    }
    assert_eq!(
        errors,
        [
            error::INVALID_GROUP_ID,
            error::INVALID_SESSION_TIMEOUT,
            error::INVALID_SESSION_TIMEOUT,
            error::UNKNOWN_MEMBER_ID,
            error::INCONSISTENT_GROUP_PROTOCOL,
            error::INVALID_GROUP_ID,
            error::INVALID_REQUEST,
            error::INVALID_REQUEST,
        ]
    );
    assert!(w.shard.group("g").is_none(), "none of them makes a group");
}

#[test]
fn members_must_share_a_protocol() {
    let mut w = world();
    w.stable_group(vec![consumer()]);
    for (protocol_type, names) in [("consumer", &["sticky"][..]), ("connect", &["range"])] {
        let ticket = w.join(JoinRequest {
            protocol_type: protocol_type.into(),
            protocols: protocols(names),
            ..consumer()
        });
        assert_eq!(w.joined(ticket).error, error::INCONSISTENT_GROUP_PROTOCOL);
    }
    assert_eq!(w.state(), State::Stable);
}

#[test]
fn the_protocol_is_chosen_by_votes_among_those_that_all_support() {
    let mut w = world();
    let mut tickets = Vec::new();
    for names in [
        &["a", "b", "c"][..],
        &["d", "c", "b"],
        &["c", "b", "a"],
        &["b", "c"],
    ] {
        tickets.push(w.join(JoinRequest {
            protocols: protocols(names),
            ..consumer()
        }));
    }
    w.advance(6_000);
    // a and d lack support; b and c have two votes each, and b sorts first.
    assert_eq!(w.joined(tickets[0]).protocol_name.as_deref(), Some("b"));
}

#[test]
fn a_group_takes_no_more_than_its_maximum() {
    let settings = settings(|s| s.group_size_max = 2);
    let mut w = with_settings(settings);
    let kept = [w.join(consumer()), w.join(consumer())];
    let refused = w.join(consumer());
    assert_eq!(w.joined(refused).error, error::GROUP_MAX_SIZE_REACHED);
    w.advance(6_000);
    let replies = kept.map(|ticket| w.joined(ticket));
    w.stabilize(&replies);
    let refused = w.join(consumer());
    assert_eq!(w.joined(refused).error, error::GROUP_MAX_SIZE_REACHED);
    assert_eq!(w.state(), State::Stable);
}

#[test]
fn groups_and_members_are_bounded() {
    let settings = settings(|s| {
        s.limits.groups_max = 1;
        s.limits.members_max = 4;
    });
    let mut w = with_settings(settings);
    w.join(consumer());
    let other = JoinRequest {
        group_id: "other".into(),
        ..consumer()
    };
    let ticket = w.join(other);
    assert_eq!(w.joined(ticket).error, error::COORDINATOR_NOT_AVAILABLE);
    // Deadlines: the search for expired offsets, the join, the first member, this one.
    w.join(consumer());
    let ticket = w.join(consumer());
    assert_eq!(w.joined(ticket).error, error::GROUP_MAX_SIZE_REACHED);
}

#[test]
fn the_leader_may_force_a_rebalance_and_a_follower_may_not() {
    let mut w = world();
    let members = w.stable_group(vec![consumer(), consumer()]);
    let rejoin = |reply: &JoinReply| JoinRequest {
        member_id: reply.member_id.clone(),
        ..consumer()
    };
    let follower = w.join(rejoin(&members[1]));
    assert_eq!(w.joined(follower).generation, 1);
    assert_eq!(w.state(), State::Stable);
    let leader = w.join(rejoin(&members[0]));
    assert_eq!(w.state(), State::PreparingRebalance);
    assert_eq!(w.heartbeat(&members[1]), error::REBALANCE_IN_PROGRESS);
    let follower = w.join(rejoin(&members[1]));
    assert_eq!(w.joined(leader).generation, 2);
    assert_eq!(w.joined(follower).generation, 2);
}

#[test]
fn a_member_that_missed_its_join_reply_gets_it_again() {
    let mut w = world();
    let ticket = w.join(consumer());
    w.advance(3_000);
    let reply = w.joined(ticket);
    let again = w.join(JoinRequest {
        member_id: reply.member_id.clone(),
        ..consumer()
    });
    assert_eq!(w.joined(again), reply);
    // With other metadata it means a new generation.
    let changed = w.join(JoinRequest {
        member_id: reply.member_id,
        protocols: protocols(&["range"]),
        ..consumer()
    });
    assert_eq!(w.joined(changed).generation, 2);
}

#[test]
fn members_that_do_not_rejoin_in_time_are_removed() {
    let mut w = world();
    let old = w.stable_group(vec![consumer(), consumer()]);
    let newcomer = w.join(consumer());
    // The old ones only send heartbeats.
    for _ in 0..12 {
        w.advance(4_900);
        assert_eq!(w.heartbeat(&old[0]), error::REBALANCE_IN_PROGRESS);
        assert_eq!(w.heartbeat(&old[1]), error::REBALANCE_IN_PROGRESS);
    }
    w.advance(1_200);
    let reply = w.joined(newcomer);
    assert_eq!(reply.generation, 2);
    assert_eq!(reply.leader, reply.member_id);
    assert_eq!(reply.members.len(), 1);
    assert_eq!(w.heartbeat(&old[0]), error::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_new_member_may_not_wait_for_ever() {
    let mut w = world();
    let mut slow = consumer();
    slow.session_timeout_ms = 1_800_000;
    slow.rebalance_timeout_ms = 3_600_000;
    w.stable_group(vec![slow]);
    let newcomer = w.join(consumer());
    w.advance(299_999);
    assert!(w.waits(newcomer));
    w.advance(1);
    assert_eq!(w.joined(newcomer).error, error::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_retried_join_answers_the_one_before() {
    let mut w = world();
    let members = w.stable_group(vec![consumer(), consumer()]);
    let rejoin = JoinRequest {
        member_id: members[0].member_id.clone(),
        ..consumer()
    };
    let lost = w.join(rejoin.clone());
    let retry = w.join(rejoin);
    assert_eq!(w.joined(lost).error, error::REBALANCE_IN_PROGRESS);
    assert!(w.waits(retry));
}

#[test]
fn a_new_group_whose_record_is_lost_is_gone() {
    let mut w = world();
    let ticket = w.join(consumer());
    w.end_write(Err(error::KAFKA_STORAGE_ERROR));
    assert_eq!(w.joined(ticket).error, error::NOT_COORDINATOR);
    assert!(w.shard.group("g").is_none());
    w.advance(60_000);
}
