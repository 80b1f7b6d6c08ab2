//! `odradek group reset`

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use clap::{ArgGroup, Args, value_parser};
use odradek_wire::ErrorCode;

use crate::client::Cluster;
use crate::client::group;
use crate::client::offsets::{self, At};
use crate::common::{ConnectArgs, print_table};
use crate::consume::{OffsetArg, timestamp};

/// Set where a group goes on reading; it must have no members.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, group(ArgGroup::new("where").required(true)))]
pub struct ResetArgs {
    /// Name of the group
    pub group: String,
    /// Topics; without any, those that the group has committed offsets of
    #[arg(long = "topic", short, value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Only these partitions, of one topic
    #[arg(long, short, value_name = "N,...", value_delimiter = ',', requires = "topics",
          value_parser = value_parser!(i32).range(0..))]
    pub partition: Vec<i32>,
    /// To this offset of each partition: a number, earliest or latest. Kept within what the
    /// partition has
    #[arg(long, short = 'o', value_name = "OFFSET", group = "where")]
    pub offset: Option<OffsetArg>,
    /// To the first record at or after this: milliseconds since the Unix epoch, or such as
    /// 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = timestamp, group = "where")]
    pub timestamp: Option<i64>,
    /// Only show what would be set
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  odradek group reset order-processors --offset earliest
  odradek group reset order-processors --topic orders --timestamp 2030-01-31T12:00:00Z --dry-run
  odradek group reset order-processors --topic orders --partition 3 --offset 1200";

pub(super) fn run(args: &ResetArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    let group = &args.group;
    // A group that is not there yet can be given offsets, as by Kafka's tool.
    match group::describe(&mut cluster, group) {
        Ok(described) if !described.members.is_empty() => bail!(
            "group {group} is {} and has {} members: stop them first",
            described.state,
            described.members.len()
        ),
        Ok(_) => {}
        Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => {}
        Err(error) => return Err(error).with_context(|| format!("cannot look at group {group}")),
    }
    let committed = group::committed(&mut cluster, group).unwrap_or_default();
    let partitions = partitions(args, &mut cluster, &committed)?;
    let mut wanted = BTreeMap::new();
    for (topic, partitions) in partitions {
        for (partition, offset) in place(args, &mut cluster, &topic, &partitions)? {
            wanted.insert((topic.clone(), partition), offset);
        }
    }
    if !args.dry_run {
        group::commit(&mut cluster, group, &wanted)
            .with_context(|| format!("cannot set the offsets of group {group}"))?;
    }
    let rows: Vec<Vec<String>> = wanted
        .iter()
        .map(|(at, offset)| {
            let before = committed.get(at).map_or("-".to_owned(), i64::to_string);
            vec![at.0.clone(), at.1.to_string(), before, offset.to_string()]
        })
        .collect();
    Ok(print_table(
        &["TOPIC", "PARTITION", "BEFORE", "NOW"],
        &rows,
    )?)
}

/// The partitions to be set, by topic.
fn partitions(
    args: &ResetArgs,
    cluster: &mut Cluster,
    committed: &BTreeMap<(String, i32), i64>,
) -> anyhow::Result<BTreeMap<String, Vec<i32>>> {
    let mut found: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    if args.topics.is_empty() {
        for (topic, partition) in committed.keys() {
            found.entry(topic.clone()).or_default().push(*partition);
        }
        if found.is_empty() {
            bail!(
                "group {} has committed nothing: name topics with --topic",
                args.group
            );
        }
    }
    if !args.partition.is_empty() && args.topics.len() > 1 {
        bail!("--partition goes with one --topic");
    }
    for name in &args.topics {
        let topic = cluster
            .topic(name, false)
            .with_context(|| format!("cannot find the partitions of {name}"))?;
        let all = topic.partitions.iter().map(|partition| partition.index);
        let chosen = match args.partition.as_slice() {
            [] => all.collect(),
            some => {
                if let Some(unknown) = some.iter().find(|index| !all.clone().any(|i| i == **index))
                {
                    return Err(offsets::unknown(name, *unknown, topic.partitions.len()).into());
                }
                some.to_vec()
            }
        };
        found.insert(name.clone(), chosen);
    }
    Ok(found)
}

/// The offset that each partition gets.
fn place(
    args: &ResetArgs,
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
) -> anyhow::Result<BTreeMap<i32, i64>> {
    let mut list = |at| {
        offsets::list(cluster, topic, partitions, at)
            .with_context(|| format!("cannot find the offsets of {topic}"))
    };
    match (args.timestamp, args.offset) {
        (Some(time), _) => list(At::Time(time)),
        (None, Some(OffsetArg::Latest)) => list(At::Latest),
        (None, Some(OffsetArg::Exactly(offset))) => {
            let (first, end) = (list(At::Earliest)?, list(At::Latest)?);
            let within = |partition: &i32| {
                let (first, end) = (first[partition], end[partition]);
                (*partition, offset.clamp(first, end.max(first)))
            };
            Ok(partitions.iter().map(within).collect())
        }
        (None, _) => list(At::Earliest),
    }
}
