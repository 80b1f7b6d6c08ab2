//! OffsetCommit, TxnOffsetCommit, OffsetFetch and OffsetDelete.
//!
//! From version 10 on topics are named by their ids (KIP-848's follow-up, KAFKA-14690).
//! The catalog is asked through a closure; the records stay keyed by name.

use odradek_wire::{
    Uuid, offset_commit as wire_commit, offset_delete, offset_fetch as wire_fetch,
    txn_offset_commit as wire_txn,
};

use super::super::{
    CommitPartition, CommitReply, CommitRequest, CommitTopic, FetchReply, FetchRequest, FetchTopic,
    FetchedOffset, NO_TOPIC_ID, OffsetDeleteReply, OffsetDeleteRequest, TopicId, error,
};

const COMMIT_GROUP_ID_NOT_FOUND: i16 = 9;
const TOPIC_IDS: i16 = 10;
/// OffsetFetch's first version with an error of its own, besides its partitions'.
const FETCH_GROUP_ERROR: i16 = 2;
const FETCH_REQUIRE_STABLE: i16 = 7;
/// OffsetFetch's first version with several groups.
const FETCH_GROUPS: i16 = 8;

/// How a request names a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRef<'a> {
    Name(&'a str),
    Id(TopicId),
}

/// A topic as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    pub partitions: i32,
}

/// `resolve` finds a topic, or says with which error its partitions are to be refused
/// (UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, TOPIC_AUTHORIZATION_FAILED).
pub fn commit_request(
    request: &wire_commit::OffsetCommitRequest<'_>,
    version: i16,
    resolve: impl Fn(TopicRef<'_>) -> Result<Topic, i16>,
) -> CommitRequest {
    let topics = request.topics.iter().map(|topic| {
        let (by, topic_id) = if version >= TOPIC_IDS {
            (TopicRef::Id(topic.topic_id.0), topic.topic_id.0)
        } else {
            (TopicRef::Name(topic.name), NO_TOPIC_ID)
        };
        let resolved = resolve(by);
        let partitions = topic.partitions.iter().map(|partition| {
            let error = match &resolved {
                Err(code) => *code,
                Ok(topic) if (0..topic.partitions).contains(&partition.partition_index) => {
                    error::NONE
                }
                Ok(_) => error::UNKNOWN_TOPIC_OR_PARTITION,
            };
            CommitPartition {
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.map(str::to_owned),
                error,
            }
        });
        let partitions = partitions.collect();
        let name = resolved.map_or_else(|_| topic.name.to_owned(), |topic| topic.name);
        CommitTopic {
            name,
            topic_id,
            partitions,
        }
    });
    CommitRequest {
        group_id: request.group_id.to_owned(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_owned(),
        instance_id: request.group_instance_id.map(str::to_owned),
        retention_ms: (request.retention_time_ms != -1).then_some(request.retention_time_ms),
        group_id_not_found_supported: version >= COMMIT_GROUP_ID_NOT_FOUND,
        topics: topics.collect(),
    }
}

/// A commit that is part of a transaction; versions before 3 name no member.
pub fn txn_commit_request(
    request: &wire_txn::TxnOffsetCommitRequest<'_>,
    resolve: impl Fn(TopicRef<'_>) -> Result<Topic, i16>,
) -> CommitRequest {
    let topics = request.topics.iter().map(|topic| {
        let resolved = resolve(TopicRef::Name(topic.name));
        let partitions = topic.partitions.iter().map(|partition| {
            let error = match &resolved {
                Err(code) => *code,
                Ok(topic) if (0..topic.partitions).contains(&partition.partition_index) => {
                    error::NONE
                }
                Ok(_) => error::UNKNOWN_TOPIC_OR_PARTITION,
            };
            CommitPartition {
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.map(str::to_owned),
                error,
            }
        });
        CommitTopic {
            name: topic.name.to_owned(),
            topic_id: NO_TOPIC_ID,
            partitions: partitions.collect(),
        }
    });
    CommitRequest {
        group_id: request.group_id.to_owned(),
        generation: request.generation_id,
        member_id: request.member_id.to_owned(),
        instance_id: request.group_instance_id.map(str::to_owned),
        retention_ms: None,
        group_id_not_found_supported: false,
        topics: topics.collect(),
    }
}

pub fn txn_commit_response(reply: &CommitReply) -> wire_txn::TxnOffsetCommitResponse<'_> {
    let topics = reply.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter();
        wire_txn::TxnOffsetCommitResponseTopic {
            name: &topic.name,
            partitions: partitions
                .map(
                    |&(partition_index, error_code)| wire_txn::TxnOffsetCommitResponsePartition {
                        partition_index,
                        error_code,
                    },
                )
                .collect(),
        }
    });
    wire_txn::TxnOffsetCommitResponse {
        throttle_time_ms: 0,
        topics: topics.collect(),
    }
}

