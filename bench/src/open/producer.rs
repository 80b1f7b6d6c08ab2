//! A producer: makes messages at their times, fills batches, and hands them to its lanes.
//!
//! A message is made when its time has come, or later if this driver or the buffer is late; its
//! latency counts from its time all the same.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use odradek_engine::io::Io;

use super::batch::Message;
use super::buffer::{Buffer, Outgoing};
use super::form::Forms;
use super::lane::Lane;
use super::ledger::Sent;
use super::maker::Maker;
use super::meter::Meter;
use super::notify::Notify;
use super::proof::Proof;
use super::shared::{Clock, Shared};
use crate::load::{Acks, Contents, random};

/// Messages made before sockets and other tasks have their turn.
const MADE_AT_ONCE_MAX: usize = 256;

/// See the module.
pub(crate) struct Producer {
    io: Io,
    shared: Arc<Shared>,
    number: u32,
    buffer: RefCell<Buffer>,
    pub(crate) lanes: Vec<Rc<Lane>>,
    room: Notify,
    pub(crate) meter: Rc<RefCell<Meter>>,
    /// The time of the last message made.
    reached: Cell<u64>,
    pub(crate) done: Cell<bool>,
}

/// Who a producer is.
pub(crate) struct Who {
    pub(crate) number: u32,
    /// Id and epoch, if it is idempotent.
    pub(crate) identity: Option<(i64, i16)>,
}

impl Producer {
    /// `places`: each partition's index and its leader's lane.
    pub(crate) fn new(
        io: &Io,
        shared: &Arc<Shared>,
        who: &Who,
        forms: &Rc<Forms>,
        places: &[(i32, usize)],
        lanes: Vec<Rc<Lane>>,
        meter: &Rc<RefCell<Meter>>,
    ) -> Rc<Self> {
        let load = &shared.load;
        let random = random(load.seed, who.number as usize, 5);
        Rc::new(Self {
            io: io.clone(),
            shared: shared.clone(),
            number: who.number,
            buffer: RefCell::new(Buffer::new(load, who.identity, forms, places, random)),
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
        while self.buffer.borrow().held() > 0 {
            self.room.wait().await;
        }
        self.done.set(true);
    }

    async fn make_all(&self, clock: Clock, contents: &mut Contents) {
        let load = &self.shared.load;
        let mut maker = Maker::new(load, self.number as usize, contents, clock);
        let tick = tick_ns(load.linger_ms);
        let buffer_bytes = match maker.is_open() {
            true => load.buffer_bytes,
            // A closed loop needs what fills its pipelines and the next batches, no more.
            false => {
                let ahead = (load.in_flight + 1) * self.lanes.len() + self.buffer.borrow().places();
                (ahead * load.batch_bytes.min(load.request_bytes)).min(load.buffer_bytes)
            }
        };
        // Messages intended before this were held back by a full buffer.
        let mut blocked_until = 0;
        self.io.sleep_until(clock.begin).await;
        while !self.shared.stopped() {
            let now = self.io.clock();
            self.buffer.borrow_mut().expire(now);
            let mut made = 0;
            let next = loop {
                let intended = maker.intended(now);
                if intended >= clock.close {
                    self.reached.set(clock.close);
                    return;
                }
                if intended > now || made == MADE_AT_ONCE_MAX {
                    break intended;
                }
                if self.buffer.borrow().held() >= buffer_bytes {
                    // Kafka's clients, too, send what they have when their memory is exhausted.
                    match self.is_idle() {
                        true => self.flush(),
                        false => self.wake_lanes(),
                    }
                    self.room.wait().await;
                    blocked_until = match maker.is_open() {
                        true => self.io.clock(),
                        false => 0,
                    };
                    break intended;
                }
                self.make(&mut maker, now, intended, intended < blocked_until);
                maker.advance();
                self.reached.set(intended);
                made += 1;
            };
            self.wake_lanes();
            if next > now {
                let expiry = self.buffer.borrow().next_expiry();
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
    fn make(&self, maker: &mut Maker<'_>, now: u64, intended: u64, held_back: bool) {
        let (key, rest_bytes) = maker.draw();
        let mut buffer = self.buffer.borrow_mut();
        let at = buffer.place(key.as_ref(), rest_bytes);
        let message = Message {
            wall_ms: maker.clock.wall_ms(intended),
            key: key.as_ref(),
            proof: Proof {
                run: self.shared.run,
                producer: self.number,
                sequence: buffer.next_sequence(at),
                intended,
            },
            rest_bytes,
        };
        buffer.add(now, at, &message, maker.contents);
        self.meter.borrow_mut().made(now, intended, held_back);
    }

    /// Everything may be sent.
    fn flush(&self) {
        self.buffer.borrow_mut().flush();
        self.wake_lanes();
    }

    /// Nothing is due and nothing unanswered.
    fn is_idle(&self) -> bool {
        let buffer = self.buffer.borrow();
        let mut lanes = self.lanes.iter().enumerate();
        lanes.all(|(number, lane)| lane.waits_since().is_none() && !buffer.has_due(number))
    }

    fn wake_lanes(&self) {
        let buffer = self.buffer.borrow();
        for (number, lane) in self.lanes.iter().enumerate() {
            if buffer.has_due(number) {
                lane.wake();
            }
        }
    }

    /// Is something to be sent by this lane?
    pub(crate) fn has_due(&self, lane: usize) -> bool {
        self.buffer.borrow().has_due(lane)
    }

    /// See [`Buffer::next_request`].
    pub(crate) fn next_request(&self, lane: usize) -> Vec<Outgoing> {
        self.buffer.borrow_mut().next_request(lane)
    }

    /// A batch was answered at `now` (with acks=0: sent).
    pub(crate) fn acked(&self, now: u64, outgoing: Outgoing) {
        let batch = outgoing.batch;
        let timed = self.shared.load.acks != Acks::None;
        let mut meter = self.meter.borrow_mut();
        meter.acked(now, &batch.form.times, batch.part.len(), timed);
        self.buffer.borrow_mut().acked(batch);
        self.room.raise();
    }

    /// A batch was refused.
    pub(crate) fn refused(&self, outgoing: &Outgoing) {
        self.buffer.borrow_mut().refused(outgoing);
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
        self.buffer.borrow_mut().settle()
    }
}

/// How long a producer sleeps at least: waking for every message of a high rate would cost more
/// than making it. Counts into the latencies, so it is a small part of the linger.
fn tick_ns(linger_ms: f64) -> u64 {
    let tick = Duration::from_secs_f64(linger_ms / 20e3);
    tick.clamp(Duration::from_micros(20), Duration::from_micros(250))
        .as_nanos() as u64
}
