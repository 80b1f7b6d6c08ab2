//! Whether a broker answers for the partitions that it is said to lead: metadata names a leader
//! before the leader knows.

use anyhow::Result;
use odradek_wire::Message;
use odradek_wire::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};

use super::admin::{Admin, check, reply_body};

/// # Errors
/// What it answers for the first that it does not lead.
pub(crate) fn leads(leader: &mut Admin, partitions: &[(String, i32)]) -> Result<()> {
    const LATEST: i64 = -1;
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for (name, partition_index) in partitions {
        if topics.last().is_none_or(|topic| topic.name != name) {
            topics.push(ListOffsetsTopic {
                name,
                ..Default::default()
            });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(ListOffsetsPartition {
                partition_index: *partition_index,
                timestamp: LATEST,
                ..Default::default()
            });
        }
    }
    let version = leader.version::<ListOffsetsRequest>(7)?;
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics,
        ..Default::default()
    };
    let reply = leader.call(&request, version)?;
    let mut body = reply_body(&reply, ListOffsetsRequest::API_KEY, version)?;
    let response = ListOffsetsResponse::decode(&mut body, version)?;
    let mut answered = response.topics.iter().flat_map(|topic| &topic.partitions);
    answered.try_for_each(|partition| check("ListOffsets", partition.error_code))
}
