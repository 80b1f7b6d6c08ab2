//! What a producer has made and has no answer to: drafts, batches that are ready, and which of them
//! each lane is to send next. Bookkeeping only.
//!
//! A partition is due when it has a batch that may be sent: one that is full, or one that has
//! waited for the linger. Partitions that are due take turns. Until a lane takes it, a batch that is
//! not full keeps filling, as in Kafka's clients.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use odradek_engine::record::partition_of_key;
use rand::RngExt;

use super::batch::{Closed, Draft, Making, Message};
use super::form::Forms;
use super::ledger::Sent;
use crate::load::{Contents, KEY_BYTES, Load, Partitioning, Random};

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
    unacked: Vec<Range<u64>>,
}

/// What bounds batches and requests, and sends them.
pub(crate) struct Bounds {
    batch_bytes: usize,
    request_bytes: usize,
    /// Nanoseconds. None in a closed loop, which sends full batches only.
    linger: Option<u64>,
    partitioning: Partitioning,
}

impl Bounds {
    pub(crate) fn new(load: &Load) -> Self {
        let linger = (load.linger_ms * 1e6) as u64;
        Self {
            batch_bytes: load.batch_bytes,
            request_bytes: load.request_bytes,
            linger: load.arrivals.is_open().then_some(linger),
            partitioning: load.partitioning,
        }
    }
}

/// A batch on its way.
pub(crate) struct Outgoing {
    pub(crate) place: usize,
    pub(crate) partition: i32,
    pub(crate) batch: Closed,
}

/// See the module.
pub(crate) struct Buffer {
    bounds: Bounds,
    /// Id and epoch of an idempotent producer.
    identity: Option<(i64, i16)>,
    making: Making,
    forms: Rc<Forms>,
    places: Vec<Place>,
    /// By lane: places of partitions that have something to send, in order.
    due: Vec<VecDeque<usize>>,
    /// Bytes of messages made and not yet answered.
    held: usize,
    /// When drafts have lingered long enough: time, place, serial.
    expiries: VecDeque<(u64, usize, u64)>,
    serial: u64,
    /// The place that messages without a key go to.
    sticky: usize,
    random: Random,
}

impl Buffer {
    /// `places`: each partition's index and its leader's lane.
    pub(crate) fn new(
        load: &Load,
        identity: Option<(i64, i16)>,
        forms: &Rc<Forms>,
        places: &[(i32, usize)],
        mut random: Random,
    ) -> Self {
        let sticky = random.random_range(0..places.len());
        let lanes = places.iter().map(|(_, lane)| lane + 1).max().unwrap_or(0);
        let places = places.iter().map(|(index, lane)| Place {
            index: *index,
            lane: *lane,
            next_sequence: 0,
            draft: None,
            closed: VecDeque::new(),
            is_due: false,
            unacked: Vec::new(),
        });
        Self {
            bounds: Bounds::new(load),
            identity,
            making: Making::new(load),
            forms: forms.clone(),
            places: places.collect(),
            due: vec![VecDeque::new(); lanes],
            held: 0,
            expiries: VecDeque::new(),
            serial: 0,
            sticky,
            random,
        }
    }

    /// How many partitions there are.
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// Bytes of messages made and not yet answered.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Is something to be sent by this lane?
    pub(crate) fn has_due(&self, lane: usize) -> bool {
        !self.due[lane].is_empty()
    }

    /// The place of the next message with this key, where it has one, and room for it there.
    #[inline]
    pub(crate) fn place(&mut self, key: Option<&[u8; KEY_BYTES]>, rest_bytes: usize) -> usize {
        let at = match key {
            Some(key) => partition_of_key(key, self.places.len()),
            None => self.sticky,
        };
        let full = match &self.places[at].draft {
            Some(draft) => !draft.fits(rest_bytes, self.bounds.batch_bytes),
            None => false,
        };
        if !full {
            return at;
        }
        self.close(at);
        self.make_due(at);
        if key.is_none() && self.bounds.partitioning == Partitioning::Sticky {
            self.choose_sticky();
            return self.sticky;
        }
        at
    }

    /// The sequence of the next message at a place.
    #[inline]
    pub(crate) fn next_sequence(&self, at: usize) -> u64 {
        self.places[at].next_sequence
    }

