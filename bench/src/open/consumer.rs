//! A consumer's connection to one leader: fetches its partitions' records and proves them.
//!
//! One fetch at a time, in a session (KIP-227), as Kafka's clients do. The next fetch is sent
//! before the records of the last one are looked at.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use odradek_engine::bytes::{Part, Parts};
use odradek_engine::io::{Handle, Io};
use odradek_engine::record::{Batches, OpenBatch, Rules, headers, validate};
use odradek_wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use odradek_wire::{ErrorCode, Message};

use super::frames::Frames;
use super::ledger::Seen;
use super::meter::Meter;
use super::proof::{Proof, Unproven};
use super::shared::Shared;
use crate::drive::{check, reply_body, request_frame};
use crate::load::Reading;

/// Without this much news, what is missing of refused messages is not waited for.
const QUIET: Duration = Duration::from_secs(1);

/// A partition as a consumer sees it.
pub(crate) struct Position {
    pub(crate) index: i32,
    /// Of the next record.
    pub(crate) offset: i64,
    /// As the last answer had it.
    high_watermark: i64,
    pub(crate) seen: Seen,
    /// Its offset has changed since it was last asked for.
    changed: bool,
}

/// See the module.
pub(crate) struct Reader {
    io: Io,
    shared: Arc<Shared>,
    pub(crate) address: SocketAddr,
    socket: Handle,
    pub(crate) set: usize,
    pub(crate) positions: RefCell<Vec<Position>>,
    meter: Rc<RefCell<Meter>>,
    /// When the unanswered fetch was sent.
    asked_at: Cell<Option<u64>>,
    heard_at: Cell<u64>,
    /// Everything that was made has been read.
    pub(crate) done: Cell<bool>,
}

/// A fetch session of a leader.
#[derive(Clone, Copy, Default)]
struct Session {
    id: i32,
    /// 0: the next fetch begins it, and names every partition.
    epoch: i32,
}

impl Reader {
    /// `partitions`: each with the offset to begin with.
    ///
    /// # Errors
    /// When nobody listens there.
    pub(crate) async fn connect(
        io: &Io,
        shared: &Arc<Shared>,
        address: SocketAddr,
        set: usize,
        partitions: &[(i32, i64)],
        meter: &Rc<RefCell<Meter>>,
    ) -> Result<Rc<Self>> {
        let connected = io.connect(address).await;
        let socket = connected.with_context(|| format!("cannot connect to {address}"))?;
        let positions = partitions.iter().map(|(index, offset)| Position {
            index: *index,
            offset: *offset,
            high_watermark: -1,
            seen: Seen::default(),
            changed: false,
        });
        Ok(Rc::new(Self {
            io: io.clone(),
            shared: shared.clone(),
            address,
            socket,
            set,
            positions: RefCell::new(positions.collect()),
            meter: meter.clone(),
            asked_at: Cell::new(None),
            heard_at: Cell::new(0),
            done: Cell::new(false),
        }))
    }

    /// When the unanswered fetch was sent.
    pub(crate) fn waits_since(&self) -> Option<u64> {
        self.asked_at.get()
    }

    /// Whether it has read up to the end that the server shows.
    pub(crate) fn caught_up(&self) -> bool {
        let positions = self.positions.borrow();
        let mut all = positions.iter();
        all.all(|position| position.offset >= position.high_watermark)
    }

    /// Reads until everything that was made has come.
    pub(crate) async fn run(self: Rc<Self>) {
        while self.shared.load.reading == Reading::After && self.shared.produced.get().is_none() {
            self.io.sleep(Duration::from_millis(5)).await;
        }
        if let Err(error) = self.read().await {
            self.shared
                .problem(format!("consume from {}: {error:#}", self.address));
        }
    }

