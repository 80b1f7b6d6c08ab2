//! `odradek topic alter`

use std::io::Write;

use anyhow::{Context, ensure};
use clap::Args;
use odradek_wire::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
};

use crate::client::{ClientError, Reply, check};
use crate::common::{self, ConnectArgs};
use crate::config::{self, Change, Kind};

/// Give a topic more partitions, or other settings.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AlterArgs {
    /// Name of the topic
    pub topic: String,
    /// Number of partitions from now on, more than now; keys may go to others than before
    #[arg(long, short, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: Option<i32>,
    /// A setting of the topic, such as retention.ms=3600000
    #[arg(long = "config", short = 'c', value_name = "NAME=VALUE", value_parser = common::key_value)]
    pub configs: Vec<(String, String)>,
    #[command(flatten)]
    pub change: Change,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

const EXAMPLES: &str = "\
Examples:
  odradek topic alter orders --partitions 12
  odradek topic alter orders --config retention.ms=3600000 --unset segment.ms";

pub(super) fn run(args: &AlterArgs) -> anyhow::Result<()> {
    let change = &args.change;
    let changes =
        args.configs.len() + change.unset.len() + change.append.len() + change.subtract.len();
    ensure!(
        args.partitions.is_some() || changes > 0,
        "nothing to change: give --partitions, --config, --unset, --append or --subtract"
    );
    let mut cluster = args.connect.connect()?;
    // Asked first, since a change to what is not there is tried again until time is up.
    cluster
        .topic(&args.topic, false)
        .with_context(|| format!("cannot change topic {}", args.topic))?;
    let done = match change.validate_only {
        true => "could change",
        false => "changed",
    };
    if changes > 0 {
        config::change(
            &mut cluster,
            Kind::Topic,
            &args.topic,
            &args.configs,
            change,
        )
        .with_context(|| format!("cannot change topic {}", args.topic))?;
        let settings = common::count(changes as u64, "setting", "settings");
        writeln!(std::io::stdout(), "{done} {settings} of {}", args.topic)?;
    }
    if let Some(count) = args.partitions {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: &args.topic,
                count,
                assignments: None,
            }],
            timeout_ms: i32::try_from(args.connect.timeout_ms).unwrap_or(i32::MAX),
            validate_only: change.validate_only,
        };
        let what = format!("topic {}", args.topic);
        cluster
            .call_controller(&request, &what, grown)
            .with_context(|| format!("cannot change the partitions of {}", args.topic))?;
        writeln!(
            std::io::stdout(),
            "{done} partitions of {} to {count}",
            args.topic
        )?;
    }
    Ok(())
}

fn grown(reply: &Reply) -> Result<(), ClientError> {
    let response: CreatePartitionsResponse<'_> = reply.read()?;
    for topic in &response.results {
        check(topic.error_code, topic.error_message, || {
            format!("topic {}", topic.name)
        })?;
    }
    Ok(())
}
