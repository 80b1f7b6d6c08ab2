//! Which protocol (assignment strategy) the members of a group agree on. Pure.
//!
//! Deliberately different from Kafka: a tie of votes goes to the protocol whose name sorts first.
//!
//! Source: Kafka `ClassicGroup.selectProtocol`, `candidateProtocols`.

use std::collections::BTreeMap;

use super::member::{Member, Protocol};

/// How many members offer each protocol.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Supported(BTreeMap<String, usize>);

impl Supported {
    /// Counts a member's protocols.
    pub fn add(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.0.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    /// Takes back what [`add`](Self::add) counted.
    pub fn remove(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            if let Some(count) = self.0.get_mut(&protocol.name) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(&protocol.name);
                }
            }
        }
    }

    /// Whether all `members` offer it.
    pub fn by_all(&self, protocol: &str, members: usize) -> bool {
        self.0.get(protocol).copied().unwrap_or(0) == members
    }

    /// The protocol with the most votes among those that all members support.
    pub fn select<'a>(
        &self,
        members: impl ExactSizeIterator<Item = &'a Member>,
    ) -> Option<&'a str> {
        let count = members.len();
        let mut votes = BTreeMap::<&str, usize>::new();
        for member in members {
            if let Some(name) = member.vote(|name| self.by_all(name, count)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        // `max_by_key` gives the last of equals: go from the last name to the first.
        let winner = votes.into_iter().rev().max_by_key(|(_, count)| *count)?;
        Some(winner.0)
    }
}
