//! A producer: makes messages at their times, fills batches, and hands them to its lanes.
//!
//! A message is made when its time has come, or later if this driver or the buffer is late; its
//! latency counts from its time all the same. A batch may be sent when it is full or has waited
//! for the linger; until a lane takes it, it keeps filling, as in Kafka's clients.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::io::Io;
use rand::RngExt;

use super::batch::{Closed, Closing, Draft};
use super::lane::Lane;
use super::ledger::Sent;
use super::meter::Meter;
use super::notify::Notify;
use super::proof::{PROOF_BYTES, Proof};
use super::shared::{Clock, Shared};
use crate::load::{Acks, Contents, KeyDraw, Partitioning, Random, SizeDraw, Timetable, random};

/// Messages made before sockets and other tasks have their turn.
const MADE_AT_ONCE_MAX: usize = 256;

/// One partition as a producer sees it.
struct Place {
    index: i32,
    lane: usize,
    next_sequence: u64,
    draft: Option<Draft>,
    closed: VecDeque<Closed>,
    /// In its lane's queue.
    is_due: bool,
    /// Sequences that will not be acked.
    unacked: Vec<std::ops::Range<u64>>,
}

/// What drafts and lanes change.
struct Buffer {
    places: Vec<Place>,
    /// Bytes of messages made and not yet answered.
    held: usize,
    /// When drafts have lingered long enough: time, place, serial.
    expiries: VecDeque<(u64, usize, u64)>,
    serial: u64,
    /// Memory for intended times, to be used again.
    times: Vec<Vec<u64>>,
    /// The place that messages without a key go to.
    sticky: usize,
    random: Random,
}

/// See the module.
pub(crate) struct Producer {
    io: Io,
    shared: Arc<Shared>,
    number: u32,
    closing: Closing,
    buffer: RefCell<Buffer>,
    pub(crate) lanes: Vec<Rc<Lane>>,
    room: Notify,
    pub(crate) meter: Rc<RefCell<Meter>>,
    /// The time of the last message made.
    reached: Cell<u64>,
    pub(crate) done: Cell<bool>,
}

/// A batch on its way.
pub(crate) struct Outgoing {
    pub(crate) place: usize,
    pub(crate) partition: i32,
    pub(crate) batch: Closed,
}

impl Producer {
    /// `places`: each partition's index and its leader's lane.
    pub(crate) fn new(
        io: &Io,
        shared: &Arc<Shared>,
        number: u32,
        identity: Option<(i64, i16)>,
        places: &[(i32, usize)],
        lanes: Vec<Rc<Lane>>,
        meter: &Rc<RefCell<Meter>>,
    ) -> Rc<Self> {
        let mut random = random(shared.load.seed, number as usize, 5);
        let sticky = random.random_range(0..places.len());
        let places = places.iter().map(|(index, lane)| Place {
            index: *index,
            lane: *lane,
            next_sequence: 0,
            draft: None,
            closed: VecDeque::new(),
            is_due: false,
            unacked: Vec::new(),
        });
        Rc::new(Self {
            io: io.clone(),
            shared: shared.clone(),
            number,
            closing: Closing {
                compression: shared.load.compression.0,
                identity,
            },
            buffer: RefCell::new(Buffer {
                places: places.collect(),
                held: 0,
                expiries: VecDeque::new(),
                serial: 0,
                times: Vec::new(),
                sticky,
                random,
            }),
            lanes,
            room: Notify::default(),
            meter: meter.clone(),
            reached: Cell::new(0),
            done: Cell::new(false),
        })
    }

    /// Makes messages until the window closes or the run is stopped, then waits for the answers.
    pub(crate) async fn run(self: Rc<Self>, clock: Clock, mut contents: Contents) {
        self.make_all(clock, &mut contents).await;
        self.flush();
        while self.buffer.borrow().held > 0 {
            self.room.wait().await;
        }
        self.done.set(true);
    }

