//! From one generation to the next: who starts a rebalance, when the join phase ends,
//! and who is told.
//!
//! Stable, CompletingRebalance or Empty → (`prepare`) → PreparingRebalance → every
//! member has joined or time is up (`complete_join`) → CompletingRebalance → the
//! leader's assignment is durable → Stable. Semantics: Kafka's `GroupMetadataManager`.

use super::effects::{Blob, SyncReply};
use super::error;
use super::group::{ClassicGroup, InitialDelay};
use super::records::Record;
use super::state::State;
use super::timers::TimerKey;
use super::writes::{Context, Write};

/// The least time between two tries to end a join phase that nobody has joined, so that
/// members with a rebalance timeout of 0 do not keep the shard busy.
const JOIN_RETRY_MS: i64 = 100;

pub(super) fn reschedule_session(group: &ClassicGroup, member_id: &str, cx: &mut Context) {
    if let Some(member) = group.member(member_id) {
        let key = TimerKey::session(&group.id, member_id);
        cx.schedule(key, i64::from(member.session_timeout_ms));
    }
}

/// Something about the members has changed.
pub(super) fn prepare_or_complete(group: &mut ClassicGroup, reason: &str, cx: &mut Context) {
    if group.can_rebalance() {
        prepare(group, reason, cx);
    } else {
        maybe_complete_join(group, cx);
    }
}

/// Begins a rebalance.
pub(super) fn prepare(group: &mut ClassicGroup, reason: &str, cx: &mut Context) {
    if group.state() == State::CompletingRebalance {
        fail_assignment(group, error::REBALANCE_IN_PROGRESS, cx);
    }
    group.pending_sync.clear();
    cx.timers.cancel(&TimerKey::sync(&group.id));
    let is_initial = group.state() == State::Empty;
    group.transition(State::PreparingRebalance, cx.now_ms);
    tracing::info!(
        group = group.id,
        generation = group.generation,
        reason,
        "preparing to rebalance"
    );
    if is_initial {
        // The group is new: its members are probably still being started.
        let step_ms = cx.settings.initial_rebalance_delay_ms;
        group.initial_delay = Some(InitialDelay {
            step_ms,
            remaining_ms: (group.rebalance_timeout_ms() - step_ms).max(0),
        });
        cx.schedule(TimerKey::join(&group.id), step_ms);
    } else if group.has_all_members_joined() {
        complete_join(group, cx);
    } else {
        schedule_join(group, cx);
    }
}

/// Ends the join phase if nobody is missing. An initial delay runs to its end.
pub(super) fn maybe_complete_join(group: &mut ClassicGroup, cx: &mut Context) {
    if group.state() == State::PreparingRebalance
        && group.previous_state() != State::Empty
        && group.has_all_members_joined()
    {
        complete_join(group, cx);
    }
}

/// The join deadline has passed.
pub(super) fn join_deadline(group: &mut ClassicGroup, cx: &mut Context) {
    if group.state() != State::PreparingRebalance {
        return;
    }
    match group.initial_delay {
        Some(delay) if group.new_member_added && delay.remaining_ms != 0 => {
            group.new_member_added = false;
            let step_ms = delay
                .remaining_ms
                .min(cx.settings.initial_rebalance_delay_ms);
            group.initial_delay = Some(InitialDelay {
                step_ms,
                remaining_ms: (delay.remaining_ms - delay.step_ms).max(0),
            });
            cx.schedule(TimerKey::join(&group.id), step_ms);
        }
        _ => complete_join(group, cx),
    }
}

fn schedule_join(group: &ClassicGroup, cx: &mut Context) {
    let timeout_ms = group.rebalance_timeout_ms().max(JOIN_RETRY_MS);
    cx.schedule(TimerKey::join(&group.id), timeout_ms);
}