/// A topic's name or id, whichever the version has.
fn identify(name: &str, id: TopicId, version: i16) -> (&str, Uuid) {
    if version >= TOPIC_IDS {
        ("", Uuid(id))
    } else {
        (name, Uuid::ZERO)
    }
}

pub fn commit_response(reply: &CommitReply, version: i16) -> wire_commit::OffsetCommitResponse<'_> {
    let topics = reply.topics.iter().map(|topic| {
        let (name, topic_id) = identify(&topic.name, topic.topic_id, version);
        let partitions = topic
            .partitions
            .iter()
            .map(
                |&(partition_index, error_code)| wire_commit::OffsetCommitResponsePartition {
                    partition_index,
                    error_code,
                },
            );
        wire_commit::OffsetCommitResponseTopic {
            name,
            topic_id,
            partitions: partitions.collect(),
        }
    });
    wire_commit::OffsetCommitResponse {
        throttle_time_ms: 0,
        topics: topics.collect(),
    }
}

/// One request for each group, in order. `name_of` finds the name of a topic id; a topic
/// without one is refused with UNKNOWN_TOPIC_ID.
pub fn fetch_requests(
    request: &wire_fetch::OffsetFetchRequest<'_>,
    version: i16,
    name_of: impl Fn(TopicId) -> Option<String>,
) -> Vec<FetchRequest> {
    let require_stable = version >= FETCH_REQUIRE_STABLE && request.require_stable;
    if version < FETCH_GROUPS {
        let topics = request.topics.as_ref().map(|topics| {
            let named = topics
                .iter()
                .map(|topic| named_topic(topic.name, &topic.partition_indexes));
            named.collect()
        });
        return vec![FetchRequest {
            group_id: request.group_id.to_owned(),
            topics,
            require_stable,
        }];
    }
    let one = |group: &wire_fetch::OffsetFetchRequestGroup<'_>| {
        let topics = group.topics.as_ref().map(|topics| {
            let topics = topics.iter().map(|topic| {
                if version < TOPIC_IDS {
                    return named_topic(topic.name, &topic.partition_indexes);
                }
                let name = name_of(topic.topic_id.0);
                FetchTopic {
                    error: if name.is_some() {
                        error::NONE
                    } else {
                        error::UNKNOWN_TOPIC_ID
                    },
                    name: name.unwrap_or_default(),
                    topic_id: topic.topic_id.0,
                    partitions: topic.partition_indexes.clone(),
                }
            });
            topics.collect()
        });
        FetchRequest {
            group_id: group.group_id.to_owned(),
            topics,
            require_stable,
        }
    };
    request.groups.iter().map(one).collect()
}

fn named_topic(name: &str, partitions: &[i32]) -> FetchTopic {
    FetchTopic {
        name: name.to_owned(),
        topic_id: NO_TOPIC_ID,
        error: error::NONE,
        partitions: partitions.to_vec(),
    }
}

