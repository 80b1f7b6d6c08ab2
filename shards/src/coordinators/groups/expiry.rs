//! Offsets that nobody has wanted for `offsets.retention.minutes`, and groups that have
//! neither members nor offsets any more (KIP-211).
//!
//! The search goes through the groups a bounded number at a time, so that a shard with
//! many of them does not stand still.

use std::ops::Bound;

use super::GroupsShard;
use super::delete::persist_tombstones;
use super::effects::Effects;
use super::group::ClassicGroup;
use super::offsets::GroupOffsets;
use super::records::CommittedOffset;
use super::state::State;
use super::timers::TimerKey;

/// Since when an offset counts as unwanted.
#[derive(Clone, Copy)]
enum Since {
    Commit,
    /// The group became empty.
    Millis(i64),
}

/// `None`: nothing of this group expires now.
fn expires_since(group: &ClassicGroup) -> Option<Since> {
    match (&group.protocol_type, group.state()) {
        (None, _) => Some(Since::Commit),
        (Some(_), State::Empty) => Some(group.state_since_ms.map_or(Since::Commit, Since::Millis)),
        // Topics that a stable group has unsubscribed from.
        (Some(_), State::Stable) if group.subscribed.is_some() => Some(Since::Commit),
        _ => None,
    }
}

fn is_expired(offset: &CommittedOffset, since: Since, now_ms: i64, retention_ms: i64) -> bool {
    if let Some(expire_ms) = offset.expire_timestamp_ms {
        return now_ms >= expire_ms;
    }
    let since = match since {
        Since::Commit => offset.commit_timestamp_ms,
        Since::Millis(ms) => ms,
    };
    now_ms.saturating_sub(since) >= retention_ms
}

/// The offsets of a group that have expired, and whether those are all it has.
fn expired(
    group: &ClassicGroup,
    offsets: &GroupOffsets,
    now_ms: i64,
    retention_ms: i64,
) -> (Vec<(String, String, i32)>, bool) {
    let Some(since) = expires_since(group) else {
        return (Vec::new(), false);
    };
    let mut gone = Vec::new();
    let mut all = !offsets.has_in_flight();
    for (topic, partitions) in &offsets.committed {
        let is_subscribed = group.is_subscribed_to(topic);
        for (partition, offset) in partitions {
            if !is_subscribed
                && is_expired(offset, since, now_ms, retention_ms)
                && !offsets.is_in_flight(topic, *partition)
            {
                gone.push((group.id.clone(), topic.clone(), *partition));
            } else {
                all = false;
            }
        }
    }
    (gone, all)
}

impl GroupsShard {
    /// One step of the search; sets the deadline of the next.
    pub(super) fn expire(&mut self, now_ms: i64, out: &mut Effects) {
        let interval_ms = self.settings.offsets_retention_check_interval_ms.max(1);
        let retention_ms = self.settings.offsets_retention_ms;
        let after = self
            .expiry_cursor
            .take()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let step = self.settings.limits.expiry_groups_per_step.max(1);
        let mut gone = Vec::new();
        let mut dead = Vec::new();
        let mut last = None;
        let mut groups = self
            .groups
            .range_mut::<String, _>((after, Bound::Unbounded));
        for (id, group) in groups.by_ref().take(step) {
            last = Some(id.clone());
            if group.state() == State::Dead {
                continue;
            }
            let all_expired = match self.offsets.group(id) {
                Some(offsets) => {
                    let (offsets, all) = expired(group, offsets, now_ms, retention_ms);
                    gone.extend(offsets);
                    all
                }
                None => true,
            };
            if all_expired && group.state() == State::Empty && group.pending_members.is_empty() {
                group.transition(State::Dead, now_ms);
                dead.push(id.clone());
            }
        }
        let wait_ms = if groups.next().is_some() {
            self.expiry_cursor = last;
            1
        } else {
            interval_ms
        };
        let (_, mut cx) = self.split(now_ms, out);
        persist_tombstones(gone, dead, None, &mut cx);
        cx.schedule(TimerKey::Expiry, wait_ms);
    }
}
