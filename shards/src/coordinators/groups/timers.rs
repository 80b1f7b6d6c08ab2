//! Deadlines in order. No clock and no thread: whoever owns the time asks for the next
//! deadline and calls back when it has passed. At most one deadline per key.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKey {
    /// A member's session, or a pending member's time to come back with its id.
    Session { group: String, member: String },
    /// The end of the join phase (or of a step of the initial delay).
    Join { group: String },
    /// The time by which every member must have asked for its assignment.
    Sync { group: String },
    /// The next search for expired offsets.
    Expiry,
}

impl TimerKey {
    pub fn session(group: &str, member: &str) -> Self {
        Self::Session {
            group: group.to_owned(),
            member: member.to_owned(),
        }
    }
    pub fn join(group: &str) -> Self {
        Self::Join {
            group: group.to_owned(),
        }
    }
    pub fn sync(group: &str) -> Self {
        Self::Sync {
            group: group.to_owned(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    deadlines: BTreeMap<TimerKey, i64>,
    order: BTreeSet<(i64, TimerKey)>,
}

impl Timers {
    /// Sets or moves the deadline of a key (milliseconds).
    pub fn schedule(&mut self, key: TimerKey, deadline_ms: i64) {
        if let Some(previous) = self.deadlines.insert(key.clone(), deadline_ms) {
            self.order.remove(&(previous, key.clone()));
        }
        self.order.insert((deadline_ms, key));
    }

    pub fn cancel(&mut self, key: &TimerKey) {
        if let Some((key, deadline)) = self.deadlines.remove_entry(key) {
            self.order.remove(&(deadline, key));
        }
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn next(&self) -> Option<i64> {
        self.order.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the earliest deadline that has passed.
    pub fn pop(&mut self, now_ms: i64) -> Option<TimerKey> {
        if self.next()? > now_ms {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.deadlines.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_once() {
        let mut timers = Timers::default();
        timers.schedule(TimerKey::join("a"), 30);
        timers.schedule(TimerKey::sync("a"), 10);
        timers.schedule(TimerKey::Expiry, 20);
        timers.schedule(TimerKey::join("a"), 5);
        timers.cancel(&TimerKey::Expiry);
        assert_eq!(timers.next(), Some(5));
        assert_eq!(timers.pop(4), None);
        assert_eq!(timers.pop(40), Some(TimerKey::join("a")));
        assert_eq!(timers.pop(40), Some(TimerKey::sync("a")));
        assert_eq!(timers.pop(40), None);
        assert_eq!(timers.next(), None);
    }
}
