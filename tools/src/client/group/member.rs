//! Membership of a consumer group: joining, assignments, commits, leaving.
//!
//! Source: Kafka `AbstractCoordinator`, `ConsumerCoordinator` (eager rebalancing): before joining
//! again a member gives up all its partitions, so whoever calls [`Membership::join`] has
//! committed what it has consumed.

use std::collections::BTreeMap;
use std::time::Duration;

use odradek_wire::ErrorCode;
use odradek_wire::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use odradek_wire::leave_group::{LeaveGroupRequest, MemberIdentity};
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use odradek_wire::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse};
use odradek_wire::{DecodeError, EncodeError};

use super::assign::{Subscriber, assign_ranges};
use super::coordinator::find_coordinator;
use super::heartbeat::{Heartbeat, Verdict};
use super::protocol;
use crate::client::{ClientError, Cluster, Connection, check};

/// From version 10 on topics go by id; their names serve here.
const COMMIT_VERSION_MAX: i16 = 9;
/// From this version on several members can leave at once.
const LEAVE_MEMBERS_FROM: i16 = 3;

/// How to be a member.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    pub group: String,
    /// After so long without a heartbeat the coordinator takes the member for dead.
    pub session_timeout: Duration,
    /// How long the members have for joining again.
    pub rebalance_timeout: Duration,
    pub heartbeat_interval: Duration,
}

/// See the [module](self).
pub struct Membership {
    options: GroupOptions,
    topic: String,
    member_id: String,
    generation: i32,
    /// To the coordinator.
    connection: Option<Connection>,
    heartbeat: Option<Heartbeat>,
}

/// What a round of joining has led to.
struct Joined {
    protocol: String,
    /// The assignments that this member, being the leader, has worked out.
    assignments: Vec<(String, Vec<u8>)>,
}

impl Membership {
    pub fn new(options: GroupOptions, topic: &str) -> Self {
        Self {
            options,
            topic: topic.to_owned(),
            member_id: String::new(),
            generation: -1,
            connection: None,
            heartbeat: None,
        }
    }

    pub fn member_id(&self) -> &str {
        &self.member_id
    }

    /// Has the coordinator asked for another round, or is it lost?
    pub fn must_join(&self) -> bool {
        let heartbeat = self.heartbeat.as_ref();
        heartbeat.is_none_or(|heartbeat| heartbeat.verdict().is_some())
    }

    /// Joins (again), and gives the partitions of the topic that are now this member's.
    ///
    /// # Errors
    /// What the coordinator refuses for good; time running out.
    pub fn join(&mut self, cluster: &mut Cluster) -> Result<Vec<i32>, ClientError> {
        if let Some(heartbeat) = self.heartbeat.take()
            && let Some(verdict) = heartbeat.verdict()
        {
            self.heed(verdict);
        }
        let mut deadline = cluster.deadline();
        loop {
            let error = match self.join_once(cluster) {
                Ok(partitions) => return Ok(partitions),
                Err(error) => error,
            };
            if error.breaks_connection() {
                self.connection = None;
            }
            match Verdict::of(&error) {
                Some(verdict) => {
                    self.heed(verdict);
                    tracing::debug!("{error}: {verdict:?}");
                    // Members that keep coming keep everybody joining: no reason to give up.
                    if verdict == Verdict::CoordinatorLost {
                        deadline.pause_or_give_up(&self.what(), error)?;
                    }
                }
                None => deadline.pause_or_give_up(&self.what(), error)?,
            }
        }
    }

    /// Commits offsets: those of the records to be read next.
    ///
    /// # Errors
    /// What the coordinator refuses. After an error of membership [`must_join`](Self::must_join)
    /// holds.
    pub fn commit(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<(), ClientError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let outcome = self.commit_once(offsets);
        if let Err(error) = &outcome {
            if error.breaks_connection() {
                self.connection = None;
            }
            if let Some(verdict) = Verdict::of(error) {
                self.heartbeat = None;
                self.heed(verdict);
            }
        }
        outcome
    }

