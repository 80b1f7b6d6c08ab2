//! Arguments that several commands share.

use std::time::Duration;

use crate::drive::Plan;

/// How long.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Timing {
    /// Seconds of the measured window
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Seconds under load before the window
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warmup_seconds: f64,
    /// Seconds for which the idle machine is watched beforehand
    #[arg(long, default_value_t = 2.0)]
    pub(crate) baseline_seconds: f64,
}

impl Timing {
    pub(crate) fn plan(&self, connections: usize, in_flight: usize) -> Plan {
        let seconds = |value: f64| Duration::from_secs_f64(value.clamp(0.01, 86_400.0));
        Plan {
            connections: connections.max(1),
            in_flight: in_flight.max(1),
            baseline: seconds(self.baseline_seconds),
            warmup: seconds(self.warmup_seconds),
            time: seconds(self.seconds),
        }
    }
}

/// Depth of the one-record mode, and of the echo beside it.
pub(crate) const SMALL_CONNECTIONS: usize = 8;
pub(crate) const SMALL_IN_FLIGHT: usize = 32;
/// Bytes of value of a record in that mode.
pub(crate) const SMALL_RECORD_BYTES: usize = 64;
