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
use odradek_engine::types::{Offset, Sequence, Timestamp, TransactionEnd};

use super::coordinator::Coordinator;
use super::effects::{Producer, Token};
use super::groups::codec::EncodedRecord;
use super::groups::error;
use super::host::Host;
use crate::partition::{AppendError, Mark, Unmarked};

/// A batch is closed when it has this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Writes of one round, at most.
const ROUND_WRITES: usize = 4096;
const INVALID_PRODUCER_EPOCH: i16 = 47;

pub(super) enum Job<C: Coordinator> {
    Write {
        token: Token,
        records: Vec<C::Record>,
        /// By whose transaction.
        producer: Option<Producer>,
    },
    /// A transaction ends in this partition.
    End { token: Token, end: TransactionEnd },
    /// Told when everything before it has ended.
    Fence(oneshot::Sender<()>),
}

/// What became of a write: an error code for one that the log refuses.
type Outcome = Result<(), i16>;

impl<C: Coordinator> Host<C> {
    /// Waits until every write asked for so far has ended.
    pub async fn settled(self: &Rc<Self>) {
        let (send, receive) = oneshot::channel();
        self.queue(Job::Fence(send));
        // A dropped fence means the shard is stopping.
        let _ = receive.await;
    }

    pub(super) async fn write_jobs(self: Rc<Self>) {
        loop {
            let round: Vec<Job<C>> = {
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

    async fn write_round(self: &Rc<Self>, round: Vec<Job<C>>) {
        let mut fences = Vec::new();
        match self.store(round, &mut fences).await {
            Ok(ends) => {
                for (token, outcome) in ends {
                    self.ask(|shard, now, out| shard.persisted(token, outcome, now, out));
                }
            }
            Err(error) => {
                // Also after the partition was closed or removed, which is no error.
                if !self.retired() {
                    self.common.failures.log(&self.io, || {
                        tracing::error!(
                            "{} of {} are loaded anew: {error}",
                            C::WHAT,
                            self.partition.name()
                        );
                    });
                    if let Some(told) = self.common.failed.get() {
                        told(self.partition.name().index);
                    }
                }
                self.retire();
            }
        }
        for fence in fences {
            let _ = fence.send(());
        }
    }

    /// On return what was not refused survives power loss.
    async fn store(
        &self,
        round: Vec<Job<C>>,
        fences: &mut Vec<oneshot::Sender<()>>,
    ) -> Result<Vec<(Token, Outcome)>, String> {
        let mut writing = Writing {
            host: self,
            now: Timestamp(self.io.wall_clock()),
            open: BatchBuilder::new(),
            end: Offset(0),
        };
        let mut ends = Vec::new();
        let mut failure = None;
        for job in round {
            // Fences are told in any case.
            let stored = match job {
                Job::Fence(fence) => {
                    fences.push(fence);
                    continue;
                }
                _ if failure.is_some() => continue,
                Job::Write {
                    token,
                    records,
                    producer: None,
                } => writing.plain(&records).map(|outcome| (token, outcome)),
                Job::Write {
                    token,
                    records,
                    producer: Some(producer),
                } => {
                    let stored = writing.transactional(&records, producer);
                    stored.map(|outcome| (token, outcome))
                }
                Job::End { token, end } => {
                    let stored = writing.end_transaction(end);
                    stored.map(|outcome| (token, outcome))
                }
            };
            match stored {
                Ok(end) => ends.push(end),
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        writing.close()?;
        let wait = self.partition.wait(Mark::Visible, writing.end);
        match wait.done().await {
            Ok(()) => Ok(ends),
            Err(_) => Err("the partition is offline".into()),
        }
    }
}

/// A round on its way into the log.
struct Writing<'a, C: Coordinator> {
    host: &'a Host<C>,
    now: Timestamp,
    /// Records of no transaction; those of several writes share a batch.
    open: BatchBuilder,
    /// What must become durable.
    end: Offset,
}

fn encoded<C: Coordinator>(records: &[C::Record]) -> Result<Vec<EncodedRecord>, i16> {
    let encoded: Result<Vec<_>, _> = records.iter().map(C::encode).collect();
    encoded.map_err(|_| error::UNKNOWN_SERVER_ERROR)
}

fn is_full(batch: &BatchBuilder, record: &EncodedRecord) -> bool {
    let bytes = record.key.len() + record.value.as_ref().map_or(0, Vec::len);
    !batch.is_empty() && batch.bytes() + bytes > BATCH_BYTES
}

fn words(error: RecordError) -> String {
    error.to_string()
}

impl<C: Coordinator> Writing<'_, C> {
    /// Adds a write's records. The inner error: they do not fit Kafka's format, and none is added.
    fn plain(&mut self, records: &[C::Record]) -> Result<Outcome, String> {
        let records = match encoded::<C>(records) {
            Ok(records) => records,
            Err(code) => return Ok(Err(code)),
        };
        for record in &records {
            if is_full(&self.open, record) {
                self.close()?;
            }
            self.open
                .append(self.now, Some(&record.key), record.value.as_deref(), &[])
                .map_err(words)?;
        }
        Ok(Ok(()))
    }

    /// The same as part of a transaction, which must not have ended since it was looked at.
    fn transactional(
        &mut self,
        records: &[C::Record],
        producer: Producer,
    ) -> Result<Outcome, String> {
        self.close()?;
        let records = match encoded::<C>(records) {
            Ok(records) => records,
            Err(code) => return Ok(Err(code)),
        };
        let partition = &self.host.partition;
        let (open, markers) = partition.transaction_of(producer.id, producer.epoch);
        if !open && markers != producer.markers {
            return Ok(Err(
                match partition.is_fenced(producer.id, producer.epoch) {
                    true => INVALID_PRODUCER_EPOCH,
                    // Of the transaction before: clients try again after this one.
                    false => error::COORDINATOR_NOT_AVAILABLE,
                },
            ));
        }
        let new = || {
            BatchBuilder::new().transactional().producer(
                producer.id,
                producer.epoch,
                Sequence::NONE,
            )
        };
        let mut batch = new();
        for record in &records {
            if is_full(&batch, record) {
                let full = std::mem::replace(&mut batch, new());
                if let Err(code) = self.append(full)? {
                    return Ok(Err(code));
                }
            }
            batch
                .append(self.now, Some(&record.key), record.value.as_deref(), &[])
                .map_err(words)?;
        }
        match batch.is_empty() {
            true => Ok(Ok(())),
            false => self.append(batch),
        }
    }

    fn end_transaction(&mut self, end: TransactionEnd) -> Result<Outcome, String> {
        self.close()?;
        match self.host.partition.end_transaction(end, self.now) {
            Ok(offset) => {
                self.end = offset;
                Ok(Ok(()))
            }
            Err(Unmarked::Fenced(code)) => Ok(Err(code)),
            Err(Unmarked::Storage(error)) => Err(error),
        }
    }

    /// Appends what is gathered.
    fn close(&mut self) -> Result<(), String> {
        if self.open.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.open);
        match self.append(batch)? {
            Ok(()) => Ok(()),
            Err(code) => Err(format!(
                "a batch without a producer is refused: error {code}"
            )),
        }
    }

    fn append(&mut self, mut batch: BatchBuilder) -> Result<Outcome, String> {
        let batch = batch.build().map_err(words)?;
        let info = validate(&batch, &Rules::NODE).map_err(words)?;
        let partition = &self.host.partition;
        match partition.append(&batch, &info, Origin::Node, None, self.now) {
            Ok(Appended::Stored(stored)) => {
                self.end = stored.next_offset();
                Ok(Ok(()))
            }
            Ok(Appended::Refused(error)) => Ok(Err(error.code())),
            Ok(Appended::Duplicate(_)) => Ok(Ok(())),
            Err(AppendError::Record(error)) => Err(words(error)),
            Err(AppendError::Poisoned(error)) => Err(error.to_string()),
        }
    }
}
