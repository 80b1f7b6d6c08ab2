//! A producer for one topic: records in, batches out, several requests in flight per broker.
//!
//! The caller's thread builds batches; one thread per broker compresses, sends and hears the
//! answers. What they share is a [`Lane`](lane::Lane) per partition.
//!
//! Invariants: a partition's batches are sent in order; after a failure nothing of that partition
//! is sent before all that was in flight has been answered, and then the failed ones go first; a
//! partition changes its leader only while nothing of it is in flight. With idempotence the
//! brokers drop what they have seen before. Memory is bounded: [`Producer::send`] waits.
//!
//! Absent on purpose: transactions, and carrying on after a batch was refused for good.

mod lane;
mod request;
mod worker;

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use odradek_engine::record::{BatchBuilder, Compression, RecordError, partition_of_key};
use odradek_engine::types::{Offset, ProducerEpoch, ProducerId, Sequence, Timestamp};
use odradek_wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use self::lane::{Batch, Lane};
use super::{ClientError, Cluster, Topic, check};

/// Which acknowledgement is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// None.
    None,
    /// The leader's.
    Leader,
    /// The leader's, once all in-sync replicas have the records.
    All,
}

impl Acks {
    const fn code(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// How to produce.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    pub acks: Acks,
    pub compression: Compression,
    /// Let the brokers drop repetitions. Needs [`Acks::All`].
    pub idempotent: bool,
    /// How long a batch may wait for more records.
    pub linger: Duration,
    /// Bytes, uncompressed, at which a batch is sent.
    pub batch_bytes: usize,
    /// Bytes of batches that one request gathers.
    pub request_bytes: usize,
    /// Requests in flight per broker. Idempotent producers may have 5 (the brokers remember as
    /// many batches of a partition).
    pub in_flight_max: usize,
    /// Bytes of records that wait to be acknowledged.
    pub memory_bytes: usize,
    /// From the record's append to its acknowledgement.
    pub delivery_timeout: Duration,
}

/// Why a record cannot be produced.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the record does not fit a batch: {0}")]
    Record(#[from] RecordError),
}

/// What was produced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub records: u64,
    /// Bytes of batches as they were sent.
    pub sent_bytes: u64,
    /// Batches that were sent again.
    pub retries: u64,
}

struct Shared {
    topic: String,
    options: ProducerOptions,
    state: Mutex<State>,
    /// Notified on every change of the state.
    changed: Condvar,
    cluster: Mutex<Cluster>,
}

struct State {
    lanes: Vec<Lane>,
    /// Bytes of all batches that are not done with.
    pending_bytes: usize,
    /// No more batches will come.
    closing: bool,
    /// Something has failed for good: all threads end.
    failed: bool,
    /// The first such failure, until it is reported.
    failure: Option<ClientError>,
    /// Brokers that have a thread.
    workers: BTreeSet<i32>,
    workers_alive: usize,
    /// Builders to be used again.
    spare: Vec<BatchBuilder>,
    totals: Totals,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics holding it")
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .expect("no thread panics holding it")
    }
}

/// A batch that still takes records.
struct Open {
    builder: BatchBuilder,
    base: Sequence,
    since: Instant,
}

/// See the [module](self).
pub struct Producer {
    shared: Arc<Shared>,
    open: Vec<Option<Open>>,
    /// How many batches are open, and since when the oldest of them at the earliest.
    open_count: usize,
    oldest: Option<Instant>,
    sequences: Vec<Sequence>,
    identity: Option<(ProducerId, ProducerEpoch)>,
    /// Where records without a key go until their batch is full.
    sticky: usize,
}

impl Producer {
    /// A producer for `topic`, which `cluster` has answered.
    ///
    /// # Errors
    /// The producer id is refused.
    pub fn new(
        mut cluster: Cluster,
        topic: &Topic,
        options: ProducerOptions,
    ) -> Result<Self, ClientError> {
        assert!(!options.idempotent || options.acks == Acks::All);
        let identity = match options.idempotent {
            true => Some(producer_id(&mut cluster)?),
            false => None,
        };
        let count = topic.partitions.len();
        let leaders = topic.partitions.iter();
        let lanes = leaders.map(|partition| Lane::new(partition.leader));
        let state = State {
            lanes: lanes.collect(),
            pending_bytes: 0,
            closing: false,
            failed: false,
            failure: None,
            workers: BTreeSet::new(),
            workers_alive: 0,
            spare: Vec::new(),
            totals: Totals::default(),
        };
        let shared = Arc::new(Shared {
            topic: topic.name.clone(),
            options,
            state: Mutex::new(state),
            changed: Condvar::new(),
            cluster: Mutex::new(cluster),
        });
        worker::spawn_missing(&shared, &mut shared.lock());
        Ok(Self {
            shared,
            open: (0..count).map(|_| None).collect(),
            open_count: 0,
            oldest: None,
            sequences: vec![Sequence::ZERO; count],
            identity,
            sticky: std::process::id() as usize % count,
        })
    }

    pub fn partitions(&self) -> usize {
        self.open.len()
    }

