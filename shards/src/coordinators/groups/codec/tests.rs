use odradek_wire::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use odradek_wire::describe_groups::DescribeGroupsResponse;
use odradek_wire::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use odradek_wire::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity};
use odradek_wire::list_groups::ListGroupsResponse;
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use odradek_wire::offset_delete::OffsetDeleteResponse;
use odradek_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use odradek_wire::sync_group::SyncGroupResponse;
use odradek_wire::{Message, Reader, Uuid, Writer};

use super::super::*;
use super::*;

const ID: TopicId = [7; 16];

/// The message's bytes at a version.
fn bytes<'a, M: Message<'a>>(message: &M, version: i16) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    if let Err(error) = message.encode(&mut writer, version) {
        panic!("{} v{version}: {error}", M::NAME);
    }
    writer.into_inner()
}

fn read<'a, M: Message<'a>>(bytes: &'a [u8], version: i16) -> M {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version).expect("it has just been written");
    reader.finish().expect("to its end");
    message
}

fn versions<'a, M: Message<'a>>() -> std::ops::RangeInclusive<i16> {
    M::MIN_VERSION..=M::MAX_VERSION
}

fn join_reply() -> JoinReply {
    JoinReply {
        generation: 4,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        leader: "m".into(),
        skip_assignment: false,
        members: vec![JoinedMember {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            metadata: b"meta"[..].into(),
        }],
        ..JoinReply::error(error::NONE, "m")
    }
}

#[test]
fn joins_speak_every_version() {
    let client = Client {
        id: "client",
        host: "/127.0.0.1",
    };
    for version in versions::<JoinGroupRequest>() {
        let request = JoinGroupRequest {
            group_id: "g",
            session_timeout_ms: 10_000,
            protocol_type: "consumer",
            protocols: vec![JoinGroupRequestProtocol {
                name: "range",
                metadata: b"meta",
            }],
            ..Default::default()
        };
        let encoded = bytes(&request, version);
        let plain = join_request(&read(&encoded, version), version, client, 5);
        assert_eq!(plain.protocols[0].name, "range");
        assert_eq!(plain.rebalance_timeout_ms, -1);
        assert_eq!(plain.member_id_required, version >= 4);
        assert_eq!(plain.skip_assignment_supported, version >= 9);
        assert_eq!(plain.client_host, "/127.0.0.1");

        let reply = join_reply();
        let encoded = bytes(&join_response(&reply, version), version);
        let response: JoinGroupResponse = read(&encoded, version);
        assert_eq!(response.generation_id, 4);
        assert_eq!(response.members[0].metadata, b"meta");

        let failed = JoinReply::error(error::UNKNOWN_MEMBER_ID, "m");
        let encoded = bytes(&join_response(&failed, version), version);
        let response: JoinGroupResponse = read(&encoded, version);
        let name = (version < 7).then_some("");
        assert_eq!(response.protocol_name, name);
        assert_eq!(response.error_code, error::UNKNOWN_MEMBER_ID);
    }
}

#[test]
fn syncs_speak_every_version() {
    let reply = SyncReply {
        error: error::NONE,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignment: b"mine"[..].into(),
    };
    for version in versions::<SyncGroupResponse>() {
        let encoded = bytes(&sync_response(&reply), version);
        let response: SyncGroupResponse = read(&encoded, version);
        assert_eq!(response.assignment, b"mine");
    }
}