/// Ends the join phase with those who are there. Dynamic members who are not are
/// removed; static ones may be restarting, and keep their place until their session or
/// the sync deadline ends it.
pub(super) fn complete_join(group: &mut ClassicGroup, cx: &mut Context) {
    cx.timers.cancel(&TimerKey::join(&group.id));
    let missing = group
        .members()
        .filter(|member| member.awaiting_join.is_none() && member.instance_id.is_none())
        .map(|member| member.id.clone());
    for id in missing.collect::<Vec<_>>() {
        tracing::info!(group = group.id, member = id, "removed: it has not joined");
        group.remove(&id, cx);
    }
    if !group.elect_joined_leader() && group.members().len() > 0 {
        schedule_join(group, cx);
        return;
    }
    group.initial_delay = None;
    group.new_member_added = false;
    group.begin_generation(cx.now_ms);
    if group.state() == State::Empty {
        let record = Record::GroupMetadata(group.to_record(|_| Blob::default()));
        cx.persist(vec![record], Write::EmptyGeneration);
        return;
    }
    for id in group.member_ids() {
        if let Some(ticket) = group.take_join_ticket(&id) {
            cx.reply_join(ticket, group.join_reply(&id));
        }
        reschedule_session(group, &id, cx);
        if let Some(member) = group.member_mut(&id) {
            member.is_new = false;
        }
        group.pending_sync.insert(id);
    }
    let timeout_ms = group.rebalance_timeout_ms().max(JOIN_RETRY_MS);
    cx.schedule(TimerKey::sync(&group.id), timeout_ms);
}

/// The time for members to ask for their assignments has passed: those who have not are
/// removed.
pub(super) fn sync_deadline(group: &mut ClassicGroup, cx: &mut Context) {
    let is_running = matches!(group.state(), State::CompletingRebalance | State::Stable);
    if !is_running || group.pending_sync.is_empty() {
        return;
    }
    for id in std::mem::take(&mut group.pending_sync) {
        tracing::info!(group = group.id, member = id, "removed: it has not synced");
        group.remove(&id, cx);
    }
    prepare(group, "members did not sync in time", cx);
}

/// A session, or a pending member's time, has passed.
pub(super) fn session_deadline(group: &mut ClassicGroup, member_id: &str, cx: &mut Context) {
    if group.state() == State::Dead {
        return;
    }
    if group.pending_members.contains(member_id) {
        group.remove(member_id, cx);
        if group.state() == State::PreparingRebalance && group.has_all_members_joined() {
            complete_join(group, cx);
        }
        return;
    }
    let Some(member) = group.member(member_id) else {
        return;
    };
    if member.has_satisfied_heartbeat() {
        return;
    }
    tracing::info!(
        group = group.id,
        member = member_id,
        "removed: session timed out"
    );
    group.remove(member_id, cx);
    match group.state() {
        State::Stable | State::CompletingRebalance => {
            prepare_or_complete(group, "a member's session timed out", cx);
        }
        State::PreparingRebalance if group.has_all_members_joined() => complete_join(group, cx),
        _ => {}
    }
}

/// Takes back all assignments and answers whoever waits for one.
pub(super) fn fail_assignment(group: &mut ClassicGroup, code: i16, cx: &mut Context) {
    assert_eq!(group.state(), State::CompletingRebalance);
    group.assignment_write = None;
    for id in group.member_ids() {
        let Some(member) = group.member_mut(&id) else {
            continue;
        };
        member.assignment = Blob::default();
        if let Some(ticket) = member.awaiting_sync.take() {
            cx.reply_sync(ticket, SyncReply::error(code));
            reschedule_session(group, &id, cx);
        }
    }
}

/// The assignment is durable: everybody who waits gets its part.
pub(super) fn install_assignment(
    group: &mut ClassicGroup,
    assignment: impl Fn(&str) -> Blob,
    cx: &mut Context,
) {
    group.assignment_write = None;
    for id in group.member_ids() {
        let Some(member) = group.member_mut(&id) else {
            continue;
        };
        member.assignment = assignment(&id);
        if let Some(ticket) = member.awaiting_sync.take() {
            cx.reply_sync(ticket, super::sync::current_assignment(group, &id));
            // While it waited, its session may have passed unpunished.
            reschedule_session(group, &id, cx);
        }
    }
    group.transition(State::Stable, cx.now_ms);
}
