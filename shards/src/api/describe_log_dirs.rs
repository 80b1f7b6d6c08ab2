//! DescribeLogDirs: what this shard's partitions take in each log directory, and what is left
//! there.
//!
//! A shard tells of its own partitions only, as a broker does; the file systems they share are told
//! by each. Of a directory that has failed only that is told. The size of a partition that is not open is that of its files, which after a kill
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
    let dirs = broker.log_dirs();
    let mut results = Vec::new();
    for number in dirs.logs() {
        let log_dir = absolute(dirs.path(number)).to_string_lossy().into_owned();
        let mut told = Told {
            log_dir,
            ..Told::default()
        };
        // A disk that has failed is not asked: it may never answer.
        if dirs.failed(number).is_none() {
            told.space = broker.io.space(dirs.path(number)).await.ok();
        }
        told.failed = dirs.failed(number).is_some();
        results.push(told);
    }
    for topic in image.topics() {
        let among = wanted.as_ref().map(|wanted| wanted.get(&*topic.name));
        if among == Some(None) {
            continue;
        }
        for (index, entry) in (0..).zip(&topic.partitions) {
            let asked = among.flatten().is_none_or(|among| among.contains(&index));
            if !asked || entry.shard != broker.shard {
                continue;
            }
            let Ok(number) = dirs.of(entry.directory) else {
                continue;
            };
            // What was never written to has no directory yet.
            let size = size(broker, topic, index).await.unwrap_or(0);
            let partition = DescribeLogDirsPartition {
                partition_index: index,
                partition_size: size as i64,
                offset_lag: 0,
                is_future_key: false,
            };
            let moving = broker.holdings.relocation(topic.id, index);
            if let Some(moving) = moving.filter(|moving| moving.to != number) {
                let open = broker.open_now(topic, index);
                let end = open.map_or(0, |open| open.partition.standing().next.0);
                results[moving.to].add(
                    topic,
                    DescribeLogDirsPartition {
                        partition_index: index,
                        partition_size: moving.bytes.get() as i64,
                        offset_lag: (end - moving.offset.get().0).max(0),
                        is_future_key: true,
                    },
                );
            }
            results[number].add(topic, partition);
        }
    }
    call.reply(&DescribeLogDirsResponse {
        throttle_time_ms: 0,
        error_code: ErrorCode::None.code(),
        results: results.iter().map(Told::result).collect(),
    })
}

/// What is told of one directory.
#[derive(Default)]
struct Told<'a> {
    log_dir: String,
    failed: bool,
    /// In all, and usable.
    space: Option<(u64, u64)>,
    topics: Vec<(&'a Topic, Vec<DescribeLogDirsPartition>)>,
}

impl<'a> Told<'a> {
    fn add(&mut self, topic: &'a Topic, partition: DescribeLogDirsPartition) {
        match self.topics.last_mut() {
            Some((last, partitions)) if last.id == topic.id => partitions.push(partition),
            _ => self.topics.push((topic, vec![partition])),
        }
    }

    fn result(&self) -> DescribeLogDirsResult<'_> {
        if self.failed {
            return DescribeLogDirsResult {
                error_code: ErrorCode::KafkaStorageError.code(),
                log_dir: &self.log_dir,
                total_bytes: UNKNOWN,
                usable_bytes: UNKNOWN,
                ..DescribeLogDirsResult::default()
            };
        }
        let bytes =
            |bytes: Option<u64>| bytes.map_or(UNKNOWN, |b| i64::try_from(b).unwrap_or(i64::MAX));
        let topics = self.topics.iter();
        let topics = topics.map(|(topic, partitions)| DescribeLogDirsTopic {
            name: &topic.name,
            partitions: partitions.clone(),
        });
        DescribeLogDirsResult {
            error_code: ErrorCode::None.code(),
            log_dir: &self.log_dir,
            topics: topics.collect(),
            total_bytes: bytes(self.space.map(|(total, _)| total)),
            usable_bytes: bytes(self.space.map(|(_, usable)| usable)),
            is_cordoned: false,
        }
    }
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
    let directory = broker.holdings.directory(topic, index);
    let Ok(directory) = directory else {
        return Err(Errno(libc::EIO));
    };
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
