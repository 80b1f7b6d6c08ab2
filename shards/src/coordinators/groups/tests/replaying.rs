use super::*;

/// The same shard after a restart.
fn restarted(w: &World, settings: Settings) -> World {
    let mut next = with_settings(settings);
    next.shard = GroupsShard::new(next.shard.settings.clone());
    next.now_ms = w.now_ms + 1_000;
    for record in &w.log {
        next.shard.replay(record.clone());
    }
    next.act(|shard, now_ms, out| shard.loaded(now_ms, out));
    next
}

#[test]
fn a_stable_group_goes_on_after_a_restart() {
    let mut w = world();
    let members = w.stable_group(vec![consumer(), static_consumer("i")]);
    w.commit(commit_of(&members[0], 5));
    w.flush();
    let mut next = restarted(&w, Settings::default());
    assert_eq!(next.state(), State::Stable);
    assert_eq!(next.committed(), 5);
    for member in &members {
        assert_eq!(next.heartbeat(member), error::NONE);
    }
    let sync = next.sync(&members[1], &[]);
    let assignment = members[1].member_id.as_bytes();
    assert_eq!(&*next.synced(sync).assignment, assignment);
    let (before, after) = (w.shard.describe("g", true), next.shard.describe("g", true));
    assert_eq!(before, after);
    // Members that did not survive time out.
    next.advance(10_000);
    assert_eq!(next.state(), State::Empty);
}

#[test]
fn tombstones_remove() {
    let mut w = world();
    w.commit(simple_commit(5));
    w.flush();
    w.delete_groups(&["g"]);
    w.flush();
    let mut next = restarted(&w, Settings::default());
    assert!(next.shard.group("g").is_none());
    assert_eq!(next.committed(), -1);
}

#[test]
fn offsets_without_a_group_make_a_simple_one() {
    let mut w = world();
    w.commit(simple_commit(5));
    w.flush();
    let next = restarted(&w, Settings::default());
    assert!(next.shard.group("g").is_some_and(ClassicGroup::is_simple));
}

#[test]
fn a_group_over_a_lowered_maximum_rebalances() {
    let mut w = world();
    let members = w.stable_group(vec![consumer(), consumer()]);
    let settings = settings(|s| s.group_size_max = 1);
    let mut next = restarted(&w, settings);
    assert_eq!(next.state(), State::PreparingRebalance);
    next.tickets = 100;
    let rejoin = |reply: &JoinReply| JoinRequest {
        member_id: reply.member_id.clone(),
        ..consumer()
    };
    let first = next.join(rejoin(&members[1]));
    let second = next.join(rejoin(&members[0]));
    assert_eq!(next.joined(second).error, error::GROUP_MAX_SIZE_REACHED);
    assert_eq!(next.joined(first).members.len(), 1);
}
