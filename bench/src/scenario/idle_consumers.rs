//! What do 1,000 idle consumers cost, and then connections that come and go?
//!
//! First, 5,000 connections that have introduced themselves and ask for nothing more: what the
//! server and, for them, the kernel take. Goal: at most 64 MiB in all. Half of what came to the
//! kernel counts: the other ends of the connections are the driver's, and the same.
//!
//! Each consumer waits at the end of a partition on a connection of its own, as Kafka's do
//! (`fetch.max.wait.ms` 500): two requests a second each, and no records. Then, with the consumers
//! still there, connections are opened, introduce themselves, ask for the topic and go, one after
//! the other. What is taken afterwards, with all gone, shows what is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::findings::Better;
use super::{Scenario, Stage};
use crate::contest::{Server, Variant};
use crate::drive::{Admin, Partition, Plan, Tails, WAIT_MS, saturate};
use crate::machine::{open_files, slab, socket_buffers};

pub(super) const SCENARIO: Scenario = Scenario {
    number: 8,
    name: "idle-consumers",
    question: "What do 1,000 idle consumers cost, and then connections that come and go?",
    needs: None,
    run,
};

const PARTITIONS: i32 = 16;

fn run(stage: &mut Stage) -> Result<()> {
    connections(stage)?;
    let server = stage.start(&Variant::default())?;
    let consumers = stage.amount(1000, 20);
    let topic = stage.topic_name("idle-consumers");
    let partitions = stage.topic(&server, &topic, PARTITIONS, &[])?;
    let empty = server.usage()?.rss_bytes;

    eprintln!("  {}: {consumers} idle consumers ...", server.label());
    let plan = stage.plan(consumers, 1);
    let addresses: Vec<_> = (0..consumers)
        .map(|at| partitions[at % partitions.len()].leader)
        .collect();
    let mut tails = Tails::new(&topic, &partitions)?;
    let baseline = stage.watch_idle()?;
    let pid = server.pids().first().copied();
    let outcome = saturate(&addresses, &mut tails, plan, baseline, pid)?;
    let idle = outcome.measurement("idle consumers");
    let findings = &mut stage.findings;
    findings.cpu(
        "idle consumers",
        "% of a core",
        &idle.cost,
        idle.cost.seconds / 100.0,
    );
    findings.cpu(
        "idle consumers",
        "s/million fetches",
        &idle.cost,
        idle.requests as f64 / 1e6,
    );
    if let Some(memory) = &idle.memory {
        let each = (memory.end_bytes as f64 - empty as f64) / 1024.0 / consumers as f64;
        findings.figure("idle consumers: RSS", "KiB/consumer", Better::Less, each);
    }
    if let Some(latency) = &idle.latency {
        let late = latency.p99_ms - f64::from(WAIT_MS);
        let name = "idle consumers: p99 of an empty answer, past its wait";
        findings.figure(name, "ms", Better::Less, late);
    }
    stage.findings.measurements.push(idle);

    churn(stage, &server, &topic, &partitions, consumers)?;

    stage.pause(Duration::from_secs_f64(stage.seconds(3.0)))?;
    let left = server.usage()?.rss_bytes as f64 - empty as f64;
    stage.figure(
        "RSS left when all are gone",
        "MiB",
        Better::Less,
        left / (1u64 << 20) as f64,
    );
    Ok(())
}

/// Idle ones, on a server of their own: memory that was used before would hide what they take.
fn connections(stage: &mut Stage) -> Result<()> {
    let count = stage.amount(5_000, 100);
    let files = open_files(2 * count);
    if files < 2 * count {
        stage.skip(&format!(
            "{count} idle connections: a process may have {files} files open here"
        ));
        return Ok(());
    }
    let server = stage.start(&Variant::default())?;
    let mut admin = server.admin()?;
    let address = stage.topic(&server, &stage.topic_name("idle-connections"), 1, &[])?[0].leader;
    let settled = Duration::from_secs_f64(stage.seconds(3.0));
    stage.pause(settled)?;
    let taken = || -> Result<[u64; 3]> {
        let rss = server.usage()?.rss_bytes;
        Ok([rss, slab()?, socket_buffers()?])
    };
    let before = taken()?;
    eprintln!("  {}: {count} idle connections ...", server.label());
    let mut open = Vec::new();
    for _ in 0..count {
        stage.check_interrupt()?;
        open.push(Admin::connect(address)?);
    }
    stage.pause(settled)?;
    let now = taken()?;
    // All are still there, the first as well as the last.
    for at in [0, open.len() - 1] {
        open[at].ask_versions()?;
    }
    admin.ask_versions()?;
    let mib = |at: usize| (now[at] as f64 - before[at] as f64) / f64::from(1 << 20);
    let name = |what: &str| format!("idle connections: {what}");
    stage.figure(&name("count"), "connections", Better::Neither, count as f64);
    let kernel = mib(1) + mib(2);
    let mut all = kernel / 2.0;
    if !server.pids().is_empty() {
        stage.figure(&name("RSS"), "MiB", Better::Less, mib(0));
        all += mib(0);
    }
    stage.figure(
        &name("kernel slab, both ends"),
        "MiB",
        Better::Neither,
        mib(1),
    );
    let buffers = name("kernel socket buffers, both ends");
    stage.figure(&buffers, "MiB", Better::Neither, mib(2));
    let name = name("all of it, with half of the kernel's (goal: 64)");
    stage.figure(&name, "MiB", Better::Less, all);
    Ok(())
}

/// Connections one after the other, beside the idle consumers.
fn churn(
    stage: &mut Stage,
    server: &Server,
    topic: &str,
    partitions: &[Partition],
    consumers: usize,
) -> Result<()> {
    eprintln!("  {}: connections that come and go ...", server.label());
    let time = Duration::from_secs_f64(stage.seconds(10.0));
    let addresses: Vec<_> = (0..consumers)
        .map(|at| partitions[at % partitions.len()].leader)
        .collect();
    let mut tails = Tails::new(topic, partitions)?;
    let baseline = stage.watch_idle()?;
    let over = Arc::new(AtomicBool::new(false));
    let beside = {
        // Longer than the churn; what it measures itself is not looked at.
        let plan = Plan {
            warmup: Duration::ZERO,
            time: time + Duration::from_secs(1),
            ..stage.plan(consumers, 1)
        };
        let over = over.clone();
        std::thread::spawn(move || {
            let done = saturate(&addresses, &mut tails, plan, baseline, None).map(drop);
            over.store(true, Ordering::Relaxed);
            done
        })
    };
    let churned = stage.cost(baseline, server, || {
        let until = Instant::now() + time;
        let mut count = 0u64;
        while Instant::now() < until && !over.load(Ordering::Relaxed) {
            stage.check_interrupt()?;
            let at = count as usize % partitions.len();
            Admin::connect(partitions[at].leader)?.layout(topic)?;
            count += 1;
        }
        Ok(count)
    });
    let waited = beside.join().ok().context("the idle consumers' thread")?;
    waited.context("the idle consumers")?;
    let (count, cost) = churned?;
    let per_s = count as f64 / cost.seconds;
    stage.figure("churn: connections", "1/s", Better::More, per_s);
    // The idle consumers' part is in it: the same for every contestant.
    stage
        .findings
        .cpu("churn", "ms/connection", &cost, count as f64 / 1e3);
    Ok(())
}
