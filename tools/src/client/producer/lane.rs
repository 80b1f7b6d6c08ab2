//! What waits, flies and has failed of one partition.

use std::collections::VecDeque;
use std::time::Instant;

use odradek_engine::record::BatchBuilder;

/// A batch on its way to a broker.
pub(super) struct Batch {
    pub content: Content,
    pub records: i32,
    /// Bytes it counts for in the producer's memory: those of its records, uncompressed.
    pub bytes: usize,
    pub since: Instant,
    /// Its place among the lane's batches.
    order: u64,
}

pub(super) enum Content {
    /// Not compressed yet.
    Open(BatchBuilder),
    /// As it is sent.
    Closed(Vec<u8>),
}

impl Batch {
    pub fn new(builder: BatchBuilder, records: i32, since: Instant) -> Self {
        Self {
            bytes: builder.bytes(),
            content: Content::Open(builder),
            records,
            since,
            order: 0,
        }
    }
}

/// One partition's batches; see the producer's invariants.
pub(super) struct Lane {
    leader: i32,
    ready: VecDeque<Batch>,
    in_flight: usize,
    /// To be sent again as soon as nothing is in flight. Until then nothing is sent.
    failed: Vec<Batch>,
    pushed: u64,
}

impl Lane {
    pub fn new(leader: i32) -> Self {
        Self {
            leader,
            ready: VecDeque::new(),
            in_flight: 0,
            failed: Vec::new(),
            pushed: 0,
        }
    }

    pub fn leader(&self) -> i32 {
        self.leader
    }

    pub fn push(&mut self, mut batch: Batch) {
        batch.order = self.pushed;
        self.pushed += 1;
        self.ready.push_back(batch);
    }

    /// The next batch for `broker`, which is then in flight.
    pub fn take(&mut self, broker: i32) -> Option<Batch> {
        if self.leader != broker || !self.failed.is_empty() {
            return None;
        }
        let batch = self.ready.pop_front()?;
        self.in_flight += 1;
        Some(batch)
    }

    /// A batch in flight has been dealt with.
    pub fn done(&mut self) {
        self.in_flight -= 1;
    }

    /// A batch in flight must be sent again.
    pub fn fail(&mut self, batch: Batch) {
        self.in_flight -= 1;
        self.failed.push(batch);
    }

    /// Has a batch failed whose turn has not come again?
    pub fn is_failing(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Is it time to call [`restart`](Self::restart)?
    pub fn is_drained(&self) -> bool {
        self.in_flight == 0 && !self.failed.is_empty()
    }

    /// When the oldest failed batch was begun.
    pub fn failed_since(&self) -> Option<Instant> {
        self.failed.iter().map(|batch| batch.since).min()
    }

    /// The failed batches are next, in their old order.
    pub fn restart(&mut self) {
        debug_assert_eq!(self.in_flight, 0);
        self.failed.sort_by_key(|batch| batch.order);
        for batch in self.failed.drain(..).rev() {
            self.ready.push_front(batch);
        }
    }

    /// A new leader is taken up only while nothing is in flight.
    pub fn led_by(&mut self, leader: i32) {
        if self.in_flight == 0 {
            self.leader = leader;
        }
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.ready.is_empty() && self.failed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: i32) -> Batch {
        Batch::new(BatchBuilder::new(), records, Instant::now())
    }

    fn next(lane: &mut Lane) -> Option<i32> {
        lane.take(1).map(|batch| batch.records)
    }

    #[test]
    fn failed_batches_go_again_in_order_once_nothing_is_in_flight() {
        let mut lane = Lane::new(1);
        (1..=4).for_each(|n| lane.push(batch(n)));
        assert!(lane.take(2).is_none(), "another broker's");
        let first = lane.take(1).unwrap();
        let second = lane.take(1).unwrap();
        let third = lane.take(1).unwrap();
        lane.fail(second);
        assert_eq!(next(&mut lane), None, "failing");
        lane.fail(first);
        assert!(!lane.is_drained());
        lane.led_by(2);
        assert_eq!(lane.leader(), 1, "the third is still in flight");
        drop(third);
        lane.done();
        assert!(lane.is_drained());
        lane.restart();
        assert_eq!(next(&mut lane), Some(1));
        assert_eq!(next(&mut lane), Some(2));
        assert_eq!(next(&mut lane), Some(4));
        assert_eq!(next(&mut lane), None);
        assert!(!lane.is_idle());
    }
}
