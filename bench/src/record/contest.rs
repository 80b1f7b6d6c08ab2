//! What is compared with what, and how close it should come.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::RecordArgs;
use crate::cli::{SMALL_CONNECTIONS, SMALL_IN_FLIGHT, SMALL_RECORD_BYTES};
use crate::contest::Server;
use crate::drive::{
    Consumer, Load, Plan, Range, TopicSpec, fill, produce, saturate, warm_page_cache,
};
use crate::floor::Kind;
use crate::measurement::Measurement;
use crate::window::Baseline;

const TOPIC: &str = "bench";
const TAIL_BYTES: u64 = 8 << 20;
const RESIDENT_BYTES: u64 = 256 << 20;
/// Small enough that what is resident lies in closed segments.
const RESIDENT_SEGMENT_BYTES: u64 = 64 << 20;
/// Of requests that a node has to merge before it writes.
const MEDIUM_REQUEST_BYTES: usize = 64 << 10;
/// So many producers keep a node in work that has to wait for each.
const MANY_CONNECTIONS: usize = 8;

/// A node's run beside its floor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contest {
    /// acks=1, beside the direct write
    ProduceOne,
    /// acks=1, requests of 64 KiB, beside the direct write of 1 MiB
    ProduceMedium,
    /// The same over 8 connections, beside the same floor
    ProduceMediumMany,
    /// acks=all, beside the direct write with DSYNC
    ProduceAll,
    /// The tail, beside the send from memory
    ConsumeTail,
    /// What is resident, beside sendfile or the send from memory
    ConsumeResident,
    /// One-record batches, acks=1, beside the echo
    OneRecord,
    /// One record at a time, acks=all: its p50 beside a ping-pong and a durable write
    DurableLatency,
}

/// How close it should come.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Target {
    /// CPU, the machine's and the process's: at most this many times the floor's.
    Cpu(f64),
    /// p50: at most this many microseconds more than the floors' sum.
    P50(f64),
}

