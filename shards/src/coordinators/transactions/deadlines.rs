//! When something is to be done about an id by itself: one time per id, in order.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    by_id: BTreeMap<String, i64>,
    order: BTreeSet<(i64, String)>,
}

impl Deadlines {
    /// Sets, moves or takes away the time of an id (milliseconds).
    pub fn set(&mut self, id: &str, at: Option<i64>) {
        if let Some((id, before)) = self.by_id.remove_entry(id) {
            self.order.remove(&(before, id));
        }
        if let Some(at) = at {
            self.by_id.insert(id.to_owned(), at);
            self.order.insert((at, id.to_owned()));
        }
    }

    pub fn next(&self) -> Option<i64> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the earliest one that has passed.
    pub fn pop(&mut self, now_ms: i64) -> Option<String> {
        if self.next()? > now_ms {
            return None;
        }
        let (_, id) = self.order.pop_first()?;
        self.by_id.remove(&id);
        Some(id)
    }
}