    async fn make_all(&self, clock: Clock, contents: &mut Contents) {
        let load = &self.shared.load;
        let number = self.number as usize;
        let mut maker = Maker {
            table: Timetable::new(load.arrivals, number, load.producers, load.seed),
            keys: KeyDraw::new(load.keys, number, load.seed),
            sizes: SizeDraw::new(&load.sizes, PROOF_BYTES, number, load.seed),
            contents,
            clock,
        };
        let tick = tick_ns(load.linger_ms);
        let buffer_bytes = match load.arrivals.is_open() {
            true => load.buffer_bytes,
            // A closed loop needs what fills its pipelines and the next batches, no more.
            false => {
                let ahead = (load.in_flight + 1) * self.lanes.len() + self.places();
                (ahead * load.batch_bytes.min(load.request_bytes)).min(load.buffer_bytes)
            }
        };
        // Messages intended before this were held back by a full buffer.
        let mut blocked_until = 0;
        self.io.sleep_until(clock.begin).await;
        while !self.shared.stopped() {
            let now = self.io.clock();
            self.expire(now);
            let mut made = 0;
            let next = loop {
                let intended = match &maker.table {
                    Some(table) => clock.begin + table.next(),
                    None => now,
                };
                if intended >= clock.close {
                    self.reached.set(clock.close);
                    return;
                }
                if intended > now || made == MADE_AT_ONCE_MAX {
                    break intended;
                }
                if self.buffer.borrow().held >= buffer_bytes {
                    // Kafka's clients, too, send what they have when their memory is exhausted.
                    match self.lanes.iter().all(|lane| lane.is_idle()) {
                        true => self.flush(),
                        false => self.wake_lanes(),
                    }
                    self.room.wait().await;
                    blocked_until = match maker.table {
                        Some(_) => self.io.clock(),
                        None => 0,
                    };
                    break intended;
                }
                self.make(&mut maker, now, intended, intended < blocked_until);
                if let Some(table) = &mut maker.table {
                    table.advance();
                }
                self.reached.set(intended);
                made += 1;
            };
            self.wake_lanes();
            if next > now {
                let expiry = self.buffer.borrow().expiries.front().map(|one| one.0);
                let at = expiry.map_or(next, |expiry| expiry.min(next));
                self.io.sleep_until(at.max(now + tick)).await;
            } else {
                // Not a mere yield: what has come in the meantime is to be seen before more is
                // made, or its latency would be this driver's.
                self.io.sleep_until(self.io.now() + 1).await;
            }
        }
    }

    /// One message into its partition's draft.
    #[inline]
    fn make(&self, maker: &mut Maker, now: u64, intended: u64, held_back: bool) {
        let load = &self.shared.load;
        let key = maker.keys.draw();
        let rest = match &mut maker.sizes {
            Some(sizes) => maker.contents.next(sizes.draw() - PROOF_BYTES),
            None => maker.contents.next(0),
        };
        let value_bytes = PROOF_BYTES + rest.len();
        let mut buffer = self.buffer.borrow_mut();
        let buffer = &mut *buffer;
        let at = match &key {
            Some(key) => crc32c::crc32c(key) as usize % buffer.places.len(),
            None => buffer.sticky,
        };
        let full = match &buffer.places[at].draft {
            Some(draft) => !draft.fits(value_bytes, load.batch_bytes),
            None => false,
        };
        let mut at = at;
        if full {
            buffer.close(at, self.closing);
            self.due(buffer, at);
            if key.is_none() && load.partitioning == Partitioning::Sticky {
                buffer.choose_sticky();
                at = buffer.sticky;
            }
        }
        let wall = maker.clock.wall_ms(intended);
        let place = &mut buffer.places[at];
        let sequence = place.next_sequence;
        if place.draft.is_none() {
            buffer.serial += 1;
            place.draft = Some(Draft::new(
                self.io.pool(),
                load.batch_bytes,
                value_bytes,
                wall,
                sequence,
                buffer.serial,
                buffer.times.pop().unwrap_or_default(),
            ));
            // A closed loop sends full batches only.
            if maker.table.is_some() {
                let linger = (load.linger_ms * 1e6) as u64;
                let expiry = (now + linger, at, buffer.serial);
                buffer.expiries.push_back(expiry);
            }
        }
        let proof = Proof {
            run: self.shared.run,
            producer: self.number,
            sequence,
            intended,
        };
        let proof = proof.encode(rest);
        if let Some(draft) = &mut place.draft {
            buffer.held += draft.append(wall, intended, key.as_ref(), &proof, rest);
        }
        place.next_sequence += 1;
        if key.is_none() && load.partitioning == Partitioning::RoundRobin {
            buffer.sticky = (buffer.sticky + 1) % buffer.places.len();
        }
        self.meter.borrow_mut().made(now, intended, held_back);
    }

    /// Drafts that have lingered long enough may be sent.
    fn expire(&self, now: u64) {
        let mut buffer = self.buffer.borrow_mut();
        while let Some((at, place, serial)) = buffer.expiries.front().copied() {
            if at > now {
                break;
            }
            buffer.expiries.pop_front();
            if let Some(draft) = &mut buffer.places[place].draft
                && draft.serial == serial
            {
                draft.expired = true;
                self.due(&mut buffer, place);
            }
        }
    }

    /// Everything may be sent.
    fn flush(&self) {
        let mut buffer = self.buffer.borrow_mut();
        for place in 0..buffer.places.len() {
            if let Some(draft) = &mut buffer.places[place].draft {
                draft.expired = true;
                self.due(&mut buffer, place);
            }
        }
        drop(buffer);
        self.wake_lanes();
    }

    fn due(&self, buffer: &mut Buffer, at: usize) {
        let place = &mut buffer.places[at];
        if !place.is_due {
            place.is_due = true;
            self.lanes[place.lane].due.borrow_mut().push_back(at);
        }
    }

    fn places(&self) -> usize {
        self.buffer.borrow().places.len()
    }