    async fn read(&self) -> Result<()> {
        let mut frames = Frames::new(&self.io, self.socket);
        let mut session = Session::default();
        let mut correlation = 0;
        let mut scratch = Vec::new();
        self.heard_at.set(self.io.clock());
        self.ask(&mut session, correlation).await?;
        loop {
            let frame = frames.next().await?;
            let now = self.io.clock();
            self.asked_at.set(None);
            self.meter.borrow_mut().fetch_request(now);
            let reply = frames.bytes(frame);
            ensure!(
                reply.get(..4) == Some(&i32::to_be_bytes(correlation)),
                "an answer with another correlation id"
            );
            let version = self.shared.fetch_version;
            let mut body = reply_body(reply, FetchRequest::API_KEY, version)?;
            let response = FetchResponse::decode(&mut body, version)?;
            let before = self.advance(&response, &mut session)?;
            correlation = (correlation + 1) & i32::MAX;
            // While the next answer is on its way, this one is looked at.
            self.ask(&mut session, correlation).await?;
            self.prove(now, &response, &before, &mut scratch);
            if self.has_all(now) {
                self.done.set(true);
                return Ok(());
            }
        }
    }

    async fn ask(&self, session: &mut Session, correlation: i32) -> Result<()> {
        let frame = {
            let mut positions = self.positions.borrow_mut();
            let load = &self.shared.load;
            let full = session.epoch == 0;
            let asked = positions.iter_mut().filter(|one| full || one.changed);
            let partitions = asked.map(|position| {
                position.changed = false;
                FetchPartition {
                    partition: position.index,
                    fetch_offset: position.offset,
                    partition_max_bytes: load.fetch_bytes,
                    ..Default::default()
                }
            });
            let partitions: Vec<_> = partitions.collect();
            let topics = match partitions.is_empty() {
                true => Vec::new(),
                false => vec![FetchTopic {
                    topic: &load.topic,
                    partitions,
                    ..Default::default()
                }],
            };
            let in_session = self.shared.fetch_version >= 7;
            let request = FetchRequest {
                max_wait_ms: load.fetch_wait_ms,
                min_bytes: load.fetch_min_bytes,
                max_bytes: load.fetch_bytes,
                session_id: session.id,
                session_epoch: if in_session { session.epoch } else { -1 },
                topics,
                ..Default::default()
            };
            request_frame(&request, self.shared.fetch_version, correlation, Vec::new())?
        };
        let mut parts = Parts::new();
        parts.push(Part::Owned(frame.into_inner()));
        self.asked_at.set(Some(self.io.now()));
        self.io.send(self.socket, parts).await.context("send")
    }

    /// Moves session and positions on. Returns the offsets that were asked for, one for each of
    /// the answer's partitions.
    fn advance(&self, response: &FetchResponse<'_>, session: &mut Session) -> Result<Vec<i64>> {
        let lost = [
            ErrorCode::FetchSessionIdNotFound,
            ErrorCode::InvalidFetchSessionEpoch,
        ];
        if lost.iter().any(|code| code.code() == response.error_code) {
            // The server has forgotten the session: it may, and a new one is begun.
            *session = Session::default();
            return Ok(Vec::new());
        }
        check("fetch", response.error_code)?;
        if self.shared.fetch_version >= 7 {
            session.id = response.session_id;
            // Without an id the server keeps no session.
            session.epoch = match response.session_id {
                0 => 0,
                _ => session.epoch.checked_add(1).unwrap_or(1),
            };
        }
        let mut positions = self.positions.borrow_mut();
        let mut before = Vec::new();
        for answer in response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
        {
            let found = positions.binary_search_by_key(&answer.partition_index, |one| one.index);
            let at = found.map_err(|_| {
                let index = answer.partition_index;
                anyhow::anyhow!("an answer for partition {index}, which was not asked for")
            })?;
            check("fetch", answer.error_code)
                .with_context(|| format!("partition {}", answer.partition_index))?;
            let position = &mut positions[at];
            before.push(position.offset);
            position.high_watermark = answer.high_watermark;
            let records = answer.records.bytes().unwrap_or_default();
            for (_, header) in headers(records) {
                position.offset = position.offset.max(header.last_offset().0 + 1);
                position.changed = true;
            }
        }
        Ok(before)
    }

