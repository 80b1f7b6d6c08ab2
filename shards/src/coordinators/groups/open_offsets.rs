//! Offsets that open transactions have written: they count when their transaction commits, unless
//! something was written for the same partition since.
//!
//! Source: Kafka `OffsetMetadataManager.pendingTransactionalOffsets`.

use std::collections::{BTreeMap, BTreeSet};

use odradek_engine::types::ProducerId;

use super::records::CommittedOffset;

/// Group, topic, partition.
pub(super) type Key = (String, String, i32);

#[derive(Debug)]
struct Open {
    value: CommittedOffset,
    /// When it was written, by count.
    order: u64,
    superseded: bool,
}

#[derive(Debug, Default)]
pub(super) struct OpenOffsets {
    by_producer: BTreeMap<ProducerId, BTreeMap<Key, Open>>,
    by_key: BTreeMap<Key, BTreeSet<ProducerId>>,
    written: u64,
}

/// An offset whose transaction has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub key: Key,
    /// What is committed by it, unless something later was.
    pub value: Option<CommittedOffset>,
    order: u64,
}

impl OpenOffsets {
    /// Takes note of one; whether the same transaction had written one for this partition before.
    pub fn put(&mut self, producer: ProducerId, key: Key, value: CommittedOffset) -> bool {
        self.written += 1;
        let open = Open {
            value,
            order: self.written,
            superseded: false,
        };
        self.by_key.entry(key.clone()).or_default().insert(producer);
        let of_producer = self.by_producer.entry(producer).or_default();
        of_producer.insert(key, open).is_some()
    }

    /// Whether a transaction that has written an offset for this partition is open.
    pub fn has(&self, group: &str, topic: &str, partition: i32) -> bool {
        !self.by_key.is_empty()
            && self
                .by_key
                .contains_key(&(group.to_owned(), topic.to_owned(), partition))
    }

    /// The transaction of a producer has ended; what it had written.
    pub fn end(&mut self, producer: ProducerId) -> Vec<Ended> {
        let all = self.by_producer.remove(&producer).unwrap_or_default();
        let mut ended = Vec::with_capacity(all.len());
        for (key, open) in all {
            self.unlink(&key, producer);
            ended.push(Ended {
                key,
                value: (!open.superseded).then_some(open.value),
                order: open.order,
            });
        }
        ended
    }

    /// What one that has ended puts out of force.
    pub fn committed(&mut self, ended: &Ended) {
        self.supersede(&ended.key, ended.order);
    }

    /// An offset was committed outside of transactions: those that are open were written before.
    pub fn overtaken(&mut self, group: &str, topic: &str, partition: i32) {
        if !self.by_key.is_empty() {
            let key = (group.to_owned(), topic.to_owned(), partition);
            self.supersede(&key, u64::MAX);
        }
    }

    fn supersede(&mut self, key: &Key, before: u64) {
        let producers = self.by_key.get(key).into_iter().flatten();
        for producer in producers {
            let of_producer = self.by_producer.get_mut(producer);
            if let Some(open) = of_producer.and_then(|all| all.get_mut(key)) {
                open.superseded |= open.order < before;
            }
        }
    }

    /// A partition's offset was deleted, in open transactions, too; in how many.
    pub fn remove(&mut self, group: &str, topic: &str, partition: i32) -> usize {
        if self.by_key.is_empty() {
            return 0;
        }
        let key = (group.to_owned(), topic.to_owned(), partition);
        let producers = self.by_key.remove(&key).unwrap_or_default();
        for producer in &producers {
            if let Some(all) = self.by_producer.get_mut(producer) {
                all.remove(&key);
                if all.is_empty() {
                    self.by_producer.remove(producer);
                }
            }
        }
        producers.len()
    }

    fn unlink(&mut self, key: &Key, producer: ProducerId) {
        if let Some(producers) = self.by_key.get_mut(key) {
            producers.remove(&producer);
            if producers.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}