    fn wake_lanes(&self) {
        for lane in &self.lanes {
            lane.wake_if_due();
        }
    }

    /// The next request's batches for a lane: one per partition, `request_bytes` together unless
    /// the first is larger. Empty when none is due.
    pub(crate) fn next_request(&self, lane: &Lane) -> Vec<Outgoing> {
        let mut buffer = self.buffer.borrow_mut();
        let buffer = &mut *buffer;
        let mut due = lane.due.borrow_mut();
        let (mut request, mut bytes) = (Vec::new(), 0);
        for _ in 0..due.len() {
            let Some(at) = due.front().copied() else {
                break;
            };
            let place = &mut buffer.places[at];
            let next = match (place.closed.front(), &place.draft) {
                (Some(closed), _) => closed.part.len(),
                (None, Some(draft)) => draft.bytes(),
                (None, None) => 0,
            };
            if bytes > 0 && bytes + next > self.shared.load.request_bytes {
                break;
            }
            due.pop_front();
            if place.closed.is_empty() {
                buffer.close(at, self.closing);
                if at == buffer.sticky && self.shared.load.partitioning == Partitioning::Sticky {
                    buffer.choose_sticky();
                }
            }
            let place = &mut buffer.places[at];
            let Some(batch) = place.closed.pop_front() else {
                place.is_due = false;
                continue;
            };
            bytes += batch.part.len();
            // Another one waits: after the other partitions' next ones.
            let expired = place.draft.as_ref().is_some_and(|draft| draft.expired);
            place.is_due = expired || !place.closed.is_empty();
            if place.is_due {
                due.push_back(at);
            }
            request.push(Outgoing {
                place: at,
                partition: place.index,
                batch,
            });
        }
        request
    }

    /// A batch was answered at `now` (with acks=0: sent).
    pub(crate) fn acked(&self, now: u64, outgoing: Outgoing) {
        let batch = outgoing.batch;
        let timed = self.shared.load.acks != Acks::None;
        let mut meter = self.meter.borrow_mut();
        meter.acked(now, &batch.times, batch.part.len(), timed);
        let mut buffer = self.buffer.borrow_mut();
        buffer.held -= batch.held;
        let mut times = batch.times;
        times.clear();
        buffer.times.push(times);
        self.room.raise();
    }

    /// A batch was refused.
    pub(crate) fn refused(&self, outgoing: &Outgoing) {
        let (count, first) = outgoing.batch.messages();
        let mut buffer = self.buffer.borrow_mut();
        buffer.held -= outgoing.batch.held;
        let place = &mut buffer.places[outgoing.place];
        place.unacked.push(first..first + count);
        self.room.raise();
    }

    /// Messages intended within the window that the run's end came before, about.
    pub(crate) fn never_made(&self, clock: Clock) -> u64 {
        let load = &self.shared.load;
        let Some(rate) = load.arrivals.rate() else {
            return 0;
        };
        let from = self.reached.get().max(clock.open);
        let seconds = clock.close.saturating_sub(from) as f64 / 1e9;
        (seconds * rate / load.producers as f64) as u64
    }

    /// What was sent to each partition, in the order of `places`; what is not answered now never
    /// will be.
    pub(crate) fn settle(&self) -> Vec<Sent> {
        for lane in &self.lanes {
            for outgoing in lane.forget() {
                self.refused(&outgoing);
            }
        }
        let mut buffer = self.buffer.borrow_mut();
        let settled = buffer.places.iter_mut().map(|place| {
            let closed = place.closed.iter().map(Closed::messages);
            let draft = place.draft.iter().map(Draft::messages);
            let left: Vec<_> = closed
                .chain(draft)
                .map(|(n, from)| from..from + n)
                .collect();
            place.unacked.extend(left);
            place.unacked.sort_by_key(|range| range.start);
            Sent {
                made: place.next_sequence,
                unacked: std::mem::take(&mut place.unacked),
            }
        });
        settled.collect()
    }
}

impl Buffer {
    /// Closes the draft of a place, if it has one.
    fn close(&mut self, at: usize, closing: Closing) {
        let place = &mut self.places[at];
        if let Some(draft) = place.draft.take() {
            place.closed.push_back(draft.close(closing));
        }
    }

    fn choose_sticky(&mut self) {
        self.sticky = self.random.random_range(0..self.places.len());
    }
}

/// What messages are made of.
struct Maker<'a> {
    /// None in a closed loop.
    table: Option<Timetable>,
    keys: KeyDraw,
    /// None in a replay.
    sizes: Option<SizeDraw>,
    contents: &'a mut Contents,
    clock: Clock,
}

/// How long a producer sleeps at least: waking for every message of a high rate would cost more
/// than making it. Counts into the latencies, so it is a small part of the linger.
fn tick_ns(linger_ms: f64) -> u64 {
    let tick = Duration::from_secs_f64(linger_ms / 20e3);
    tick.clamp(Duration::from_micros(20), Duration::from_micros(250))
        .as_nanos() as u64
}
