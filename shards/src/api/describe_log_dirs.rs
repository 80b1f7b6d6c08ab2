//! DescribeLogDirs: what this shard's partitions take on disk, and what is left there.
//!
//! A shard tells of its own partitions only, as a broker does; the file system they share is told
//! by each. The size of a partition that is not open is that of its files, which after a kill
//! may still have room at their end.
//!
//! Source: Kafka `ReplicaManager.describeLogDirs`, KIP-113, KIP-827.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use odradek_engine::io::{Errno, Io, OpenMode};
use odradek_wire::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use odradek_wire::{ErrorCode, Message};

use super::{Broker, Call, Outcome, Refusal};
use crate::catalog::Topic;

pub(super) const KEY: i16 = 35;
pub(super) const ADVERTISED: RangeInclusive<i16> =
    DescribeLogDirsRequest::MIN_VERSION..=DescribeLogDirsRequest::MAX_VERSION;
pub(super) const ACCEPTED: RangeInclusive<i16> = ADVERTISED;

/// Not known.
const UNKNOWN: i64 = -1;

pub(super) async fn handle(call: Call<'_>) -> Result<Outcome, Refusal> {
    let request: DescribeLogDirsRequest<'_> = call.decode()?;
    let broker = call.broker;
    let wanted: Option<BTreeMap<&str, BTreeSet<i32>>> = request.topics.as_ref().map(|topics| {
        let mut wanted = BTreeMap::<&str, BTreeSet<i32>>::new();
        for asked in topics {
            let partitions = asked.partitions.iter().copied();
            wanted.entry(asked.topic).or_default().extend(partitions);
        }
        wanted
    });
    let image = broker.image();
    let mut topics = Vec::new();
    for topic in image.topics() {
        let among = wanted.as_ref().map(|wanted| wanted.get(&*topic.name));
        if among == Some(None) {
            continue;
        }
        let mut partitions = Vec::new();
        for (index, entry) in (0..).zip(&topic.partitions) {
            let asked = among.flatten().is_none_or(|among| among.contains(&index));
            if !asked || entry.shard != broker.shard {
                continue;
            }
            // What was never written to has no directory yet.
            let size = size(broker, topic, index).await.unwrap_or(0);
            partitions.push(DescribeLogDirsPartition {
                partition_index: index,
                partition_size: size as i64,
                offset_lag: 0,
                is_future_key: false,
            });
        }
        if !partitions.is_empty() {
            topics.push(DescribeLogDirsTopic {
                name: &topic.name,
                partitions,
            });
        }
    }
    let directory = &broker.settings.log_dir;
    let space = broker.io.space(directory).await;
    let bytes =
        |bytes: Option<u64>| bytes.map_or(UNKNOWN, |b| i64::try_from(b).unwrap_or(i64::MAX));
    let directory = absolute(directory);
    let directory = directory.to_string_lossy();
    call.reply(&DescribeLogDirsResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::None.code(),
        results: vec![DescribeLogDirsResult {
            error_code: ErrorCode::None.code(),
            log_dir: &directory,
            topics,
            total_bytes: bytes(space.as_ref().ok().map(|(total, _)| *total)),
            usable_bytes: bytes(space.as_ref().ok().map(|(_, usable)| *usable)),
            is_cordoned: false,
        }],
    })
}

/// A directory as it is told.
pub(super) fn absolute(directory: &Path) -> PathBuf {
    // It only asks for the working directory's name.
    std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned())
}

/// Bytes of a partition's segments.
async fn size(broker: &Broker, topic: &Topic, index: i32) -> Result<u64, Errno> {
    if let Some(open) = broker.open_now(topic, index) {
        return Ok(open.partition.with_log(|log| log.bytes()));
    }
    let directory = broker.holdings.directory(&topic.name, index);
    let mut total = 0;
    for name in broker.io.list(&directory).await? {
        if name.ends_with(".log") {
            total += file_size(&broker.io, &directory.join(name)).await?;
        }
    }
    Ok(total)
}

async fn file_size(io: &Io, path: &Path) -> Result<u64, Errno> {
    let file = io.open(path, OpenMode::default()).await?;
    let size = io.size(file).await;
    io.close(file).await;
    size
}
