use super::*;

#[test]
fn a_commit_is_visible_when_it_is_durable() {
    let mut w = world();
    let commit = w.commit(simple_commit(7));
    assert!(w.waits(commit));
    assert_eq!(w.committed(), -1);
    let stable = w.fetch(true);
    assert!(w.waits(stable));
    w.flush();
    assert_eq!(w.commit_error(commit), error::NONE);
    assert_eq!(w.fetched(stable), 7);
    assert_eq!(w.committed(), 7);
    assert!(w.shard.group("g").is_some_and(ClassicGroup::is_simple));
}

#[test]
fn a_failed_commit_changes_nothing() {
    let mut w = world();
    w.commit(simple_commit(7));
    w.flush();
    let lost = w.commit(simple_commit(8));
    let stable = w.fetch(true);
    w.end_write(Err(error::KAFKA_STORAGE_ERROR));
    assert_eq!(w.commit_error(lost), error::NOT_COORDINATOR);
    assert_eq!(w.fetched(stable), 7);
}

#[test]
fn members_commit_in_their_generation_only() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    let good = commit_of(&member, 1);
    let cases = [
        (error::NONE, good.clone()),
        (
            error::ILLEGAL_GENERATION,
            CommitRequest {
                generation: 9,
                ..good.clone()
            },
        ),
        (
            error::ILLEGAL_GENERATION,
            CommitRequest {
                generation: -1,
                ..good.clone()
            },
        ),
        (
            error::UNKNOWN_MEMBER_ID,
            CommitRequest {
                member_id: "stranger".into(),
                ..good.clone()
            },
        ),
        (
            error::UNKNOWN_MEMBER_ID,
            CommitRequest {
                instance_id: Some("i".into()),
                ..good.clone()
            },
        ),
        (error::UNKNOWN_MEMBER_ID, simple_commit(3)),
        (
            error::GROUP_ID_NOT_FOUND,
            CommitRequest {
                group_id: "none".into(),
                ..good.clone()
            },
        ),
        (
            error::ILLEGAL_GENERATION,
            CommitRequest {
                group_id: "none".into(),
                group_id_not_found_supported: false,
                ..good.clone()
            },
        ),
    ];
    for (code, request) in cases {
        let ticket = w.commit(request.clone());
        w.flush();
        assert_eq!(w.commit_error(ticket), code, "{request:?}");
    }
    assert_eq!(w.committed(), 1);
}

#[test]
fn commits_during_a_rebalance() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    // Joining others is no reason to lose what was consumed.
    w.join(consumer());
    assert_eq!(w.state(), State::PreparingRebalance);
    let commit = w.commit(commit_of(&member, 4));
    w.flush();
    assert_eq!(w.commit_error(commit), error::NONE);
    let again = w.join(JoinRequest {
        member_id: member.member_id,
        ..consumer()
    });
    let member = w.joined(again);
    assert_eq!(w.state(), State::CompletingRebalance);
    let commit = w.commit(commit_of(&member, 5));
    assert_eq!(w.commit_error(commit), error::REBALANCE_IN_PROGRESS);
}

#[test]
fn a_commit_keeps_the_session_alive() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    for offset in 0..5 {
        w.advance(9_999);
        w.commit(commit_of(&member, offset));
        w.flush();
    }
    assert_eq!(w.heartbeat(&member), error::NONE);
}

#[test]
fn metadata_and_tables_are_bounded() {
    let settings = settings(|s| s.limits.offsets_max = 2);
    let mut w = with_settings(settings);
    let mut request = simple_commit(1);
    request.topics[0].partitions[0].metadata = Some("x".repeat(4_097));
    let ticket = w.commit(request.clone());
    assert_eq!(w.commit_error(ticket), error::OFFSET_METADATA_TOO_LARGE);
    // Measured in UTF-16 units: 4,096 of these are more than 4,096 bytes.
    request.topics[0].partitions[0].metadata = Some("é".repeat(4_096));
    let ticket = w.commit(request.clone());
    w.flush();
    assert_eq!(w.commit_error(ticket), error::NONE);
    let second = CommitPartition {
        partition: 1,
        ..request.topics[0].partitions[0].clone()
    };
    request.topics[0].partitions.push(second);
    let ticket = w.commit(request);
    let Some(Reply::Commit(reply)) = (!w.writes.is_empty()).then(|| {
        w.flush();
        w.replies[&ticket].clone()
    }) else {
        panic!("one of the two is written");
    };
    assert_eq!(
        reply.topics[0].partitions,
        [(0, error::NONE), (1, error::INVALID_COMMIT_OFFSET_SIZE)]
    );
}

#[test]
fn what_the_caller_refuses_is_answered_and_not_written() {
    let mut w = world();
    let mut request = simple_commit(1);
    request.topics[0].partitions[0].error = error::UNKNOWN_TOPIC_OR_PARTITION;
    let ticket = w.commit(request);
    assert_eq!(w.commit_error(ticket), error::UNKNOWN_TOPIC_OR_PARTITION);
    assert!(w.writes.is_empty());
}

#[test]
fn writes_and_waiting_reads_are_bounded() {
    let settings = settings(|s| {
        s.limits.writes_max = 1;
        s.limits.stable_reads_max = 1;
    });
    let mut w = with_settings(settings);
    w.commit(simple_commit(1));
    let ticket = w.commit(simple_commit(2));
    assert_eq!(w.commit_error(ticket), error::COORDINATOR_NOT_AVAILABLE);
    let kept = w.fetch(true);
    let refused = w.fetch(true);
    assert!(w.waits(kept));
    let Reply::Fetch(reply) = &w.replies[&refused] else {
        panic!("a fetch reply");
    };
    assert_eq!(reply.error, error::COORDINATOR_NOT_AVAILABLE);
    w.flush();
    assert_eq!(w.fetched(kept), 1);
}

#[test]
fn fetch_names_what_is_not_there() {
    let mut w = world();
    let (mine, other) = ([1; 16], [2; 16]);
    let mut request = simple_commit(7);
    request.topics[0].topic_id = mine;
    w.commit(request);
    w.flush();
    let topic = |name: &str, topic_id, error| FetchTopic {
        name: name.into(),
        topic_id,
        error,
        partitions: vec![0, 5],
    };
    let ticket = w.ticket();
    let request = FetchRequest {
        group_id: "g".into(),
        topics: Some(vec![
            topic("orders", mine, 0),
            topic("orders", NO_TOPIC_ID, 0),
            // A new topic of the same name has no offsets yet.
            topic("orders", other, 0),
            topic("unknown", NO_TOPIC_ID, 0),
            topic("", other, error::UNKNOWN_TOPIC_ID),
        ]),
        require_stable: true,
    };
    w.act(|shard, now_ms, out| shard.fetch(request, ticket, now_ms, out));
    let Reply::Fetch(reply) = &w.replies[&ticket] else {
        panic!("a fetch reply");
    };
    let found: Vec<_> = reply
        .topics
        .iter()
        .map(|t| (t.partitions[0].offset, t.partitions[0].error))
        .collect();
    let refused = (-1, error::UNKNOWN_TOPIC_ID);
    assert_eq!(found, [(7, 0), (7, 0), (-1, 0), (-1, 0), refused]);
    assert_eq!(reply.topics[0].partitions[0].metadata, "note");
    assert_eq!(reply.topics[0].partitions[0].leader_epoch, 3);
    assert_eq!(reply.topics[0].partitions[1].offset, -1);
}