    /// Takes a record. Where `partition` is none, its key decides as in Kafka's Java client, and
    /// without a key it goes where the batch being filled goes. Waits while memory is full.
    ///
    /// # Errors
    /// The record is too large; an earlier batch was refused for good.
    pub fn send(
        &mut self,
        partition: Option<usize>,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) -> Result<(), ProduceError> {
        let partition = partition.unwrap_or_else(|| match key {
            Some(key) => partition_of_key(key, self.open.len()),
            None => self.sticky,
        });
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let header_bytes = headers
            .iter()
            .map(|(name, value)| name.len() + length(*value));
        let record_bytes = length(key) + length(value) + header_bytes.sum::<usize>();
        if let Some(open) = &self.open[partition]
            && open.builder.bytes() + record_bytes > self.shared.options.batch_bytes
        {
            self.close(partition)?;
        }
        if self.open[partition].is_none() {
            self.start(partition);
        }
        let open = self.open[partition].as_mut().expect("just started");
        open.builder.append(timestamp, key, value, headers)?;
        if open.builder.bytes() >= self.shared.options.batch_bytes {
            self.close(partition)?;
        }
        Ok(())
    }

    /// How long until a batch has waited long enough; none without a batch that waits.
    pub fn linger_left(&self) -> Option<Duration> {
        let oldest = self.oldest?;
        Some(self.shared.options.linger.saturating_sub(oldest.elapsed()))
    }

    /// Sends the batches that have waited long enough.
    ///
    /// # Errors
    /// An earlier batch was refused for good.
    pub fn send_lingering(&mut self) -> Result<(), ProduceError> {
        let linger = self.shared.options.linger;
        self.close_where(|open| open.since.elapsed() >= linger)
    }

    /// What has been acknowledged so far (with [`Acks::None`]: sent).
    pub fn totals(&self) -> Totals {
        self.shared.lock().totals
    }

    /// Sends all that is left and waits until everything is acknowledged. Nothing may be sent
    /// after it.
    ///
    /// # Errors
    /// A batch was refused for good, or not acknowledged in time.
    pub fn finish(&mut self) -> Result<Totals, ProduceError> {
        self.close_where(|_| true)?;
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.changed.notify_all();
        while state.workers_alive > 0 && !state.failed {
            state = self.shared.wait(state);
        }
        match state.failure.take() {
            Some(failure) => Err(failure.into()),
            None => Ok(state.totals),
        }
    }

    fn close_where(&mut self, wanted: impl Fn(&Open) -> bool) -> Result<(), ProduceError> {
        for partition in 0..self.open.len() {
            if self.open[partition].as_ref().is_some_and(&wanted) {
                self.close(partition)?;
            }
        }
        self.oldest = self.open.iter().flatten().map(|open| open.since).min();
        Ok(())
    }

    fn start(&mut self, partition: usize) {
        let spare = self.shared.lock().spare.pop();
        let builder = spare
            .unwrap_or_else(|| BatchBuilder::new().compression(self.shared.options.compression));
        let mut builder = builder.base_offset(Offset::ZERO);
        let base = self.sequences[partition];
        if let Some((id, epoch)) = self.identity {
            builder = builder.producer(id, epoch, base);
        }
        let since = Instant::now();
        self.oldest.get_or_insert(since);
        self.open_count += 1;
        self.open[partition] = Some(Open {
            builder,
            base,
            since,
        });
    }

    /// Hands the partition's open batch to its broker's thread.
    fn close(&mut self, partition: usize) -> Result<(), ProduceError> {
        let open = self.open[partition].take().expect("an open batch");
        let records = open.builder.record_count();
        self.sequences[partition] = open.base.increment(records);
        self.open_count -= 1;
        if self.open_count == 0 {
            self.oldest = None;
        }
        if partition == self.sticky {
            self.sticky = (partition + 1) % self.open.len();
        }
        let batch = Batch::new(open.builder, records, open.since);
        let mut state = self.shared.lock();
        while !state.failed && state.pending_bytes >= self.shared.options.memory_bytes {
            state = self.shared.wait(state);
        }
        if let Some(failure) = state.failure.take() {
            return Err(failure.into());
        }
        state.pending_bytes += batch.bytes;
        state.lanes[partition].push(batch);
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for Producer {
    /// The threads end by themselves, without what is still unsent after a failure.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.changed.notify_all();
    }
}

fn producer_id(cluster: &mut Cluster) -> Result<(ProducerId, ProducerEpoch), ClientError> {
    let request = InitProducerIdRequest {
        transactional_id: None,
        // What Kafka's client sends without a transactional id; it means nothing then.
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    let mut deadline = cluster.deadline();
    loop {
        let answer = cluster.call_any(&request, i16::MAX).and_then(|reply| {
            let response: InitProducerIdResponse = reply.read()?;
            check(response.error_code, None, || "a producer id".to_owned())?;
            let id = ProducerId(response.producer_id);
            Ok((id, ProducerEpoch(response.producer_epoch)))
        });
        match answer {
            Ok(identity) => return Ok(identity),
            Err(error) => deadline.pause_or_give_up("a producer id", error)?,
        }
    }
}
