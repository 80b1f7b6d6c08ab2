//! A consumer that reads a topic from its beginning as fast as it comes, at next to no cost of its
//! own: what it receives is dropped by the kernel, unseen.
//!
//! It works on topics that [`fill`](super::fill) made: their batches are all alike, so that the next
//! offset follows from the bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::socket::{MsgFlags, recv};
use odradek_wire::Reader;
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchTopic};

use super::admin::{Admin, Partition, check, request_frame};
use super::load::fill_batch;

/// Old enough for an answer's head to have a fixed length, young enough for Kafka 4 (KIP-896).
const VERSION: i16 = 4;
/// Of a partition in a fetch: Kafka's consumers' default (`max.partition.fetch.bytes`).
const FETCH_BYTES: i32 = 1 << 20;

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backfilled {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    /// How often the whole topic was read.
    pub(crate) laps: u64,
}

/// Lets this thread run only when nobody else wants its core: a driver that measures latencies
/// there is never kept waiting. Source: sched(7), `SCHED_IDLE`.
pub(crate) fn step_back() -> Result<()> {
    // SAFETY: the parameter is all zeros, as SCHED_IDLE wants it, and outlives the call.
    let answer = unsafe {
        let parameter: libc::sched_param = std::mem::zeroed();
        libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameter)
    };
    nix::errno::Errno::result(answer).context("SCHED_IDLE")?;
    Ok(())
}

/// Reads all partitions, one after the other, over and over, until `stop`. `between` is called
/// before each lap.
///
/// # Errors
/// When a server answers with an error, or with less than a batch.
pub(crate) fn backfill(
    topic: &str,
    partitions: &[Partition],
    stop: &AtomicBool,
    mut between: impl FnMut() -> Result<()>,
) -> Result<Backfilled> {
    let batch = fill_batch()?;
    let (batch_bytes, records) = (batch.bytes.len(), i64::from(batch.records));
    let mut done = Backfilled::default();
    while !stop.load(Ordering::Relaxed) {
        between()?;
        let began = Instant::now();
        for partition in partitions {
            let (mut offset, end) =
                Admin::connect(partition.leader)?.offsets(topic, partition.index)?;
            let mut lane = Lane::open(partition.leader)?;
            while offset < end && !stop.load(Ordering::Relaxed) {
                let bytes = lane.fetch(topic, partition.index, offset)?;
                ensure!(
                    bytes >= batch_bytes,
                    "a fetch at offset {offset} of partition {} brought {bytes} bytes, less than \
                     a batch of {batch_bytes}",
                    partition.index
                );
                offset += (bytes / batch_bytes) as i64 * records;
                done.bytes += bytes as u64;
            }
        }
        done.seconds += began.elapsed().as_secs_f64();
        done.laps += u64::from(!stop.load(Ordering::Relaxed));
    }
    Ok(done)
}

struct Lane {
    stream: TcpStream,
    correlation: i32,
    room: Vec<u8>,
}

impl Lane {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream,
            correlation: 0,
            room: vec![0; 1 << 20],
        })
    }

    /// One fetch; the bytes of its records.
    fn fetch(&mut self, topic: &str, partition: i32, fetch_offset: i64) -> Result<usize> {
        self.correlation += 1;
        let request = FetchRequest {
            max_wait_ms: 500,
            min_bytes: 1,
            max_bytes: 50 << 20,
            topics: vec![FetchTopic {
                topic,
                partitions: vec![FetchPartition {
                    partition,
                    fetch_offset,
                    partition_max_bytes: FETCH_BYTES,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let frame = request_frame(&request, VERSION, self.correlation, Vec::new())?;
        self.stream.write_all(frame.written())?;
        let head_bytes = head_bytes(topic);
        let mut head = vec![0; head_bytes];
        self.stream.read_exact(&mut head).context("receive")?;
        let (whole, records) = read_head(&head, self.correlation, partition)?;
        ensure!(
            whole + 4 == head_bytes + records,
            "an answer of {whole} bytes with {records} of records"
        );
        self.drop_bytes(records)?;
        Ok(records)
    }

    /// Lets the kernel drop what comes next. Source: tcp(7), `MSG_TRUNC`.
    fn drop_bytes(&mut self, mut left: usize) -> Result<()> {
        while left > 0 {
            let most = left.min(self.room.len());
            let flags = MsgFlags::MSG_TRUNC;
            match recv(self.stream.as_raw_fd(), &mut self.room[..most], flags) {
                Ok(0) => anyhow::bail!("the server closed the connection"),
                Ok(dropped) => left -= dropped,
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error).context("receive"),
            }
        }
        Ok(())
    }
}

/// Bytes of an answer before its records, its length included: ids, throttle time, one topic, one
/// partition without aborted transactions.
fn head_bytes(topic: &str) -> usize {
    4 + 4 + 4 + 4 + (2 + topic.len()) + 4 + (4 + 2 + 8 + 8 + 4 + 4)
}

/// The answer's length, and that of its records.
fn read_head(head: &[u8], correlation: i32, partition: i32) -> Result<(usize, usize)> {
    let mut reader = Reader::new(head);
    let whole = reader.i32()?;
    ensure!(
        reader.i32()? == correlation,
        "an answer with another correlation id"
    );
    let _throttle_ms = reader.i32()?;
    ensure!(reader.i32()? == 1, "an answer for another topic");
    let _topic = reader.str(false, "topic")?;
    ensure!(reader.i32()? == 1, "an answer for another partition");
    ensure!(
        reader.i32()? == partition,
        "an answer for another partition"
    );
    check("fetch", reader.i16()?)?;
    let _marks = (reader.i64()?, reader.i64()?);
    ensure!(reader.i32()? <= 0, "aborted transactions");
    let records = reader.i32()?.max(0);
    Ok((usize::try_from(whole)?, records as usize))
}
