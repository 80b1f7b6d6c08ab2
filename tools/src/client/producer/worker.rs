//! One broker's thread: takes what is ready for the broker, closes it, sends it, hears the answer.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard};
use std::thread;

use odradek_wire::ErrorCode;

use super::lane::{Batch, Content, Lane};
use super::request::{self, Sent};
use super::{Acks, Shared, State};
use crate::client::{ClientError, Connection, Deadline};

/// Starts a thread for each leader that has none.
pub(super) fn spawn_missing(shared: &Arc<Shared>, state: &mut MutexGuard<'_, State>) {
    let leaders: Vec<i32> = state.lanes.iter().map(|lane| lane.leader()).collect();
    for broker in leaders {
        if !state.workers.insert(broker) {
            continue;
        }
        state.workers_alive += 1;
        let shared = shared.clone();
        thread::spawn(move || {
            let worker = Worker {
                shared: shared.clone(),
                broker,
                connection: None,
                in_flight: VecDeque::new(),
                buffers: Vec::new(),
                sent_unanswered: false,
                first_lane: 0,
            };
            let outcome = worker.run();
            let mut state = shared.lock();
            state.workers_alive -= 1;
            if let Err(error) = outcome {
                state.failed = true;
                state.failure.get_or_insert(error);
            }
            shared.changed.notify_all();
        });
    }
}

struct Worker {
    shared: Arc<Shared>,
    broker: i32,
    connection: Option<Connection>,
    /// The requests on the connection, the oldest first.
    in_flight: VecDeque<Sent>,
    /// Memory of batches that are done with.
    buffers: Vec<Vec<u8>>,
    /// There have been requests that are not answered (`acks=0`).
    sent_unanswered: bool,
    /// Where the next search for ready batches starts, so that all get their turn.
    first_lane: usize,
}

enum Step {
    Send(Sent),
    Receive,
    End,
}

impl Worker {
    fn run(mut self) -> Result<(), ClientError> {
        loop {
            match self.next_step() {
                Step::Send(batches) => self.send(batches)?,
                Step::Receive => self.receive()?,
                Step::End => return self.end(),
            }
        }
    }

    fn next_step(&mut self) -> Step {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        loop {
            if state.failed {
                return Step::End;
            }
            if self.in_flight.len() < shared.options.in_flight_max {
                let batches = self.take_ready(&mut state);
                if !batches.is_empty() {
                    return Step::Send(batches);
                }
            }
            if !self.in_flight.is_empty() {
                return Step::Receive;
            }
            if state.closing && state.lanes.iter().all(Lane::is_idle) {
                // Those who wait for the last of the others' batches see it, too.
                shared.changed.notify_all();
                return Step::End;
            }
            state = shared.wait(state);
        }
    }

    fn take_ready(&mut self, state: &mut State) -> Sent {
        let mut batches = Sent::new();
        let mut bytes = 0;
        let count = state.lanes.len();
        for index in (0..count).map(|step| (self.first_lane + step) % count) {
            if let Some(batch) = state.lanes[index].take(self.broker) {
                bytes += batch.bytes;
                batches.push((index, batch));
                if bytes >= self.shared.options.request_bytes {
                    self.first_lane = index + 1;
                    break;
                }
            }
        }
        batches
    }

    fn send(&mut self, mut batches: Sent) -> Result<(), ClientError> {
        for (_, batch) in &mut batches {
            self.close(batch);
        }
        let acks = self.shared.options.acks;
        match self.try_send(&batches, acks) {
            Ok(()) if acks == Acks::None => {
                self.sent_unanswered = true;
                let outcomes = batches.iter().map(|_| Ok(())).collect();
                self.settle(batches, outcomes)
            }
            Ok(()) => {
                self.in_flight.push_back(batches);
                Ok(())
            }
            Err(error) => {
                self.in_flight.push_back(batches);
                self.disconnected(error)
            }
        }
    }

    fn try_send(&mut self, batches: &Sent, acks: Acks) -> Result<(), ClientError> {
        if self.connection.is_none() {
            let cluster = self.shared.cluster.lock().expect("as the state");
            let address = cluster.address(self.broker)?;
            let timeout = cluster.options().timeout;
            drop(cluster);
            self.connection = Some(Connection::open(&address, timeout)?);
        }
        let connection = self.connection.as_mut().expect("opened where missing");
        request::send(connection, &self.shared.topic, acks.code(), batches)
    }

    fn close(&mut self, batch: &mut Batch) {
        if let Content::Open(builder) = &mut batch.content {
            let mut bytes = self.buffers.pop().unwrap_or_default();
            bytes.clear();
            builder.finish(&mut bytes).expect("batches have a record");
            let closed = Content::Closed(bytes);
            if let Content::Open(builder) = std::mem::replace(&mut batch.content, closed) {
                self.shared.lock().spare.push(builder);
            }
        }
    }

