//! What encoding promises beyond bytes: gaps for external records, sizes, refusals, and the
//! framing of records.

use odradek_wire::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData, ReplicaState,
};
use odradek_wire::group_records::{
    GroupRecordKey, GroupRecordValue, OffsetCommitKey, OffsetCommitValue,
};
use odradek_wire::metadata_records::{FeatureLevelRecord, MetadataRecord};
use odradek_wire::request_header::RequestHeader;
use odradek_wire::{
    DecodeError, EncodeError, Gap, Message, Reader, Records, Request, Uuid, Writer,
};

fn fetch_response<'a>(records: [Records<'a>; 2]) -> FetchResponse<'a> {
    FetchResponse {
        responses: records
            .map(|records| FetchableTopicResponse {
                topic_id: Uuid([7; 16]),
                partitions: vec![PartitionData {
                    records,
                    ..PartitionData::default()
                }],
                ..FetchableTopicResponse::default()
            })
            .into(),
        ..FetchResponse::default()
    }
}

/// A framed response: the size, then the body.
fn framed(response: &FetchResponse<'_>, version: i16) -> (Vec<u8>, Vec<Gap>) {
    let mut writer = Writer::new(b"before".to_vec());
    let mark = writer.begin_size();
    response.encode(&mut writer, version).unwrap();
    writer.end_size(mark).unwrap();
    writer.into_parts()
}

#[test]
fn gaps_filled_in_are_the_records_in_place() {
    let (first, second) = (vec![1u8; 300], vec![2u8; 5]);
    for version in FetchResponse::MIN_VERSION..=FetchResponse::MAX_VERSION {
        let inline = fetch_response([Records::Bytes(&first), Records::Bytes(&second)]);
        let external = fetch_response([Records::External(300), Records::External(5)]);
        let (expected, no_gaps) = framed(&inline, version);
        assert_eq!(no_gaps, []);
        let (head, gaps) = framed(&external, version);
        assert_eq!(gaps.iter().map(|gap| gap.len).collect::<Vec<_>>(), [300, 5]);
        let mut sent = Vec::new();
        let mut from = 0;
        for (gap, bytes) in gaps.iter().zip([&first, &second]) {
            sent.extend_from_slice(&head[from..gap.at]);
            sent.extend_from_slice(bytes);
            from = gap.at;
        }
        sent.extend_from_slice(&head[from..]);
        assert_eq!(sent, expected, "version {version}");
    }
}

#[test]
fn a_field_that_the_version_cannot_carry_is_refused() {
    let request = FetchRequest {
        replica_state: ReplicaState {
            replica_id: 3,
            ..ReplicaState::default()
        },
        ..FetchRequest::default()
    };
    let outcome = request.encode(&mut Writer::default(), 14);
    assert_eq!(
        outcome,
        Err(EncodeError::Field {
            field: "FetchRequest.replica_state",
            version: 14
        })
    );
    assert_eq!(request.encode(&mut Writer::default(), 15), Ok(()));
    // Ignorable: the session's epoch is left out of versions without sessions.
    let request = FetchRequest {
        session_epoch: 9,
        ..FetchRequest::default()
    };
    assert_eq!(request.encode(&mut Writer::default(), 4), Ok(()));
}

#[test]
fn what_is_too_long_is_refused() {
    let long = "x".repeat(32_768);
    let header = RequestHeader {
        client_id: Some(&long),
        ..RequestHeader::default()
    };
    let outcome = header.encode(&mut Writer::default(), 2);
    let field = "RequestHeader.client_id";
    assert_eq!(
        outcome,
        Err(EncodeError::TooLong {
            field,
            length: 32_768,
            max: 32_767
        })
    );
    let external = fetch_response([Records::External(u32::MAX), Records::Null]);
    let outcome = external.encode(&mut Writer::default(), 12);
    assert!(
        matches!(outcome, Err(EncodeError::TooLong { .. })),
        "{outcome:?}"
    );
}

