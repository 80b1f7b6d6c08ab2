//! Committed offsets, a few at a time: for whoever must not hold the shard up.

use std::ops::Bound;
use std::sync::Arc;

use super::GroupsShard;

/// An offset that a group has committed, and where a walk over them goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct CommittedAt {
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

impl GroupsShard {
    /// Adds the next committed offsets after the last one found, `count` at most; whether there may
    /// be more. Order: by group, topic, partition.
    pub fn committed_after(&self, found: &mut Vec<CommittedAt>, count: usize) -> bool {
        let last = found.last().cloned();
        let wanted = found.len() + count;
        let groups = match &last {
            Some(last) => (Bound::Included(&*last.group), Bound::Unbounded),
            None => (Bound::Unbounded, Bound::Unbounded),
        };
        for (group, offsets) in self.offsets.groups_in(groups) {
            let within = last.as_ref().filter(|last| *last.group == **group);
            let from = match within {
                Some(last) => Bound::Included(&*last.topic),
                None => Bound::Unbounded,
            };
            let group: Arc<str> = within.map_or_else(|| (**group).into(), |it| it.group.clone());
            let mut within = within.map(|last| (last.topic.clone(), last.partition));
            for (topic, partitions) in offsets.committed.range::<str, _>((from, Bound::Unbounded)) {
                let same = within.take().filter(|(last, _)| **last == **topic);
                let from = match &same {
                    Some((_, partition)) => Bound::Excluded(*partition),
                    None => Bound::Unbounded,
                };
                let topic: Arc<str> = same.map_or_else(|| (**topic).into(), |(topic, _)| topic);
                for (partition, committed) in partitions.range((from, Bound::Unbounded)) {
                    if found.len() == wanted {
                        return true;
                    }
                    found.push(CommittedAt {
                        group: group.clone(),
                        topic: topic.clone(),
                        partition: *partition,
                        offset: committed.offset,
                    });
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CommittedOffset, NO_TOPIC_ID};
    use super::*;

    #[test]
    fn a_walk_in_steps_of_any_size_finds_each_once_and_in_order() {
        let mut shard = GroupsShard::default();
        let mut all = Vec::new();
        for group in ["a", "b", "c"] {
            for topic in ["s", "t"] {
                for partition in [0, 1, 5] {
                    let offset = all.len() as i64;
                    let committed = CommittedOffset {
                        offset,
                        leader_epoch: -1,
                        metadata: String::new(),
                        commit_timestamp_ms: 0,
                        expire_timestamp_ms: None,
                        topic_id: NO_TOPIC_ID,
                    };
                    shard.offsets.put(group, topic, partition, committed);
                    all.push((group, topic, partition, offset));
                }
            }
        }
        for step in 1..=all.len() + 1 {
            let mut found = Vec::new();
            while shard.committed_after(&mut found, step) {}
            let found: Vec<_> = found
                .iter()
                .map(|it| (&*it.group, &*it.topic, it.partition, it.offset))
                .collect();
            assert_eq!(found, all, "steps of {step}");
        }
    }
}
