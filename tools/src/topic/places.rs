//! Where a topic's partitions live, by ids that a move can name.

use std::collections::BTreeMap;

use crate::client::{Cluster, Topic};
use crate::config::{Kind, Scope, settings};

/// Shards that one node can have: ids of brokers are node.id times this, plus the shard.
pub(super) const SHARDS_MAX: i32 = 1000;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Where partitions can go.
    pub ids: Vec<i32>,
    /// Where each partition is; -1 if nowhere.
    pub of: BTreeMap<i32, i32>,
}

impl Places {
    /// Brokers, or the shards of the one that there is: clients are not told of those, but a node
    /// that is asked says where its partitions are.
    pub(super) fn find(cluster: &mut Cluster, topic: &Topic) -> anyhow::Result<Places> {
        let brokers: Vec<i32> = cluster.brokers().map(|broker| broker.id).collect();
        if let [node] = brokers[..] {
            let asked = ["partition.shards", "node.shards"].map(str::to_owned);
            let rows = settings(cluster, Kind::Topic, &topic.name, Scope::Named(&asked))?;
            let answer = |name| rows.iter().find(|row| row[0] == name);
            if let (Some(of), Some(count)) = (answer("partition.shards"), answer("node.shards"))
                && let Some(places) = shards(node, &of[1], &count[1])
            {
                return Ok(places);
            }
        }
        let leaders = topic.partitions.iter().map(|one| (one.index, one.leader));
        Ok(Places {
            ids: brokers,
            of: leaders.collect(),
        })
    }
}

/// `of`: each partition's shard; `count`: how many shards there are. `None` if there is but one.
fn shards(node: i32, of: &str, count: &str) -> Option<Places> {
    let count = count
        .parse()
        .ok()
        .filter(|count| (2..=SHARDS_MAX).contains(count))?;
    // None of them is the node's own id.
    let first = node.max(1).checked_mul(SHARDS_MAX)?;
    let mut places = Places {
        ids: (first..first.checked_add(count)?).collect(),
        of: BTreeMap::new(),
    };
    for (index, shard) in (0..).zip(of.split(',')) {
        let shard = shard
            .parse()
            .ok()
            .filter(|shard| (0..count).contains(shard))?;
        places.of.insert(index, first + shard);
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_of_one_broker_have_ids() {
        let of = |node, of, count| shards(node, of, count).map(|places| (places.ids, places.of));
        let at = |ids: &[i32]| (0..).zip(ids.iter().copied()).collect::<BTreeMap<_, _>>();
        assert_eq!(
            of(3, "1,0", "2"),
            Some((vec![3000, 3001], at(&[3001, 3000])))
        );
        assert_eq!(of(0, "0", "2"), Some((vec![1000, 1001], at(&[1000]))));
        // One shard is the broker.
        assert_eq!(of(3, "0", "1"), None);
        for nonsense in ["", "a", "2", "-1", "0,"] {
            assert_eq!(of(3, nonsense, "2"), None, "{nonsense:?}");
        }
        assert_eq!(of(i32::MAX, "0", "2"), None);
    }
}
