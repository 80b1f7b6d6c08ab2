//! ListOffsets: from a point in time, or an end of the log, to offsets.

use std::collections::BTreeMap;

use odradek_wire::ErrorCode;
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};

use super::{ClientError, Cluster, check};

/// Where in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The log start offset.
    Earliest,
    /// The high watermark: what the next visible record will get.
    Latest,
    /// The first record at or after this time, milliseconds since the Unix epoch; the end of the
    /// log where there is none.
    Time(i64),
}

impl At {
    const fn timestamp(self) -> i64 {
        match self {
            At::Latest => -1,
            At::Earliest => -2,
            At::Time(milliseconds) => milliseconds,
        }
    }
}

/// The offsets of `at` in the partitions of a topic, asked of their leaders.
///
/// # Errors
/// What a leader refuses; time running out over leaders that move.
pub fn list(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
    at: At,
) -> Result<BTreeMap<i32, i64>, ClientError> {
    let mut found = list_once(cluster, topic, partitions, at)?;
    let without: Vec<i32> = partitions
        .iter()
        .copied()
        .filter(|partition| found.get(partition) == Some(&-1))
        .collect();
    if !without.is_empty() && at != At::Latest {
        found.extend(list_once(cluster, topic, &without, At::Latest)?);
    }
    Ok(found)
}

fn list_once(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
    at: At,
) -> Result<BTreeMap<i32, i64>, ClientError> {
    let mut deadline = cluster.deadline();
    let mut found = BTreeMap::new();
    loop {
        let missing: Vec<i32> = partitions
            .iter()
            .copied()
            .filter(|partition| !found.contains_key(partition))
            .collect();
        if missing.is_empty() {
            return Ok(found);
        }
        if let Err(error) = ask_leaders(cluster, topic, &missing, at, &mut found) {
            deadline.pause_or_give_up(&format!("offsets of {topic}"), error)?;
            if let Err(error) = cluster.refresh(topic) {
                deadline.pause_or_give_up(&format!("topic {topic}"), error)?;
            }
        }
    }
}

/// Adds what is found; the last error that stands in the way of the rest.
fn ask_leaders(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
    at: At,
    found: &mut BTreeMap<i32, i64>,
) -> Result<(), ClientError> {
    let known = match cluster.known(topic) {
        Some(known) => known.clone(),
        None => cluster.refresh(topic)?,
    };
    let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for &index in partitions {
        let leader = known
            .partitions
            .iter()
            .find(|partition| partition.index == index)
            .map(|partition| partition.leader)
            .ok_or_else(|| unknown(topic, index, known.partitions.len()))?;
        by_leader.entry(leader).or_default().push(index);
    }
    let mut outcome = Ok(());
    for (leader, partitions) in by_leader {
        if let Err(error) = ask(cluster, leader, topic, &partitions, at, found) {
            outcome = Err(error);
        }
    }
    outcome
}

fn ask(
    cluster: &mut Cluster,
    leader: i32,
    topic: &str,
    partitions: &[i32],
    at: At,
    found: &mut BTreeMap<i32, i64>,
) -> Result<(), ClientError> {
    let wanted = |&partition_index: &i32| ListOffsetsPartition {
        partition_index,
        timestamp: at.timestamp(),
        ..ListOffsetsPartition::default()
    };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: topic,
            partitions: partitions.iter().map(wanted).collect(),
        }],
        ..ListOffsetsRequest::default()
    };
    /// Version 10 has a timeout for remote storage that an earlier one cannot carry.
    const MOST: i16 = 9;
    let reply = cluster.call(leader, &request, MOST)?;
    let response: ListOffsetsResponse<'_> = reply.read()?;
    let mut outcome = Ok(());
    for answered in response.topics.iter().flat_map(|topic| &topic.partitions) {
        let index = answered.partition_index;
        match check(answered.error_code, None, || {
            format!("offset of {topic}-{index}")
        }) {
            Ok(()) => {
                found.insert(index, answered.offset);
            }
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// There is no such partition.
pub fn unknown(topic: &str, index: i32, count: usize) -> ClientError {
    ClientError::Refused {
        what: format!("partition {index} of {topic}"),
        // Not UNKNOWN_TOPIC_OR_PARTITION, after which one tries again.
        code: ErrorCode::InvalidPartitions.code(),
        message: Some(format!(
            "the topic has partitions 0 to {}",
            count as i64 - 1
        )),
    }
}
