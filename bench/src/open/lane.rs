//! A producer's connection to one leader: requests out, acks in.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::{Handle, Io};
use odradek_wire::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use odradek_wire::{Message, Records};

use super::buffer::Outgoing;
use super::frames::Frames;
use super::notify::Notify;
use super::producer::Producer;
use super::shared::Shared;
use crate::drive::{check, reply_body, request_frame};
use crate::load::Acks;

/// Smaller batches are copied beside their request's head: a gather list costs more.
const INLINE_BYTES_MAX: usize = 2 << 10;
/// Bytes and pieces of one send, about.
const SEND_BYTES: usize = 2 << 20;
const SEND_PARTS: usize = 128;

/// A request that waits for its answer.
struct Asked {
    correlation: i32,
    at: u64,
    batches: Vec<Outgoing>,
}

/// See the module.
pub(crate) struct Lane {
    io: Io,
    shared: Arc<Shared>,
    /// Its place among its producer's lanes.
    number: usize,
    pub(crate) address: SocketAddr,
    socket: Handle,
    asked: RefCell<VecDeque<Asked>>,
    correlation: Cell<i32>,
    ready: Notify,
}

impl Lane {
    /// # Errors
    /// When nobody listens there.
    pub(crate) async fn connect(
        io: &Io,
        shared: &Arc<Shared>,
        number: usize,
        address: SocketAddr,
    ) -> Result<Rc<Self>> {
        let connected = io.connect(address).await;
        let socket = connected.with_context(|| format!("cannot connect to {address}"))?;
        Ok(Rc::new(Self {
            io: io.clone(),
            shared: shared.clone(),
            number,
            address,
            socket,
            asked: RefCell::default(),
            correlation: Cell::new(0),
            ready: Notify::default(),
        }))
    }

    /// Something is due.
    pub(crate) fn wake(&self) {
        self.ready.raise();
    }

    /// When the oldest unanswered request was made.
    pub(crate) fn waits_since(&self) -> Option<u64> {
        self.asked.borrow().front().map(|asked| asked.at)
    }

    /// What is not answered.
    pub(super) fn forget(&self) -> Vec<Outgoing> {
        let asked = std::mem::take(&mut *self.asked.borrow_mut());
        asked.into_iter().flat_map(|asked| asked.batches).collect()
    }

    /// Sends what is due, as long as the run lasts.
    pub(crate) async fn write(self: Rc<Self>, producer: Rc<Producer>) {
        if let Err(error) = self.write_all(&producer).await {
            self.shared
                .problem(format!("produce to {}: {error:#}", self.address));
        }
    }

    async fn write_all(&self, producer: &Producer) -> Result<()> {
        let silent = self.shared.load.acks == Acks::None;
        let mut heads = Vec::new();
        loop {
            let mut unanswered = Vec::new();
            let parts = self.gather(producer, &mut heads, &mut unanswered)?;
            if parts.is_empty() {
                self.ready.wait().await;
                continue;
            }
            self.io.send(self.socket, parts).await.context("send")?;
            if silent {
                let now = self.io.clock();
                for outgoing in unanswered {
                    producer.acked(now, outgoing);
                }
            }
        }
    }

    /// Requests for one send, as many as may be in flight. With acks=0 their batches are left in
    /// `unanswered`.
    fn gather(
        &self,
        producer: &Producer,
        heads: &mut Vec<u8>,
        unanswered: &mut Vec<Outgoing>,
    ) -> Result<Parts> {
        let load = &self.shared.load;
        heads.clear();
        // Where in `heads` the batches belong that are not copied there.
        let mut cuts: Vec<(usize, Part)> = Vec::new();
        let mut bytes = 0;
        while self.asked.borrow().len() < load.in_flight
            && bytes < SEND_BYTES
            && cuts.len() < SEND_PARTS
        {
            let batches = producer.next_request(self.number);
            if batches.is_empty() {
                break;
            }
            let correlation = self.correlation.get();
            self.correlation.set((correlation + 1) & i32::MAX);
            let buffer = std::mem::take(heads);
            *heads = encode(&self.shared, correlation, &batches, buffer, &mut cuts)?;
            bytes += batches
                .iter()
                .map(|one| one.batch.part.len())
                .sum::<usize>();
            if load.acks == Acks::None {
                let mut meter = producer.meter.borrow_mut();
                meter.produce_request(self.io.now());
                unanswered.extend(batches);
            } else {
                self.asked.borrow_mut().push_back(Asked {
                    correlation,
                    at: self.io.now(),
                    batches,
                });
            }
        }
        Ok(self.parts(heads, cuts))
    }

