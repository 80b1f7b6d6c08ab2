//! A load at its own pace against any Kafka-protocol server.
//!
//! Open loop: each message has an intended send time, drawn beforehand, and its latency counts
//! from there. If the server or this driver falls behind, what waits counts as waiting; nothing is
//! left out. ([`Arrivals::Saturate`](crate::load::Arrivals) is the exception: a closed loop.)
//!
//! Every value carries producer, sequence, intended time and a checksum; the consumers prove that
//! nothing acked was lost, and that nothing came twice, out of order or damaged.
//!
//! A thread per driver core runs producers and consumers on the project's own ring and executor.
//! The thread that called only watches.
//!
//! Absent on purpose: retries (an error ends the run, its result is partial), consumer groups
//! (partitions are assigned), TLS and SASL.

mod batch;
mod buffer;
mod conclude;
mod conduct;
mod consumer;
mod cores;
mod form;
mod frames;
mod lane;
mod ledger;
mod maker;
mod meter;
mod notify;
mod prepare;
mod producer;
mod proof;
pub mod search;
mod shared;
mod sums;
mod times;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;

use crate::load::Load;
use crate::report::{Interval, RunResult};

pub(crate) use self::cores::check_cores;
pub use self::proof::PROOF_BYTES;

/// Who is loaded, from where.
#[derive(Clone, Debug)]
pub struct Target {
    /// Brokers to begin with, `host:port[,host:port]`.
    pub brokers: String,
    /// What is measured, in words.
    pub label: String,
    /// What is to be known of the server's settings.
    pub settings: Vec<String>,
    /// The server's processes, whose CPU and memory are counted.
    pub pids: Vec<u32>,
    /// A driver thread on each.
    pub driver_cores: Vec<usize>,
    /// Server and driver may share a core.
    pub share_cores: bool,
    /// On the file system where the server keeps its data.
    pub data_dir: PathBuf,
    /// For which the idle machine is watched beforehand.
    pub baseline: Duration,
    /// A server that does not answer for so long hangs: the run ends.
    pub silence_max: Duration,
    /// Raised from outside to end the run early.
    pub interrupt: Arc<AtomicBool>,
}

impl Target {
    /// One driver thread on `core`; nothing known of the server but its brokers.
    pub fn new(brokers: &str, core: usize) -> Self {
        Self {
            brokers: brokers.to_owned(),
            label: brokers.to_owned(),
            settings: Vec::new(),
            pids: Vec::new(),
            driver_cores: vec![core],
            share_cores: false,
            data_dir: std::env::temp_dir(),
            baseline: Duration::from_secs(2),
            silence_max: Duration::from_secs(20),
            interrupt: Arc::default(),
        }
    }
}

/// Runs a load. `watch` is told each interval when it is over.
///
/// What fails once the load has begun does not fail this call: the result then says that it is
/// partial, and why.
///
/// # Errors
/// When the load cannot begin: it contradicts itself, nobody answers, too few cores.
pub fn run(load: &Load, target: &Target, watch: &mut dyn FnMut(&Interval)) -> Result<RunResult> {
    load.check(PROOF_BYTES).map_err(anyhow::Error::msg)?;
    let caveats = cores::check(target)?;
    let prepared = prepare::prepare(load, target)?;
    let conducted = conduct::conduct(load, target, prepared, watch)?;
    conclude::conclude(load, target, caveats, conducted)
}
