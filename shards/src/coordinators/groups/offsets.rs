//! Committed offsets, and those on their way to be.
//!
//! A commit is visible when it is durable, not before. What is in flight is counted so
//! that a deletion also covers it, expiry leaves it alone and a read of stable offsets
//! can wait for it. What an open transaction has written is in flight until that ends.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::effects::{Token, TopicId};
use super::records::CommittedOffset;

/// The topic id of a topic whose id is not known.
pub const NO_TOPIC_ID: TopicId = [0; 16];

/// Two ids contradict each other only where both are known.
pub(super) fn ids_contradict(a: TopicId, b: TopicId) -> bool {
    a != NO_TOPIC_ID && b != NO_TOPIC_ID && a != b
}

#[derive(Debug)]
pub(super) struct InFlight {
    count: u32,
    /// Of the latest commit.
    topic_id: TopicId,
}

#[derive(Debug, Default)]
pub(super) struct GroupOffsets {
    pub committed: BTreeMap<String, BTreeMap<i32, CommittedOffset>>,
    in_flight: BTreeMap<(String, i32), InFlight>,
    last_write: Option<Token>,
}

impl GroupOffsets {
    pub fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.committed.get(topic)?.get(&partition)
    }

    pub fn is_in_flight(&self, topic: &str, partition: i32) -> bool {
        self.in_flight.contains_key(&(topic.to_owned(), partition))
    }

    pub fn has_in_flight(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// The latest write that a stable read has to wait for.
    pub fn awaited(&self) -> Option<Token> {
        self.last_write.filter(|_| self.has_in_flight())
    }

    /// Every offset, committed or in flight, once: (topic, partition, topic id).
    pub fn all(&self) -> Vec<(String, i32, TopicId)> {
        let mut all = BTreeMap::new();
        for (topic, partitions) in &self.committed {
            for (partition, offset) in partitions {
                all.insert((topic.clone(), *partition), offset.topic_id);
            }
        }
        for (key, in_flight) in &self.in_flight {
            all.insert(key.clone(), in_flight.topic_id);
        }
        let flat = all.into_iter();
        flat.map(|((topic, partition), id)| (topic, partition, id))
            .collect()
    }
}

/// The offsets of all groups. A group without offsets is not in it.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    groups: BTreeMap<String, GroupOffsets>,
    count: usize,
}

impl Offsets {
    pub fn group(&self, group: &str) -> Option<&GroupOffsets> {
        self.groups.get(group)
    }

    pub fn groups(&self) -> impl Iterator<Item = (&String, &GroupOffsets)> {
        self.groups.iter()
    }

    /// Those whose names lie in a range.
    pub fn groups_in<'a>(
        &'a self,
        range: (Bound<&str>, Bound<&str>),
    ) -> impl Iterator<Item = (&'a String, &'a GroupOffsets)> {
        self.groups.range::<str, _>(range)
    }

    /// Offsets held or in flight.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Notes that these partitions are on their way.
    pub fn begin(&mut self, group: &str, token: Token, commits: &[(String, i32, CommittedOffset)]) {
        let offsets = self.groups.entry(group.to_owned()).or_default();
        offsets.last_write = Some(token);
        for (topic, partition, value) in commits {
            let in_flight = offsets
                .in_flight
                .entry((topic.clone(), *partition))
                .or_insert(InFlight {
                    count: 0,
                    topic_id: value.topic_id,
                });
            in_flight.count += 1;
            in_flight.topic_id = value.topic_id;
        }
        self.count += commits.len();
    }

    /// Ends what [`begin`](Self::begin) began.
    pub fn end(&mut self, group: &str, commits: &[(String, i32, CommittedOffset)]) {
        for (topic, partition, _) in commits {
            self.end_one(group, topic, *partition);
        }
    }

    /// The same for one partition.
    pub fn end_one(&mut self, group: &str, topic: &str, partition: i32) {
        let Some(offsets) = self.groups.get_mut(group) else {
            return;
        };
        let key = (topic.to_owned(), partition);
        if let Some(in_flight) = offsets.in_flight.get_mut(&key) {
            in_flight.count -= 1;
            self.count -= 1;
            if in_flight.count == 0 {
                offsets.in_flight.remove(&key);
            }
        }
        self.forget_if_empty(group);
    }

    pub fn put(&mut self, group: &str, topic: &str, partition: i32, value: CommittedOffset) {
        let offsets = self.groups.entry(group.to_owned()).or_default();
        let partitions = offsets.committed.entry(topic.to_owned()).or_default();
        if partitions.insert(partition, value).is_none() {
            self.count += 1;
        }
    }

    pub fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        let Some(offsets) = self.groups.get_mut(group) else {
            return;
        };
        if let Some(partitions) = offsets.committed.get_mut(topic) {
            if partitions.remove(&partition).is_some() {
                self.count -= 1;
            }
            if partitions.is_empty() {
                offsets.committed.remove(topic);
            }
        }
        self.forget_if_empty(group);
    }

    fn forget_if_empty(&mut self, group: &str) {
        let is_empty = |o: &GroupOffsets| o.committed.is_empty() && o.in_flight.is_empty();
        if self.groups.get(group).is_some_and(is_empty) {
            self.groups.remove(group);
        }
    }
}
