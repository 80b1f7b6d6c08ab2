//! What a server does before it is measured: for some seconds each kind of load that follows.
//!
//! A JVM compiles what it has run for a while; whoever is measured before is measured cold. So after
//! each start every contestant alike has the same passes, as long at any scale. What they wrote is
//! deleted and gone before the first measured load: no restart recovers it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Stage;
use super::closed::FETCH_BYTES;
use super::core::{LARGE, ONE, SMALL};
use crate::cli::{SMALL_CONNECTIONS, SMALL_IN_FLIGHT};
use crate::contest::Server;
use crate::drive::{self, Consumer, Partition, Plan, Range, produce, saturate};
use crate::load::Load;
use crate::window::Baseline;

const PRODUCE_S: f64 = 8.0;
const CONSUME_S: f64 = 5.0;
const ONE_RECORD_S: f64 = 5.0;
const OPEN_S: f64 = 10.0;
/// Of a quick run, each.
const QUICK_S: f64 = 0.1;

/// Whoever takes gigabytes a second is done sooner: the disk's room is bounded.
const PRODUCE_GIB_MAX: u64 = 8;
/// What was written is looked at so often.
const STEP_S: f64 = 0.5;
/// Resident, and read over and over.
const TAIL_BYTES: u64 = 8 << 20;

/// For servers that are to be warmed up: what is deleted is gone soon, not in a minute.
pub(super) fn gone_soon() -> (&'static str, String) {
    ("log.segment.delete.delay.ms", "1000".to_owned())
}
/// By then, even where the first look at what is deleted comes late.
const GONE_WITHIN_S: f64 = 60.0;

/// A kind of load.
pub(super) enum Pass {
    /// Large batches.
    Produce,
    /// The tail of what was produced before.
    Consume,
    OneRecord,
    /// An open loop, but for its topic and its durations.
    Open(Box<Load>),
}

impl Stage<'_> {
    /// Has a server that was just started do all this, unmeasured, and then forget it.
    ///
    /// # Errors
    /// When the server answers an error, hangs or hangs up.
    pub(super) fn warm_up(&mut self, server: &Server, passes: &[Pass]) -> Result<()> {
        self.check_interrupt()?;
        eprintln!("  {}: warm-up ...", server.label());
        let topic = self.topic_name("warm-up");
        let mut done = Vec::new();
        for pass in passes {
            let pass = self.pass(pass, server, &topic);
            done.push(pass.with_context(|| self.blame("warm-up", server))?);
        }
        if let Some(started) = self.findings.started.last_mut() {
            started.warmed_by = done.join(", ");
        }
        self.forget(server, &topic)?;
        self.settle(server)
    }

    /// What was done, in words.
    fn pass(&self, pass: &Pass, server: &Server, topic: &str) -> Result<String> {
        let seconds = |full| self.amount(full, QUICK_S);
        let one = || self.topic(server, topic, 1, &[]);
        Ok(match pass {
            Pass::Produce => {
                let seconds = seconds(PRODUCE_S);
                self.produce_for(seconds, server, (topic, &one()?))?;
                format!("{seconds} s of produce (at most {PRODUCE_GIB_MAX} GiB)")
            }
            Pass::Consume => {
                let (seconds, partitions) = (seconds(CONSUME_S), one()?);
                let range = Range::Last(TAIL_BYTES);
                let walk = Consumer::walk(topic, &partitions, ONE.0, range, FETCH_BYTES);
                let (mut consumer, _) = walk?;
                let leaders: Vec<_> = partitions.iter().map(|one| one.leader).collect();
                let plan = unmeasured(ONE, seconds);
                saturate(&leaders, &mut consumer, plan, no_baseline()?, None)?;
                format!("{seconds} s of consuming")
            }
            Pass::OneRecord => {
                let (seconds, partitions) = (seconds(ONE_RECORD_S), one()?);
                let plan = unmeasured((SMALL_CONNECTIONS, SMALL_IN_FLIGHT), seconds);
                send(server, (topic, &partitions), SMALL, plan)?;
                format!("{seconds} s of one-record batches")
            }
            Pass::Open(load) => {
                let seconds = seconds(OPEN_S);
                let load = Load {
                    topic: topic.to_owned(),
                    warmup_s: seconds / 2.0,
                    window_s: seconds / 2.0,
                    ..(**load).clone()
                };
                // It may fall behind: it is cold.
                self.open_loop("warm-up, open loop", server, &load)?;
                let rate = load.arrivals.rate().unwrap_or(0.0);
                format!("{seconds} s of an open loop ({rate:.0} messages/s)")
            }
        })
    }

    fn produce_for(&self, seconds: f64, server: &Server, at: (&str, &[Partition])) -> Result<()> {
        let (began, mut bytes) = (Instant::now(), 0);
        while began.elapsed().as_secs_f64() < seconds && bytes < PRODUCE_GIB_MAX << 30 {
            self.check_interrupt()?;
            let plan = unmeasured(ONE, STEP_S.min(seconds));
            bytes += send(server, at, LARGE, plan)?;
        }
        Ok(())
    }

    /// Deletes the topic, and waits until its files are gone where they are known.
    fn forget(&mut self, server: &Server, topic: &str) -> Result<()> {
        if let Err(error) = server.admin()?.delete_topic(topic) {
            let note = format!("the warm-up's topic stays: {error:#}");
            self.findings.notes.push(note);
            return Ok(());
        }
        let Some(data) = server.data_dir() else {
            return Ok(());
        };
        let (began, seconds) = (Instant::now(), self.amount(GONE_WITHIN_S, 0.0));
        while is_in(&data, topic)? {
            if began.elapsed().as_secs_f64() >= seconds {
                let note = format!("the warm-up's files were not gone after {seconds} s");
                self.findings.notes.push(note);
                break;
            }
            self.pause(Duration::from_millis(100))?;
        }
        Ok(())
    }
}

/// Whether a directory of the topic's is left, under whatever name it waits to be removed.
fn is_in(data: &std::path::Path, topic: &str) -> Result<bool> {
    let entries = std::fs::read_dir(data).with_context(|| data.display().to_string())?;
    for entry in entries {
        if entry?.file_name().to_string_lossy().starts_with(topic) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unmeasured((connections, in_flight): (usize, usize), seconds: f64) -> Plan {
    Plan {
        connections,
        in_flight,
        baseline: Duration::ZERO,
        warmup: Duration::ZERO,
        time: Duration::from_secs_f64(seconds),
    }
}

/// The machine is not watched.
fn no_baseline() -> Result<Baseline> {
    Baseline::watch(Duration::ZERO)
}

/// Bytes that were acked.
fn send(
    server: &Server,
    (topic, partitions): (&str, &[Partition]),
    load: drive::Load,
    plan: Plan,
) -> Result<u64> {
    let baseline = no_baseline()?;
    let (outcome, _) = produce(
        &server.admin()?,
        topic,
        partitions,
        load,
        plan,
        baseline,
        None,
    )?;
    Ok(outcome.measurement("warm-up").bytes)
}
