//! `odradek group describe`

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, bail};
use clap::Args;

use crate::client::group::{self, Description, Member};
use crate::client::offsets::{self, At};
use crate::client::{ClientError, Cluster};
use crate::common::{ConnectArgs, print_table};

/// Show a group's state, its members, and how far it is behind.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  odradek group describe order-processors")]
pub struct DescribeArgs {
    /// Names of the groups
    #[arg(required = true)]
    pub groups: Vec<String>,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

pub(super) fn run(args: &DescribeArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    for (index, group) in args.groups.iter().enumerate() {
        if index > 0 {
            writeln!(std::io::stdout())?;
        }
        let described = group::describe(&mut cluster, group)
            .with_context(|| format!("cannot describe group {group}"))?;
        // Brokers before Kafka 4 describe what does not exist as dead.
        if described.state == "Dead" && described.members.is_empty() {
            bail!("cannot describe group {group}: it does not exist");
        }
        show(&mut cluster, group, &described)?;
    }
    Ok(())
}

fn show(cluster: &mut Cluster, group: &str, described: &Description) -> anyhow::Result<()> {
    writeln!(
        std::io::stdout(),
        "group {group}: {}, {} {}, coordinator {}, members {}",
        described.state,
        described.protocol_type,
        if described.protocol.is_empty() {
            "(no protocol)"
        } else {
            &described.protocol
        },
        described.coordinator,
        described.members.len()
    )?;
    let rows = lag(cluster, group, &described.members)?;
    if !rows.is_empty() {
        let head = [
            "TOPIC",
            "PARTITION",
            "COMMITTED",
            "END",
            "LAG",
            "MEMBER",
            "CLIENT",
            "HOST",
        ];
        print_table(&head, &rows)?;
    }
    for member in described
        .members
        .iter()
        .filter(|member| member.assigned.is_empty())
    {
        writeln!(
            std::io::stdout(),
            "member {} ({}, {}) has no partitions",
            member.id,
            member.client_id,
            member.host
        )?;
    }
    Ok(())
}

/// A row for each partition that has a committed offset or a member.
fn lag(cluster: &mut Cluster, group: &str, members: &[Member]) -> anyhow::Result<Vec<Vec<String>>> {
    let committed = group::committed(cluster, group)?;
    let mut owners: BTreeMap<(String, i32), &Member> = BTreeMap::new();
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in committed.keys() {
        topics.entry(topic.clone()).or_default().push(*partition);
    }
    for member in members {
        for (topic, partition) in &member.assigned {
            owners.insert((topic.clone(), *partition), member);
            let partitions = topics.entry(topic.clone()).or_default();
            if !partitions.contains(partition) {
                partitions.push(*partition);
            }
        }
    }
    let mut rows = Vec::new();
    for (topic, mut partitions) in topics {
        partitions.sort_unstable();
        // A topic may have been deleted since.
        let ends = ends(cluster, &topic, &partitions).unwrap_or_default();
        for partition in partitions {
            let key = (topic.clone(), partition);
            let at = committed.get(&key).copied();
            let end = ends.get(&partition).copied();
            let shown = |number: Option<i64>| number.map_or("-".to_owned(), |n| n.to_string());
            let owner = owners.get(&key);
            let text = |of: fn(&Member) -> &String| {
                owner.map_or("-".to_owned(), |member| of(member).clone())
            };
            rows.push(vec![
                topic.clone(),
                partition.to_string(),
                shown(at),
                shown(end),
                shown(end.zip(at).map(|(end, at)| end - at)),
                text(|member| &member.id),
                text(|member| &member.client_id),
                text(|member| &member.host),
            ]);
        }
    }
    Ok(rows)
}

fn ends(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, i64>, ClientError> {
    cluster.refresh(topic)?;
    offsets::list(cluster, topic, partitions, At::Latest)
}
