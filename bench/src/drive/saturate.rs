//! A closed loop that keeps every connection's pipeline full: saturation.
//!
//! What it measures is throughput and cost. Its latencies are those of a saturated server: a reply
//! that comes late delays the next request, so a stall counts once and not for all it held up.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Plan;
use super::connection::Connection;
use crate::machine::{CpuClock, reset_peak, resident};
use crate::measurement::{Cost, Latency, Measurement, Memory};
use crate::report::Latencies;
use crate::window::{Baseline, Window};

/// No reply at all for so long: the server hangs.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// Longer latencies count as this one.
const LATENCY_MAX_NS: u64 = 100_000_000_000;

/// What is asked, and what an answer is worth.
pub(crate) trait Work {
    /// Appends connection `at`'s next request to `out`, or its beginning, and returns the rest.
    fn request(
        &mut self,
        at: usize,
        correlation: i32,
        out: &mut Vec<u8>,
    ) -> Result<Option<Rc<[u8]>>>;

    /// Bytes that count for this reply (from its correlation id on).
    ///
    /// # Errors
    /// When the reply is an error: the run ends.
    fn reply(&mut self, at: usize, reply: &[u8]) -> Result<u64>;
}

/// What came of it, within the window.
pub(crate) struct Outcome {
    bytes: u64,
    requests: u64,
    latencies_ns: Histogram<u64>,
    cost: Cost,
    memory: Option<Memory>,
}

impl Outcome {
    /// Of the window's requests.
    pub(crate) fn latencies(&self) -> Latencies {
        Latencies::from(&self.latencies_ns)
    }

    pub(crate) fn measurement(self, name: &str) -> Measurement {
        Measurement {
            name: name.to_owned(),
            bytes: self.bytes,
            requests: self.requests,
            latency: Latency::of(&self.latencies_ns),
            cost: self.cost,
            memory: self.memory,
        }
    }
}

/// Loads the server: one connection per address, `plan.in_flight` requests each.
pub(crate) fn saturate(
    addresses: &[SocketAddr],
    work: &mut impl Work,
    plan: Plan,
    baseline: Baseline,
    pid: Option<u32>,
) -> Result<Outcome> {
    let mut connections = Vec::new();
    for address in addresses {
        connections.push(Connection::open(*address)?);
    }
    let clock = pid.map(CpuClock::of).transpose()?;
    let mut loop_ = Loop {
        connections,
        work,
        in_flight: plan.in_flight,
        bytes: 0,
        requests: 0,
        latencies_ns: Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).context("a histogram")?,
        heard: Instant::now(),
    };
    loop_.until(Instant::now() + plan.warmup)?;
    loop_.forget();
    let peak_of_window = pid.is_some_and(reset_peak);
    let window = Window::open(baseline, clock)?;
    loop_.until(Instant::now() + plan.time)?;
    let cost = window.close()?;
    let memory = match pid {
        Some(pid) => {
            let memory = resident(pid)?;
            Some(Memory {
                end_bytes: memory.now,
                peak_bytes: memory.peak,
                peak_of_window,
            })
        }
        None => None,
    };
    let (bytes, requests) = (loop_.bytes, loop_.requests);
    let latencies_ns = loop_.latencies_ns.clone();
    loop_.drain()?;
    Ok(Outcome {
        bytes,
        requests,
        latencies_ns,
        cost,
        memory,
    })
}

struct Loop<'a, W> {
    connections: Vec<Connection>,
    work: &'a mut W,
    in_flight: usize,
    bytes: u64,
    requests: u64,
    latencies_ns: Histogram<u64>,
    /// When the last reply came.
    heard: Instant,
}

impl<W: Work> Loop<'_, W> {
    fn forget(&mut self) {
        self.bytes = 0;
        self.requests = 0;
        self.latencies_ns.reset();
    }

    /// Keeps the pipelines full until `end`.
    fn until(&mut self, end: Instant) -> Result<()> {
        while Instant::now() < end {
            for at in 0..self.connections.len() {
                self.fill(at)?;
            }
            self.wait()?;
        }
        Ok(())
    }

    /// Asks nothing more and takes the replies that are outstanding.
    fn drain(&mut self) -> Result<()> {
        while self.connections.iter().any(|one| one.unanswered() > 0) {
            self.wait()?;
        }
        Ok(())
    }

    /// As many requests as connection `at` takes.
    fn fill(&mut self, at: usize) -> Result<()> {
        let connection = &mut self.connections[at];
        let now = Instant::now();
        loop {
            while connection.has_room(self.in_flight) {
                connection.ask(now, |correlation, out| {
                    self.work.request(at, correlation, out)
                })?;
            }
            let had_body = connection.unsent();
            if !connection.flush()? || !had_body || !connection.has_room(self.in_flight) {
                return Ok(());
            }
        }
    }

    /// Whose replies are waited for.
    fn silent(&self) -> String {
        let all = self.connections.iter();
        let silent = all.filter(|one| one.unanswered() > 0);
        let mut addresses: Vec<String> = silent.map(|one| one.address().to_string()).collect();
        addresses.dedup();
        addresses.join(", ")
    }

    /// Waits for sockets, sends and receives.
    fn wait(&mut self) -> Result<()> {
        let mut fds: Vec<PollFd> = self
            .connections
            .iter()
            .map(|connection| {
                let mut events = PollFlags::POLLIN;
                events.set(PollFlags::POLLOUT, connection.unsent());
                PollFd::new(connection.fd(), events)
            })
            .collect();
        let ready = poll(&mut fds, PollTimeout::from(100u8))?;
        let events: Vec<PollFlags> = fds.iter().filter_map(|fd| fd.revents()).collect();
        let now = Instant::now();
        if ready == 0 {
            if now - self.heard > SILENCE_MAX {
                bail!("no reply from {} within {SILENCE_MAX:?}", self.silent());
            }
            return Ok(());
        }
        for (at, events) in events.into_iter().enumerate() {
            let connection = &mut self.connections[at];
            if events.contains(PollFlags::POLLOUT) {
                connection.flush()?;
            }
            if !events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                continue;
            }
            connection.receive(|reply, asked_at| {
                self.bytes += self.work.reply(at, reply)?;
                self.requests += 1;
                self.heard = now;
                let took = now.saturating_duration_since(asked_at);
                self.latencies_ns.saturating_record(took.as_nanos() as u64);
                Ok(())
            })?;
        }
        Ok(())
    }
}
