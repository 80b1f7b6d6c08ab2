//! DeleteGroups, OffsetDelete, and the offsets of deleted topics: what goes away by
//! tombstones, and only when those are durable.

use super::GroupsShard;
use super::effects::{Effects, OffsetDeleteReply, Reply, Ticket, TopicId};
use super::error;
use super::offsets::ids_contradict;
use super::records::Record;
use super::state::State;
use super::writes::{Context, Write};

#[derive(Debug, Clone)]
pub struct OffsetDeleteRequest {
    pub group_id: String,
    /// (topic, partitions)
    pub topics: Vec<(String, Vec<i32>)>,
}

/// Tombstones for offsets, then for their groups.
pub(super) fn persist_tombstones(
    offsets: Vec<(String, String, i32)>,
    groups: Vec<String>,
    reply: Option<(Ticket, Reply)>,
    cx: &mut Context,
) {
    let of_offsets = offsets
        .iter()
        .map(|(group_id, topic, partition)| Record::OffsetTombstone {
            group_id: group_id.clone(),
            topic: topic.clone(),
            partition: *partition,
        });
    let of_groups = groups.iter().map(|group_id| Record::GroupTombstone {
        group_id: group_id.clone(),
    });
    let records: Vec<Record> = of_offsets.chain(of_groups).collect();
    match reply {
        Some((ticket, reply)) if records.is_empty() => cx.reply(ticket, reply),
        None if records.is_empty() => {}
        reply => {
            let write = Write::Tombstones {
                offsets,
                groups,
                reply,
            };
            cx.persist(records, write);
        }
    }
}

impl GroupsShard {
    /// Deletes groups without members, with their offsets. Answered when the tombstones
    /// are durable; until then a group is Dead to everybody else.
    pub fn delete_groups(
        &mut self,
        group_ids: &[String],
        ticket: Ticket,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let mut results = Vec::new();
        let mut groups = Vec::new();
        let mut offsets = Vec::new();
        let has_room = self.writes.pending.len() < self.settings.limits.writes_max;
        for id in group_ids {
            let code = match self.groups.get_mut(id) {
                None => error::GROUP_ID_NOT_FOUND,
                Some(group) => match group.state() {
                    State::Dead => error::GROUP_ID_NOT_FOUND,
                    State::Empty if !has_room => error::COORDINATOR_NOT_AVAILABLE,
                    State::Empty => {
                        group.transition(State::Dead, now_ms);
                        offsets.extend(self.offset_keys(id));
                        groups.push(id.clone());
                        error::NONE
                    }
                    _ => error::NON_EMPTY_GROUP,
                },
            };
            results.push((id.clone(), code));
        }
        let (_, mut cx) = self.split(now_ms, out);
        let reply = Reply::DeleteGroups(results);
        persist_tombstones(offsets, groups, Some((ticket, reply)), &mut cx);
    }

    /// Deletes offsets of topics that the group does not subscribe to (KIP-496).
    pub fn delete_offsets(
        &mut self,
        request: OffsetDeleteRequest,
        ticket: Ticket,
        now_ms: i64,
        out: &mut Effects,
    ) {
        let (reply, offsets) = match self.validate_offset_delete(&request) {
            Err(error) => {
                let topics = Vec::new();
                (OffsetDeleteReply { error, topics }, Vec::new())
            }
            Ok(()) => self.offsets_to_delete(request),
        };
        let (_, mut cx) = self.split(now_ms, out);
        let reply = Reply::OffsetDelete(reply);
        persist_tombstones(offsets, Vec::new(), Some((ticket, reply)), &mut cx);
    }

    fn validate_offset_delete(&self, request: &OffsetDeleteRequest) -> Result<(), i16> {
        if self.writes.pending.len() >= self.settings.limits.writes_max {
            return Err(error::COORDINATOR_NOT_AVAILABLE);
        }
        let group = self.groups.get(&request.group_id);
        match group.map(|group| (group.state(), group.uses_consumer_protocol())) {
            None | Some((State::Dead, _)) => Err(error::GROUP_ID_NOT_FOUND),
            Some((State::Empty, _) | (_, true)) => Ok(()),
            Some((_, false)) => Err(error::NON_EMPTY_GROUP),
        }
    }

    fn offsets_to_delete(
        &self,
        request: OffsetDeleteRequest,
    ) -> (OffsetDeleteReply, Vec<(String, String, i32)>) {
        let group = self.groups.get(&request.group_id);
        let held = self.offsets.group(&request.group_id);
        let mut deleted = Vec::new();
        let mut topics = Vec::new();
        for (topic, partitions) in request.topics {
            let is_subscribed = group.is_some_and(|group| group.is_subscribed_to(&topic));
            let mut results = Vec::new();
            for partition in partitions {
                if is_subscribed {
                    results.push((partition, error::GROUP_SUBSCRIBED_TO_TOPIC));
                    continue;
                }
                results.push((partition, error::NONE));
                let exists = held.is_some_and(|offsets| {
                    offsets.get(&topic, partition).is_some()
                        || offsets.is_in_flight(&topic, partition)
                });
                if exists {
                    deleted.push((request.group_id.clone(), topic.clone(), partition));
                }
            }
            topics.push((topic, results));
        }
        let error = error::NONE;
        (OffsetDeleteReply { error, topics }, deleted)
    }

    /// A topic is gone: so are its offsets, in every group.
    pub fn topic_deleted(&mut self, name: &str, id: TopicId, now_ms: i64, out: &mut Effects) {
        let mut gone = Vec::new();
        for (group, offsets) in self.offsets.groups() {
            let of_topic = offsets
                .all()
                .into_iter()
                .filter(|(topic, _, topic_id)| topic == name && !ids_contradict(*topic_id, id))
                .map(|(topic, partition, _)| (group.clone(), topic, partition));
            gone.extend(of_topic);
        }
        let (_, mut cx) = self.split(now_ms, out);
        persist_tombstones(gone, Vec::new(), None, &mut cx);
    }

    pub(super) fn offset_keys(&self, group: &str) -> Vec<(String, String, i32)> {
        let all = self.offsets.group(group).map(|o| o.all());
        let all = all.unwrap_or_default().into_iter();
        all.map(|(topic, partition, _)| (group.to_owned(), topic, partition))
            .collect()
    }
}
