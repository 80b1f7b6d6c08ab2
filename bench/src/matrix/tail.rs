//! Reading a tail that grows: the last written range again and again, and in between what a writer
//! has just added.
//!
//! The writer is slow; what it shows is whether readers are in its way. Its requests are small, so
//! each of its writes goes over a page that readers have just seen.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::drive::{Batch, Consumer, Frames, Work, now_ms, send_one};
use crate::report::{Latencies, histogram};

/// Bytes of one of the writer's batches.
const BATCH_BYTES: usize = 16 << 10;
const RECORD_BYTES: usize = 1024;
/// From one of its requests to the next.
const PERIOD: Duration = Duration::from_millis(10);

/// A writer at work; it ends when it is dropped.
pub(super) struct Writer {
    thread: Option<JoinHandle<Result<Latencies>>>,
    stop: Arc<AtomicBool>,
    /// Where its last batch begins.
    newest: Arc<AtomicI64>,
}

impl Writer {
    /// Writes behind `end`, where the partition ends and nobody else writes.
    pub(super) fn start(leader: SocketAddr, topic: &str, partition: i32, end: i64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let newest = Arc::new(AtomicI64::new(end - 1));
        let (stopped, told, topic) = (stop.clone(), newest.clone(), topic.to_owned());
        let thread =
            std::thread::spawn(move || write(leader, &topic, partition, end, &stopped, &told));
        Self {
            thread: Some(thread),
            stop,
            newest,
        }
    }

    /// Ends it: the latencies of its durable writes.
    pub(super) fn stop(mut self) -> Result<Latencies> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self
            .thread
            .take()
            .ok_or_else(|| anyhow!("it was stopped"))?;
        thread.join().map_err(|_| anyhow!("the writer panicked"))?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(
    leader: SocketAddr,
    topic: &str,
    partition: i32,
    mut end: i64,
    stop: &AtomicBool,
    newest: &AtomicI64,
) -> Result<Latencies> {
    let mut admin = crate::drive::Admin::connect(leader)?;
    let batch = Batch::build(RECORD_BYTES, BATCH_BYTES, now_ms())?;
    let version = admin.version::<odradek_wire::produce::ProduceRequest>(12)?;
    // Durable, so that it can be read when the answer is there.
    let mut frames = Frames::new(topic, &[partition], &batch, -1, version)?;
    let mut latencies = histogram::empty();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        send_one(&mut admin, &mut frames)?;
        latencies.saturating_record(began.elapsed().as_nanos() as u64);
        newest.store(end, Ordering::Relaxed);
        end += i64::from(batch.records);
        std::thread::sleep(PERIOD.saturating_sub(began.elapsed()));
    }
    Ok(Latencies::from(&latencies))
}

/// The fetches.
pub(super) struct Follower<'a> {
    consumer: &'a mut Consumer,
    newest: Arc<AtomicI64>,
    /// One fetch in so many is of what was added last.
    every: usize,
    asked: usize,
}

impl<'a> Follower<'a> {
    /// On its first connection; the others read the range alone.
    pub(super) fn new(consumer: &'a mut Consumer, writer: &Writer, every: usize) -> Self {
        Self {
            consumer,
            newest: writer.newest.clone(),
            every: every.max(2),
            asked: 0,
        }
    }
}

impl Work for Follower<'_> {
    fn request(
        &mut self,
        at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>> {
        if at == 0 {
            self.asked += 1;
            if self.asked.is_multiple_of(self.every) {
                let newest = self.newest.load(Ordering::Relaxed);
                return self.consumer.request_from(at, newest, correlation, out);
            }
        }
        self.consumer.request(at, correlation, out)
    }

    fn reply(&mut self, at: usize, reply: &[u8]) -> Result<u64> {
        self.consumer.reply(at, reply)
    }
}
