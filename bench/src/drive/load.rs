//! A produce load from end to end, and what prepares a log to be consumed.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use odradek_wire::produce::ProduceRequest;

use super::Plan;
use super::admin::{Admin, Partition};
use super::produce::{Batch, Frames};
use super::saturate::{Outcome, Work, saturate};
use crate::window::Baseline;

/// The last version that names topics (later ones carry ids).
const PRODUCE_VERSION_MAX: i16 = 12;

const FILL_BATCH_BYTES: usize = 1 << 20;

/// What a produce request holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Bytes of a record's value.
    pub(crate) record_bytes: usize,
    /// Most bytes of a batch; it has one record at least.
    pub(crate) batch_bytes: usize,
    /// 1 or -1.
    pub(crate) acks: i16,
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// Saturates the partitions' leaders.
pub(crate) fn produce(
    admin: &Admin,
    topic: &str,
    partitions: &[Partition],
    load: Load,
    plan: Plan,
    baseline: Baseline,
    pid: Option<u32>,
) -> Result<(Outcome, Frames)> {
    let version = admin.version::<ProduceRequest>(PRODUCE_VERSION_MAX)?;
    let batch = Batch::build(load.record_bytes, load.batch_bytes, now_ms())?;
    let indexes: Vec<i32> = partitions.iter().map(|partition| partition.index).collect();
    let mut frames = Frames::new(topic, &indexes, &batch, load.acks, version)?;
    let addresses: Vec<_> = (0..plan.connections)
        .map(|at| partitions[at % partitions.len()].leader)
        .collect();
    let outcome = saturate(&addresses, &mut frames, plan, baseline, pid)?;
    Ok((outcome, frames))
}

/// The batch that [`fill`] appends.
pub(super) fn fill_batch() -> Result<Batch> {
    Batch::build(1024, FILL_BATCH_BYTES, now_ms())
}

/// Appends 1 MiB batches of 1 KiB records until each partition holds `bytes`.
pub(crate) fn fill(topic: &str, partitions: &[Partition], bytes: u64) -> Result<()> {
    let batch = fill_batch()?;
    for partition in partitions {
        let mut leader = Admin::connect(partition.leader)?;
        let (first, end) = leader.offsets(topic, partition.index)?;
        let wanted = bytes.div_ceil(batch.bytes.len() as u64) * batch.records as u64;
        let missing = wanted.saturating_sub((end - first) as u64);
        let version = leader.version::<ProduceRequest>(PRODUCE_VERSION_MAX)?;
        let mut frames = Frames::new(topic, &[partition.index], &batch, -1, version)?;
        for _ in 0..missing.div_ceil(batch.records as u64) {
            send_one(&mut leader, &mut frames)?;
        }
    }
    Ok(())
}

/// Sends one request to a leader and takes its answer.
pub(crate) fn send_one(leader: &mut Admin, frames: &mut Frames) -> Result<()> {
    let mut frame = Vec::new();
    let body = frames.request(0, 0, &mut frame)?;
    leader.send(&frame)?;
    if let Some(body) = body {
        leader.send(&body)?;
    }
    frames.reply(0, &leader.reply()?)?;
    Ok(())
}

/// Reads the topic's closed segments below `data_dir`, so that the page cache holds them. The
/// active segment is left alone: cached pages would make the direct writes over them dearer.
/// Returns the bytes read.
pub(crate) fn warm_page_cache(data_dir: &Path, topic: &str) -> Result<u64> {
    let mut bytes = 0;
    let mut found = false;
    let entries = std::fs::read_dir(data_dir)
        .with_context(|| format!("cannot list {}", data_dir.display()))?;
    for entry in entries {
        let dir = entry?.path();
        let name = dir
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let partition = name
            .strip_prefix(topic)
            .and_then(|rest| rest.strip_prefix('-'));
        if partition.is_none_or(|number| number.parse::<u32>().is_err()) {
            continue;
        }
        found = true;
        let mut logs: Vec<PathBuf> = std::fs::read_dir(&dir)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        logs.sort();
        logs.pop();
        for path in logs {
            let mut file = std::fs::File::open(&path)?;
            bytes += std::io::copy(&mut file, &mut std::io::sink())?;
        }
    }
    ensure!(found, "no partition of {topic} in {}", data_dir.display());
    Ok(bytes)
}
