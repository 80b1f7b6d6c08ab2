//! `odradek topic create`

use std::io::Write;

use anyhow::Context;
use clap::Args;
use odradek_wire::ErrorCode;
use odradek_wire::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};

use crate::client::{ClientError, Reply, check};
use crate::common::{self, ConnectArgs};

/// Create a topic.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CreateArgs {
    /// Name of the topic
    pub topic: String,
    /// Number of partitions; without it, what the broker is set to
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: Option<i32>,
    /// Replicas of each partition; without it, what the broker is set to
    #[arg(long, short, value_parser = clap::value_parser!(i16).range(1..))]
    pub replication_factor: Option<i16>,
    /// A setting of the topic, such as retention.ms=3600000
    #[arg(long = "config", short = 'c', value_name = "NAME=VALUE", value_parser = common::key_value)]
    pub configs: Vec<(String, String)>,
    /// It is no failure that the topic exists, whatever its partitions and settings
    #[arg(long)]
    pub if_not_exists: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  odradek topic create orders --partitions 6
  odradek topic create prices --config cleanup.policy=compact --config segment.ms=600000";

pub(super) fn run(args: &CreateArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: &args.topic,
            // -1 asks for the broker's own default (KIP-464).
            num_partitions: args.partitions.unwrap_or(-1),
            replication_factor: args.replication_factor.unwrap_or(-1),
            assignments: Vec::new(),
            configs: args
                .configs
                .iter()
                .map(|(name, value)| CreatableTopicConfig {
                    name,
                    value: Some(value),
                })
                .collect(),
        }],
        timeout_ms: i32::try_from(args.connect.timeout_ms).unwrap_or(i32::MAX),
        ..CreateTopicsRequest::default()
    };
    let what = format!("topic {}", args.topic);
    let outcome = cluster.call_controller(&request, &what, created);
    let (partitions, factor) = match outcome {
        Err(error) if args.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {
            writeln!(std::io::stdout(), "topic {} exists", args.topic)?;
            return Ok(());
        }
        outcome => outcome.with_context(|| format!("cannot create topic {}", args.topic))?,
    };
    let mut line = format!("created topic {}", args.topic);
    // Brokers before Kafka 2.4 do not say.
    if partitions > 0 {
        line.push_str(&format!(
            ": partitions {partitions}, replication factor {factor}"
        ));
    }
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

fn created(reply: &Reply) -> Result<(i32, i16), ClientError> {
    let response: CreateTopicsResponse<'_> = reply.read()?;
    let mut counts = (-1, -1);
    for topic in &response.topics {
        check(topic.error_code, topic.error_message, || {
            format!("topic {}", topic.name)
        })?;
        counts = (topic.num_partitions, topic.replication_factor);
    }
    Ok(counts)
}