#[test]
fn leaves_speak_every_version() {
    for version in versions::<LeaveGroupRequest>() {
        let request = if version < 3 {
            LeaveGroupRequest {
                group_id: "g",
                member_id: "m",
                members: Vec::new(),
            }
        } else {
            LeaveGroupRequest {
                group_id: "g",
                member_id: "",
                members: vec![MemberIdentity {
                    member_id: "m",
                    ..Default::default()
                }],
            }
        };
        let encoded = bytes(&request, version);
        let plain = leave_request(&read(&encoded, version), version);
        assert_eq!(plain.members.len(), 1);
        assert_eq!(plain.members[0].member_id, "m");
        let reply = LeaveReply {
            error: error::NONE,
            members: vec![LeftMember {
                member_id: "m".into(),
                instance_id: None,
                error: error::UNKNOWN_MEMBER_ID,
            }],
        };
        let encoded = bytes(&leave_response(&reply, version), version);
        let response: LeaveGroupResponse = read(&encoded, version);
        let (top, of_member) = match version {
            0..3 => (error::UNKNOWN_MEMBER_ID, None),
            _ => (error::NONE, Some(error::UNKNOWN_MEMBER_ID)),
        };
        assert_eq!(response.error_code, top);
        assert_eq!(response.members.first().map(|m| m.error_code), of_member);
    }
}

fn resolve(topic: TopicRef<'_>) -> Result<Topic, i16> {
    match topic {
        TopicRef::Name("orders") | TopicRef::Id(ID) => Ok(Topic {
            name: "orders".into(),
            partitions: 2,
        }),
        TopicRef::Name(_) => Err(error::UNKNOWN_TOPIC_OR_PARTITION),
        TopicRef::Id(_) => Err(error::UNKNOWN_TOPIC_ID),
    }
}

#[test]
fn commits_speak_every_version() {
    for version in versions::<OffsetCommitRequest>() {
        let topic = |name, id| {
            let partitions = [0, 2].map(|partition_index| OffsetCommitRequestPartition {
                partition_index,
                committed_offset: 9,
                ..Default::default()
            });
            OffsetCommitRequestTopic {
                name: if version < 10 { name } else { "" },
                topic_id: if version < 10 { Uuid::ZERO } else { Uuid(id) },
                partitions: partitions.into(),
            }
        };
        let request = OffsetCommitRequest {
            group_id: "g",
            retention_time_ms: if version < 5 { 60_000 } else { -1 },
            topics: vec![topic("orders", ID), topic("unknown", [8; 16])],
            ..Default::default()
        };
        let encoded = bytes(&request, version);
        let plain = commit_request(&read(&encoded, version), version, resolve);
        assert_eq!(plain.retention_ms, (version < 5).then_some(60_000));
        assert_eq!(plain.topics[0].name, "orders");
        let reply = plain.failed(error::NONE);
        let encoded = bytes(&commit_response(&reply, version), version);
        let response: OffsetCommitResponse = read(&encoded, version);
        let answered = response.topics.iter().flat_map(|t| {
            let errors = t.partitions.iter().map(|p| p.error_code);
            errors.map(|code| (t.name, t.topic_id.0, code))
        });
        let (unknown, names, ids) = if version < 10 {
            let names = ["orders", "unknown"];
            (error::UNKNOWN_TOPIC_OR_PARTITION, names, [NO_TOPIC_ID; 2])
        } else {
            (error::UNKNOWN_TOPIC_ID, ["", ""], [ID, [8; 16]])
        };
        let missing = error::UNKNOWN_TOPIC_OR_PARTITION;
        assert_eq!(
            answered.collect::<Vec<_>>(),
            [
                (names[0], ids[0], error::NONE),
                (names[0], ids[0], missing),
                (names[1], ids[1], unknown),
                (names[1], ids[1], unknown),
            ]
        );
    }
}

fn fetch_request_of(version: i16) -> OffsetFetchRequest<'static> {
    if version < 8 {
        return OffsetFetchRequest {
            group_id: "g",
            topics: Some(vec![OffsetFetchRequestTopic {
                name: "orders",
                partition_indexes: vec![0],
            }]),
            groups: Vec::new(),
            require_stable: version == 7,
        };
    }
    let named = OffsetFetchRequestTopics {
        name: if version < 10 { "orders" } else { "" },
        topic_id: if version < 10 { Uuid::ZERO } else { Uuid(ID) },
        partition_indexes: vec![0],
    };
    let group = |group_id, topics| OffsetFetchRequestGroup {
        group_id,
        topics,
        ..Default::default()
    };
    OffsetFetchRequest {
        group_id: "",
        topics: Some(Vec::new()),
        groups: vec![group("g", Some(vec![named])), group("all", None)],
        require_stable: true,
    }
}