    /// Leaves, so that the others need not wait for the session to time out.
    pub fn leave(mut self) {
        self.heartbeat = None;
        let Some(connection) = &mut self.connection else {
            return;
        };
        let version = connection
            .version::<LeaveGroupRequest<'_>>(i16::MAX)
            .unwrap_or_default();
        let mut request = LeaveGroupRequest {
            group_id: &self.options.group,
            ..LeaveGroupRequest::default()
        };
        if version < LEAVE_MEMBERS_FROM {
            request.member_id = &self.member_id;
        } else {
            request.members.push(MemberIdentity {
                member_id: &self.member_id,
                ..MemberIdentity::default()
            });
        }
        if let Err(error) = connection.call(&request) {
            tracing::debug!("leaving group {}: {error}", self.options.group);
        }
    }

    fn what(&self) -> String {
        format!("group {}", self.options.group)
    }

    fn heed(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Rebalance => {}
            Verdict::Expelled => {
                self.member_id.clear();
                self.generation = -1;
            }
            Verdict::CoordinatorLost => self.connection = None,
        }
    }

    fn join_once(&mut self, cluster: &mut Cluster) -> Result<Vec<i32>, ClientError> {
        let coordinator = find_coordinator(cluster, &self.options.group)?;
        let mut connection = match self.connection.take() {
            Some(connection) if cluster.address(coordinator)? == connection.address() => connection,
            _ => cluster.own_connection(coordinator)?,
        };
        // The answers come when all members have joined.
        let patience = cluster.options().timeout + self.options.rebalance_timeout;
        connection.set_timeout(patience)?;
        let connection = self.connection.insert(connection);
        let joined = Round {
            options: &self.options,
            topic: &self.topic,
            member_id: &mut self.member_id,
            generation: &mut self.generation,
            connection,
        };
        let assigned = joined.run(cluster)?;
        self.heartbeat = Some(Heartbeat::start(
            cluster.own_connection(coordinator)?,
            self.options.group.clone(),
            self.member_id.clone(),
            self.generation,
            self.options.heartbeat_interval,
        ));
        let own = |(topic, partition): (String, i32)| (topic == self.topic).then_some(partition);
        Ok(assigned.into_iter().filter_map(own).collect())
    }

    fn commit_once(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<(), ClientError> {
        let what = self.what();
        let Some(connection) = &mut self.connection else {
            return Err(ClientError::Refused {
                what: format!("committing for {what}"),
                code: ErrorCode::CoordinatorNotAvailable.code(),
                message: None,
            });
        };
        let partition = |(&partition_index, &committed_offset)| OffsetCommitRequestPartition {
            partition_index,
            committed_offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(""),
        };
        let request = OffsetCommitRequest {
            group_id: &self.options.group,
            generation_id_or_member_epoch: self.generation,
            member_id: &self.member_id,
            topics: vec![OffsetCommitRequestTopic {
                name: &self.topic,
                partitions: offsets.iter().map(partition).collect(),
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let reply = connection.call_up_to(&request, COMMIT_VERSION_MAX)?;
        let response: OffsetCommitResponse<'_> = reply.read()?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            check(partition.error_code, None, || {
                format!("committing {}-{}", self.topic, partition.partition_index)
            })?;
        }
        Ok(())
    }
}

/// One JoinGroup and SyncGroup.
struct Round<'m> {
    options: &'m GroupOptions,
    topic: &'m str,
    member_id: &'m mut String,
    generation: &'m mut i32,
    connection: &'m mut Connection,
}

