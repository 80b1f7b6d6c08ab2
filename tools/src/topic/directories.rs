//! In which log directories a topic's partitions are.

use std::collections::BTreeMap;

use odradek_wire::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResponse,
};

use crate::client::{Cluster, Topic};

/// By partition; nothing where no broker has more than one, or tells of them.
pub(super) fn find(cluster: &mut Cluster, topic: &Topic) -> BTreeMap<i32, String> {
    let request = DescribeLogDirsRequest {
        topics: Some(vec![DescribableLogDirTopic {
            topic: &topic.name,
            partitions: topic.partitions.iter().map(|one| one.index).collect(),
        }]),
    };
    let (mut found, mut several) = (BTreeMap::new(), false);
    let brokers: Vec<i32> = cluster.brokers().map(|broker| broker.id).collect();
    for broker in brokers {
        // An older broker, or one that does not allow it: the rest is shown all the same.
        let Ok(reply) = cluster.call(broker, &request, i16::MAX) else {
            continue;
        };
        let Ok(response) = reply.read::<DescribeLogDirsResponse<'_>>() else {
            continue;
        };
        several |= response.results.len() > 1;
        for directory in &response.results {
            for one in directory.topics.iter().flat_map(|topic| &topic.partitions) {
                let leads = topic
                    .partitions
                    .iter()
                    .any(|known| known.index == one.partition_index && known.leader == broker);
                if leads && !one.is_future_key {
                    found.insert(one.partition_index, directory.log_dir.to_owned());
                }
            }
        }
    }
    match several {
        true => found,
        false => BTreeMap::new(),
    }
}
