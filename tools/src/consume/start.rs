//! Where consuming starts, and where it ends.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::{ConsumeArgs, OffsetArg};
use crate::client::consumer::OutOfRange;
use crate::client::offsets::{self, At};
use crate::client::{ClientError, Cluster, Topic};

/// The partitions that are asked for.
///
/// # Errors
/// One that the topic does not have.
pub(super) fn partitions(args: &ConsumeArgs, topic: &Topic) -> anyhow::Result<Vec<i32>> {
    let all: Vec<i32> = topic.partitions.iter().map(|p| p.index).collect();
    if args.partition.is_empty() {
        return Ok(all);
    }
    for wanted in &args.partition {
        if !all.contains(wanted) {
            let last = all.len() as i64 - 1;
            bail!(
                "--partition {wanted}: {} has partitions 0 to {last}",
                topic.name
            );
        }
    }
    Ok(args.partition.clone())
}

/// The first positions of a consumer without a group, and what to do where one is not in the log.
///
/// # Errors
/// What the leaders refuse.
pub(super) fn positions(
    args: &ConsumeArgs,
    cluster: &mut Cluster,
    partitions: &[i32],
) -> anyhow::Result<(BTreeMap<i32, i64>, OutOfRange)> {
    let at = match (args.offset, args.timestamp) {
        (Some(OffsetArg::Exactly(offset)), _) => {
            let positions = partitions.iter().map(|&partition| (partition, offset));
            return Ok((positions.collect(), OutOfRange::Fail));
        }
        (Some(OffsetArg::Earliest), _) => At::Earliest,
        (Some(OffsetArg::Latest), _) => At::Latest,
        (None, Some(time)) => At::Time(time),
        (None, None) => usual(args),
    };
    let positions = offsets::list(cluster, &args.topic, partitions, at)
        .with_context(|| format!("cannot find where to start in {}", args.topic))?;
    Ok((positions, OutOfRange::Earliest))
}

/// The first positions of a member: what its group has committed or, without that, the usual ones.
///
/// # Errors
/// What the coordinator or the leaders refuse.
pub(super) fn group_positions(
    args: &ConsumeArgs,
    cluster: &mut Cluster,
    partitions: &[i32],
    committed: &BTreeMap<(String, i32), i64>,
) -> Result<BTreeMap<i32, i64>, ClientError> {
    let mut positions = BTreeMap::new();
    let mut without = Vec::new();
    for &partition in partitions {
        match committed.get(&(args.topic.clone(), partition)) {
            Some(&offset) => {
                positions.insert(partition, offset);
            }
            None => without.push(partition),
        }
    }
    if !without.is_empty() {
        positions.extend(offsets::list(cluster, &args.topic, &without, usual(args))?);
    }
    Ok(positions)
}

/// The ends at which `--exit-at-end` stops.
///
/// # Errors
/// What the leaders refuse.
pub(super) fn ends(
    args: &ConsumeArgs,
    cluster: &mut Cluster,
    partitions: &[i32],
) -> Result<Option<BTreeMap<i32, i64>>, ClientError> {
    match args.exit_at_end {
        true => offsets::list(cluster, &args.topic, partitions, At::Latest).map(Some),
        false => Ok(None),
    }
}

fn usual(args: &ConsumeArgs) -> At {
    match args.from_beginning {
        true => At::Earliest,
        false => At::Latest,
    }
}
