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

/// A node's run beside its floor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contest {
    /// acks=1, beside the direct write
    ProduceOne,
    /// acks=all, beside the direct write with DSYNC
    ProduceAll,
    /// The tail, beside the send from memory
    ConsumeTail,
    /// What is resident, beside sendfile
    ConsumeResident,
    /// One-record batches, acks=1, beside the echo
    OneRecord,
}

impl Contest {
    pub(super) fn name(self) -> &'static str {
        match self {
            Contest::ProduceOne => "produce acks=1",
            Contest::ProduceAll => "produce acks=all, durable",
            Contest::ConsumeTail => "consume tail",
            Contest::ConsumeResident => "consume resident",
            Contest::OneRecord => "produce acks=1, one record",
        }
    }

    pub(super) fn floor(self) -> Kind {
        match self {
            Contest::ProduceOne => Kind::Store,
            Contest::ProduceAll => Kind::StoreDurable,
            Contest::ConsumeTail => Kind::Send,
            Contest::ConsumeResident => Kind::Sendfile,
            Contest::OneRecord => Kind::Echo,
        }
    }

    /// The node's CPU is to be at most this many times the floor's.
    pub(super) fn ratio_max(self) -> f64 {
        match self {
            Contest::ProduceOne | Contest::ProduceAll => 1.5,
            Contest::ConsumeTail | Contest::ConsumeResident => 1.3,
            Contest::OneRecord => 2.5,
        }
    }

    /// CPU counts per request, not per GB.
    pub(super) fn per_request(self) -> bool {
        self == Contest::OneRecord
    }

    pub(super) fn plan(self, args: &RecordArgs) -> Plan {
        match self {
            Contest::OneRecord => args.timing.plan(SMALL_CONNECTIONS, SMALL_IN_FLIGHT),
            _ => args.timing.plan(args.connections, args.in_flight),
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
            Contest::ProduceOne | Contest::ProduceAll | Contest::OneRecord => {
                let partitions = admin.topic(&spec)?;
                let small = self == Contest::OneRecord;
                let load = Load {
                    record_bytes: if small {
                        SMALL_RECORD_BYTES
                    } else {
                        args.record_size
                    },
                    batch_bytes: if small { 0 } else { args.request_size },
                    acks: if self == Contest::ProduceAll { -1 } else { 1 },
                };
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
