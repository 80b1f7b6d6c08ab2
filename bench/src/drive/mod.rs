//! The driver: loads a Kafka-protocol server from one core.

mod admin;
mod backfill;
mod change;
mod connection;
mod consume;
mod coordinator;
mod identity;
mod keyed;
mod leads;
mod load;
mod offsets;
mod pipeline;
mod produce;
mod producer;
mod saturate;
mod tails;
mod transaction;

use std::time::Duration;

pub(crate) use admin::{Admin, Partition, TopicSpec, check, reply_body, request_frame};
pub(crate) use backfill::{Backfilled, backfill, step_back};
pub(crate) use change::{Layout, touch};
pub(crate) use consume::{Consumer, Range};
pub(crate) use keyed::Keyed;
pub(crate) use leads::leads;
pub(crate) use load::{Load, fill, now_ms, produce, send_one, warm_page_cache};
pub(crate) use offsets::Commits;
pub(crate) use pipeline::Pipeline;
pub(crate) use produce::{Batch, Frames};
pub(crate) use producer::{Identity, Producer};
pub(crate) use saturate::{Work, saturate};
pub(crate) use tails::{Tails, WAIT_MS};
pub(crate) use transaction::Transaction;

/// What figures of closed loops do not cover, for reports.
pub(crate) const UNPROVEN: &str = "\
closed loops of one driver thread send the same batch again and do not check what is read; loads \
at a rate prove each record that they read";

/// How hard and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    /// Requests unanswered at a time, per connection.
    pub(crate) in_flight: usize,
    /// For which the idle machine is watched.
    pub(crate) baseline: Duration,
    /// Under load before the window opens.
    pub(crate) warmup: Duration,
    /// Of the window.
    pub(crate) time: Duration,
}

impl Plan {
    /// Longer than a run may take.
    pub(crate) fn time_max(&self) -> Duration {
        self.baseline + self.warmup + self.time + Duration::from_secs(30)
    }
}
