//! A cell of the read table.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::cell::{Cell, Finding, Run, State};
use super::modes::mode;
use super::tail::{Follower, Writer};
use super::write::{unknown, varied};
use super::{CONNECTIONS, Stage, cache};
use crate::contest::{Server, Variant};
use crate::drive::{Admin, Batch, Consumer, Partition, TopicSpec, fill, now_ms, saturate};
use crate::machine::wait_until_quiet;
use crate::window::Baseline;

const TOPIC: &str = "data";
const FETCH_BYTES: i32 = 1 << 20;
/// Of the range that is read from page cache, at most.
const RESIDENT_BYTES: u64 = 256 << 20;
/// What is written before a tail is read, and how much of that is read; at most.
const TAIL_FILLED_BYTES: u64 = 32 << 20;
const TAIL_READ_BYTES: u64 = 8 << 20;
/// Small enough that what is read resident or cold lies in closed segments.
const SEGMENT_BYTES: u64 = 64 << 20;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;

/// A log that is written once for all cells of a file system. The node starts on it again for each,
/// set up as the cell has it.
pub(super) struct DataSet {
    server: Server,
    partition: PathBuf,
    /// Where fetches begin: at each batch.
    starts: Vec<i64>,
    /// Of these, how many lie in the resident range, which has so many bytes.
    resident: usize,
    resident_bytes: u64,
    tails: usize,
}

impl DataSet {
    fn new(stage: &Stage<'_>) -> Result<Self> {
        let server = Server::start(&stage.contestant, &Variant::default(), &stage.place)?;
        let bytes = stage.terms.data_bytes;
        let segment = (bytes / 8).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES);
        let mut admin = server.admin()?;
        let partitions = admin.topic(&TopicSpec {
            name: TOPIC.to_owned(),
            partitions: 1,
            configs: vec![("segment.bytes".to_owned(), segment.to_string())],
        })?;
        fill(TOPIC, &partitions, bytes)?;
        let leader = partitions
            .first()
            .context("a topic has a partition")?
            .leader;
        let (first, end) = Admin::connect(leader)?.offsets(TOPIC, 0)?;
        let batch = filled_batch()?;
        let starts: Vec<i64> = (first..end).step_by(batch.records as usize).collect();
        let batch_bytes = batch.bytes.len() as u64;
        // The last segment is open: its pages come and go with writes.
        let closed = bytes.saturating_sub(segment) / batch_bytes;
        let resident = closed.min(RESIDENT_BYTES / batch_bytes).max(1);
        let partition = server
            .data_dir()
            .context("a node")?
            .join(format!("{TOPIC}-0"));
        let mut data = Self {
            server,
            partition,
            starts,
            resident: resident as usize,
            resident_bytes: resident * batch_bytes,
            tails: 0,
        };
        data.server.stop()?;
        Ok(data)
    }

    fn run(&mut self, stage: &Stage<'_>, cell: &Cell, state: State) -> Result<Finding> {
        let mut variant = Variant::default();
        let strategy = ("log.read.strategy", cell.strategy.clone());
        variant.own_settings.push(strategy);
        self.server.restart_as(&variant)?;
        let found = self.on_node(stage, cell, state);
        let stopped = match &found {
            Ok(_) => self.server.stop().map(drop),
            Err(_) => self.server.kill(),
        };
        let found = found?;
        stopped?;
        Ok(found)
    }

    fn on_node(&mut self, stage: &Stage<'_>, cell: &Cell, state: State) -> Result<Finding> {
        let refusal = format!("log.read.strategy={} is not available here", cell.strategy);
        if self.server.said(&refusal) {
            let why = refusal;
            return Ok(Finding::Unsupported { why });
        }
        let starts = match state {
            State::Tail => {
                self.tails += 1;
                let topic = format!("tail-{}", self.tails);
                return tail(stage, cell, &self.server, &topic, 1);
            }
            State::Resident => {
                cache::warm(&self.partition, self.resident_bytes)?;
                &self.starts[..self.resident]
            }
            State::Cold => {
                cache::evict(&self.partition)?;
                &self.starts[..]
            }
        };
        let partitions = self.server.admin()?.topic(&TopicSpec {
            name: TOPIC.to_owned(),
            partitions: 1,
            configs: Vec::new(),
        })?;
        let leader = partitions
            .first()
            .context("a topic has a partition")?
            .leader;
        let mut consumer = Consumer::at(TOPIC, leader, vec![(0, starts.to_vec())], FETCH_BYTES)?;
        let plan = stage.terms.plan(CONNECTIONS);
        let device = stage.device.as_ref();
        // Pages that were just freed or filled keep the kernel busy for a while.
        wait_until_quiet(stage.place.quiet_seconds)?;
        let baseline = Baseline::watch(plan.baseline)?;
        let before = device.map(|device| device.now()).transpose()?;
        let pid = self.server.pids().first().copied();
        let outcome = saturate(&[leader; CONNECTIONS], &mut consumer, plan, baseline, pid)?;
        let sent = consumer.asked() * FETCH_BYTES as u64;
        let moved = match (device, before) {
            (Some(device), Some(before)) => Some(device.now()?.since(before, sent)),
            _ => None,
        };
        let passes = consumer.asked() as f64 / starts.len() as f64;
        let latencies = outcome.latencies();
        Ok(Finding::Measured(Box::new(Run {
            measurement: outcome.measurement(&cell.row()).coarse(0),
            latencies,
            moved,
            writer: None,
            passes: (state == State::Cold).then_some(passes),
            settings: self.server.settings().to_vec(),
        })))
    }
}

