//! A write has ended: what it was for happens, or is taken back.

use super::GroupsShard;
use super::effects::{CommitReply, Effects, JoinReply, Reply, Ticket, Token};
use super::error;
use super::group::ClassicGroup;
use super::records::CommittedOffset;
use super::state::State;
use super::writes::{Pending, StaticReplacement, Write};
use super::{rebalance, static_member, sync};

impl GroupsShard {
    /// Tells the end of [`Effect::Persist`](super::Effect::Persist): every record is
    /// durable, or the append failed with a Kafka error code. Writes must be told in the
    /// order of their tokens; an unknown token is ignored (it was unloaded).
    pub fn persisted(
        &mut self,
        token: Token,
        outcome: Result<(), i16>,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let Some(Pending { write, readers }) = self.writes.take(token) else {
            return;
        };
        let outcome = outcome.map_err(error::of_failed_append);
        match write {
            Write::NewGroup { group } => {
                if let Err(code) = outcome {
                    self.new_group_failed(&group, code, now_ms, out);
                }
            }
            Write::EmptyGeneration => {}
            Write::Assignment {
                group,
                generation,
                assignments,
            } => {
                let (groups, mut cx) = self.split(now_ms, out);
                let current = groups.get_mut(&group).filter(|group| {
                    group.state() == State::CompletingRebalance
                        && group.generation == generation
                        && group.assignment_write == Some(token)
                });
                match (current, outcome) {
                    // The next rebalance has begun meanwhile.
                    (None, _) => {}
                    (Some(group), Ok(())) => {
                        let assignment =
                            |id: &str| assignments.get(id).cloned().unwrap_or_default();
                        rebalance::install_assignment(group, assignment, &mut cx);
                    }
                    (Some(group), Err(code)) => sync::assignment_failed(group, code, &mut cx),
                }
            }
            Write::StaticMember(replacement) => {
                self.static_member_ended(*replacement, outcome, now_ms, out);
            }
            Write::Commit {
                ticket,
                group,
                offsets,
                reply,
            } => self.commit_ended(ticket, &group, offsets, reply, outcome, now_ms, out),
            Write::CommitOpen {
                ticket,
                group,
                producer,
                offsets,
                mut reply,
            } => {
                match outcome {
                    Ok(()) => self.open_written(&group, producer, offsets, now_ms),
                    Err(code) => {
                        self.offsets.end(&group, &offsets);
                        reply.fail(code);
                    }
                }
                let (_, mut cx) = self.split(now_ms, out);
                cx.reply(ticket, Reply::Commit(reply));
            }
            Write::End { ticket, end } => {
                if outcome.is_ok() {
                    self.transaction_ended(end.producer_id, end.commit);
                }
                let (_, mut cx) = self.split(now_ms, out);
                cx.reply(ticket, Reply::Ended(outcome));
            }
            Write::Tombstones {
                offsets,
                groups,
                reply,
            } => {
                self.tombstones_ended(&offsets, &groups, outcome);
                if let Some((ticket, reply)) = reply {
                    let (_, mut cx) = self.split(now_ms, out);
                    let reply = match outcome {
                        Ok(()) => reply,
                        Err(code) => failed_deletion(reply, code),
                    };
                    cx.reply(ticket, reply);
                }
            }
        }
        for (ticket, request) in readers {
            let reply = self.read_offsets(request);
            let (_, mut cx) = self.split(now_ms, out);
            cx.reply(ticket, Reply::Fetch(reply));
        }
    }

    /// The record of a group just created is lost: so is what has happened in it, unless
    /// it has reached a generation of its own (whose record decides).
    fn new_group_failed(&mut self, group: &str, code: i16, now_ms: i64, out: &mut Effects) {
        let (groups, mut cx) = self.split(now_ms, out);
        let Some(found) = groups.get_mut(group).filter(|g| g.generation == 0) else {
            return;
        };
        for id in found.member_ids() {
            if let Some(ticket) = found.take_join_ticket(&id) {
                cx.reply_join(ticket, JoinReply::error(code, &id));
            }
        }
        found.cancel_timers(&mut cx);
        groups.remove(group);
    }

    fn static_member_ended(
        &mut self,
        replacement: StaticReplacement,
        outcome: Result<(), i16>,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let (groups, mut cx) = self.split(now_ms, out);
        if let Some(group) = groups.get_mut(&replacement.group) {
            static_member::replaced(group, replacement, outcome, &mut cx);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one kind of write")]
    fn commit_ended(
        &mut self,
        ticket: Ticket,
        group: &str,
        offsets: Vec<(String, i32, CommittedOffset)>,
        mut reply: CommitReply,
        outcome: Result<(), i16>,
        now_ms: i64,
        out: &mut Effects,
    ) {
        self.offsets.end(group, &offsets);
        match outcome {
            Ok(()) => {
                if !self.groups.contains_key(group) {
                    let simple = ClassicGroup::new(group, now_ms);
                    self.groups.insert(group.to_owned(), simple);
                }
                for (topic, partition, value) in offsets {
                    self.open_offsets.overtaken(group, &topic, partition);
                    self.offsets.put(group, &topic, partition, value);
                }
            }
            Err(code) => reply.fail(code),
        }
        let (_, mut cx) = self.split(now_ms, out);
        cx.reply(ticket, Reply::Commit(reply));
    }

    /// An offset is gone, in open transactions, too.
    pub(super) fn remove_offset(&mut self, group: &str, topic: &str, partition: i32) {
        self.offsets.remove(group, topic, partition);
        for _ in 0..self.open_offsets.remove(group, topic, partition) {
            self.offsets.end_one(group, topic, partition);
        }
    }

    fn tombstones_ended(
        &mut self,
        offsets: &[(String, String, i32)],
        groups: &[String],
        outcome: Result<(), i16>,
    ) {
        if outcome.is_ok() {
            for (group, topic, partition) in offsets {
                self.remove_offset(group, topic, *partition);
            }
        }
        for id in groups {
            let Some(group) = self.groups.get_mut(id).filter(|g| g.state() == State::Dead) else {
                continue;
            };
            match outcome {
                Ok(()) => {
                    for member in std::mem::take(&mut group.pending_members) {
                        self.timers
                            .cancel(&super::timers::TimerKey::session(id, &member));
                    }
                    self.groups.remove(id);
                }
                Err(_) => group.revive(),
            }
        }
    }
}

/// The same reply with an error for everything that would have been deleted.
pub(super) fn failed_deletion(reply: Reply, code: i16) -> Reply {
    let fail = |error: i16| if error == error::NONE { code } else { error };
    match reply {
        Reply::DeleteGroups(results) => {
            let results = results.into_iter().map(|(id, error)| (id, fail(error)));
            Reply::DeleteGroups(results.collect())
        }
        Reply::OffsetDelete(mut reply) => {
            reply.error = code;
            reply.topics.clear();
            Reply::OffsetDelete(reply)
        }
        other => other,
    }
}
