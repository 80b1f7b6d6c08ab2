//! `odradek topic describe`

use std::io::Write;

use anyhow::Context;
use clap::Args;
use odradek_wire::ErrorCode;
use odradek_wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};

use crate::client::offsets::{self, At};
use crate::client::{ClientError, Cluster, Topic, check};
use crate::common::{ConnectArgs, list, print_table};

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
            vec![
                partition.index.to_string(),
                leader,
                partition.leader_epoch.to_string(),
                list(&partition.replicas),
                list(&partition.in_sync),
                shown(earliest.get(&partition.index)),
                shown(latest.get(&partition.index)),
            ]
        })
        .collect();
    print_table(
        &[
            "PARTITION",
            "LEADER",
            "EPOCH",
            "REPLICAS",
            "IN SYNC",
            "EARLIEST",
            "LATEST",
        ],
        &rows,
    )?;
    let settings = settings(cluster, &topic.name, all)?;
    if !settings.is_empty() {
        writeln!(std::io::stdout())?;
        print_table(&["SETTING", "VALUE", "FROM"], &settings)?;
    }
    Ok(())
}

fn settings(cluster: &mut Cluster, topic: &str, all: bool) -> anyhow::Result<Vec<Vec<String>>> {
    const TOPIC: i8 = 2;
    const DEFAULT: i8 = 5;
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: topic,
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let reply = cluster.call_any(&request, i16::MAX)?;
    let response: DescribeConfigsResponse<'_> = reply.read()?;
    let mut rows = Vec::new();
    for result in &response.results {
        check(result.error_code, result.error_message, || {
            format!("settings of {topic}")
        })?;
        for config in &result.configs {
            if !all && config.config_source == DEFAULT {
                continue;
            }
            let value = match config.value {
                Some(value) => value,
                None if config.is_sensitive => "(hidden)",
                None => "(none)",
            };
            rows.push(vec![
                config.name.to_owned(),
                value.to_owned(),
                source(config.config_source).to_owned(),
            ]);
        }
    }
    rows.sort();
    Ok(rows)
}

/// `org.apache.kafka.common.requests.DescribeConfigsResponse.ConfigSource`
fn source(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker, dynamic",
        3 => "all brokers, dynamic",
        4 => "broker's file",
        5 => "default",
        6 => "broker logger",
        _ => "?",
    }
}