/// As [`fill`] writes them.
fn filled_batch() -> Result<Batch> {
    Batch::build(1024, 1 << 20, now_ms())
}

pub(super) fn run(stage: &Stage<'_>, cell: &Cell, data: &mut Option<DataSet>) -> Result<Finding> {
    if let Some(why) = cell.not_applicable() {
        let why = why.to_owned();
        return Ok(Finding::NotApplicable { why });
    }
    let state = cell.state().context("a read cell has a state")?;
    let data = match data {
        Some(data) => data,
        None => data.insert(DataSet::new(stage).context("the log to read")?),
    };
    data.run(stage, cell, state)
}

/// The tail of a node that is set up otherwise.
pub(super) fn run_mode(stage: &Stage<'_>, cell: &Cell) -> Result<Finding> {
    let mode = cell.mode.as_deref().and_then(mode);
    let mut server = Server::start(&stage.contestant, &varied(mode), &stage.place)?;
    if let Some(finding) = unknown(&server, mode) {
        return Ok(finding);
    }
    let found = tail(
        stage,
        cell,
        &server,
        "tail",
        mode.map_or(1, |mode| mode.shards),
    )?;
    server.stop()?;
    Ok(found)
}

fn tail(
    stage: &Stage<'_>,
    cell: &Cell,
    server: &Server,
    topic: &str,
    partitions: usize,
) -> Result<Finding> {
    let spec = TopicSpec {
        name: topic.to_owned(),
        partitions: partitions as i32,
        configs: Vec::new(),
    };
    let partitions = server.admin()?.topic(&spec)?;
    let filled = TAIL_FILLED_BYTES.min(stage.terms.data_bytes);
    fill(topic, &partitions, filled)?;
    let batch = filled_batch()?;
    let count = (TAIL_READ_BYTES.min(filled / 4) / batch.bytes.len() as u64).max(1);
    let mut lanes = Vec::new();
    let mut ends = Vec::new();
    for Partition { index, leader } in &partitions {
        let (first, end) = Admin::connect(*leader)?.offsets(topic, *index)?;
        let records = i64::from(batch.records);
        let from = end - count as i64 * records;
        ensure!(first <= from, "partition {index} of {topic} is too short");
        lanes.push((*index, (from..end).step_by(records as usize).collect()));
        ends.push(end);
    }
    let leaders: Vec<_> = partitions
        .iter()
        .map(|partition| partition.leader)
        .collect();
    let (leader, end) = leaders.first().zip(ends.first()).context("a partition")?;
    let mut consumer = Consumer::at(topic, *leader, lanes, FETCH_BYTES)?;
    let plan = stage.terms.plan(leaders.len());
    let device = stage.device.as_ref();
    wait_until_quiet(stage.place.quiet_seconds)?;
    let baseline = Baseline::watch(plan.baseline)?;
    let before = device.map(|device| device.now()).transpose()?;
    let pid = server.pids().first().copied();
    let writer = Writer::start(*leader, topic, 0, *end);
    let mut follower = Follower::new(&mut consumer, &writer, count as usize + 1);
    let outcome = saturate(&leaders, &mut follower, plan, baseline, pid);
    let written = writer.stop();
    let outcome = outcome?;
    let sent = consumer.asked() * FETCH_BYTES as u64;
    let moved = match (device, before) {
        (Some(device), Some(before)) => Some(device.now()?.since(before, sent)),
        _ => None,
    };
    let latencies = outcome.latencies();
    Ok(Finding::Measured(Box::new(Run {
        measurement: outcome.measurement(&cell.row()).coarse(0),
        latencies,
        moved,
        writer: Some(written?),
        passes: None,
        settings: server.settings().to_vec(),
    })))
}
