//! The consuming loop, alone or in a group.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use odradek_wire::ErrorCode;

use super::sink::Sink;
use super::{ConsumeArgs, Filter, Formatter, start};
use crate::client::consumer::{Fetcher, OutOfRange};
use crate::client::group::{GroupOptions, Membership, committed};
use crate::client::{ClientError, Cluster};
use crate::common;

/// How long a wait for records may be: signals, commits and rebalances are looked at in between.
const WAIT: Duration = Duration::from_millis(200);

/// Heartbeats per session timeout.
const HEARTBEATS: u32 = 10;
const HEARTBEAT_MAX: Duration = Duration::from_secs(3);

/// Consumes until stopped, or until what was asked for has been printed.
///
/// # Errors
/// What the brokers refuse; corrupt batches; those of stdout.
pub fn run(args: ConsumeArgs) -> anyhow::Result<ExitCode> {
    let stop = common::stop_flag()?;
    let mut cluster = args.connect.connect()?;
    let topic = cluster
        .topic(&args.topic, false)
        .map_err(|error| no_topic(error, &args))?;
    let formatter = Formatter::new(args.format, args.key_separator.as_deref());
    let filter = Filter::new(&args);
    let mut sink = Sink::new(&args.topic, filter, formatter, args.max_messages);
    let started = Instant::now();
    match &args.group {
        None => {
            let partitions = start::partitions(&args, &topic)?;
            alone(&args, &mut cluster, &partitions, &mut sink, &stop)?;
        }
        Some(group) => in_group(&args, group, &mut cluster, &mut sink, &stop)?,
    }
    sink.flush()?;
    if !args.quiet {
        eprintln!(
            "{} records, {} from {} in {:.3} s",
            sink.records,
            common::bytes(sink.bytes),
            args.topic,
            started.elapsed().as_secs_f64()
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn alone(
    args: &ConsumeArgs,
    cluster: &mut Cluster,
    partitions: &[i32],
    sink: &mut Sink<'_>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    // The ends first: what is appended from now on is not awaited.
    let ends = start::ends(args, cluster, partitions)?;
    let (positions, out_of_range) = start::positions(args, cluster, partitions)?;
    let mut fetcher = Fetcher::new(&args.topic, &positions, out_of_range);
    sink.start(positions, ends);
    while !stop.load(Ordering::Relaxed) && !sink.is_done() {
        fetcher.poll(cluster, WAIT, |fetched| sink.take(fetched))?;
        sink.flush()?;
    }
    Ok(())
}

fn in_group(
    args: &ConsumeArgs,
    group: &str,
    cluster: &mut Cluster,
    sink: &mut Sink<'_>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let session_timeout = Duration::from_millis(args.session_timeout_ms);
    let options = GroupOptions {
        group: group.to_owned(),
        session_timeout,
        rebalance_timeout: session_timeout.max(Duration::from_secs(60)),
        heartbeat_interval: (session_timeout / HEARTBEATS).min(HEARTBEAT_MAX),
    };
    let mut member = Membership::new(options, &args.topic);
    let outcome = rounds(args, group, &mut member, cluster, sink, stop);
    // What was printed is committed and the others told, also after a failure.
    let last = sink
        .flush()
        .and_then(|()| Ok(member.commit(sink.positions())?));
    member.leave();
    outcome
        .and(last)
        .with_context(|| format!("in group {group}"))
}

/// Joins again and again, and consumes in between.
fn rounds(
    args: &ConsumeArgs,
    group: &str,
    member: &mut Membership,
    cluster: &mut Cluster,
    sink: &mut Sink<'_>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let commit_interval = Duration::from_millis(args.commit_interval_ms);
    while !stop.load(Ordering::Relaxed) && !sink.is_done() {
        sink.start(BTreeMap::new(), None);
        let partitions = member.join(cluster)?;
        tracing::info!("group {group}: {} has {partitions:?}", member.member_id());
        let ends = start::ends(args, cluster, &partitions)?;
        let committed = committed(cluster, group)?;
        let positions = start::group_positions(args, cluster, &partitions, &committed)?;
        let mut fetcher = Fetcher::new(&args.topic, &positions, OutOfRange::Earliest);
        sink.start(positions, ends);
        let mut last_commit = Instant::now();
        while !stop.load(Ordering::Relaxed) && !sink.is_done() && !member.must_join() {
            if sink.positions().is_empty() {
                std::thread::sleep(WAIT);
            } else {
                fetcher.poll(cluster, WAIT, |fetched| sink.take(fetched))?;
                sink.flush()?;
            }
            if last_commit.elapsed() >= commit_interval {
                commit(member, sink)?;
                last_commit = Instant::now();
            }
        }
        if member.must_join() {
            commit(member, sink)?;
        }
    }
    Ok(())
}

/// A commit that comes too late for the member's generation is no failure: whoever has the
/// partitions now reads the records again.
fn commit(member: &mut Membership, sink: &Sink<'_>) -> Result<(), ClientError> {
    match member.commit(sink.positions()) {
        Err(error) if member.must_join() || error.retriable() => {
            tracing::warn!("not committed: {error}");
            Ok(())
        }
        outcome => outcome,
    }
}

fn no_topic(error: ClientError, args: &ConsumeArgs) -> anyhow::Error {
    match error.code() {
        Some(ErrorCode::UnknownTopicOrPartition) => anyhow!(
            "there is no topic {0}; create it: odradek topic create {0}",
            args.topic
        ),
        _ => anyhow!(error).context(format!("cannot consume {}", args.topic)),
    }
}
