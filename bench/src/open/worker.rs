//! A driver thread: one core, one ring, the producers and consumers that were given to it.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use nix::time::{ClockId, clock_gettime};
use odradek_engine::bytes::Pool;
use odradek_engine::io::Io;
use odradek_engine::io::ring::{Ring, RingOptions};
use odradek_engine::task::{Executor, Spawner};

use super::consumer::Reader;
use super::form::Forms;
use super::lane::Lane;
use super::ledger::{Seen, Sent};
use super::meter::{Meter, Step};
use super::producer::{Producer, Who};
use super::shared::{Clock, Shared};
use crate::load::Contents;
use crate::machine::pin;
use crate::report::WindowTotals;

/// How often a thread looks whether the run goes on.
const LOOKS_EVERY: Duration = Duration::from_millis(5);

/// What a thread has to do.
#[derive(Default)]
pub(crate) struct Roles {
    pub(crate) producers: Vec<ProducerRole>,
    pub(crate) readers: Vec<ReaderRole>,
}

/// A producer of all partitions.
pub(crate) struct ProducerRole {
    pub(crate) who: Who,
    /// Each partition's index and leader.
    pub(crate) partitions: Arc<[(i32, SocketAddr)]>,
}

/// A consumer's partitions at one leader.
pub(crate) struct ReaderRole {
    pub(crate) set: usize,
    pub(crate) leader: SocketAddr,
    /// Rising, each with the offset to begin with.
    pub(crate) partitions: Vec<(i32, i64)>,
}

/// What a thread tells.
pub(crate) enum Told {
    /// All its connections stand.
    Ready,
    /// The counts of interval `.0`.
    Step(u64, Box<Step>),
    /// Its producers are done: by number, what they sent to each partition.
    Produced(Vec<(u32, Vec<Sent>)>),
    Done(Box<Findings>),
}

/// What a thread found.
pub(crate) struct Findings {
    pub(crate) totals: WindowTotals,
    pub(crate) produce_ack: Histogram<u64>,
    pub(crate) end_to_end: Histogram<u64>,
    pub(crate) lateness: Histogram<u64>,
    /// Partition, what came, and whether it was read to its end.
    pub(crate) seen: Vec<(i32, Seen, bool)>,
    /// CPU of this thread within the window, seconds.
    pub(crate) cpu_s: f64,
}

/// Runs a thread's part on `core`.
///
/// # Errors
/// What kept it from running: no ring, no such core, a server that cannot be reached.
pub(crate) fn run(
    core: usize,
    roles: Roles,
    contents: Vec<Contents>,
    shared: Arc<Shared>,
    tell: Sender<Told>,
) -> Result<()> {
    pin(core)?;
    // Sleeps end when they should, not up to 50 µs later.
    nix::sys::prctl::set_timerslack(1).context("the timer slack of a driver thread")?;
    let pool = Pool::new();
    let ring = Ring::new(RingOptions::default(), &pool)?;
    let io = Io::new(Box::new(ring), pool);
    let executor = Executor::new(io.clone());
    let spawner = executor.spawner();
    executor.run(async move {
        let worker = Worker::connect(&io, roles, &shared).await?;
        // Whoever listens has gone only if the whole run has.
        let _ = tell.send(Told::Ready);
        worker.serve(&spawner, contents, &tell).await;
        Ok(())
    })
}

struct Worker {
    io: Io,
    shared: Arc<Shared>,
    producers: Vec<(u32, Rc<Producer>)>,
    readers: Vec<Rc<Reader>>,
    meter: Rc<RefCell<Meter>>,
}

impl Worker {
    async fn connect(io: &Io, roles: Roles, shared: &Arc<Shared>) -> Result<Self> {
        let meter = Rc::new(RefCell::new(Meter::new(shared.load.consumer_sets)));
        let forms = Rc::new(Forms::new(io.pool()));
        let mut producers = Vec::new();
        for role in roles.producers {
            let mut lanes: Vec<Rc<Lane>> = Vec::new();
            let mut places = Vec::new();
            for (index, leader) in role.partitions.iter() {
                let lane = match lanes.iter().position(|lane| lane.address == *leader) {
                    Some(lane) => lane,
                    None => {
                        let number = lanes.len();
                        lanes.push(Lane::connect(io, shared, number, *leader).await?);
                        number
                    }
                };
                places.push((*index, lane));
            }
            let producer = Producer::new(io, shared, &role.who, &forms, &places, lanes, &meter);
            producers.push((role.who.number, producer));
        }
        let mut readers = Vec::new();
        for role in roles.readers {
            let ReaderRole {
                set,
                leader,
                partitions,
            } = role;
            readers.push(Reader::connect(io, shared, leader, set, &partitions, &meter).await?);
        }
        Ok(Self {
            io: io.clone(),
            shared: shared.clone(),
            producers,
            readers,
            meter,
        })
    }

