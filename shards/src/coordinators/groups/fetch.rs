//! OffsetFetch: what a group has committed.

use super::GroupsShard;
use super::effects::{Effects, FetchReply, FetchReplyTopic, FetchedOffset, Reply, Ticket, TopicId};
use super::error;
use super::offsets::{GroupOffsets, NO_TOPIC_ID, ids_contradict};
use super::state::State;

/// One group of an OffsetFetch (from version 8 a request has several; each may live in
/// another coordinator partition).
#[derive(Debug, Clone, PartialEq)]
pub struct FetchRequest {
    pub group_id: String,
    /// `None`: every partition that has an offset.
    pub topics: Option<Vec<FetchTopic>>,
    /// Wait for commits that are on their way.
    pub require_stable: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FetchTopic {
    pub name: String,
    pub topic_id: TopicId,
    /// Set by the caller for a topic it refuses itself.
    pub error: i16,
    pub partitions: Vec<i32>,
}

impl FetchRequest {
    /// The reply that gives the group, and every partition asked for, this error.
    pub fn failed(self, code: i16) -> FetchReply {
        let topics = self.topics.unwrap_or_default().into_iter();
        let topics = topics.map(|topic| FetchReplyTopic {
            partitions: topic
                .partitions
                .iter()
                .map(|partition| FetchedOffset::none(*partition, code))
                .collect(),
            name: topic.name,
            topic_id: topic.topic_id,
        });
        FetchReply {
            group_id: self.group_id,
            error: code,
            topics: topics.collect(),
        }
    }
}

impl GroupsShard {
    /// Answered at once, or, where stable offsets are asked for, when the group's commits
    /// in flight are durable or have failed.
    pub fn fetch(&mut self, request: FetchRequest, ticket: Ticket, now_ms: i64, out: &mut Effects) {
        let awaited = self
            .offsets
            .group(&request.group_id)
            .filter(|_| request.require_stable)
            .and_then(GroupOffsets::awaited);
        if let Some(pending) = awaited.and_then(|token| self.writes.pending.get_mut(&token)) {
            if self.writes.readers < self.settings.limits.stable_reads_max {
                pending.readers.push((ticket, request));
                self.writes.readers += 1;
                return;
            }
            let reply = request.failed(error::COORDINATOR_NOT_AVAILABLE);
            let (_, mut cx) = self.split(now_ms, out);
            cx.reply(ticket, Reply::Fetch(reply));
            return;
        }
        let reply = self.read_offsets(request);
        let (_, mut cx) = self.split(now_ms, out);
        cx.reply(ticket, Reply::Fetch(reply));
    }

    /// An offset that an open transaction may be about to replace is not told.
    fn without_unstable(
        &self,
        group: &str,
        mut topics: Vec<FetchReplyTopic>,
    ) -> Vec<FetchReplyTopic> {
        for topic in &mut topics {
            for one in topic.partitions.iter_mut().filter(|one| one.error == 0) {
                if self.open_offsets.has(group, &topic.name, one.partition) {
                    *one = FetchedOffset::none(one.partition, error::UNSTABLE_OFFSET_COMMIT);
                }
            }
        }
        topics
    }

    /// What is committed at this moment.
    pub(super) fn read_offsets(&self, request: FetchRequest) -> FetchReply {
        let group = self.groups.get(&request.group_id);
        let offsets = self
            .offsets
            .group(&request.group_id)
            .filter(|_| group.is_some_and(|group| group.state() != State::Dead));
        let topics = match request.topics {
            Some(topics) => topics.iter().map(|t| read_topic(offsets, t)).collect(),
            None => offsets.map(read_all).unwrap_or_default(),
        };
        let topics = match request.require_stable {
            true => self.without_unstable(&request.group_id, topics),
            false => topics,
        };
        FetchReply {
            group_id: request.group_id,
            error: error::NONE,
            topics,
        }
    }
}

fn read_topic(offsets: Option<&GroupOffsets>, topic: &FetchTopic) -> FetchReplyTopic {
    let read = |partition: &i32| {
        // An offset of a deleted topic of the same name is not this topic's.
        let committed = offsets
            .and_then(|offsets| offsets.get(&topic.name, *partition))
            .filter(|value| !ids_contradict(value.topic_id, topic.topic_id))
            .filter(|_| topic.error == error::NONE);
        match committed {
            Some(value) => FetchedOffset {
                partition: *partition,
                offset: value.offset,
                leader_epoch: value.leader_epoch,
                metadata: value.metadata.clone(),
                error: error::NONE,
            },
            None => FetchedOffset::none(*partition, topic.error),
        }
    };
    FetchReplyTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(read).collect(),
    }
}

fn read_all(offsets: &GroupOffsets) -> Vec<FetchReplyTopic> {
    let topics = offsets.committed.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|(partition, value)| FetchedOffset {
            partition: *partition,
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
            error: error::NONE,
        });
        FetchReplyTopic {
            name: name.clone(),
            topic_id: NO_TOPIC_ID,
            partitions: partitions.collect(),
        }
    });
    topics.collect()
}