impl Round<'_> {
    fn run(mut self, cluster: &mut Cluster) -> Result<Vec<(String, i32)>, ClientError> {
        let joined = match self.join(cluster) {
            // The coordinator has given an id and wants to see it again (KIP-394).
            Err(error) if error.code() == Some(ErrorCode::MemberIdRequired) => {
                self.join(cluster)?
            }
            outcome => outcome?,
        };
        let assignments = joined.assignments.iter();
        let request = SyncGroupRequest {
            group_id: &self.options.group,
            generation_id: *self.generation,
            member_id: self.member_id,
            ..SyncGroupRequest::default()
        };
        // The protocol is repeated from version 5 on.
        let version = self.connection.version::<SyncGroupRequest<'_>>(i16::MAX)?;
        let request = SyncGroupRequest {
            protocol_type: (version >= 5).then_some(protocol::PROTOCOL_TYPE),
            protocol_name: (version >= 5).then_some(joined.protocol.as_str()),
            assignments: assignments
                .map(|(member_id, assignment)| SyncGroupRequestAssignment {
                    member_id,
                    assignment,
                })
                .collect(),
            ..request
        };
        let reply = self.connection.call(&request)?;
        let response: SyncGroupResponse<'_> = reply.read()?;
        check(response.error_code, None, || self.what())?;
        protocol::read_assignment(response.assignment).map_err(|reason| self.ill(reason))
    }

    fn join(&mut self, cluster: &mut Cluster) -> Result<Joined, ClientError> {
        let encode = |reason: EncodeError| ClientError::Encode {
            api: "a subscription",
            reason,
        };
        let subscription = protocol::subscription(&[self.topic]).map_err(encode)?;
        let milliseconds =
            |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let known_id = self.member_id.clone();
        let request = JoinGroupRequest {
            group_id: &self.options.group,
            session_timeout_ms: milliseconds(self.options.session_timeout),
            rebalance_timeout_ms: milliseconds(self.options.rebalance_timeout),
            member_id: &known_id,
            protocol_type: protocol::PROTOCOL_TYPE,
            protocols: vec![JoinGroupRequestProtocol {
                name: protocol::RANGE,
                metadata: &subscription,
            }],
            ..JoinGroupRequest::default()
        };
        let reply = self.connection.call(&request)?;
        let response: JoinGroupResponse<'_> = reply.read()?;
        if response.error_code == ErrorCode::MemberIdRequired.code() {
            response.member_id.clone_into(self.member_id);
        }
        check(response.error_code, None, || self.what())?;
        response.member_id.clone_into(self.member_id);
        *self.generation = response.generation_id;
        let mut assignments = Vec::new();
        if response.leader == response.member_id && !response.skip_assignment {
            let mut subscribers = Vec::new();
            for member in &response.members {
                let topics = protocol::read_subscription(member.metadata);
                subscribers.push(Subscriber {
                    member_id: member.member_id.to_owned(),
                    instance_id: member.group_instance_id.map(str::to_owned),
                    topics: topics.map_err(|reason| self.ill(reason))?,
                });
            }
            let topics = counts(cluster, &subscribers);
            for (member, partitions) in assign_ranges(&subscribers, &topics) {
                let bytes = protocol::assignment(&partitions).map_err(encode)?;
                assignments.push((member, bytes));
            }
        }
        Ok(Joined {
            protocol: response.protocol_name.unwrap_or(protocol::RANGE).to_owned(),
            assignments,
        })
    }

    fn what(&self) -> String {
        format!("joining group {}", self.options.group)
    }

    fn ill(&self, reason: DecodeError) -> ClientError {
        ClientError::Decode {
            address: self.connection.address().to_owned(),
            api: "what a member of the group has written",
            reason,
        }
    }
}

/// How many partitions each topic has that somebody has subscribed to; those unknown are left out.
fn counts(cluster: &mut Cluster, subscribers: &[Subscriber]) -> BTreeMap<String, i32> {
    let mut counts = BTreeMap::new();
    for topic in subscribers.iter().flat_map(|member| &member.topics) {
        if !counts.contains_key(topic)
            && let Ok(known) = cluster.refresh(topic)
        {
            counts.insert(topic.clone(), known.partitions.len() as i32);
        }
    }
    counts
}
