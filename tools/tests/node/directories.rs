//! DescribeLogDirs: each shard tells of its own partitions.

use odradek_wire::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResponse,
};
use odradek_wire::{ErrorCode, Message, Reader};

use crate::common::{Client, TestNode, batch};

const VERSION: i16 = DescribeLogDirsRequest::MAX_VERSION;

/// Sizes by topic and partition, as one shard tells.
fn sizes(address: &str, among: Option<&[(&str, &[i32])]>) -> Vec<(String, i32, i64)> {
    let topics = among.map(|among| {
        let asked = among
            .iter()
            .map(|(topic, partitions)| DescribableLogDirTopic {
                topic,
                partitions: partitions.to_vec(),
            });
        asked.collect()
    });
    let mut client = Client::connect(address);
    let body = client
        .call(VERSION, &DescribeLogDirsRequest { topics })
        .expect("an answer");
    let response = DescribeLogDirsResponse::decode(&mut Reader::new(&body), VERSION);
    let response = response.expect("readable");
    assert_eq!((response.error_code, response.results.len()), (0, 1));
    let directory = &response.results[0];
    assert!(directory.log_dir.starts_with('/'), "{}", directory.log_dir);
    assert!(directory.usable_bytes > 0 && directory.total_bytes > directory.usable_bytes);
    let topics = directory.topics.iter();
    topics
        .flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|one| {
                assert_eq!((one.offset_lag, one.is_future_key), (0, false));
                (
                    topic.name.to_owned(),
                    one.partition_index,
                    one.partition_size,
                )
            })
        })
        .collect()
}

#[test]
fn every_shard_tells_of_its_own_partitions() {
    let mut node = TestNode::start(&[("shards", "2")]);
    assert_eq!(node.client().create_topic("t", 3, &[]), ErrorCode::None);
    assert_eq!(node.client().create_topic("u", 1, &[]), ErrorCode::None);
    let stored = batch(&[&[7; 10_000]]);
    for index in 0..3 {
        for _ in 0..=index {
            node.leader("t", index).store("t", index as i32, &stored);
        }
    }
    let expected = |index: i32| stored.len() as i64 * i64::from(index + 1);
    for opened in [true, false] {
        let mut all = Vec::new();
        for shard in node.shards() {
            let told = sizes(shard, None);
            assert_eq!(told.len(), 2, "{told:?}");
            all.extend(told);
        }
        all.sort();
        let sized = |index| ("t".to_owned(), index, expected(index));
        let rest = ("u".to_owned(), 0, 0);
        assert_eq!(
            all,
            [sized(0), sized(1), sized(2), rest],
            "opened: {opened}"
        );
        // Nobody has used them after the restart.
        node.stop();
        node.run();
    }
    let mut some = Vec::new();
    for shard in node.shards() {
        some.extend(sizes(shard, Some(&[("t", &[1, 9]), ("none", &[0])])));
    }
    assert_eq!(some, [("t".to_owned(), 1, expected(1))]);
}
