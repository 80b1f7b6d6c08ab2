//! `odradek bench consume`

use std::path::PathBuf;

use anyhow::Result;

use super::closed::{Keeping, report};
use super::cores::DriverCore;
use super::load::Timing;
use crate::drive::{Admin, Consumer, Range, TopicSpec, fill, saturate, warm_page_cache};
use crate::scenario::consume_floors;
use crate::window::Baseline;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// The last MiB of each partition, which the server has in memory
    Tail,
    /// The first MiB of each partition, which are in the page cache
    Resident,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ConsumeArgs {
    /// Brokers to begin with, host:port[,host:port]
    #[arg(long)]
    bootstrap: String,
    /// Created and filled if it is missing or shorter than what is fetched
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Partitions of the topic, if it is created
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Configs of the topic, if it is created: name=value
    #[arg(long = "topic-config")]
    topic_configs: Vec<String>,
    #[arg(long, default_value = "tail")]
    what: What,
    /// MiB that are fetched over and over, per partition [default: 8 of the tail, 256 resident]
    #[arg(long)]
    range_mib: Option<u64>,
    /// MiB that each partition holds at least before the run [default: twice the range]
    #[arg(long)]
    fill_mib: Option<u64>,
    /// Where the server keeps the partitions: its closed segments are read once into the page
    /// cache (resident only)
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Most bytes of a fetch
    #[arg(long, default_value_t = 1 << 20)]
    fetch_size: i32,
    /// Connection i reads partition i modulo their number
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests in flight per connection
    #[arg(long, default_value_t = 5)]
    in_flight: usize,
    #[command(flatten)]
    timing: Timing,
    /// Process whose CPU and memory are counted
    #[arg(long)]
    pid: Option<u32>,
    #[command(flatten)]
    core: DriverCore,
    #[command(flatten)]
    keeping: Keeping,
}

pub(super) fn run(args: &ConsumeArgs) -> Result<()> {
    let mut notes = args.core.pin(args.pid)?;
    let spec = TopicSpec {
        name: args.topic.clone(),
        partitions: args.partitions,
        configs: super::produce::pairs(&args.topic_configs)?,
    };
    let mib = args.range_mib.unwrap_or(match args.what {
        What::Tail => 8,
        What::Resident => 256,
    });
    let partitions = Admin::bootstrap(&args.bootstrap)?.topic(&spec)?;
    fill(
        &spec.name,
        &partitions,
        args.fill_mib.unwrap_or(2 * mib) << 20,
    )?;
    let (name, range) = match args.what {
        What::Tail => ("consume tail", Range::Last(mib << 20)),
        What::Resident => ("consume resident", Range::First(mib << 20)),
    };
    if let (What::Resident, Some(dir)) = (args.what, &args.data_dir) {
        let warmed = warm_page_cache(dir, &spec.name)?;
        notes.push(format!("read into the page cache: {} MiB", warmed >> 20));
    }
    let plan = args.timing.plan(args.connections, args.in_flight);
    let (mut consumer, walked) = Consumer::walk(
        &spec.name,
        &partitions,
        plan.connections,
        range,
        args.fetch_size,
    )?;
    let addresses: Vec<_> = (0..plan.connections)
        .map(|at| partitions[at % partitions.len()].leader)
        .collect();
    let baseline = Baseline::watch(plan.baseline)?;
    let outcome = saturate(&addresses, &mut consumer, plan, baseline, args.pid)?;
    notes.push(format!(
        "closed loop, saturation: {} connections, {} in flight each, {} partitions; {} positions, \
         {} MiB, over and over",
        plan.connections,
        plan.in_flight,
        partitions.len(),
        walked.fetches,
        walked.bytes >> 20,
    ));
    let dir = args.data_dir.clone().unwrap_or_else(std::env::temp_dir);
    let run = outcome.measurement(name);
    report(run, &dir, &args.keeping, notes, consume_floors(range))
}
