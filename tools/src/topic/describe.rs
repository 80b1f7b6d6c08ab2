//! `odradek topic describe`

use std::io::Write;

use anyhow::Context;
use clap::Args;
use odradek_wire::ErrorCode;

use super::directories;
use crate::client::offsets::{self, At};
use crate::client::{ClientError, Cluster, Topic};
use crate::common::{ConnectArgs, list, print_table};
use crate::config::{Kind, Scope, settings};

/// Show a topic's partitions, their leaders and offsets, and its settings.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  odradek topic describe orders --all-configs")]
pub struct DescribeArgs {
    /// Names of the topics
    #[arg(required = true)]
    pub topics: Vec<String>,
    /// Show the settings that have their default, too
    #[arg(long)]
    pub all_configs: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

pub(super) fn run(args: &DescribeArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    for (index, name) in args.topics.iter().enumerate() {
        if index > 0 {
            writeln!(std::io::stdout())?;
        }
        let topic = describable(&mut cluster, name)
            .with_context(|| format!("cannot describe topic {name}"))?;
        describe(&mut cluster, &topic, args.all_configs)?;
    }
    Ok(())
}

/// A topic that exists is shown even where a partition has no leader.
fn describable(cluster: &mut Cluster, name: &str) -> Result<Topic, ClientError> {
    match cluster.refresh(name) {
        Err(error) if error.code() == Some(ErrorCode::LeaderNotAvailable) => {
            cluster.known(name).cloned().ok_or(error)
        }
        outcome => outcome,
    }
}

fn describe(cluster: &mut Cluster, topic: &Topic, all: bool) -> anyhow::Result<()> {
    let head = format!("topic {}, id {}", topic.name, topic.id);
    let internal = if topic.internal { ", internal" } else { "" };
    writeln!(std::io::stdout(), "{head}{internal}")?;
    let led: Vec<i32> = topic
        .partitions
        .iter()
        .filter(|partition| partition.leader >= 0)
        .map(|partition| partition.index)
        .collect();
    let earliest = offsets::list(cluster, &topic.name, &led, At::Earliest)?;
    let latest = offsets::list(cluster, &topic.name, &led, At::Latest)?;
    let directories = directories::find(cluster, topic);
    let shown = |offset: Option<&i64>| offset.map_or("-".to_owned(), i64::to_string);
    let rows: Vec<Vec<String>> = topic
        .partitions
        .iter()
        .map(|partition| {
            let leader = match partition.leader {
                -1 => "none".to_owned(),
                leader => match cluster.address(leader) {
                    Ok(address) => format!("{leader} ({address})"),
                    Err(_) => leader.to_string(),
                },
            };
            let mut row = vec![
                partition.index.to_string(),
                leader,
                partition.leader_epoch.to_string(),
                list(&partition.replicas),
                list(&partition.in_sync),
                shown(earliest.get(&partition.index)),
                shown(latest.get(&partition.index)),
            ];
            if !directories.is_empty() {
                let directory = directories.get(&partition.index);
                row.push(directory.map_or("-", String::as_str).to_owned());
            }
            row
        })
        .collect();
    let mut head = vec![
        "PARTITION",
        "LEADER",
        "EPOCH",
        "REPLICAS",
        "IN SYNC",
        "EARLIEST",
        "LATEST",
    ];
    if !directories.is_empty() {
        head.push("DIRECTORY");
    }
    print_table(&head, &rows)?;
    let scope = if all { Scope::All } else { Scope::Given };
    let settings = settings(cluster, Kind::Topic, &topic.name, scope)?;
    if !settings.is_empty() {
        writeln!(std::io::stdout())?;
        print_table(&["SETTING", "VALUE", "FROM"], &settings)?;
    }
    Ok(())
}
