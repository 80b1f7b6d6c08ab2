//! `odradek bench produce`

use anyhow::{Context, Result};

use super::closed::{Keeping, report};
use super::cores::DriverCore;
use super::load::{SMALL_CONNECTIONS, SMALL_IN_FLIGHT, SMALL_RECORD_BYTES, Timing};
use crate::drive::{Admin, Load, TopicSpec, produce};
use crate::scenario::produce_floors;
use crate::window::Baseline;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Acks {
    /// The leader has it
    #[value(name = "1")]
    One,
    /// All that the topic's policy names have it
    All,
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ProduceArgs {
    /// Brokers to begin with, host:port[,host:port]
    #[arg(long)]
    bootstrap: String,
    /// Created if it is missing
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Partitions of the topic, if it is created
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Configs of the topic, if it is created: name=value
    #[arg(long = "topic-config")]
    topic_configs: Vec<String>,
    /// Bytes of a record's value [default: 1024; 64 with --one-record]
    #[arg(long)]
    record_size: Option<usize>,
    /// Most bytes of a request's batch
    #[arg(long, default_value_t = 1 << 20)]
    request_size: usize,
    /// A batch of one record per request (8 connections, 32 in flight unless given)
    #[arg(long)]
    one_record: bool,
    /// Connection i sends to partition i modulo their number [default: 1; 8 with --one-record]
    #[arg(long)]
    connections: Option<usize>,
    /// Each connection sends to all partitions in turn; they must be led at one address
    #[arg(long)]
    spread: bool,
    /// Requests in flight per connection [default: 5; 32 with --one-record]
    #[arg(long)]
    in_flight: Option<usize>,
    #[arg(long, default_value = "1")]
    acks: Acks,
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

pub(super) fn run(args: &ProduceArgs) -> Result<()> {
    let mut notes = args.core.pin(args.pid)?;
    let small = args.one_record;
    let of = |given: Option<usize>, one_record, else_| match given {
        Some(given) => given,
        None if small => one_record,
        None => else_,
    };
    let connections = of(args.connections, SMALL_CONNECTIONS, 1);
    let in_flight = of(args.in_flight, SMALL_IN_FLIGHT, 5);
    let record_bytes = of(args.record_size, SMALL_RECORD_BYTES, 1024);
    let spec = TopicSpec {
        name: args.topic.clone(),
        partitions: args.partitions,
        configs: pairs(&args.topic_configs)?,
    };
    let mut admin = Admin::bootstrap(&args.bootstrap)?;
    let partitions = admin.topic(&spec)?;
    let load = Load {
        record_bytes,
        batch_bytes: if small { 0 } else { args.request_size },
        acks: match args.acks {
            Acks::One => 1,
            Acks::All => -1,
        },
        spread: args.spread,
    };
    let plan = args.timing.plan(connections, in_flight);
    let baseline = Baseline::watch(plan.baseline)?;
    let (outcome, frames) = produce(
        &admin,
        &spec.name,
        &partitions,
        load,
        plan,
        baseline,
        args.pid,
    )?;
    let name = format!(
        "produce acks={}{}",
        if load.acks == 1 { "1" } else { "all" },
        if small { ", one record" } else { "" }
    );
    notes.push(format!(
        "closed loop, saturation: {connections} connections, {in_flight} in flight each, {} \
         partitions; a request has {} bytes, {} records of {record_bytes} bytes",
        partitions.len(),
        frames.request_bytes,
        frames.records,
    ));
    let dir = std::env::temp_dir();
    let beside = produce_floors(load);
    let run = outcome.measurement(&name);
    report(run, &dir, &args.keeping, notes, beside)
}

/// `name=value` pairs.
pub(super) fn pairs(texts: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("{text:?} is not name=value"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}