    async fn serve(self, spawner: &Spawner, contents: Vec<Contents>, tell: &Sender<Told>) {
        let clock = loop {
            match self.shared.clock.get() {
                Some(clock) => break *clock,
                None if self.shared.stopped() => return,
                None => self.io.sleep(LOOKS_EVERY).await,
            }
        };
        self.meter.borrow_mut().set_window(clock.open..clock.close);
        for ((_, producer), contents) in self.producers.iter().zip(contents) {
            for lane in &producer.lanes {
                spawner.spawn(lane.clone().write(producer.clone())).detach();
                spawner.spawn(lane.clone().read(producer.clone())).detach();
            }
            let run = producer.clone().run(clock, contents);
            spawner.spawn(run).detach();
        }
        for reader in &self.readers {
            spawner.spawn(reader.clone().run()).detach();
        }
        let cpu = spawner.spawn(window_cpu(self.io.clone(), self.shared.clone(), clock));
        let steps = steps(self.io.clone(), self.meter.clone(), tell.clone(), clock, {
            (self.shared.load.interval_s * 1e9) as u64
        });
        let steps = spawner.spawn(steps);
        self.wait(|worker| worker.producers.iter().all(|(_, one)| one.done.get()))
            .await;
        for (_, producer) in &self.producers {
            self.meter.borrow_mut().totals.never_made += producer.never_made(clock);
        }
        let settled = self.producers.iter();
        let settled = settled.map(|(number, producer)| (*number, producer.settle()));
        let _ = tell.send(Told::Produced(settled.collect()));
        self.wait(|worker| {
            worker.shared.produced.get().is_some()
                && worker.readers.iter().all(|reader| reader.done.get())
        })
        .await;
        drop(steps);
        let last = self.meter.borrow_mut().take_step();
        let _ = tell.send(Told::Step(u64::MAX, Box::new(last)));
        let cpu_s = match cpu.is_finished() {
            true => cpu.await,
            false => 0.0,
        };
        let _ = tell.send(Told::Done(Box::new(self.findings(cpu_s))));
    }

    /// Waits until `enough`, or until the run is given up. Notices servers that hang.
    async fn wait(&self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            let now = self.io.now();
            if self.shared.given_up(now) {
                return;
            }
            let lanes = self.producers.iter().flat_map(|(_, one)| &one.lanes);
            let lanes = lanes.filter_map(|lane| Some((lane.address, lane.waits_since()?)));
            let readers = self.readers.iter();
            let readers =
                readers.filter_map(|reader| Some((reader.address, reader.waits_since()?)));
            for (address, since) in lanes.chain(readers) {
                let silence_max = self.shared.silence_max;
                if now.saturating_sub(since) > silence_max.as_nanos() as u64 {
                    self.shared
                        .problem(format!("no answer from {address} within {silence_max:?}"));
                }
            }
            self.io.sleep(LOOKS_EVERY).await;
        }
    }

    fn findings(&self, cpu_s: f64) -> Findings {
        let mut seen = Vec::new();
        for reader in &self.readers {
            let whole = reader.done.get() || reader.caught_up();
            for position in reader.positions.borrow_mut().iter_mut() {
                let taken = std::mem::take(&mut position.seen);
                seen.push((position.index, taken, whole));
            }
        }
        let meter = self.meter.borrow();
        Findings {
            totals: meter.totals.clone(),
            produce_ack: meter.produce_ack.clone(),
            end_to_end: meter.end_to_end.clone(),
            lateness: meter.lateness.clone(),
            seen,
            cpu_s,
        }
    }
}

/// This thread's CPU time between the window's ends, or until the run is stopped, seconds.
async fn window_cpu(io: Io, shared: Arc<Shared>, clock: Clock) -> f64 {
    let cpu = || {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
        time.map_or(0.0, |time| Duration::from(time).as_secs_f64())
    };
    io.sleep_until(clock.open).await;
    let before = cpu();
    while io.now() < clock.close && !shared.stopped() {
        let next = io.now() + LOOKS_EVERY.as_nanos() as u64;
        io.sleep_until(next.min(clock.close)).await;
    }
    cpu() - before
}

/// Tells the counts of each interval at its end.
async fn steps(io: Io, meter: Rc<RefCell<Meter>>, tell: Sender<Told>, clock: Clock, interval: u64) {
    for number in 0.. {
        io.sleep_until(clock.begin + (number + 1) * interval).await;
        let step = meter.borrow_mut().take_step();
        if tell.send(Told::Step(number, Box::new(step))).is_err() {
            return;
        }
    }
}
