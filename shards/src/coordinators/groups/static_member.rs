//! A static member comes back without its member id (KIP-345): usually a consumer that
//! was restarted. It takes its own place under a new id, and where the group is stable
//! and would choose the same protocol, nobody else notices.

use super::effects::{JoinReply, Ticket};
use super::error;
use super::group::ClassicGroup;
use super::join::JoinRequest;
use super::rebalance;
use super::records::Record;
use super::state::State;
use super::writes::{Context, StaticReplacement, Write};

pub(super) fn rejoin(
    group: &mut ClassicGroup,
    request: JoinRequest,
    old_id: &str,
    new_id: &str,
    ticket: Ticket,
    cx: &mut Context,
) {
    if !cx.has_room_to_write() {
        let reply = JoinReply::error(error::COORDINATOR_NOT_AVAILABLE, "");
        cx.reply_join(ticket, reply);
        return;
    }
    let reason = request.reason().to_owned();
    let old_leader = group.leader.clone();
    group.rename_static_member(old_id, new_id, cx);
    let member = group.member(new_id).expect("it has just been renamed");
    let replacement = StaticReplacement {
        group: group.id.clone(),
        ticket,
        old_member_id: old_id.to_owned(),
        new_member_id: new_id.to_owned(),
        old_protocols: member.protocols.clone(),
        old_rebalance_timeout_ms: member.rebalance_timeout_ms,
        old_session_timeout_ms: member.session_timeout_ms,
        old_leader,
        skip_assignment_supported: request.skip_assignment_supported,
    };
    // Kafka arms the new id's session with the old timeout; the new one is meant.
    group.update_member(
        new_id,
        request.protocols,
        request.rebalance_timeout_ms,
        request.session_timeout_ms,
        Some(ticket),
        cx,
    );
    rebalance::reschedule_session(group, new_id, cx);
    match group.state() {
        State::Stable if group.protocol.as_deref() == group.select_protocol() => {
            let record = group.to_record(|member| member.assignment.clone());
            let write = Write::StaticMember(Box::new(replacement));
            cx.persist(vec![Record::GroupMetadata(record)], write);
        }
        State::Stable => rebalance::prepare_or_complete(group, &reason, cx),
        // The leader is assigning to the old id at this moment.
        State::CompletingRebalance => rebalance::prepare(group, &reason, cx),
        State::PreparingRebalance | State::Empty | State::Dead => {
            rebalance::maybe_complete_join(group, cx);
        }
    }
}

/// The replacement is durable, or has failed with an error.
pub(super) fn replaced(
    group: &mut ClassicGroup,
    replacement: StaticReplacement,
    outcome: Result<(), i16>,
    cx: &mut Context,
) {
    let id = replacement.new_member_id.as_str();
    let still_waits = group
        .member(id)
        .is_some_and(|member| member.awaiting_join == Some(replacement.ticket));
    if !still_waits {
        // Fenced, timed out, or answered by a rebalance.
        return;
    }
    match outcome {
        Ok(()) if group.state() == State::Stable => {
            let _ = group.take_join_ticket(id);
            let mut reply = group.join_reply(id);
            if replacement.skip_assignment_supported {
                reply.skip_assignment = group.is_leader(id);
            } else {
                // Older clients would assign if they were told that they lead: name the
                // leader under its old id.
                reply.leader = replacement.old_leader.unwrap_or_default();
                reply.members.clear();
            }
            cx.reply_join(replacement.ticket, reply);
            rebalance::reschedule_session(group, id, cx);
        }
        // A rebalance has begun and will answer it.
        Ok(()) => {}
        Err(code) => {
            let _ = group.take_join_ticket(id);
            let mut reply = JoinReply::error(code, "");
            reply.generation = group.generation;
            reply.protocol_type = group.protocol_type.clone();
            reply.protocol_name = group.protocol.clone();
            reply.leader = replacement.old_leader.unwrap_or_default();
            cx.reply_join(replacement.ticket, reply);
            group.update_member(
                id,
                replacement.old_protocols,
                replacement.old_rebalance_timeout_ms,
                replacement.old_session_timeout_ms,
                None,
                cx,
            );
            group.rename_static_member(id, &replacement.old_member_id, cx);
            rebalance::reschedule_session(group, &replacement.old_member_id, cx);
        }
    }
}