    /// Adds a message to the place that was chosen for it.
    #[inline]
    pub(crate) fn add(
        &mut self,
        now: u64,
        at: usize,
        message: &Message<'_>,
        contents: &mut Contents,
    ) {
        let place = &mut self.places[at];
        let draft = match &mut place.draft {
            Some(draft) => draft,
            None => {
                self.serial += 1;
                if let Some(linger) = self.bounds.linger {
                    self.expiries.push_back((now + linger, at, self.serial));
                }
                place.draft.insert(Draft::new(
                    &self.forms,
                    self.bounds.batch_bytes,
                    message.rest_bytes,
                    message.wall_ms,
                    place.next_sequence,
                    self.serial,
                ))
            }
        };
        self.held += draft.append(message, contents, &self.making);
        place.next_sequence += 1;
        if message.key.is_none() && self.bounds.partitioning == Partitioning::RoundRobin {
            self.sticky = (self.sticky + 1) % self.places.len();
        }
    }

    /// When the next drafts will have lingered long enough.
    pub(crate) fn next_expiry(&self) -> Option<u64> {
        self.expiries.front().map(|(at, ..)| *at)
    }

    /// Drafts that have lingered long enough may be sent.
    pub(crate) fn expire(&mut self, now: u64) {
        while let Some((at, place, serial)) = self.expiries.front().copied() {
            if at > now {
                break;
            }
            self.expiries.pop_front();
            if let Some(draft) = &mut self.places[place].draft
                && draft.serial == serial
            {
                draft.expired = true;
                self.make_due(place);
            }
        }
    }

    /// Everything may be sent.
    pub(crate) fn flush(&mut self) {
        for place in 0..self.places.len() {
            if let Some(draft) = &mut self.places[place].draft {
                draft.expired = true;
                self.make_due(place);
            }
        }
    }

    fn make_due(&mut self, at: usize) {
        let place = &mut self.places[at];
        if !place.is_due {
            place.is_due = true;
            self.due[place.lane].push_back(at);
        }
    }

    /// Closes the draft of a place, if it has one.
    fn close(&mut self, at: usize) {
        let place = &mut self.places[at];
        if let Some(draft) = place.draft.take() {
            place
                .closed
                .push_back(draft.close(&self.making, self.identity));
        }
    }

    fn choose_sticky(&mut self) {
        self.sticky = self.random.random_range(0..self.places.len());
    }

    /// The next request's batches for a lane: one per partition, `request_bytes` together unless
    /// the first is larger. Empty when none is due.
    pub(crate) fn next_request(&mut self, lane: usize) -> Vec<Outgoing> {
        let (mut request, mut bytes) = (Vec::new(), 0);
        for _ in 0..self.due[lane].len() {
            let Some(at) = self.due[lane].front().copied() else {
                break;
            };
            let place = &self.places[at];
            let next = match (place.closed.front(), &place.draft) {
                (Some(closed), _) => closed.part.len(),
                (None, Some(draft)) => draft.bytes(),
                (None, None) => 0,
            };
            if bytes > 0 && bytes + next > self.bounds.request_bytes {
                break;
            }
            self.due[lane].pop_front();
            if self.places[at].closed.is_empty() {
                self.close(at);
                if at == self.sticky && self.bounds.partitioning == Partitioning::Sticky {
                    self.choose_sticky();
                }
            }
            let place = &mut self.places[at];
            let Some(batch) = place.closed.pop_front() else {
                place.is_due = false;
                continue;
            };
            bytes += batch.part.len();
            // Another one waits: after the other partitions' next ones.
            let expired = place.draft.as_ref().is_some_and(|draft| draft.expired);
            place.is_due = expired || !place.closed.is_empty();
            if place.is_due {
                self.due[lane].push_back(at);
            }
            request.push(Outgoing {
                place: at,
                partition: place.index,
                batch,
            });
        }
        request
    }

    /// A batch was answered (with acks=0: sent).
    pub(crate) fn acked(&mut self, batch: Closed) {
        self.held -= batch.held;
        self.forms.give(batch.into_form());
    }

    /// A batch was refused.
    pub(crate) fn refused(&mut self, outgoing: &Outgoing) {
        let (count, first) = outgoing.batch.messages();
        self.held -= outgoing.batch.held;
        let place = &mut self.places[outgoing.place];
        place.unacked.push(first..first + count);
    }

    /// What was made for each partition, in the order of `places`; what is still here never will
    /// be answered.
    pub(crate) fn settle(&mut self) -> Vec<Sent> {
        let settled = self.places.iter_mut().map(|place| {
            let closed = place.closed.iter().map(Closed::messages);
            let draft = place.draft.iter().map(Draft::messages);
            let left = closed.chain(draft).map(|(n, from)| from..from + n);
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

#[cfg(test)]
#[path = "buffer_tests.rs"]
mod tests;
