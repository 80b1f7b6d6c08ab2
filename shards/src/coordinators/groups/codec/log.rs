//! Records of `__consumer_offsets`: Kafka's own keys and values, in the versions that
//! Kafka 4.3.1 writes (`GroupCoordinatorRecordHelpers`), readable in all it reads.

use odradek_wire::group_records::group_metadata::MemberMetadata;
use odradek_wire::group_records::{
    GroupMetadataKey, GroupMetadataValue, GroupRecordKey, GroupRecordValue, OffsetCommitKey,
    OffsetCommitValue,
};
use odradek_wire::{DecodeError, EncodeError, Reader, Uuid, Writer};

use super::super::{CommittedOffset, GroupMetadata, GroupMetadataMember, NO_TOPIC_ID, Record};

const GROUP_METADATA_VERSION: i16 = 3;
const OFFSET_COMMIT_VERSION: i16 = 4;
/// The only version that has an expire timestamp.
const OFFSET_COMMIT_VERSION_EXPIRING: i16 = 1;
/// "None" in timestamps and timeouts.
const NONE: i64 = -1;

/// A record as the log takes it; a tombstone has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// Fails where a string is too long for the format (the bounds keep such out).
pub fn encode_record(record: &Record) -> Result<EncodedRecord, EncodeError> {
    match record {
        Record::GroupMetadata(group) => encode(
            group_key(&group.group_id),
            Some((
                GroupRecordValue::GroupMetadata(group_value(group)),
                GROUP_METADATA_VERSION,
            )),
        ),
        Record::GroupTombstone { group_id } => encode(group_key(group_id), None),
        Record::OffsetCommit {
            group_id,
            topic,
            partition,
            value,
        } => {
            let version = match value.expire_timestamp_ms {
                Some(_) => OFFSET_COMMIT_VERSION_EXPIRING,
                None => OFFSET_COMMIT_VERSION,
            };
            let value = offset_value(value, version);
            encode(
                offset_key(group_id, topic, *partition),
                Some((GroupRecordValue::OffsetCommit(value), version)),
            )
        }
        Record::OffsetTombstone {
            group_id,
            topic,
            partition,
        } => encode(offset_key(group_id, topic, *partition), None),
    }
}

fn encode(
    key: GroupRecordKey<'_>,
    value: Option<(GroupRecordValue<'_>, i16)>,
) -> Result<EncodedRecord, EncodeError> {
    let mut w = Writer::new(Vec::new());
    key.encode(&mut w)?;
    let key = w.into_inner();
    let value = match value {
        Some((value, version)) => {
            let mut w = Writer::new(Vec::new());
            value.encode(&mut w, version)?;
            Some(w.into_inner())
        }
        None => None,
    };
    Ok(EncodedRecord { key, value })
}

fn group_key(group: &str) -> GroupRecordKey<'_> {
    GroupRecordKey::GroupMetadata(GroupMetadataKey { group })
}

fn offset_key<'a>(group: &'a str, topic: &'a str, partition: i32) -> GroupRecordKey<'a> {
    GroupRecordKey::OffsetCommit(OffsetCommitKey {
        group,
        topic,
        partition,
    })
}

fn group_value(group: &GroupMetadata) -> GroupMetadataValue<'_> {
    let members = group.members.iter().map(|member| MemberMetadata {
        member_id: &member.member_id,
        group_instance_id: member.instance_id.as_deref(),
        client_id: &member.client_id,
        client_host: &member.client_host,
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: &member.subscription,
        assignment: &member.assignment,
    });
    GroupMetadataValue {
        protocol_type: group.protocol_type.as_deref().unwrap_or_default(),
        generation: group.generation,
        protocol: group.protocol.as_deref(),
        leader: group.leader.as_deref(),
        current_state_timestamp: group.state_since_ms.unwrap_or(NONE),
        members: members.collect(),
    }
}