    /// Checks every record.
    fn prove(&self, now: u64, response: &FetchResponse<'_>, before: &[i64], scratch: &mut Vec<u8>) {
        let answers = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions);
        let mut positions = self.positions.borrow_mut();
        for (answer, before) in answers.zip(before) {
            let index = answer.partition_index;
            let found = positions.binary_search_by_key(&index, |one| one.index);
            let records = answer.records.bytes().unwrap_or_default();
            let (Ok(at), false) = (found, records.is_empty()) else {
                continue;
            };
            self.heard_at.set(now);
            let seen = &mut positions[at].seen;
            for batch in Batches::new(records) {
                let proven = batch.map_err(|error| (*before, 1, error.to_string()));
                let proven = proven.and_then(|batch| {
                    let run = Run {
                        number: self.shared.run,
                        partition: index,
                        from: *before,
                    };
                    let mut meter = self.meter.borrow_mut();
                    let live = self.shared.load.reading == Reading::Live;
                    let mut count = 0;
                    run.prove(batch, seen, scratch, |intended| {
                        count += 1;
                        meter.consumed(now, intended, live);
                    })?;
                    meter.consumed_batches(now, self.set, count, batch.len());
                    Ok(())
                });
                if let Err((offset, count, why)) = proven {
                    seen.spoiled(index, offset, count, &why);
                }
            }
        }
    }

    /// Has everything come that was made?
    fn has_all(&self, now: u64) -> bool {
        let Some(produced) = self.shared.produced.get() else {
            return false;
        };
        let quiet = now.saturating_sub(self.heard_at.get()) > QUIET.as_nanos() as u64;
        let refusals = !self.shared.problems().is_empty();
        let positions = self.positions.borrow();
        positions.iter().all(|position| {
            let made = produced.get(position.index as usize).copied().unwrap_or(0);
            let whole = position.seen.distinct + position.seen.corrupt >= made;
            (whole || refusals && quiet) && position.offset >= position.high_watermark
        })
    }
}

/// Which messages are looked for.
pub(crate) struct Run {
    pub(crate) number: u32,
    pub(crate) partition: i32,
    /// Records before this offset were not asked for.
    pub(crate) from: i64,
}

impl Run {
    /// Checks a batch and each of its records; `take` is told each intended time.
    ///
    /// # Errors
    /// When the batch cannot be opened: its offset, how many records it says to have, and why.
    pub(crate) fn prove(
        &self,
        batch: &[u8],
        seen: &mut Seen,
        scratch: &mut Vec<u8>,
        mut take: impl FnMut(u64),
    ) -> Result<(), (i64, u64, String)> {
        let header = odradek_engine::record::BatchHeader::view(batch);
        let offset = header.map_or(self.from, |header| header.base_offset().0);
        let claimed = header.map_or(1, |header| header.record_count().max(1) as u64);
        let ill = |error: odradek_engine::record::RecordError| {
            (offset, claimed, format!("the batch is damaged: {error}"))
        };
        let info = validate(batch, &Rules::LOG).map_err(ill)?;
        if info.attributes.is_control() {
            return Ok(());
        }
        let open = OpenBatch::open(batch, info, scratch).map_err(ill)?;
        for record in open.records() {
            let record = record.map_err(ill)?;
            let offset = open.offset_of(&record).0;
            if offset < self.from {
                continue;
            }
            match Proof::decode(record.value.unwrap_or_default()) {
                Ok(proof) if proof.run == self.number => {
                    seen.take(self.partition, offset, proof.producer, proof.sequence);
                    take(proof.intended);
                }
                Ok(_) => seen.foreign += 1,
                Err(Unproven::Short) => seen.foreign += 1,
                Err(Unproven::Checksum) => {
                    seen.spoiled(self.partition, offset, 1, "a record's checksum is wrong");
                }
            }
        }
        Ok(())
    }
}
