//! What compaction may take out of a log, and what it must leave.
//!
//! Of each key the last record stays, at its offset; the last one goes only if it is a tombstone
//! whose time (`delete.retention.ms`) is over. Records of transactions that were not committed go, and
//! none is replaced by them.

use std::collections::BTreeMap;

use crate::keys::{Key, MARKER, is_tombstone, key_of};
use crate::oracle::Id;

/// The last number of each key among a log's records.
pub struct Latest(BTreeMap<Key, u64>);

impl Latest {
    /// `counts`: whether a record may be one for readers of committed records.
    pub fn of(records: &[Id], counts: impl Fn(Id) -> bool) -> Latest {
        let mut numbers = BTreeMap::new();
        for id in records.iter().filter(|id| id.0 != MARKER && counts(**id)) {
            let number: &mut u64 = numbers.entry(key_of(*id)).or_default();
            *number = id.1.max(*number);
        }
        Latest(numbers)
    }

    /// Whether a record is not needed because of a later one.
    pub fn replaces(&self, id: Id) -> bool {
        self.0.get(&key_of(id)).is_some_and(|number| *number > id.1)
    }
}

/// Tombstones that were sent to a log whose tombstones go soon: each key's last one, acknowledged or
/// not.
#[derive(Default)]
pub struct Tombstones(BTreeMap<Key, u64>);

impl Tombstones {
    /// Records are sent.
    pub fn sent(&mut self, ids: &[Id]) {
        for id in ids.iter().filter(|id| is_tombstone(**id)) {
            self.0.insert(key_of(*id), id.1);
        }
    }

    /// Whether a record may be gone together with the tombstone that deleted its key.
    pub fn deletes(&self, id: Id) -> bool {
        self.0
            .get(&key_of(id))
            .is_some_and(|number| *number >= id.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_a_key_is_needed() {
        let records = [(1, 0), (1, 11), (2, 22), (MARKER, 33)];
        let committed = Latest::of(&records, |id| id != (1, 11));
        assert!(!committed.replaces((1, 0)) && committed.replaces((2, 11)));
        let latest = Latest::of(&records, |_| true);
        assert!(latest.replaces((1, 0)));
        assert!(!latest.replaces((1, 11)) && !latest.replaces((1, 22)));
        assert!(latest.replaces((2, 0)) && !latest.replaces((2, 1)));
    }

    #[test]
    fn only_a_tombstone_of_the_key_that_came_later_deletes_a_record() {
        let mut tombstones = Tombstones::default();
        // 13 is a tombstone of key 2, 14 is none.
        tombstones.sent(&[(1, 13), (1, 14)]);
        assert!(tombstones.deletes((1, 2)) && tombstones.deletes((1, 13)));
        assert!(!tombstones.deletes((1, 24)) && !tombstones.deletes((2, 2)));
        assert!(!tombstones.deletes((1, 3)));
    }
}