#[test]
fn fetches_speak_every_version() {
    let name_of = |id| (id == ID).then(|| "orders".to_owned());
    let id_of = |name: &str| (name == "orders").then_some(ID);
    for version in versions::<OffsetFetchRequest>() {
        let encoded = bytes(&fetch_request_of(version), version);
        let plain = fetch_requests(&read(&encoded, version), version, name_of);
        assert_eq!(plain.len(), if version < 8 { 1 } else { 2 });
        assert_eq!(plain[0].require_stable, version >= 7);
        let topics = plain[0].topics.as_ref().expect("topics are named");
        assert_eq!((topics[0].name.as_str(), topics[0].error), ("orders", 0));

        let reply = |id: &str, topic_id, name: &str| FetchReply {
            group_id: id.into(),
            error: error::NONE,
            topics: vec![FetchReplyTopic {
                name: name.into(),
                topic_id,
                partitions: vec![FetchedOffset {
                    offset: 5,
                    ..FetchedOffset::none(0, error::NONE)
                }],
            }],
        };
        let replies = [
            reply("g", if version < 10 { NO_TOPIC_ID } else { ID }, "orders"),
            reply("all", NO_TOPIC_ID, "orders"),
            reply("gone", NO_TOPIC_ID, "deleted"),
        ];
        let encoded = bytes(&fetch_response(&replies, version, id_of), version);
        let response: OffsetFetchResponse = read(&encoded, version);
        if version < 8 {
            assert_eq!(response.topics[0].partitions[0].committed_offset, 5);
        } else {
            let counts: Vec<usize> = response.groups.iter().map(|g| g.topics.len()).collect();
            assert_eq!(counts, [1, 1, usize::from(version < 10)]);
            let topic = &response.groups[1].topics[0];
            assert_eq!(
                topic.topic_id.0,
                if version < 10 { NO_TOPIC_ID } else { ID }
            );
        }

        let failed = [plain[0].clone().failed(error::NOT_COORDINATOR)];
        let encoded = bytes(&fetch_response(&failed, version, id_of), version);
        let response: OffsetFetchResponse = read(&encoded, version);
        let code = match version {
            1 => response.topics[0].partitions[0].error_code,
            2..8 => response.error_code,
            _ => response.groups[0].error_code,
        };
        assert_eq!(code, error::NOT_COORDINATOR);
    }
}

#[test]
fn administrators_speak_every_version() {
    let shard = GroupsShard::default();
    for version in versions::<DescribeGroupsResponse>() {
        let group = shard.describe("g", knows_group_id_not_found(version));
        let described = [(group, i32::MIN)];
        let encoded = bytes(&describe_groups_response(&described), version);
        let response: DescribeGroupsResponse = read(&encoded, version);
        assert_eq!(response.groups[0].group_state, "Dead");
        let code = if version < 6 {
            error::NONE
        } else {
            error::GROUP_ID_NOT_FOUND
        };
        assert_eq!(response.groups[0].error_code, code);
    }
    let listed = [ListedGroup {
        group_id: "g".into(),
        protocol_type: "consumer".into(),
        state: "Stable",
        group_type: GROUP_TYPE,
    }];
    for version in versions::<ListGroupsResponse>() {
        let encoded = bytes(&list_groups_response(&listed, 0, version), version);
        let response: ListGroupsResponse = read(&encoded, version);
        assert_eq!(response.groups[0].group_state.is_empty(), version < 4);
        assert_eq!(response.groups[0].group_type.is_empty(), version < 5);
    }
    for version in versions::<DeleteGroupsRequest>() {
        let groups_names = vec!["g"];
        let encoded = bytes(&DeleteGroupsRequest { groups_names }, version);
        assert_eq!(delete_groups_request(&read(&encoded, version)), ["g"]);
        let results = [("g".to_owned(), error::NON_EMPTY_GROUP)];
        let encoded = bytes(&delete_groups_response(&results), version);
        let response: DeleteGroupsResponse = read(&encoded, version);
        assert_eq!(response.results[0].error_code, error::NON_EMPTY_GROUP);
    }
    let reply = OffsetDeleteReply {
        error: error::NONE,
        topics: vec![("orders".into(), vec![(0, error::GROUP_SUBSCRIBED_TO_TOPIC)])],
    };
    let encoded = bytes(&offset_delete_response(&reply), 0);
    let response: OffsetDeleteResponse = read(&encoded, 0);
    let code = response.topics[0].partitions[0].error_code;
    assert_eq!(code, error::GROUP_SUBSCRIBED_TO_TOPIC);
}