fn offset_value(value: &CommittedOffset, version: i16) -> OffsetCommitValue<'_> {
    // The version that can expire knows neither leader epochs nor topic ids.
    let is_current = version == OFFSET_COMMIT_VERSION;
    OffsetCommitValue {
        offset: value.offset,
        leader_epoch: if is_current { value.leader_epoch } else { -1 },
        metadata: &value.metadata,
        commit_timestamp: value.commit_timestamp_ms,
        expire_timestamp: value.expire_timestamp_ms.unwrap_or(NONE),
        topic_id: Uuid(if is_current {
            value.topic_id
        } else {
            NO_TOPIC_ID
        }),
    }
}

/// `Ok(None)`: a record of another kind of group, or of a type from the future, which
/// Kafka skips too.
pub fn decode_record(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, DecodeError> {
    let key = match GroupRecordKey::decode(&mut Reader::new(key)) {
        Ok(key) => key,
        Err(DecodeError::RecordType { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let record_type = key.record_type();
    let decode_value = || -> Result<Option<GroupRecordValue<'_>>, DecodeError> {
        match value {
            None => Ok(None),
            Some(bytes) => {
                let mut reader = Reader::new(bytes);
                let (value, _) = GroupRecordValue::decode(record_type, &mut reader)?;
                Ok(Some(value))
            }
        }
    };
    Ok(match key {
        GroupRecordKey::GroupMetadata(key) => {
            let group_id = key.group.to_owned();
            match decode_value()? {
                None => Some(Record::GroupTombstone { group_id }),
                Some(GroupRecordValue::GroupMetadata(value)) => {
                    Some(Record::GroupMetadata(group_metadata(group_id, &value)))
                }
                Some(_) => None,
            }
        }
        GroupRecordKey::OffsetCommit(key) => {
            offset_record(key.group, key.topic, key.partition, decode_value()?)
        }
        GroupRecordKey::LegacyOffsetCommit(key) => {
            offset_record(key.group, key.topic, key.partition, decode_value()?)
        }
        _ => None,
    })
}

fn group_metadata(group_id: String, value: &GroupMetadataValue<'_>) -> GroupMetadata {
    let members = value.members.iter().map(|member| GroupMetadataMember {
        member_id: member.member_id.to_owned(),
        instance_id: member.group_instance_id.map(str::to_owned),
        client_id: member.client_id.to_owned(),
        client_host: member.client_host.to_owned(),
        rebalance_timeout_ms: member.rebalance_timeout,
        session_timeout_ms: member.session_timeout,
        subscription: member.subscription.into(),
        assignment: member.assignment.into(),
    });
    let protocol_type = Some(value.protocol_type).filter(|name| !name.is_empty());
    GroupMetadata {
        group_id,
        protocol_type: protocol_type.map(str::to_owned),
        generation: value.generation,
        protocol: value.protocol.map(str::to_owned),
        leader: value.leader.map(str::to_owned),
        state_since_ms: Some(value.current_state_timestamp).filter(|ms| *ms != NONE),
        members: members.collect(),
    }
}

fn offset_record(
    group: &str,
    topic: &str,
    partition: i32,
    value: Option<GroupRecordValue<'_>>,
) -> Option<Record> {
    let (group_id, topic) = (group.to_owned(), topic.to_owned());
    let value = match value {
        None => {
            return Some(Record::OffsetTombstone {
                group_id,
                topic,
                partition,
            });
        }
        Some(GroupRecordValue::OffsetCommit(value)) => CommittedOffset {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.to_owned(),
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: Some(value.expire_timestamp).filter(|ms| *ms != NONE),
            topic_id: value.topic_id.0,
        },
        Some(GroupRecordValue::LegacyOffsetCommit(value)) => CommittedOffset {
            offset: value.offset,
            leader_epoch: -1,
            metadata: value.metadata.to_owned(),
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: None,
            topic_id: NO_TOPIC_ID,
        },
        Some(_) => return None,
    };
    Some(Record::OffsetCommit {
        group_id,
        topic,
        partition,
        value,
    })
}
