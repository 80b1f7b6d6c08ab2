//! Fetch requests over ranges of a log that are known beforehand.
//!
//! The positions at which fetches start are collected by one walk; the measured loop then fetches
//! them over and over, pipelined. No batch is opened.

use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use odradek_engine::record::headers;
use odradek_wire::Message;
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};

use super::admin::{Admin, Partition, check, reply_body, request_frame};
use super::saturate::Work;

/// The last version that names topics (later ones carry ids).
const VERSION_MAX: i16 = 12;

/// Which part of a partition is fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Range {
    /// This many bytes before the end.
    Last(u64),
    /// This many bytes from the start on.
    First(u64),
}

/// One partition's positions, fetched in turn.
struct Lane {
    partition: i32,
    starts: Vec<i64>,
    next: usize,
}

/// The fetches of a run: connection `i` reads partition `i % partitions`.
pub(crate) struct Consumer {
    topic: String,
    fetch_bytes: i32,
    version: i16,
    lanes: Vec<Lane>,
    asked: u64,
}

/// What a walk found.
#[derive(Clone, Copy)]
pub(crate) struct Walked {
    pub(crate) fetches: usize,
    pub(crate) bytes: u64,
}

impl Consumer {
    /// Walks `range` of each partition, for `connections` lanes of fetches of `fetch_bytes`.
    pub(crate) fn walk(
        topic: &str,
        partitions: &[Partition],
        connections: usize,
        range: Range,
        fetch_bytes: i32,
    ) -> Result<(Self, Walked)> {
        let first = partitions.first().context("a topic has a partition")?;
        let version = Admin::connect(first.leader)?.version::<FetchRequest>(VERSION_MAX)?;
        let mut consumer = Self {
            topic: topic.to_owned(),
            fetch_bytes,
            version,
            lanes: Vec::new(),
            asked: 0,
        };
        let mut found = Walked {
            fetches: 0,
            bytes: 0,
        };
        for partition in partitions.iter().take(connections) {
            let (starts, bytes) = consumer.starts(partition, range)?;
            found.fetches += starts.len();
            found.bytes += bytes;
            consumer.lanes.push(Lane {
                partition: partition.index,
                starts,
                next: 0,
            });
        }
        // Further connections read the same partitions, from elsewhere in their ranges.
        for at in consumer.lanes.len()..connections {
            let lane = &consumer.lanes[at % partitions.len()];
            consumer.lanes.push(Lane {
                partition: lane.partition,
                starts: lane.starts.clone(),
                next: at * lane.starts.len() / connections,
            });
        }
        Ok((consumer, found))
    }

    /// Fetches that start where the caller knows that batches do: for each connection its partition
    /// and the offsets. Nothing is read beforehand. `leader`: of any of them.
    pub(crate) fn at(
        topic: &str,
        leader: SocketAddr,
        lanes: Vec<(i32, Vec<i64>)>,
        fetch_bytes: i32,
    ) -> Result<Self> {
        let version = Admin::connect(leader)?.version::<FetchRequest>(VERSION_MAX)?;
        let lanes = lanes.into_iter().map(|(partition, starts)| {
            ensure!(
                !starts.is_empty(),
                "nothing to fetch of {topic}-{partition}"
            );
            Ok(Lane {
                partition,
                starts,
                next: 0,
            })
        });
        Ok(Self {
            topic: topic.to_owned(),
            fetch_bytes,
            version,
            lanes: lanes.collect::<Result<_>>()?,
            asked: 0,
        })
    }

    /// Fetches asked for so far, by the positions that were collected.
    pub(crate) fn asked(&self) -> u64 {
        self.asked
    }

    /// A fetch from another offset of connection `at`'s partition.
    pub(crate) fn request_from(
        &self,
        at: usize,
        offset: i64,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        let request = self.fetch_request(self.lanes[at].partition, offset);
        let frame = request_frame(&request, self.version, correlation, std::mem::take(out))?;
        *out = frame.into_inner();
        Ok(None)
    }

    /// Where fetches start, and the bytes that they bring.
    fn starts(&self, partition: &Partition, range: Range) -> Result<(Vec<i64>, u64)> {
        let mut leader = Admin::connect(partition.leader)?;
        let (first, end) = leader.offsets(&self.topic, partition.index)?;
        ensure!(first < end, "partition {} is empty", partition.index);
        let (mut offset, bytes_max) = match range {
            Range::First(bytes) => (first, bytes),
            Range::Last(bytes) => {
                // Bytes per offset, seen in the first fetch, say where to begin.
                let (next, seen) = self.fetch(&mut leader, partition.index, first)?;
                let per_offset = seen as f64 / (next - first) as f64;
                let offsets = (bytes as f64 / per_offset) as i64;
                ((end - offsets).max(first), u64::MAX)
            }
        };
        let (mut starts, mut bytes) = (Vec::new(), 0);
        while offset < end && bytes < bytes_max {
            let (next, whole) = self.fetch(&mut leader, partition.index, offset)?;
            starts.push(offset);
            bytes += whole;
            offset = next;
        }
        Ok((starts, bytes))
    }

    /// One blocking fetch: the next offset, and the bytes of its whole batches.
    fn fetch(&self, leader: &mut Admin, partition: i32, offset: i64) -> Result<(i64, u64)> {
        let reply = leader.call(&self.fetch_request(partition, offset), self.version)?;
        let (mut next, mut whole) = (offset, 0);
        self.records(&reply, |records| {
            for (start, header) in headers(records) {
                next = header.last_offset().0 + 1;
                whole = start as u64 + header.size().map_or(0, |size| size as u64);
            }
        })?;
        ensure!(
            next > offset,
            "a fetch at offset {offset} brought no whole batch"
        );
        Ok((next, whole))
    }

    fn fetch_request(&self, partition: i32, fetch_offset: i64) -> FetchRequest<'_> {
        FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: self.fetch_bytes,
            session_id: 0,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: &self.topic,
                partitions: vec![FetchPartition {
                    partition,
                    fetch_offset,
                    partition_max_bytes: self.fetch_bytes,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    /// Hands the reply's records to `take`; returns their bytes.
    fn records(&self, reply: &[u8], take: impl FnOnce(&[u8])) -> Result<u64> {
        let mut body = reply_body(reply, FetchRequest::API_KEY, self.version)?;
        let response = FetchResponse::decode(&mut body, self.version)?;
        check("fetch", response.error_code)?;
        let mut partitions = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions);
        let partition = partitions.next().context("a reply without a partition")?;
        check("fetch", partition.error_code)?;
        let records = partition.records.bytes().unwrap_or_default();
        ensure!(!records.is_empty(), "a fetch brought nothing");
        take(records);
        Ok(records.len() as u64)
    }
}

impl Work for Consumer {
    fn request(
        &mut self,
        at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        let lane = &mut self.lanes[at];
        let offset = lane.starts[lane.next];
        lane.next = (lane.next + 1) % lane.starts.len();
        self.asked += 1;
        self.request_from(at, offset, correlation, out)
    }

    fn reply(&mut self, _at: usize, reply: &[u8]) -> Result<u64> {
        self.records(reply, |_| {})
    }
}