fn group_record() -> Record {
    Record::GroupMetadata(GroupMetadata {
        group_id: "g".into(),
        protocol_type: Some("consumer".into()),
        generation: 3,
        protocol: Some("range".into()),
        leader: Some("m".into()),
        state_since_ms: Some(1_700_000_000_000),
        members: vec![GroupMetadataMember {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 60_000,
            session_timeout_ms: 10_000,
            subscription: b"sub"[..].into(),
            assignment: b"asg"[..].into(),
        }],
    })
}

fn offset_record(expire_timestamp_ms: Option<i64>, topic_id: TopicId) -> Record {
    Record::OffsetCommit {
        group_id: "g".into(),
        topic: "orders".into(),
        partition: 1,
        value: CommittedOffset {
            offset: 42,
            leader_epoch: if expire_timestamp_ms.is_some() { -1 } else { 5 },
            metadata: "note".into(),
            commit_timestamp_ms: 1_700_000_000_000,
            expire_timestamp_ms,
            topic_id,
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn records_are_read_as_they_were_written() {
    let (group_id, topic) = ("g".to_owned(), "orders".to_owned());
    for record in [
        group_record(),
        offset_record(None, ID),
        offset_record(None, NO_TOPIC_ID),
        offset_record(Some(1_800_000_000_000), NO_TOPIC_ID),
        Record::GroupTombstone {
            group_id: group_id.clone(),
        },
        Record::OffsetTombstone {
            group_id,
            topic,
            partition: 1,
        },
    ] {
        let EncodedRecord { key, value } = encode_record(&record).expect("short strings");
        let decoded = decode_record(&key, value.as_deref()).expect("well formed");
        assert_eq!(decoded, Some(record));
    }
}

#[test]
fn what_is_not_a_classic_groups_record_is_passed_over() {
    // A consumer group's metadata (type 3), a type from the future, a cut key.
    assert_eq!(decode_record(b"\0\x03\0\x01g", None), Ok(None));
    assert_eq!(decode_record(b"\x7f\xff", None), Ok(None));
    assert!(decode_record(b"\0\x02\0\x05g", None).is_err());
    assert!(decode_record(b"\0\x02\0\x01g", Some(b"\0\x63")).is_err());
}

/// Bytes from Apache Kafka 4.3.1's own `GroupCoordinatorRecordSerde`.
#[test]
fn records_are_what_kafka_writes() {
    let tombstone = Record::GroupTombstone {
        group_id: "g".into(),
    };
    let offset_key = "000100016700066f726465727300000001";
    let offset = "0004000000000000002a00000005056e6f74650000018bcfe5680001001007070707\
                  070707070707070707070707";
    let expiring = "0001000000000000002a00046e6f74650000018bcfe56800000001a3185c5000";
    let group = "00030008636f6e73756d657200000003000572616e676500016d0000018bcfe56800\
                 0000000100016d000169000163000a2f3132372e302e302e310000ea600000271000\
                 00000373756200000003617367";
    for (record, key, value) in [
        (offset_record(None, ID), offset_key, Some(offset)),
        (
            offset_record(Some(1_800_000_000_000), ID),
            offset_key,
            Some(expiring),
        ),
        (group_record(), "0002000167", Some(group)),
        (tombstone, "0002000167", None),
    ] {
        let encoded = encode_record(&record).expect("short strings");
        assert_eq!(hex(&encoded.key), key);
        assert_eq!(encoded.value.as_deref().map(hex).as_deref(), value);
    }
}
