//! `odradek topic list`

use std::io::Write;

use clap::Args;

use crate::common::{ConnectArgs, print_table};

/// List the topics.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The names alone, one per line
    #[arg(long, short)]
    pub quiet: bool,
    /// Leave out the internal topics, such as __consumer_offsets
    #[arg(long)]
    pub exclude_internal: bool,
    #[command(flatten)]
    pub connect: ConnectArgs,
}

pub(super) fn run(args: &ListArgs) -> anyhow::Result<()> {
    let mut topics = args.connect.connect()?.all_topics()?;
    topics.retain(|topic| !(args.exclude_internal && topic.internal));
    if args.quiet {
        let mut out = std::io::stdout().lock();
        for topic in &topics {
            writeln!(out, "{}", topic.name)?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = topics
        .iter()
        .map(|topic| {
            let replicas = topic.partitions.first().map_or(0, |p| p.replicas.len());
            vec![
                topic.name.clone(),
                topic.partitions.len().to_string(),
                replicas.to_string(),
                if topic.internal { "internal" } else { "" }.to_owned(),
            ]
        })
        .collect();
    print_table(&["TOPIC", "PARTITIONS", "REPLICAS", ""], &rows)?;
    Ok(())
}
