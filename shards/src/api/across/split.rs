//! Requests in parts that different shards own, taken apart and joined again. Pure.
//!
//! Invariant: what is joined has an answer for every part, in the order of the request.

use std::collections::{BTreeMap, VecDeque};

/// The owners of a request's parts, each once, in order.
pub fn distinct(owners: &[u32]) -> Vec<u32> {
    let mut distinct = owners.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// The owner of all parts, if there is but one; `here` if there are no parts.
pub fn sole(owners: &[u32], here: u32) -> Option<u32> {
    match owners {
        [] => Some(here),
        [first, rest @ ..] => rest.iter().all(|owner| owner == first).then_some(*first),
    }
}

/// Joins the owners' answers, each in the order of its parts. `None` if an owner has left one out.
pub fn join<T>(owners: &[u32], mut answers: BTreeMap<u32, VecDeque<T>>) -> Option<Vec<T>> {
    let next = |owner| answers.get_mut(owner)?.pop_front();
    owners.iter().map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(given: &[(u32, &[char])]) -> BTreeMap<u32, VecDeque<char>> {
        let answers = given.iter();
        answers
            .map(|(owner, answers)| (*owner, answers.iter().copied().collect()))
            .collect()
    }

    #[test]
    fn answers_come_in_the_order_of_the_request() {
        let owners = [2, 0, 2, 1, 0];
        assert_eq!(distinct(&owners), [0, 1, 2]);
        let given = answers(&[(0, &['b', 'e']), (1, &['d']), (2, &['a', 'c'])]);
        let joined: String = join(&owners, given).unwrap().into_iter().collect();
        assert_eq!(joined, "abcde");
        // An owner that answers too little is noticed.
        assert_eq!(
            join(&owners, answers(&[(0, &['b', 'e']), (1, &['d'])])),
            None
        );
        assert_eq!(
            join(
                &owners,
                answers(&[(0, &['b']), (1, &['d']), (2, &['a', 'c'])])
            ),
            None
        );
    }

    #[test]
    fn one_owner_gets_the_request_whole() {
        assert_eq!(sole(&[3, 3, 3], 0), Some(3));
        assert_eq!(sole(&[], 7), Some(7));
        assert_eq!(sole(&[3, 3, 1], 0), None);
    }
}
