//! The range assignor: each topic's partitions, cut into runs for its subscribers.
//!
//! Source: Kafka `RangeAssignor` (without racks): subscribers in the order of their instance ids,
//! those without one after them by member id; the first get one partition more where the count
//! does not divide.

use std::collections::BTreeMap;

/// A member of the group that is to get partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscriber {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub topics: Vec<String>,
}

/// The partitions of each member, by topic and number.
pub type Assignment = BTreeMap<String, Vec<(String, i32)>>;

/// Assigns the partitions of topics (with their counts; unknown ones have none) to subscribers.
/// Every subscriber has an entry.
pub fn assign_ranges(subscribers: &[Subscriber], topics: &BTreeMap<String, i32>) -> Assignment {
    let mut ordered: Vec<&Subscriber> = subscribers.iter().collect();
    ordered.sort_by_key(|s| (s.instance_id.is_none(), &s.instance_id, &s.member_id));
    let mut assignment: Assignment = ordered
        .iter()
        .map(|subscriber| (subscriber.member_id.clone(), Vec::new()))
        .collect();
    for (topic, &count) in topics {
        let of_topic: Vec<&&Subscriber> = ordered
            .iter()
            .filter(|subscriber| subscriber.topics.contains(topic))
            .collect();
        let members = of_topic.len() as i32;
        let mut next = 0;
        for (index, subscriber) in (0..).zip(of_topic) {
            let share = count / members + i32::from(index < count % members);
            let partitions = (next..next + share).map(|partition| (topic.clone(), partition));
            let own = assignment.get_mut(&subscriber.member_id);
            own.expect("an entry for each").extend(partitions);
            next += share;
        }
    }
    assignment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(member: &str, instance: Option<&str>, topics: &[&str]) -> Subscriber {
        Subscriber {
            member_id: member.to_owned(),
            instance_id: instance.map(str::to_owned),
            topics: topics.iter().map(|&t| t.to_owned()).collect(),
        }
    }

    fn numbers(assignment: &Assignment, member: &str, topic: &str) -> Vec<i32> {
        let own = assignment[member].iter();
        own.filter(|(t, _)| t == topic).map(|(_, p)| *p).collect()
    }

    #[test]
    fn the_first_members_get_one_more() {
        let subscribers = [
            subscriber("c", None, &["t", "u"]),
            subscriber("a", None, &["t"]),
            subscriber("b", None, &["t"]),
        ];
        let topics = BTreeMap::from([("t".to_owned(), 5), ("u".to_owned(), 2)]);
        let assignment = assign_ranges(&subscribers, &topics);
        assert_eq!(numbers(&assignment, "a", "t"), [0, 1]);
        assert_eq!(numbers(&assignment, "b", "t"), [2, 3]);
        assert_eq!(numbers(&assignment, "c", "t"), [4]);
        assert_eq!(numbers(&assignment, "c", "u"), [0, 1]);
        assert_eq!(assignment.len(), 3);
    }

    #[test]
    fn static_members_come_first_and_some_may_get_nothing() {
        let subscribers = [
            subscriber("a", None, &["t"]),
            subscriber("z", Some("2"), &["t"]),
            subscriber("y", Some("1"), &["t"]),
        ];
        let topics = BTreeMap::from([("t".to_owned(), 2)]);
        let assignment = assign_ranges(&subscribers, &topics);
        assert_eq!(numbers(&assignment, "y", "t"), [0]);
        assert_eq!(numbers(&assignment, "z", "t"), [1]);
        assert!(assignment["a"].is_empty());
    }
}
