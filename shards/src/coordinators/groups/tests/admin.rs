use super::*;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

fn deleted(w: &World, ticket: Ticket) -> Vec<i16> {
    let Some(Reply::DeleteGroups(results)) = w.replies.get(&ticket) else {
        panic!("no reply to a deletion");
    };
    results.iter().map(|(_, error)| *error).collect()
}

#[test]
fn only_empty_groups_can_be_deleted() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    w.commit(commit_of(&member, 5));
    w.flush();
    let ticket = w.delete_groups(&["g", "none"]);
    let expected = [error::NON_EMPTY_GROUP, error::GROUP_ID_NOT_FOUND];
    assert_eq!(deleted(&w, ticket), expected);
    w.leave(&[(&member.member_id, None)]);
    w.flush();
    // A commit on its way is deleted, too.
    let mut late = simple_commit(9);
    late.topics[0].partitions[0].partition = 1;
    w.commit(late);
    let ticket = w.delete_groups(&["g"]);
    assert!(w.waits(ticket));
    let refused = w.join(consumer());
    assert_eq!(w.joined(refused).error, error::COORDINATOR_NOT_AVAILABLE);
    w.flush();
    assert_eq!(deleted(&w, ticket), [error::NONE]);
    assert!(w.shard.group("g").is_none());
    assert_eq!(w.committed(), -1);
    assert_eq!(w.shard.offsets.count(), 0);
}

#[test]
fn a_deletion_that_fails_leaves_the_group() {
    let mut w = world();
    w.commit(simple_commit(5));
    w.flush();
    let ticket = w.delete_groups(&["g"]);
    w.end_write(Err(error::REQUEST_TIMED_OUT));
    assert_eq!(deleted(&w, ticket), [error::COORDINATOR_NOT_AVAILABLE]);
    assert_eq!(w.committed(), 5);
}

#[test]
fn a_deleted_topic_takes_its_offsets_with_it() {
    let mut w = world();
    let mut request = simple_commit(5);
    request.topics[0].topic_id = [1; 16];
    w.commit(request);
    w.flush();
    w.act(|shard, now_ms, out| shard.topic_deleted("orders", [2; 16], now_ms, out));
    w.flush();
    assert_eq!(w.committed(), 5, "that was another topic of the name");
    w.act(|shard, now_ms, out| shard.topic_deleted("orders", [1; 16], now_ms, out));
    assert_eq!(w.committed(), 5, "not durable yet");
    w.flush();
    assert_eq!(w.committed(), -1);
}

#[test]
fn offsets_of_subscribed_topics_cannot_be_deleted() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    let mut request = commit_of(&member, 5);
    request.topics.push(CommitTopic {
        name: "old".into(),
        ..request.topics[0].clone()
    });
    w.commit(request);
    w.flush();
    let request = OffsetDeleteRequest {
        group_id: "g".into(),
        topics: vec![("orders".into(), vec![0]), ("old".into(), vec![0, 1])],
    };
    let ticket = w.ticket();
    w.act(|shard, now_ms, out| shard.delete_offsets(request, ticket, now_ms, out));
    w.flush();
    let Reply::OffsetDelete(reply) = &w.replies[&ticket] else {
        panic!("an offset delete reply");
    };
    let subscribed = error::GROUP_SUBSCRIBED_TO_TOPIC;
    assert_eq!(
        reply.topics,
        [
            ("orders".to_owned(), vec![(0, subscribed)]),
            ("old".to_owned(), vec![(0, 0), (1, 0)])
        ]
    );
    assert_eq!(w.shard.offsets.count(), 1);
}

#[test]
fn offsets_of_an_empty_group_expire_and_the_group_with_them() {
    let mut w = world();
    let member = w.stable_group(vec![consumer()]).remove(0);
    w.commit(commit_of(&member, 5));
    w.flush();
    w.leave(&[(&member.member_id, None)]);
    w.flush();
    w.advance(7 * DAY_MS - 1_000);
    w.flush();
    assert_eq!(w.committed(), 5);
    w.advance(2_000_000);
    assert_eq!(w.committed(), -1, "it is being removed");
    w.flush();
    assert!(w.shard.group("g").is_none());
    assert_eq!(w.shard.offsets.count(), 0);
}

