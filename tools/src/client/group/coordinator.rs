//! Who coordinates a group, asked until the answer holds.

use std::collections::BTreeMap;

use odradek_wire::Request;
use odradek_wire::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use odradek_wire::offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};

use crate::client::{ClientError, Cluster, Reply, check};

/// Later versions ask for several groups at once.
const FIND_VERSION_MAX: i16 = 3;
const FETCH_VERSION_MAX: i16 = 7;
/// Later versions name topics by id.
const COMMIT_VERSION_MAX: i16 = 9;

/// The broker id of a group's coordinator.
///
/// # Errors
/// Time running out, where the cluster has none yet.
pub fn find_coordinator(cluster: &mut Cluster, group: &str) -> Result<i32, ClientError> {
    let request = FindCoordinatorRequest {
        key: group,
        ..FindCoordinatorRequest::default()
    };
    let mut deadline = cluster.deadline();
    loop {
        let answer = cluster
            .call_any(&request, FIND_VERSION_MAX)
            .and_then(|reply| {
                let response: FindCoordinatorResponse<'_> = reply.read()?;
                check(response.error_code, response.error_message, || {
                    format!("coordinator of group {group}")
                })?;
                Ok(response.node_id)
            });
        let error = match answer {
            Ok(broker) => match cluster.address(broker) {
                Ok(_) => return Ok(broker),
                Err(error) => error,
            },
            Err(error) => error,
        };
        deadline.pause_or_give_up(&format!("coordinator of group {group}"), error)?;
        cluster.refresh_brokers()?;
    }
}

/// Asks a group's coordinator, again while it moves or loads.
///
/// # Errors
/// What `answered` makes of the answer; the network's.
pub fn call_coordinator<'q, Q: Request<'q>, T>(
    cluster: &mut Cluster,
    group: &str,
    request: &Q,
    most: i16,
    answered: impl Fn(&Reply) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let mut deadline = cluster.deadline();
    loop {
        let coordinator = find_coordinator(cluster, group)?;
        let answer = cluster.call(coordinator, request, most);
        match answer.and_then(|reply| answered(&reply)) {
            Ok(value) => return Ok(value),
            Err(error) => deadline.pause_or_give_up(&format!("group {group}"), error)?,
        }
    }
}

/// All offsets that a group has committed, by topic and partition.
///
/// # Errors
/// The coordinator's.
pub fn committed(
    cluster: &mut Cluster,
    group: &str,
) -> Result<BTreeMap<(String, i32), i64>, ClientError> {
    let request = OffsetFetchRequest {
        group_id: group,
        topics: None,
        ..OffsetFetchRequest::default()
    };
    call_coordinator(cluster, group, &request, FETCH_VERSION_MAX, |reply| {
        let response: OffsetFetchResponse<'_> = reply.read()?;
        let what = || format!("committed offsets of group {group}");
        check(response.error_code, None, what)?;
        let mut found = BTreeMap::new();
        for topic in &response.topics {
            for partition in &topic.partitions {
                check(partition.error_code, None, what)?;
                if partition.committed_offset >= 0 {
                    let at = (topic.name.to_owned(), partition.partition_index);
                    found.insert(at, partition.committed_offset);
                }
            }
        }
        Ok(found)
    })
}

/// Commits offsets for a group without members, by topic and partition.
///
/// # Errors
/// The coordinator's: UNKNOWN_MEMBER_ID where the group has members.
pub fn commit(
    cluster: &mut Cluster,
    group: &str,
    offsets: &BTreeMap<(String, i32), i64>,
) -> Result<(), ClientError> {
    let mut topics: Vec<OffsetCommitRequestTopic<'_>> = Vec::new();
    for ((topic, partition), offset) in offsets {
        let one = OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            committed_metadata: Some(""),
            ..OffsetCommitRequestPartition::default()
        };
        match topics.last_mut() {
            Some(last) if last.name == topic => last.partitions.push(one),
            _ => topics.push(OffsetCommitRequestTopic {
                name: topic,
                partitions: vec![one],
                ..OffsetCommitRequestTopic::default()
            }),
        }
    }
    let request = OffsetCommitRequest {
        group_id: group,
        topics,
        ..OffsetCommitRequest::default()
    };
    call_coordinator(cluster, group, &request, COMMIT_VERSION_MAX, |reply| {
        let response: OffsetCommitResponse<'_> = reply.read()?;
        for topic in &response.topics {
            for partition in &topic.partitions {
                check(partition.error_code, None, || {
                    format!("offset of {}-{}", topic.name, partition.partition_index)
                })?;
            }
        }
        Ok(())
    })
}
