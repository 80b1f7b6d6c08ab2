//! A cell of the write table.

use anyhow::{Result, ensure};

use super::cell::{Cell, Finding, NOT_DURABLE, Run};
use super::modes::{Mode, mode};
use super::{CONNECTIONS, Stage};
use crate::contest::{Server, Variant};
use crate::drive::{Admin, Load, TopicSpec, produce};
use crate::window::Baseline;

const TOPIC: &str = "bench";
const RECORD_BYTES: usize = 1024;
const REQUEST_BYTES: usize = 1 << 20;

/// The node as a mode has it.
pub(super) fn varied(mode: Option<&Mode>) -> Variant {
    let mut variant = Variant::default();
    if let Some(mode) = mode {
        variant.shards = Some(mode.shards);
        let settings = mode.settings.iter();
        variant.own_settings = settings
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
    }
    variant
}

/// Whether the node that serves has what the mode asks for: settings that it does not know are only
/// worth a warning to it.
pub(super) fn unknown(server: &Server, mode: Option<&Mode>) -> Option<Finding> {
    let settings = mode.map_or(&[][..], |mode| mode.settings);
    let (name, _) = settings.iter().find(|(name, _)| server.said(name))?;
    let why = format!("the node does not know {name}");
    Some(Finding::NotThereYet { why })
}

pub(super) fn run(stage: &Stage<'_>, cell: &Cell) -> Result<Finding> {
    let mode = cell.mode.as_deref().and_then(mode);
    let durable = cell.how != NOT_DURABLE;
    let mut variant = varied(mode);
    let mut set = |name, value: &str| variant.own_settings.push((name, value.to_owned()));
    set("log.write.strategy", &cell.strategy);
    match durable {
        true => set("log.durable.method", &cell.how),
        // Nor later: only the kernel writes back, when it likes.
        false => {
            set("durable.acks.all", "false");
            set("durable.lag.max.ms", "86400000");
        }
    }
    let mut server = Server::start(&stage.contestant, &variant, &stage.place)?;
    if let Some(finding) = unknown(&server, mode) {
        return Ok(finding);
    }
    let measured = measure(stage, cell, &server, mode, durable);
    let stopped = server.stop();
    let run = measured?;
    stopped?;
    Ok(Finding::Measured(Box::new(run)))
}

fn measure(
    stage: &Stage<'_>,
    cell: &Cell,
    server: &Server,
    mode: Option<&Mode>,
    durable: bool,
) -> Result<Run> {
    let partitions_wanted = mode.map_or(1, |mode| mode.shards);
    let plan = stage.terms.plan(CONNECTIONS * partitions_wanted);
    let mut admin = server.admin()?;
    let partitions = admin.topic(&TopicSpec {
        name: TOPIC.to_owned(),
        partitions: partitions_wanted as i32,
        configs: Vec::new(),
    })?;
    let load = Load {
        record_bytes: RECORD_BYTES,
        batch_bytes: REQUEST_BYTES,
        acks: if durable { -1 } else { 1 },
        spread: false,
    };
    let device = stage.device.as_ref();
    let before = device.map(|device| device.settled()).transpose()?;
    let baseline = Baseline::watch(plan.baseline)?;
    let pid = server.pids().first().copied();
    let (outcome, frames) = produce(&admin, TOPIC, &partitions, load, plan, baseline, pid)?;
    // All that was taken, warm-up included.
    let mut requests = 0;
    for partition in &partitions {
        let (first, end) = Admin::connect(partition.leader)?.offsets(TOPIC, partition.index)?;
        requests += (end - first) as u64 / frames.records as u64;
    }
    let taken = requests * frames.batch_bytes();
    let moved = match (device, before) {
        (Some(device), Some(before)) => Some(device.settled()?.since(before, taken)),
        _ => None,
    };
    let latencies = outcome.latencies();
    let measurement = outcome.measurement(&cell.row()).coarse(0);
    ensure!(measurement.bytes > 0, "nothing was taken within the window");
    Ok(Run {
        measurement,
        latencies,
        moved,
        writer: None,
        passes: None,
        settings: server.settings().to_vec(),
    })
}