/// The groups' replies in the order of [`fetch_requests`]. `id_of` finds the ids of the
/// topics in a reply that has all of a group's; those without one are left out.
pub fn fetch_response(
    replies: &[FetchReply],
    version: i16,
    id_of: impl Fn(&str) -> Option<TopicId>,
) -> wire_fetch::OffsetFetchResponse<'_> {
    if version >= FETCH_GROUPS {
        let groups = replies
            .iter()
            .map(|reply| fetched_group(reply, version, &id_of));
        return wire_fetch::OffsetFetchResponse {
            groups: groups.collect(),
            ..Default::default()
        };
    }
    let Some(reply) = replies.first() else {
        return Default::default();
    };
    let has_group_error = version >= FETCH_GROUP_ERROR;
    let topics = reply.topics.iter().map(|topic| {
        let partitions =
            topic
                .partitions
                .iter()
                .map(|p| wire_fetch::OffsetFetchResponsePartition {
                    partition_index: p.partition,
                    committed_offset: p.offset,
                    committed_leader_epoch: p.leader_epoch,
                    metadata: Some(&p.metadata),
                    error_code: p.error,
                });
        wire_fetch::OffsetFetchResponseTopic {
            name: &topic.name,
            partitions: partitions.collect(),
        }
    });
    // Where there is an error for the whole, the partitions do not repeat it.
    let is_failed = has_group_error && reply.error != error::NONE;
    wire_fetch::OffsetFetchResponse {
        topics: if is_failed {
            Vec::new()
        } else {
            topics.collect()
        },
        error_code: if has_group_error {
            reply.error
        } else {
            error::NONE
        },
        ..Default::default()
    }
}

fn fetched_group<'a>(
    reply: &'a FetchReply,
    version: i16,
    id_of: &impl Fn(&str) -> Option<TopicId>,
) -> wire_fetch::OffsetFetchResponseGroup<'a> {
    let mut topics = Vec::new();
    for topic in reply.topics.iter().filter(|_| reply.error == error::NONE) {
        let is_unnamed = version >= TOPIC_IDS && topic.topic_id == NO_TOPIC_ID;
        let Some(id) = (if is_unnamed {
            id_of(&topic.name)
        } else {
            Some(topic.topic_id)
        }) else {
            continue;
        };
        let (name, topic_id) = identify(&topic.name, id, version);
        topics.push(wire_fetch::OffsetFetchResponseTopics {
            name,
            topic_id,
            partitions: topic.partitions.iter().map(fetched_partition).collect(),
        });
    }
    wire_fetch::OffsetFetchResponseGroup {
        group_id: &reply.group_id,
        topics,
        error_code: reply.error,
    }
}

fn fetched_partition(p: &FetchedOffset) -> wire_fetch::OffsetFetchResponsePartitions<'_> {
    wire_fetch::OffsetFetchResponsePartitions {
        partition_index: p.partition,
        committed_offset: p.offset,
        committed_leader_epoch: p.leader_epoch,
        metadata: Some(&p.metadata),
        error_code: p.error,
    }
}

pub fn offset_delete_request(
    request: &offset_delete::OffsetDeleteRequest<'_>,
) -> OffsetDeleteRequest {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| p.partition_index);
        (topic.name.to_owned(), partitions.collect())
    });
    OffsetDeleteRequest {
        group_id: request.group_id.to_owned(),
        topics: topics.collect(),
    }
}

pub fn offset_delete_response(
    reply: &OffsetDeleteReply,
) -> offset_delete::OffsetDeleteResponse<'_> {
    let topics = reply.topics.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|&(partition_index, error_code)| {
            offset_delete::OffsetDeleteResponsePartition {
                partition_index,
                error_code,
            }
        });
        offset_delete::OffsetDeleteResponseTopic {
            name,
            partitions: partitions.collect(),
        }
    });
    offset_delete::OffsetDeleteResponse {
        error_code: reply.error,
        throttle_time_ms: 0,
        topics: topics.collect(),
    }
}
