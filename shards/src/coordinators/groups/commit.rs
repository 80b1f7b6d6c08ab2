//! OffsetCommit: by members of their generation, and by consumers that manage their own
//! partitions (generation −1), for whom an empty "simple" group is made.

use super::GroupsShard;
use super::effects::{CommitReply, CommitReplyTopic, Effects, Reply, Ticket, TopicId};
use super::error;
use super::group::ClassicGroup;
use super::rebalance;
use super::records::{CommittedOffset, Record};
use super::state::State;
use super::writes::Write;

#[derive(Debug, Clone)]
pub struct CommitRequest {
    pub group_id: String,
    /// Negative: not a member.
    pub generation: i32,
    pub member_id: String,
    pub instance_id: Option<String>,
    /// OffsetCommit up to version 4; `None` (−1 on the wire): the broker's retention.
    pub retention_ms: Option<i64>,
    /// OffsetCommit v9 and later know GROUP_ID_NOT_FOUND; older clients are told
    /// ILLEGAL_GENERATION.
    pub group_id_not_found_supported: bool,
    pub topics: Vec<CommitTopic>,
}

#[derive(Debug, Clone)]
pub struct CommitTopic {
    pub name: String,
    pub topic_id: TopicId,
    pub partitions: Vec<CommitPartition>,
}

#[derive(Debug, Clone)]
pub struct CommitPartition {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<String>,
    /// Set by the caller for what it refuses itself (an unknown topic); answered, not
    /// committed.
    pub error: i16,
}

impl CommitRequest {
    /// The reply that gives every partition this error, or the caller's own.
    pub fn failed(&self, code: i16) -> CommitReply {
        self.reply(|partition| match partition.error {
            error::NONE => code,
            own => own,
        })
    }

    fn reply(&self, mut error_of: impl FnMut(&CommitPartition) -> i16) -> CommitReply {
        let topics = self.topics.iter().map(|topic| CommitReplyTopic {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partitions: topic
                .partitions
                .iter()
                .map(|p| (p.partition, error_of(p)))
                .collect(),
        });
        CommitReply {
            topics: topics.collect(),
        }
    }
}

impl GroupsShard {
    /// Answered when every offset in it is durable; only then can they be fetched.
    pub fn commit(
        &mut self,
        request: CommitRequest,
        ticket: Ticket,
        now_ms: i64,
        out: &mut Effects,
    ) {
        if let Err(code) = self.validate_commit(&request) {
            let (_, mut cx) = self.split(now_ms, out);
            cx.reply(ticket, Reply::Commit(request.failed(code)));
            return;
        }
        let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
        let (reply, offsets) = self.accept(request, now_ms);
        let (groups, mut cx) = self.split(now_ms, out);
        // A commit is a sign of life, too.
        if let Some(group) = groups.get(&group_id)
            && matches!(group.state(), State::Stable | State::PreparingRebalance)
        {
            rebalance::reschedule_session(group, &member_id, &mut cx);
        }
        if offsets.is_empty() {
            cx.reply(ticket, Reply::Commit(reply));
            return;
        }
        let records = offsets
            .iter()
            .map(|(topic, partition, value)| Record::OffsetCommit {
                group_id: group_id.clone(),
                topic: topic.clone(),
                partition: *partition,
                value: value.clone(),
            })
            .collect();
        let write = Write::Commit {
            ticket,
            group: group_id.clone(),
            offsets: offsets.clone(),
            reply,
        };
        let token = cx.persist(records, write);
        self.offsets.begin(&group_id, token, &offsets);
    }

    /// Which of a request's offsets can be kept, and what is said of each.
    pub(super) fn accept(
        &self,
        request: CommitRequest,
        now_ms: i64,
    ) -> (CommitReply, Vec<(String, i32, CommittedOffset)>) {
        let limits = &self.settings.limits;
        let metadata_max = self.settings.offset_metadata_max;
        let mut room = limits.offsets_max.saturating_sub(self.offsets.count());
        let reply = request.reply(|partition| {
            if partition.error != error::NONE {
                return partition.error;
            }
            let metadata = partition.metadata.as_deref().unwrap_or_default();
            if metadata.len() > metadata_max && metadata.encode_utf16().count() > metadata_max {
                return error::OFFSET_METADATA_TOO_LARGE;
            }
            match room.checked_sub(1) {
                Some(rest) => {
                    room = rest;
                    error::NONE
                }
                None => error::INVALID_COMMIT_OFFSET_SIZE,
            }
        });
        let expire_timestamp_ms = request.retention_ms.map(|ms| now_ms.saturating_add(ms));
        let mut offsets = Vec::new();
        for (topic, answered) in request.topics.into_iter().zip(&reply.topics) {
            let accepted = topic
                .partitions
                .into_iter()
                .zip(&answered.partitions)
                .filter(|(_, (_, code))| *code == error::NONE);
            for (partition, _) in accepted {
                let value = CommittedOffset {
                    offset: partition.offset,
                    leader_epoch: partition.leader_epoch,
                    metadata: partition.metadata.unwrap_or_default(),
                    commit_timestamp_ms: now_ms,
                    expire_timestamp_ms,
                    topic_id: topic.topic_id,
                };
                offsets.push((topic.name.clone(), partition.partition, value));
            }
        }
        (reply, offsets)
    }

    fn validate_commit(&self, request: &CommitRequest) -> Result<(), i16> {
        let limits = &self.settings.limits;
        self.check_group_id(&request.group_id)?;
        if self.writes.pending.len() >= limits.writes_max {
            return Err(error::COORDINATOR_NOT_AVAILABLE);
        }
        match self.groups.get(&request.group_id) {
            Some(group) => validate_member_commit(group, request),
            None if request.generation >= 0 && request.group_id_not_found_supported => {
                Err(error::GROUP_ID_NOT_FOUND)
            }
            None if request.generation >= 0 => Err(error::ILLEGAL_GENERATION),
            None if self.groups.len() >= limits.groups_max => Err(error::COORDINATOR_NOT_AVAILABLE),
            None => Ok(()),
        }
    }
}

fn validate_member_commit(group: &ClassicGroup, request: &CommitRequest) -> Result<(), i16> {
    if group.state() == State::Dead {
        return Err(error::COORDINATOR_NOT_AVAILABLE);
    }
    if request.generation < 0 && group.state() == State::Empty {
        return Ok(());
    }
    let claims_membership =
        request.generation >= 0 || !request.member_id.is_empty() || request.instance_id.is_some();
    if !claims_membership {
        // Not a member, and the group has members: their offsets are not its business.
        return Err(error::UNKNOWN_MEMBER_ID);
    }
    group.validate_member(&request.member_id, request.instance_id.as_deref())?;
    if request.generation != group.generation {
        return Err(error::ILLEGAL_GENERATION);
    }
    if group.state() == State::CompletingRebalance {
        return Err(error::REBALANCE_IN_PROGRESS);
    }
    Ok(())
}
