//! Offsets that groups commit, and whether they can be had again.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use odradek_wire::Message;
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use odradek_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse,
};

use super::admin::{Admin, reply_body};
use super::coordinator::{Coordinates, until_ready};

/// Groups without members that commit the offsets of one topic's partitions, all at a time.
pub(crate) struct Commits {
    groups: Vec<String>,
    topic: String,
    partitions: i32,
    /// Commits of each group.
    done: i64,
}

impl Commits {
    pub(crate) fn new(topic: &str, partitions: i32, groups: usize) -> Self {
        Self {
            groups: (0..groups).map(|at| format!("group-{at}")).collect(),
            topic: topic.to_owned(),
            partitions,
            done: 0,
        }
    }

    /// Each group commits `times`, each time a record for each partition.
    pub(crate) fn commit(
        &mut self,
        admin: &mut Admin,
        times: i64,
        go_on: impl Fn() -> Result<()>,
    ) -> Result<()> {
        for group in &self.groups {
            go_on()?;
            let mut coordinator = Admin::connect(admin.coordinator(Coordinates::Group, group)?)?;
            for offset in self.done + 1..=self.done + times {
                self.commit_one(&mut coordinator, group, offset)?;
            }
        }
        self.done += times;
        Ok(())
    }

    fn commit_one(&self, coordinator: &mut Admin, group: &str, offset: i64) -> Result<()> {
        // Later versions name topics by their ids.
        let version = coordinator.version::<OffsetCommitRequest>(8)?;
        let partitions = (0..self.partitions).map(|index| OffsetCommitRequestPartition {
            partition_index: index,
            committed_offset: offset,
            committed_leader_epoch: -1,
            committed_metadata: Some(""),
        });
        let request = OffsetCommitRequest {
            group_id: group,
            generation_id_or_member_epoch: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: &self.topic,
                partitions: partitions.collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        until_ready("OffsetCommit", || {
            let reply = coordinator.call(&request, version)?;
            let mut body = reply_body(&reply, OffsetCommitRequest::API_KEY, version)?;
            let response = OffsetCommitResponse::decode(&mut body, version)?;
            let all = response.topics.iter().flat_map(|topic| &topic.partitions);
            let failed = all.map(|one| one.error_code).find(|code| *code != 0);
            Ok((failed.unwrap_or(0), ()))
        })
    }

    /// Waits until every group's coordinator answers with what was committed last.
    ///
    /// # Errors
    /// When one does not within a minute, or with something else.
    pub(crate) fn until_answered(&self, admin: &mut Admin) -> Result<()> {
        for group in &self.groups {
            let address = admin.coordinator(Coordinates::Group, group)?;
            let offset = self.fetch(address, group)?;
            ensure!(
                offset == self.done,
                "{group} has committed {}, its coordinator says {offset}",
                self.done
            );
        }
        Ok(())
    }

    fn fetch(&self, address: SocketAddr, group: &str) -> Result<i64> {
        let mut coordinator = Admin::connect(address)?;
        // Later versions ask for several groups.
        let version = coordinator.version::<OffsetFetchRequest>(7)?;
        let request = OffsetFetchRequest {
            group_id: group,
            topics: Some(vec![OffsetFetchRequestTopic {
                name: &self.topic,
                partition_indexes: vec![self.partitions - 1],
            }]),
            ..Default::default()
        };
        until_ready("OffsetFetch", || {
            let reply = coordinator.call(&request, version)?;
            let mut body = reply_body(&reply, OffsetFetchRequest::API_KEY, version)?;
            let response = OffsetFetchResponse::decode(&mut body, version)?;
            let mut all = response.topics.iter().flat_map(|topic| &topic.partitions);
            let answer = all.next();
            let code = match (response.error_code, answer) {
                (0, Some(answer)) => answer.error_code,
                (code, _) => code,
            };
            Ok((code, answer.map(|answer| answer.committed_offset)))
        })?
        .context("an empty reply")
    }
}
