//! From the log to a serving coordinator and back: replay, loaded, unload.

use super::GroupsShard;
use super::effects::{Effects, JoinReply, Reply, SyncReply};
use super::error;
use super::group::ClassicGroup;
use super::records::Record;
use super::state::State;
use super::timers::TimerKey;
use super::writes::{Context, Write};
use super::{persisted, rebalance};

impl ClassicGroup {
    pub(super) fn cancel_timers(&self, cx: &mut Context) {
        cx.timers.cancel(&TimerKey::join(&self.id));
        cx.timers.cancel(&TimerKey::sync(&self.id));
        let members = self.members().map(|member| &member.id);
        for id in members.chain(&self.pending_members) {
            cx.timers.cancel(&TimerKey::session(&self.id, id));
        }
    }
}

impl GroupsShard {
    /// Folds one record of the log into the state, in log order, before
    /// [`loaded`](Self::loaded). Bounds do not apply to what is already stored.
    pub fn replay(&mut self, record: Record) {
        match record {
            Record::GroupMetadata(metadata) => {
                let group = ClassicGroup::from_record(&metadata);
                self.groups.insert(metadata.group_id, group);
            }
            Record::GroupTombstone { group_id } => {
                self.groups.remove(&group_id);
            }
            Record::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => {
                if !self.groups.contains_key(&group_id) {
                    let simple = ClassicGroup::new(&group_id, value.commit_timestamp_ms);
                    self.groups.insert(group_id.clone(), simple);
                }
                self.open_offsets.overtaken(&group_id, &topic, partition);
                self.offsets.put(&group_id, &topic, partition, value);
            }
            Record::OffsetTombstone {
                group_id,
                topic,
                partition,
            } => self.remove_offset(&group_id, &topic, partition),
        }
    }

    /// The log has been replayed: from now on members' silence counts.
    pub fn loaded(&mut self, now_ms: i64, out: &mut Effects) {
        let size_max = self.settings.group_size_max;
        let (groups, mut cx) = self.split(now_ms, out);
        for group in groups.values_mut() {
            for id in group.member_ids() {
                rebalance::reschedule_session(group, &id, &mut cx);
            }
            if group.members().len() > size_max {
                rebalance::prepare(group, "the group is over its maximum size", &mut cx);
            }
        }
        let interval_ms = cx.settings.offsets_retention_check_interval_ms;
        cx.schedule(TimerKey::Expiry, interval_ms);
    }

    /// This node is no longer the coordinator: whoever waits is told NOT_COORDINATOR,
    /// and everything is forgotten.
    pub fn unload(&mut self, now_ms: i64, out: &mut Effects) {
        const CODE: i16 = error::NOT_COORDINATOR;
        let writes = std::mem::take(&mut self.writes.pending);
        self.writes.readers = 0;
        let (groups, mut cx) = self.split(now_ms, out);
        for group in groups.values_mut() {
            for id in group.member_ids() {
                if let Some(ticket) = group.take_join_ticket(&id) {
                    cx.reply_join(ticket, JoinReply::error(CODE, &id));
                }
                let member = group.member_mut(&id);
                if let Some(ticket) = member.and_then(|m| m.awaiting_sync.take()) {
                    cx.reply_sync(ticket, SyncReply::error(CODE));
                }
            }
            group.transition(State::Dead, now_ms);
        }
        for pending in writes.into_values() {
            match pending.write {
                Write::Commit {
                    ticket, mut reply, ..
                }
                | Write::CommitOpen {
                    ticket, mut reply, ..
                } => {
                    reply.fail(CODE);
                    cx.reply(ticket, Reply::Commit(reply));
                }
                Write::End { ticket, .. } => cx.reply(ticket, Reply::Ended(Err(CODE))),
                Write::Tombstones {
                    reply: Some((ticket, reply)),
                    ..
                } => cx.reply(ticket, persisted::failed_deletion(reply, CODE)),
                // Whoever waits for these waits as a member.
                Write::Tombstones { reply: None, .. }
                | Write::NewGroup { .. }
                | Write::EmptyGeneration
                | Write::Assignment { .. }
                | Write::StaticMember(_) => {}
            }
            for (ticket, request) in pending.readers {
                let reply = request.failed(CODE);
                cx.reply(ticket, Reply::Fetch(reply));
            }
        }
        self.groups.clear();
        self.offsets = Default::default();
        self.open_offsets = Default::default();
        self.timers = Default::default();
        self.expiry_cursor = None;
    }

    /// When [`tick`](Self::tick) has something to do (milliseconds, the caller's clock).
    pub fn next_deadline(&self) -> Option<i64> {
        self.timers.next()
    }

    /// Does all that is due. Call it again when the next deadline has passed.
    pub fn tick(&mut self, now_ms: i64, out: &mut Effects) {
        while let Some(key) = self.timers.pop(now_ms) {
            if key == TimerKey::Expiry {
                self.expire(now_ms, out);
                continue;
            }
            let (groups, mut cx) = self.split(now_ms, out);
            match &key {
                TimerKey::Session { group, member } => {
                    if let Some(group) = groups.get_mut(group) {
                        rebalance::session_deadline(group, member, &mut cx);
                    }
                }
                TimerKey::Join { group } => {
                    if let Some(group) = groups.get_mut(group) {
                        rebalance::join_deadline(group, &mut cx);
                    }
                }
                TimerKey::Sync { group } => {
                    if let Some(group) = groups.get_mut(group) {
                        rebalance::sync_deadline(group, &mut cx);
                    }
                }
                TimerKey::Expiry => {}
            }
        }
    }
}
