//! A host's writer: records into batches, batches into the partition, ends of writes back.
//!
//! One round at a time: what gathers while a round becomes durable is the next round, so many
//! commits share one write. The writer starts after the requests that were ready before it.
//!
//! A failed append retires the host: what is in memory and what is in the log may differ, and
//! only loading anew settles it.

use std::rc::Rc;

use futures_channel::oneshot;
use odradek_engine::log::Appended;
use odradek_engine::record::{BatchBuilder, Origin, RecordError, Rules, validate};
use odradek_engine::types::{Offset, Timestamp};

use super::groups::{Record, Token, codec, error};
use super::host::Host;
use crate::partition::Mark;

/// A batch is closed when it has this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Writes of one round, at most.
const ROUND_WRITES: usize = 4096;

pub(super) enum Job {
    Write {
        token: Token,
        records: Vec<Record>,
    },
    /// Told when everything before it has ended.
    Fence(oneshot::Sender<()>),
}

impl Host {
    /// Waits until every write asked for so far has ended.
    pub(super) async fn settled(self: &Rc<Self>) {
        let (send, receive) = oneshot::channel();
        self.queue(Job::Fence(send));
        // A dropped fence means the shard is stopping.
        let _ = receive.await;
    }

    pub(super) async fn write_jobs(self: Rc<Self>) {
        loop {
            let round: Vec<Job> = {
                let mut jobs = self.jobs.borrow_mut();
                let count = jobs.len().min(ROUND_WRITES);
                jobs.drain(..count).collect()
            };
            if round.is_empty() {
                self.writing.set(false);
                return;
            }
            self.write_round(round).await;
        }
    }

    async fn write_round(self: &Rc<Self>, round: Vec<Job>) {
        let now = Timestamp(self.io.wall_clock());
        let mut batches = Batches::default();
        let mut ends = Vec::new();
        let mut fences = Vec::new();
        let mut failure = None;
        for job in round {
            match job {
                Job::Write { token, records } => match batches.add(&records, now) {
                    Ok(outcome) => ends.push((token, outcome)),
                    Err(error) => failure = Some(error.to_string()),
                },
                Job::Fence(fence) => fences.push(fence),
            }
        }
        let written = match failure {
            Some(error) => Err(error),
            None => self.store(batches, now).await,
        };
        match written {
            Ok(()) => {
                for (token, outcome) in ends {
                    self.ask(|shard, now, out| shard.persisted(token, outcome, now, out));
                }
            }
            Err(error) => {
                // Also after the partition was closed or removed, which is no error.
                if !self.retired() {
                    tracing::error!(
                        "groups of {} are loaded anew: {error}",
                        self.partition.name()
                    );
                }
                self.retire();
            }
        }
        for fence in fences {
            let _ = fence.send(());
        }
    }

    /// On return the batches survive power loss.
    async fn store(&self, batches: Batches, now: Timestamp) -> Result<(), String> {
        let batches = batches.finish().map_err(|error| error.to_string())?;
        let mut end = Offset(0);
        for batch in batches {
            let info = validate(&batch, &Rules::NODE).map_err(|error| error.to_string())?;
            let appended = self
                .partition
                .append(&batch, &info, Origin::Node, None, now)
                .map_err(|error| format!("{error:?}"))?;
            if let Appended::Stored(stored) = appended {
                end = stored.next_offset();
            }
        }
        let wait = self.partition.wait(Mark::Visible, end);
        wait.done()
            .await
            .map_err(|_| "the partition is offline".into())
    }
}

/// Records gathered into batches.
#[derive(Default)]
struct Batches {
    closed: Vec<Vec<u8>>,
    open: BatchBuilder,
}

impl Batches {
    /// Adds a write's records. The inner error: they do not fit Kafka's format, and none is added.
    fn add(&mut self, records: &[Record], now: Timestamp) -> Result<Result<(), i16>, RecordError> {
        let encoded: Result<Vec<_>, _> = records.iter().map(codec::encode_record).collect();
        let Ok(encoded) = encoded else {
            return Ok(Err(error::UNKNOWN_SERVER_ERROR));
        };
        for record in encoded {
            let bytes = record.key.len() + record.value.as_ref().map_or(0, Vec::len);
            if !self.open.is_empty() && self.open.bytes() + bytes > BATCH_BYTES {
                self.close()?;
            }
            self.open
                .append(now, Some(&record.key), record.value.as_deref(), &[])?;
        }
        Ok(Ok(()))
    }

    fn close(&mut self) -> Result<(), RecordError> {
        self.closed.push(std::mem::take(&mut self.open).build()?);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Vec<u8>>, RecordError> {
        if !self.open.is_empty() {
            self.close()?;
        }
        Ok(self.closed)
    }
}