    /// The gather list: heads and batches in turn.
    fn parts(&self, heads: &[u8], cuts: Vec<(usize, Part)>) -> Parts {
        let mut parts = Parts::new();
        if heads.is_empty() {
            return parts;
        }
        let block = self.io.pool().take(heads.len());
        // SAFETY: the block was taken just now, nobody else has a handle to it.
        unsafe { block.bytes_mut(0, heads.len()) }.copy_from_slice(heads);
        let mut at = 0;
        for (cut, batch) in cuts {
            parts.push(Part::block(&block, at, cut - at));
            parts.push(batch);
            at = cut;
        }
        if at < heads.len() {
            parts.push(Part::block(&block, at, heads.len() - at));
        }
        parts
    }

    /// Takes answers, as long as the run lasts.
    pub(crate) async fn read(self: Rc<Self>, producer: Rc<Producer>) {
        if let Err(error) = self.read_all(&producer).await
            && !producer.done.get()
        {
            self.shared
                .problem(format!("produce to {}: {error:#}", self.address));
        }
    }

    async fn read_all(&self, producer: &Producer) -> Result<()> {
        let mut frames = Frames::new(&self.io, self.socket);
        loop {
            let frame = frames.next().await?;
            let now = self.io.clock();
            self.answer(producer, now, frames.bytes(frame))?;
            if !frames.has_next() && producer.has_due(self.number) {
                self.wake();
            }
        }
    }

    fn answer(&self, producer: &Producer, now: u64, reply: &[u8]) -> Result<()> {
        let version = self.shared.produce_version;
        let asked = self.asked.borrow_mut().pop_front();
        let asked = asked.context("an answer that nobody asked for")?;
        ensure!(
            reply.get(..4) == Some(&asked.correlation.to_be_bytes()),
            "an answer with another correlation id"
        );
        producer.meter.borrow_mut().produce_request(now);
        let mut body = reply_body(reply, ProduceRequest::API_KEY, version)?;
        let response = ProduceResponse::decode(&mut body, version)?;
        let topics = response.responses.iter();
        let mut answers = topics.flat_map(|topic| &topic.partition_responses);
        for outgoing in asked.batches {
            // Servers answer in the order of the request; if not, the answer is looked for.
            let answer = answers
                .next()
                .filter(|answer| answer.index == outgoing.partition);
            let answer = answer.or_else(|| {
                let topics = response.responses.iter();
                let mut all = topics.flat_map(|topic| &topic.partition_responses);
                all.find(|answer| answer.index == outgoing.partition)
            });
            let what = format_args!("partition {}", outgoing.partition);
            let outcome = match answer {
                Some(answer) => check("produce", answer.error_code).with_context(|| {
                    let said = answer.error_message.unwrap_or_default();
                    format!("{what} {said}")
                }),
                None => Err(anyhow::anyhow!("{what} is missing in an answer")),
            };
            match outcome {
                Ok(()) => producer.acked(now, outgoing),
                Err(error) => {
                    producer.refused(&outgoing);
                    let address = self.address;
                    self.shared
                        .problem(format!("produce to {address}: {error:#}"));
                }
            }
        }
        Ok(())
    }
}

/// Appends a request's frame to `heads`, without the batches that go into `cuts`.
fn encode(
    shared: &Shared,
    correlation: i32,
    batches: &[Outgoing],
    heads: Vec<u8>,
    cuts: &mut Vec<(usize, Part)>,
) -> Result<Vec<u8>> {
    let data = batches.iter().map(|outgoing| {
        let part = &outgoing.batch.part;
        PartitionProduceData {
            index: outgoing.partition,
            records: match part.len() <= INLINE_BYTES_MAX {
                true => Records::Bytes(part.bytes()),
                false => Records::External(part.len() as u32),
            },
        }
    });
    let request = ProduceRequest {
        transactional_id: None,
        acks: shared.load.acks.code(),
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: &shared.load.topic,
            partition_data: data.collect(),
            ..Default::default()
        }],
    };
    let writer = request_frame(&request, shared.produce_version, correlation, heads)?;
    let (heads, gaps) = writer.into_parts();
    let outside = batches.iter().map(|outgoing| &outgoing.batch.part);
    let outside = outside.filter(|part| part.len() > INLINE_BYTES_MAX);
    cuts.extend(gaps.iter().map(|gap| gap.at).zip(outside.cloned()));
    Ok(heads)
}
