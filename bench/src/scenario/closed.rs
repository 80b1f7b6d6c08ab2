//! Closed loops on the stage: saturation, and what it costs.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Stage;
use super::findings::{Beside, Better, Findings};
use crate::contest::Server;
use crate::drive::{self, Consumer, Load, Partition, Plan, Range, produce, saturate};
use crate::floor::Kind;
use crate::machine::wait_until_quiet;
use crate::measurement::Measurement;

/// Bytes of a fetch.
pub(super) const FETCH_BYTES: i32 = 1 << 20;
/// Larger ones come in gigabytes a second: the disk's room bounds how long.
const LARGE_BATCH: usize = 64 << 10;

impl Stage<'_> {
    /// Saturates a topic's leaders with one batch per request, and names what came of it.
    ///
    /// # Errors
    /// When the server answers an error, hangs or hangs up: nothing is kept then.
    pub(crate) fn saturate_produce(
        &mut self,
        name: &str,
        server: &Server,
        (topic, partitions): (&str, &[Partition]),
        load: Load,
        (connections, in_flight): (usize, usize),
    ) -> Result<()> {
        let mut plan = self.plan(connections, in_flight);
        if load.batch_bytes > LARGE_BATCH {
            plan.warmup = Duration::from_secs_f64(self.seconds(3.0));
            plan.time = Duration::from_secs_f64(self.seconds(5.0));
        }
        let (run, records) = self.quiet_produce(name, server, (topic, partitions), load, plan)?;
        self.findings.closed(&run, Some(records));
        self.findings.beside(name, produce_floors(load));
        self.end(run, server)
    }

    /// The same by a plan, without figures: for runs whose figures the scenario names itself.
    /// Returns the records of each request, too.
    pub(crate) fn quiet_produce(
        &self,
        name: &str,
        server: &Server,
        (topic, partitions): (&str, &[Partition]),
        load: Load,
        plan: Plan,
    ) -> Result<(Measurement, u64)> {
        self.begin(name, server)?;
        let baseline = self.watch_idle()?;
        let (admin, pid) = (server.admin()?, server.pids().first().copied());
        let done = produce(&admin, topic, partitions, load, plan, baseline, pid);
        let (outcome, frames) = done.with_context(|| self.blame(name, server))?;
        Ok((outcome.measurement(name), frames.records as u64))
    }

    /// Saturates a topic's leaders with fetches of a range of each partition.
    ///
    /// # Errors
    /// As [`Self::saturate_produce`].
    pub(crate) fn saturate_consume(
        &mut self,
        name: &str,
        server: &Server,
        (topic, partitions): (&str, &[Partition]),
        range: Range,
        (connections, in_flight): (usize, usize),
    ) -> Result<()> {
        self.begin(name, server)?;
        let walk = Consumer::walk(topic, partitions, connections, range, FETCH_BYTES);
        let (mut consumer, _) = walk.with_context(|| name.to_owned())?;
        let leaders = partitions.iter().cycle().take(connections);
        let addresses: Vec<_> = leaders.map(|partition| partition.leader).collect();
        let plan = self.plan(connections, in_flight);
        let baseline = self.watch_idle()?;
        let pid = server.pids().first().copied();
        let done = saturate(&addresses, &mut consumer, plan, baseline, pid);
        let run = done
            .with_context(|| self.blame(name, server))?
            .measurement(name);
        self.findings.closed(&run, None);
        self.findings.beside(name, consume_floors(range));
        self.end(run, server)
    }

    /// Appends 1 MiB batches of 1 KiB records until each partition holds `bytes`.
    pub(crate) fn fill(&self, topic: &str, partitions: &[Partition], bytes: u64) -> Result<()> {
        drive::fill(topic, partitions, bytes).with_context(|| format!("filling topic {topic}"))
    }

    fn begin(&self, name: &str, server: &Server) -> Result<()> {
        self.check_interrupt()?;
        eprintln!("  {}: {name} ...", server.label());
        self.place.fill_again()?;
        wait_until_quiet(self.place.quiet_seconds)
    }

    fn end(&mut self, run: Measurement, server: &Server) -> Result<()> {
        let peak = run.memory.as_ref().map(|memory| memory.peak_bytes);
        self.memory(&run.name, server, peak);
        self.findings.measurements.push(run);
        Ok(())
    }
}

/// Of what stores a load's requests.
pub(crate) fn produce_floors(load: Load) -> &'static [Kind] {
    match (load.batch_bytes, load.acks) {
        (0, _) => &[Kind::Echo],
        (_, -1) => &[Kind::StoreDurable],
        _ => &[Kind::Store, Kind::StoreCopy],
    }
}

/// Of what sends a range again and again: the tail is in memory, what is older in page cache.
pub(crate) fn consume_floors(range: Range) -> &'static [Kind] {
    match range {
        Range::Last(_) => &[Kind::Send],
        Range::First(_) => &[Kind::Sendfile],
    }
}

impl Findings {
    fn beside(&mut self, load: &str, kinds: &[Kind]) {
        self.floors.push(Beside {
            load: load.to_owned(),
            kinds: kinds.to_vec(),
        });
    }

    /// Adds all that is to be said of a closed loop. `records` of each request.
    fn closed(&mut self, run: &Measurement, records: Option<u64>) {
        let (name, seconds) = (&run.name, run.cost.seconds);
        let (bytes, requests) = (run.bytes as f64, run.requests as f64);
        let rate = format!("{name}: throughput");
        self.figure(&rate, "MB/s", Better::More, bytes / 1e6 / seconds);
        self.figure(&rate, "requests/s", Better::More, requests / seconds);
        self.cpu(name, "s/GB", &run.cost, bytes / 1e9);
        self.cpu(name, "µs/request", &run.cost, requests / 1e6);
        if let Some(records) = records {
            let messages = requests * records as f64;
            self.cpu(name, "s/million messages", &run.cost, messages / 1e6);
        }
    }
}
