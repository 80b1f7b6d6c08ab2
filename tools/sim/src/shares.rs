//! What a group's members were told, held together: in a generation nothing is two members' at a
//! time, and no generation comes again.
//!
//! A generation that one member was given its share of is durable, with all shares: after any fault
//! the group goes on from it. One that nobody was given a share of may come again, as in Kafka, whose
//! coordinator writes a generation with its assignment only.

use std::collections::{BTreeMap, BTreeSet};

/// What is shared out: these numbers.
const ALL: std::ops::Range<u8> = 0..7;

/// The leader's assignment: of each member. It says of which generation it is.
pub fn share_out(members: &[String], generation: i32) -> Vec<(String, Vec<u8>)> {
    let each = |(at, member): (usize, &String)| {
        let mut told = generation.to_be_bytes().to_vec();
        told.extend(ALL.skip(at).step_by(members.len()));
        (member.clone(), told)
    };
    members.iter().enumerate().map(each).collect()
}

/// The shares of a group's generations.
#[derive(Default)]
pub struct Shares {
    generations: BTreeMap<i32, BTreeMap<String, BTreeSet<u8>>>,
    /// Shares that were told.
    pub told: u64,
}

impl Shares {
    /// The last generation that is known to be durable.
    pub fn generation(&self) -> i32 {
        self.generations.keys().next_back().copied().unwrap_or(0)
    }

    /// A member was told that it is one in this generation, and nothing is wrong; `asked`: the last
    /// one known when the request was sent.
    pub fn stands(&self, member: &str, generation: i32, asked: i32) {
        assert!(
            generation >= asked,
            "{member} is told that generation {generation} goes on, and {asked} was durable"
        );
    }

    /// A member was told its share.
    pub fn told(&mut self, member: &str, generation: i32, share: &[u8]) {
        let (of, share) = share.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        assert_eq!(
            i32::from_be_bytes(*of),
            generation,
            "{member} in generation {generation} is told the share of another"
        );
        let share: BTreeSet<u8> = share.iter().copied().collect();
        let shares = self.generations.entry(generation).or_default();
        for (other, theirs) in shares.iter() {
            let right = match other == member {
                true => *theirs == share,
                false => theirs.is_disjoint(&share),
            };
            assert!(
                right,
                "generation {generation}: {member} is told {share:?}, and {other} was {theirs:?}"
            );
        }
        shares.insert(member.to_owned(), share);
        self.told += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (Shares, Vec<(String, Vec<u8>)>) {
        (
            Shares::default(),
            share_out(&["a".to_owned(), "b".to_owned()], 3),
        )
    }

    #[test]
    fn all_is_shared_out_once() {
        let (mut shares, out) = two();
        for (member, share) in out.iter().chain(&out) {
            shares.told(member, 3, share);
        }
        assert_eq!((shares.generation(), shares.told), (3, 4));
        let numbers = out.iter().flat_map(|(_, share)| share[4..].to_vec());
        assert_eq!(numbers.collect::<BTreeSet<u8>>(), ALL.collect());
    }

    #[test]
    #[should_panic(expected = "and a was {0, 2, 4, 6}")]
    fn nothing_is_two_members() {
        let (mut shares, out) = two();
        shares.told("a", 3, &out[0].1);
        shares.told("b", 3, &out[0].1);
    }

    #[test]
    #[should_panic(expected = "the share of another")]
    fn a_share_is_of_its_generation() {
        let (mut shares, out) = two();
        shares.told("a", 4, &out[0].1);
    }

    #[test]
    #[should_panic(expected = "and 3 was durable")]
    fn no_generation_comes_again() {
        let (mut shares, out) = two();
        shares.told("a", 3, &out[0].1);
        shares.stands("a", 2, shares.generation());
    }
}