#[test]
fn a_simple_groups_offsets_expire_by_their_own_age() {
    let mut w = world();
    w.commit(simple_commit(5));
    w.flush();
    w.advance(6 * DAY_MS);
    let mut other = simple_commit(6);
    other.topics[0].partitions[0].partition = 1;
    w.commit(other);
    w.flush();
    w.advance(2 * DAY_MS);
    w.flush();
    assert_eq!(w.shard.offsets.count(), 1);
    assert!(w.shard.group("g").is_some());
    w.advance(6 * DAY_MS);
    w.flush();
    assert!(w.shard.group("g").is_none());
}

#[test]
fn a_stable_group_keeps_what_it_subscribes_to() {
    let mut w = world();
    let mut member = consumer();
    member.session_timeout_ms = 1_800_000;
    let member = w.stable_group(vec![member]).remove(0);
    let mut request = commit_of(&member, 5);
    request.topics.push(CommitTopic {
        name: "old".into(),
        ..request.topics[0].clone()
    });
    w.commit(request);
    w.flush();
    for _ in 0..8 * 48 {
        w.advance(1_799_000);
        assert_eq!(w.heartbeat(&member), error::NONE);
    }
    w.flush();
    assert_eq!(w.committed(), 5);
    assert_eq!(w.shard.offsets.count(), 1);
}

#[test]
fn a_retention_that_the_client_names_counts() {
    let mut w = world();
    let mut request = simple_commit(5);
    request.retention_ms = Some(60_000);
    w.commit(request);
    w.flush();
    w.advance(600_000);
    w.flush();
    assert!(w.shard.group("g").is_none());
}

#[test]
fn the_search_for_expired_offsets_goes_in_steps() {
    let settings = settings(|s| s.limits.expiry_groups_per_step = 2);
    let mut w = with_settings(settings);
    for n in 0..5 {
        let mut request = simple_commit(5);
        request.group_id = format!("g{n}");
        w.commit(request);
    }
    w.flush();
    w.advance(8 * DAY_MS);
    assert_eq!(w.writes.len(), 3);
    w.flush();
    assert_eq!(w.shard.groups.len(), 0);
}

#[test]
fn groups_are_described_and_listed() {
    let mut w = world();
    let missing = w.shard.describe("none", false);
    assert_eq!((missing.error, missing.state), (error::NONE, "Dead"));
    let missing = w.shard.describe("none", true);
    assert_eq!(missing.error, error::GROUP_ID_NOT_FOUND);
    let members = w.stable_group(vec![consumer()]);
    let stable = w.shard.describe("g", true);
    assert_eq!(
        (stable.state, stable.protocol.as_str()),
        ("Stable", "range")
    );
    assert_eq!(&*stable.members[0].metadata, ORDERS);
    let assignment = members[0].member_id.as_bytes();
    assert_eq!(&*stable.members[0].assignment, assignment);
    w.join(consumer());
    let rebalancing = w.shard.describe("g", true);
    assert_eq!(rebalancing.state, "PreparingRebalance");
    assert!(rebalancing.protocol.is_empty());
    assert!(rebalancing.members[0].metadata.is_empty());

    let mut other = simple_commit(1);
    other.group_id = "simple".into();
    w.commit(other);
    w.flush();
    let ids = |states: &[&str], types: &[&str]| {
        let listed = w.shard.list(states, types).into_iter();
        listed.map(|group| group.group_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[], &[]), ["g", "simple"]);
    assert_eq!(ids(&["empty", "dead"], &["classic"]), ["simple"]);
    assert_eq!(ids(&["PREPARINGREBALANCE "], &[]), ["g"]);
    assert!(ids(&[], &["consumer"]).is_empty());
}
