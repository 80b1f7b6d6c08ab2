//! Groups that different shards coordinate, asked for at one address.

use odradek_wire::Reader;
use odradek_wire::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use odradek_wire::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use odradek_wire::describe_log_dirs::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use odradek_wire::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use odradek_wire::list_groups::{ListGroupsRequest, ListGroupsResponse};
use odradek_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use odradek_wire::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchResponse,
};

use super::{PARTITIONS, TOPIC, start, store_everywhere};
use crate::common::{Client, wait_until};

const COMMIT: i16 = 8;
const FETCH_OFFSETS: i16 = 8;
const GROUPS: i64 = 24;

fn names() -> Vec<String> {
    (0..GROUPS)
        .map(|number| format!("group-{number}"))
        .collect()
}

/// Commits an offset of the topic's first partition.
pub(super) fn commit(client: &mut Client, group: &str, offset: i64) -> i16 {
    let request = OffsetCommitRequest {
        group_id: group,
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: TOPIC,
            partitions: vec![OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let body = client.call(COMMIT, &request).expect("an answer");
    let response = OffsetCommitResponse::decode(&mut Reader::new(&body), COMMIT);
    response.expect("readable").topics[0].partitions[0].error_code
}

/// Makes sure that groups are coordinated: their topic is made when one is first looked for.
pub(super) fn find(client: &mut Client, group: &str) -> i32 {
    let request = FindCoordinatorRequest {
        coordinator_keys: vec![group],
        ..FindCoordinatorRequest::default()
    };
    let mut found = 0;
    wait_until("there is a coordinator", || {
        let body = client.call(4, &request).expect("an answer");
        let response = FindCoordinatorResponse::decode(&mut Reader::new(&body), 4);
        let one = &response.expect("readable").coordinators[0];
        found = one.node_id;
        one.error_code == 0
    });
    found
}

/// What each group has committed, all asked for at once.
pub(super) fn committed(client: &mut Client, groups: &[String]) -> Vec<(String, i64)> {
    let request = OffsetFetchRequest {
        groups: groups
            .iter()
            .map(|group| OffsetFetchRequestGroup {
                group_id: group,
                // All of them.
                topics: None,
                ..OffsetFetchRequestGroup::default()
            })
            .collect(),
        ..OffsetFetchRequest::default()
    };
    let body = client.call(FETCH_OFFSETS, &request).expect("an answer");
    let response = OffsetFetchResponse::decode(&mut Reader::new(&body), FETCH_OFFSETS);
    let groups = response.expect("readable").groups;
    groups
        .iter()
        .map(|group| {
            assert_eq!(group.error_code, 0);
            let offset = match group.topics.as_slice() {
                [] => -1,
                topics => topics[0].partitions[0].committed_offset,
            };
            (group.group_id.to_owned(), offset)
        })
        .collect()
}

#[test]
fn groups_of_all_coordinators_are_served_together() {
    let node = start();
    let mut client = node.client();
    assert_eq!(find(&mut client, "group-0"), 1);
    let names = names();
    for (offset, name) in (0..).zip(&names) {
        assert_eq!(commit(&mut client, name, offset), 0);
    }
    let mut asked = names.clone();
    asked.reverse();
    asked.insert(4, "unknown".to_owned());
    let expected: Vec<(String, i64)> = asked
        .iter()
        .map(|name| {
            let number = name.strip_prefix("group-").map(|number| number.parse());
            (
                name.clone(),
                number.map_or(-1, |number| number.expect("a number")),
            )
        })
        .collect();
    assert_eq!(committed(&mut client, &asked), expected);

    let body = client
        .call(4, &ListGroupsRequest::default())
        .expect("an answer");
    let response = ListGroupsResponse::decode(&mut Reader::new(&body), 4).expect("readable");
    let mut listed: Vec<&str> = response.groups.iter().map(|one| one.group_id).collect();
    listed.sort_unstable();
    let mut expected: Vec<&str> = names.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);

    let request = DescribeGroupsRequest {
        groups: expected.clone(),
        ..DescribeGroupsRequest::default()
    };
    let body = client.call(5, &request).expect("an answer");
    let response = DescribeGroupsResponse::decode(&mut Reader::new(&body), 5).expect("readable");
    let described: Vec<(&str, &str)> = response
        .groups
        .iter()
        .map(|one| (one.group_id, one.group_state))
        .collect();
    let empty: Vec<(&str, &str)> = expected.iter().map(|name| (*name, "Empty")).collect();
    assert_eq!(described, empty);

    let request = DeleteGroupsRequest {
        groups_names: expected.clone(),
    };
    let body = client.call(2, &request).expect("an answer");
    let response = DeleteGroupsResponse::decode(&mut Reader::new(&body), 2).expect("readable");
    let deleted: Vec<(&str, i16)> = response
        .results
        .iter()
        .map(|one| (one.group_id, one.error_code))
        .collect();
    let fine: Vec<(&str, i16)> = expected.iter().map(|name| (*name, 0)).collect();
    assert_eq!(deleted, fine);
    assert!(committed(&mut client, &names).iter().all(|one| one.1 == -1));
}

#[test]
fn the_log_directory_holds_every_shards_partitions() {
    let node = start();
    let mut client = node.client();
    store_everywhere(&mut client, 0);
    let everything = DescribeLogDirsRequest { topics: None };
    let body = client.call(4, &everything).expect("an answer");
    let response = DescribeLogDirsResponse::decode(&mut Reader::new(&body), 4).expect("readable");
    assert_eq!((response.error_code, response.results.len()), (0, 1));
    let topics = &response.results[0].topics;
    let topic = topics.iter().find(|topic| topic.name == TOPIC).expect("it");
    let mut indexes: Vec<i32> = topic
        .partitions
        .iter()
        .map(|one| one.partition_index)
        .collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (0..PARTITIONS).collect::<Vec<_>>());
    assert!(topic.partitions.iter().all(|one| one.partition_size > 0));
}