    fn receive(&mut self) -> Result<(), ClientError> {
        let connection = self.connection.as_mut().expect("requests are in flight");
        let oldest = self.in_flight.front().expect("requests are in flight");
        let outcomes = connection
            .receive(Vec::new())
            .and_then(|reply| request::outcomes(&reply, &self.shared.topic, oldest));
        match outcomes {
            Ok(outcomes) => {
                let batches = self.in_flight.pop_front().expect("just seen");
                self.settle(batches, outcomes)
            }
            Err(error) => self.disconnected(error),
        }
    }

    /// All that was in flight must be sent again, if that helps.
    fn disconnected(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.connection = None;
        if !error.retriable() {
            return Err(error);
        }
        tracing::info!("producing to broker {}: {error}", self.broker);
        let mut state = self.shared.lock();
        for (index, batch) in self.in_flight.drain(..).flatten() {
            state.totals.retries += 1;
            state.lanes[index].fail(batch);
        }
        drop(state);
        self.restart_drained(error)
    }

    /// Books what became of each batch.
    fn settle(
        &mut self,
        batches: Sent,
        outcomes: Vec<Result<(), ClientError>>,
    ) -> Result<(), ClientError> {
        let mut failed = None;
        let mut state = self.shared.lock();
        for ((index, batch), outcome) in batches.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => {
                    state.lanes[index].done();
                    state.pending_bytes -= batch.bytes;
                    state.totals.records += batch.records as u64;
                    if let Content::Closed(bytes) = batch.content {
                        state.totals.sent_bytes += bytes.len() as u64;
                        self.buffers.push(bytes);
                    }
                }
                Err(error) => {
                    // A batch behind one that has failed comes too early for the broker.
                    let too_early = error.code() == Some(ErrorCode::OutOfOrderSequenceNumber)
                        && state.lanes[index].is_failing();
                    if !error.retriable() && !too_early {
                        return Err(error);
                    }
                    state.totals.retries += 1;
                    state.lanes[index].fail(batch);
                    failed = Some(error);
                }
            }
        }
        // It may have been the last in flight behind one that failed.
        let drained = state.lanes.iter().any(Lane::is_drained);
        self.shared.changed.notify_all();
        drop(state);
        match (failed, drained) {
            (Some(error), _) => self.restart_drained(error),
            (None, true) => self.restart_drained(moved(&self.shared.topic)),
            (None, false) => Ok(()),
        }
    }

    /// For partitions with failed batches and none in flight: learns the leaders again and lets
    /// the failed batches go to them.
    fn restart_drained(&mut self, error: ClientError) -> Result<(), ClientError> {
        let shared = self.shared.clone();
        let since = {
            let state = shared.lock();
            let drained = state.lanes.iter().filter(|lane| lane.is_drained());
            match drained.filter_map(|lane| lane.failed_since()).min() {
                Some(since) => since,
                None => return Ok(()),
            }
        };
        if since.elapsed() >= shared.options.delivery_timeout {
            return Err(ClientError::GaveUp {
                what: format!("producing to {}", shared.topic),
                after: shared.options.delivery_timeout,
                last: Box::new(error),
            });
        }
        let mut deadline = Deadline::after(shared.options.delivery_timeout - since.elapsed());
        deadline.pause_or_give_up(&format!("producing to {}", shared.topic), error)?;
        let topic = {
            let mut cluster = shared.cluster.lock().expect("as the state");
            loop {
                match cluster.refresh(&shared.topic) {
                    Ok(topic) => break topic,
                    Err(error) => {
                        deadline
                            .pause_or_give_up(&format!("producing to {}", shared.topic), error)?;
                    }
                }
            }
        };
        let mut state = shared.lock();
        for partition in topic.partitions.iter().filter(|p| p.leader >= 0) {
            let index = usize::try_from(partition.index).unwrap_or(usize::MAX);
            if let Some(lane) = state.lanes.get_mut(index) {
                lane.led_by(partition.leader);
            }
        }
        for lane in &mut state.lanes {
            if lane.is_drained() {
                lane.restart();
            }
        }
        spawn_missing(&shared, &mut state);
        shared.changed.notify_all();
        Ok(())
    }

    /// Without answers, that the broker has read everything is known from the answer to one more
    /// request: it deals with a connection's requests in their order.
    fn end(mut self) -> Result<(), ClientError> {
        match &mut self.connection {
            Some(connection) if self.sent_unanswered => connection.ping(),
            _ => Ok(()),
        }
    }
}

fn moved(topic: &str) -> ClientError {
    ClientError::Refused {
        what: format!("producing to {topic}"),
        code: ErrorCode::NotLeaderOrFollower.code(),
        message: None,
    }
}