#[test]
fn versions_unknown_are_refused() {
    for version in [
        -1,
        FetchRequest::MIN_VERSION - 1,
        FetchRequest::MAX_VERSION + 1,
    ] {
        let outcome = FetchRequest::default().encode(&mut Writer::default(), version);
        assert!(
            matches!(outcome, Err(EncodeError::Version { .. })),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_large_tagged_field_has_a_long_size() {
    // NodeEndpoints is tagged; 40 of them need a size of two bytes.
    let mut response = fetch_response([Records::External(9), Records::Null]);
    response.node_endpoints = (0..40)
        .map(|node_id| odradek_wire::fetch::NodeEndpoint {
            node_id,
            host: "localhost",
            ..Default::default()
        })
        .collect();
    let mut writer = Writer::default();
    response.encode(&mut writer, 17).unwrap();
    let gap = writer.gaps[0];
    let mut bytes = writer.into_inner();
    bytes.splice(gap.at..gap.at, [5; 9]);
    let mut reader = Reader::new(&bytes);
    let decoded = FetchResponse::decode(&mut reader, 17).unwrap();
    reader.finish().unwrap();
    assert_eq!(decoded.node_endpoints, response.node_endpoints);
    assert_eq!(
        decoded.responses[0].partitions[0].records.bytes(),
        Some([5; 9].as_slice())
    );
}

#[test]
fn a_request_names_its_response() {
    fn name_of_response<'a, R: Request<'a>>(_: &R) -> &'static str {
        <R::Response<'static> as Message>::NAME
    }
    assert_eq!(name_of_response(&FetchRequest::default()), "FetchResponse");
}

#[test]
fn metadata_records_are_framed_as_in_kafka() {
    // Frame version 1, type 12, version 0, then the body.
    let record = MetadataRecord::from(FeatureLevelRecord {
        name: "metadata.version",
        feature_level: 29,
    });
    let mut writer = Writer::default();
    record.encode(&mut writer, 0).unwrap();
    let bytes = writer.into_inner();
    assert_eq!(bytes, b"\x01\x0c\x00\x11metadata.version\x00\x1d\x00");
    assert_eq!(
        MetadataRecord::decode(&mut Reader::new(&bytes)),
        Ok((record, 0))
    );

    let decode = |bytes: &[u8]| MetadataRecord::decode(&mut Reader::new(bytes)).map(|_| ());
    assert_eq!(
        decode(&[2, 12, 0]),
        Err(DecodeError::FrameVersion { version: 2 })
    );
    assert_eq!(
        decode(&[1, 99, 0]),
        Err(DecodeError::RecordType {
            log: "metadata",
            record_type: 99
        })
    );
    assert!(matches!(
        decode(&[1, 12, 5]),
        Err(DecodeError::Version { version: 5, .. })
    ));
    let trailing = [bytes.as_slice(), &[0]].concat();
    assert!(matches!(
        decode(&trailing),
        Err(DecodeError::Trailing { .. })
    ));
}

#[test]
fn group_records_are_framed_as_in_kafka() {
    let key = GroupRecordKey::OffsetCommit(OffsetCommitKey {
        group: "g",
        topic: "t",
        partition: 5,
    });
    let mut writer = Writer::default();
    key.encode(&mut writer).unwrap();
    let bytes = writer.into_inner();
    assert_eq!(bytes, b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x05");
    assert_eq!(
        GroupRecordKey::decode(&mut Reader::new(&bytes)),
        Ok(key.clone())
    );

    let value = GroupRecordValue::OffsetCommit(OffsetCommitValue {
        offset: 9,
        ..OffsetCommitValue::default()
    });
    let mut writer = Writer::default();
    value.encode(&mut writer, 3).unwrap();
    let bytes = writer.into_inner();
    assert_eq!(bytes[..2], [0, 3]);
    let decoded = GroupRecordValue::decode(key.record_type(), &mut Reader::new(&bytes));
    assert_eq!(decoded, Ok((value, 3)));
    assert_eq!(
        GroupRecordKey::decode(&mut Reader::new(&[0, 99])),
        Err(DecodeError::RecordType {
            log: "group",
            record_type: 99
        })
    );
}
