//! `odradek topic delete`

use std::io::Write;

use anyhow::Context;
use clap::Args;
use odradek_wire::ErrorCode;
use odradek_wire::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};

use crate::client::{ClientError, Cluster, Reply, check};
use crate::common::ConnectArgs;

/// Delete topics and all their records.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  odradek topic delete orders prices")]
pub struct DeleteArgs {
    /// Names of the topics
    #[arg(required = true)]
    pub topics: Vec<String>,
    /// It is no failure that a topic does not exist
    #[arg(long)]
    pub if_exists: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

/// From this version on topics are named in structures, ids being possible (KIP-516).
const STRUCTURES_FROM: i16 = 6;

pub(super) fn run(args: &DeleteArgs) -> anyhow::Result<()> {
    let mut cluster = args.connect.connect()?;
    // One by one: each is reported, and one that fails does not hide the others.
    for topic in &args.topics {
        match delete(&mut cluster, topic, args.connect.timeout_ms) {
            Ok(()) => writeln!(std::io::stdout(), "deleted topic {topic}")?,
            Err(error)
                if args.if_exists && error.code() == Some(ErrorCode::UnknownTopicOrPartition) =>
            {
                writeln!(std::io::stdout(), "no topic {topic}")?;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot delete topic {topic}"));
            }
        }
    }
    Ok(())
}

fn delete(cluster: &mut Cluster, topic: &str, timeout_ms: u64) -> Result<(), ClientError> {
    // Asked first, since a deletion of what is not there is tried again until time is up.
    cluster.refresh(topic).map(drop).or_else(|error| {
        let without_leader = error.code() == Some(ErrorCode::LeaderNotAvailable);
        if without_leader { Ok(()) } else { Err(error) }
    })?;
    let timeout_ms = i32::try_from(timeout_ms).unwrap_or(i32::MAX);
    let by_name = DeleteTopicsRequest {
        topic_names: vec![topic],
        timeout_ms,
        ..DeleteTopicsRequest::default()
    };
    let by_structure = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some(topic),
            ..DeleteTopicState::default()
        }],
        timeout_ms,
        ..DeleteTopicsRequest::default()
    };
    let what = format!("topic {topic}");
    match cluster.call_controller(&by_structure, &what, deleted) {
        Err(ClientError::Encode { .. }) => {
            cluster.call_controller_up_to(&by_name, STRUCTURES_FROM - 1, &what, deleted)
        }
        outcome => outcome,
    }
}

fn deleted(reply: &Reply) -> Result<(), ClientError> {
    let response: DeleteTopicsResponse<'_> = reply.read()?;
    for topic in &response.responses {
        check(topic.error_code, topic.error_message, || {
            format!("topic {}", topic.name.unwrap_or_default())
        })?;
    }
    Ok(())
}
