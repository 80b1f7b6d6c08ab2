//! `odradek topic move`

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, bail, ensure};
use clap::Args;
use odradek_wire::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ReassignablePartition,
    ReassignableTopic,
};

use super::places::{Places, SHARDS_MAX};
use crate::client::{ClientError, Reply, Topic, check};
use crate::common::{self, ConnectArgs};

/// Move partitions to another shard (core); producers and consumers go on meanwhile.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub struct MoveArgs {
    /// Name of the topic
    pub topic: String,
    /// A partition to move; can be given several times
    #[arg(
        long = "partition",
        short,
        value_name = "N",
        group = "which",
        requires = "to"
    )]
    pub partitions: Vec<i32>,
    /// Move every partition
    #[arg(long, group = "which", requires = "to")]
    pub all: bool,
    /// Spread the partitions evenly over all shards, with as few moves as that takes
    #[arg(long, group = "which", conflicts_with = "to")]
    pub balance: bool,
    /// Where to: the shard's number, or its id as a broker
    #[arg(long, value_name = "SHARD|ID", value_parser = clap::value_parser!(i32).range(0..))]
    pub to: Option<i32>,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  odradek topic move orders --partition 3 --to 1
  odradek topic move orders --balance";

pub(super) fn run(args: &MoveArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    let topic = cluster
        .topic(&args.topic, false)
        .with_context(|| format!("cannot move partitions of {}", args.topic))?;
    let places = Places::find(&mut cluster, &topic)?;
    let goals = goals(args, &topic, &places)?;
    let mut moving = Vec::new();
    for partition in &topic.partitions {
        let at = places.of.get(&partition.index).copied().unwrap_or(-1);
        if let Some(goal) = goals.get(&partition.index).filter(|goal| **goal != at) {
            ensure!(
                partition.replicas.len() == 1,
                "partition {} has {} replicas; kafka-reassign-partitions moves those",
                partition.index,
                partition.replicas.len()
            );
            moving.push((partition.index, at, *goal));
        }
    }
    if moving.is_empty() {
        writeln!(
            std::io::stdout(),
            "nothing to move: each partition is where it belongs"
        )?;
        return Ok(());
    }
    let asked = moving.iter().map(|(index, _, goal)| ReassignablePartition {
        partition_index: *index,
        replicas: Some(vec![*goal]),
    });
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms: i32::try_from(args.connect.timeout_ms).unwrap_or(i32::MAX),
        topics: vec![ReassignableTopic {
            name: &args.topic,
            partitions: asked.collect(),
        }],
        ..AlterPartitionReassignmentsRequest::default()
    };
    cluster
        .call_controller(&request, &format!("topic {}", args.topic), moved)
        .with_context(|| format!("cannot move partitions of {}", args.topic))?;
    for (index, from, to) in &moving {
        writeln!(
            std::io::stdout(),
            "moved {}-{index} from {from} to {to}",
            args.topic
        )?;
    }
    if moving.len() > 1 {
        let count = common::count(moving.len() as u64, "partition", "partitions");
        writeln!(std::io::stdout(), "moved {count} of {}", args.topic)?;
    }
    Ok(())
}

/// The broker that each partition to be looked at belongs to.
fn goals(args: &MoveArgs, topic: &Topic, places: &Places) -> anyhow::Result<BTreeMap<i32, i32>> {
    let Some(to) = args.to else {
        let at: Vec<_> = places.of.iter().map(|(index, id)| (*index, *id)).collect();
        return Ok(balanced(&at, &places.ids));
    };
    let to = broker(to, &places.ids)?;
    for index in &args.partitions {
        ensure!(
            topic.partitions.iter().any(|one| one.index == *index),
            "topic {} has {} partitions, and none is number {index}",
            topic.name,
            topic.partitions.len()
        );
    }
    let wanted = topic.partitions.iter().map(|one| one.index);
    Ok(wanted
        .filter(|index| args.all || args.partitions.contains(index))
        .map(|index| (index, to))
        .collect())
}