impl Contest {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contest::ProduceOne => "produce acks=1",
            Contest::ProduceMedium => "produce acks=1, 64 KiB requests",
            Contest::ProduceMediumMany => "produce acks=1, 64 KiB requests, 8 connections",
            Contest::ProduceAll => "produce acks=all, durable",
            Contest::ConsumeTail => "consume tail",
            Contest::ConsumeResident => "consume resident",
            Contest::OneRecord => "produce acks=1, one record",
            Contest::DurableLatency => "durable p50, one at a time",
        }
    }

    /// What it stands beside: of several the cheapest, in CPU; in latency their sum. A log's newest
    /// block is written over until it is full: the cheaper of the durable writes is its floor. A
    /// node might hold in memory what is resident, and sendfile is not always cheaper than that.
    pub(crate) fn floors(self) -> &'static [Kind] {
        match self {
            Contest::ProduceOne | Contest::ProduceMedium | Contest::ProduceMediumMany => {
                &[Kind::Store]
            }
            Contest::ProduceAll => &[Kind::StoreDurable],
            Contest::ConsumeTail => &[Kind::Send],
            Contest::ConsumeResident => &[Kind::Sendfile, Kind::Send],
            Contest::OneRecord => &[Kind::Echo],
            Contest::DurableLatency => &[Kind::PingPong, Kind::DurableOver],
        }
    }

    pub(crate) fn target(self) -> Target {
        match self {
            Contest::ProduceOne => Target::Cpu(1.25),
            Contest::ProduceAll => Target::Cpu(1.35),
            Contest::ProduceMedium | Contest::ProduceMediumMany => Target::Cpu(1.5),
            Contest::ConsumeTail | Contest::ConsumeResident => Target::Cpu(1.2),
            Contest::OneRecord => Target::Cpu(2.5),
            Contest::DurableLatency => Target::P50(30.0),
        }
    }

    /// CPU counts per request, not per GB.
    pub(crate) fn per_request(self) -> bool {
        matches!(self, Contest::OneRecord | Contest::DurableLatency)
    }

    pub(super) fn plan(self, args: &RecordArgs) -> Plan {
        match self {
            Contest::OneRecord => args.timing.plan(SMALL_CONNECTIONS, SMALL_IN_FLIGHT),
            Contest::DurableLatency => args.timing.plan(1, 1),
            Contest::ProduceMediumMany => args.timing.plan(MANY_CONNECTIONS, args.in_flight),
            _ => args.timing.plan(args.connections, args.in_flight),
        }
    }

    /// Its floors'.
    pub(super) fn floor_plan(self, args: &RecordArgs) -> Plan {
        match self {
            Contest::ProduceMediumMany => Contest::ProduceMedium.plan(args),
            _ => self.plan(args),
        }
    }

    fn load(self, args: &RecordArgs) -> Load {
        let (record_bytes, batch_bytes) = match self {
            Contest::OneRecord | Contest::DurableLatency => (SMALL_RECORD_BYTES, 0),
            Contest::ProduceMedium | Contest::ProduceMediumMany => {
                (args.record_size, MEDIUM_REQUEST_BYTES)
            }
            _ => (args.record_size, args.request_size),
        };
        let durable = matches!(self, Contest::ProduceAll | Contest::DurableLatency);
        Load {
            record_bytes,
            batch_bytes,
            acks: if durable { -1 } else { 1 },
            spread: false,
        }
    }

    /// The node's run.
    pub(super) fn run(self, node: &Server, args: &RecordArgs) -> Result<Measurement> {
        let plan = self.plan(args);
        let mut admin = node.admin()?;
        let pid = node.pids().first().copied();
        let mut spec = TopicSpec {
            name: TOPIC.to_owned(),
            partitions: 1,
            configs: Vec::new(),
        };
        let outcome = match self {
            Contest::ProduceOne
            | Contest::ProduceMedium
            | Contest::ProduceMediumMany
            | Contest::ProduceAll
            | Contest::OneRecord
            | Contest::DurableLatency => {
                let partitions = admin.topic(&spec)?;
                let load = self.load(args);
                let baseline = Baseline::watch(plan.baseline)?;
                produce(&admin, TOPIC, &partitions, load, plan, baseline, pid)?.0
            }
            Contest::ConsumeTail | Contest::ConsumeResident => {
                let (range, bytes) = if self == Contest::ConsumeTail {
                    (Range::Last(TAIL_BYTES), 4 * TAIL_BYTES)
                } else {
                    let segment = RESIDENT_SEGMENT_BYTES.to_string();
                    spec.configs.push(("segment.bytes".to_owned(), segment));
                    (Range::First(RESIDENT_BYTES), 2 * RESIDENT_BYTES)
                };
                let partitions = admin.topic(&spec)?;
                fill(TOPIC, &partitions, bytes)?;
                if self == Contest::ConsumeResident {
                    warm_page_cache(&node.data_dir().context("a node")?, TOPIC)?;
                }
                let fetch_bytes = 1 << 20;
                let connections = plan.connections;
                let (mut consumer, _) =
                    Consumer::walk(TOPIC, &partitions, connections, range, fetch_bytes)?;
                let addresses = vec![partitions[0].leader; connections];
                let baseline = Baseline::watch(plan.baseline)?;
                saturate(&addresses, &mut consumer, plan, baseline, pid)?
            }
        };
        Ok(outcome.measurement(self.name()))
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// Or its runs could not be pooled: requests and depth are the contest's own there.
    #[test]
    fn a_floor_that_answers_stands_in_one_contest() {
        let all = Contest::value_variants().iter();
        let kinds = all.flat_map(|contest| contest.floors());
        let mut replies: Vec<Kind> = kinds.copied().filter(|kind| !kind.is_stream()).collect();
        replies.sort_unstable();
        let count = replies.len();
        replies.dedup();
        assert_eq!(replies.len(), count);
    }
}