/// The broker that is meant by an id or by a shard's number.
fn broker(to: i32, ids: &[i32]) -> anyhow::Result<i32> {
    let first = ids.iter().min().copied().unwrap_or_default();
    let shard = (first / SHARDS_MAX)
        .checked_mul(SHARDS_MAX)
        .and_then(|node| node.checked_add(to));
    match [Some(to), shard]
        .into_iter()
        .flatten()
        .find(|id| ids.contains(id))
    {
        Some(id) => Ok(id),
        None => bail!(
            "there is no shard or broker {to}; the brokers are {}",
            common::list(ids)
        ),
    }
}

/// Every partition with its broker, spread so that no two brokers differ by more than one; those
/// that need not move stay.
fn balanced(leaders: &[(i32, i32)], ids: &[i32]) -> BTreeMap<i32, i32> {
    let (least, mut more) = (
        leaders.len() / ids.len().max(1),
        leaders.len() % ids.len().max(1),
    );
    let mut held: BTreeMap<i32, usize> = ids.iter().map(|id| (*id, 0)).collect();
    let mut goals = BTreeMap::new();
    let mut homeless = Vec::new();
    for (index, leader) in leaders {
        match held.get_mut(leader) {
            Some(count) if *count < least => *count += 1,
            Some(count) if *count == least && more > 0 => {
                (*count, more) = (*count + 1, more - 1);
            }
            _ => {
                homeless.push(*index);
                continue;
            }
        }
        goals.insert(*index, *leader);
    }
    for index in homeless {
        let fewest = held.iter_mut().min_by_key(|(_, count)| **count);
        let (id, count) = fewest.expect("a broker");
        *count += 1;
        goals.insert(index, *id);
    }
    goals
}

fn moved(reply: &Reply) -> Result<(), ClientError> {
    let response: AlterPartitionReassignmentsResponse<'_> = reply.read()?;
    check(response.error_code, response.error_message, || {
        "moves".to_owned()
    })?;
    for topic in &response.responses {
        for one in &topic.partitions {
            check(one.error_code, one.error_message, || {
                format!("partition {}-{}", topic.name, one.partition_index)
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_and_brokers_are_told_apart_by_what_there_is() {
        assert_eq!(broker(1, &[0, 1]).unwrap(), 1);
        assert_eq!(broker(1, &[7000, 7001]).unwrap(), 7001);
        assert_eq!(broker(7001, &[7000, 7001]).unwrap(), 7001);
        assert!(broker(2, &[7000, 7001]).is_err());
        assert!(broker(i32::MAX, &[i32::MAX - 1]).is_err());
    }

    #[test]
    fn partitions_spread_evenly_and_most_stay() {
        let check = |leaders: &[i32], ids: &[i32], moves: usize| {
            let leaders: Vec<_> = (0..).zip(leaders.iter().copied()).collect();
            let goals = balanced(&leaders, ids);
            assert_eq!(goals.len(), leaders.len());
            let counts: Vec<usize> = ids
                .iter()
                .map(|id| goals.values().filter(|goal| *goal == id).count())
                .collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
            let moved = leaders
                .iter()
                .filter(|(index, leader)| goals[index] != *leader);
            assert_eq!(moved.count(), moves, "{leaders:?} over {ids:?}: {goals:?}");
        };
        check(&[0, 1, 0, 1, 0], &[0, 1], 0);
        check(&[1, 0, 1, 1, 1], &[0, 1], 1);
        check(&[0, 0, 0, 0, 0, 0], &[0, 1, 2], 4);
        check(&[0, 1, 0, 1, 0, 1], &[0, 1, 2, 3], 2);
        // Without a leader: anywhere.
        check(&[-1, 5, 5, -1], &[5, 6], 2);
        check(&[0], &[0, 1, 2, 3], 0);
        check(&[], &[0, 1], 0);
    }
}
