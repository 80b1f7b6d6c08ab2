//! The result of one run.
//!
//! A result says itself whether it is whole: what went wrong stands in `problems`, and a result
//! with problems is partial whatever its figures look like. What makes a figure doubtful without
//! ending the run (a driver at its limit, a shared core) stands in `caveats`.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::histogram::Latencies;
use crate::load::Load;
use crate::machine::Facts;
use crate::measurement::{Cost, Measurement, Memory};
use crate::open::search::Found;

/// Of the JSON; raised when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// One run, whole or partial.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunResult {
    pub format: u32,
    /// What was measured, in the caller's words.
    pub label: String,
    /// UTC, to the second.
    pub started: String,
    /// False: a closed loop, whose latencies are those of a saturated server.
    pub open_loop: bool,
    /// False: the run ended early or something failed; see `problems`.
    pub complete: bool,
    /// Why it is partial.
    pub problems: Vec<String>,
    /// What makes its figures doubtful.
    pub caveats: Vec<String>,
    pub load: Load,
    pub server: ServerFacts,
    pub machine: Facts,
    /// Within the window.
    pub window: WindowTotals,
    /// From the first message to the last, warm-up and drain included.
    pub totals: Totals,
    /// Intended send time → ack, of messages intended within the window.
    pub produce_ack: Latencies,
    /// Intended send time → received whole by a consumer, of the same messages.
    pub end_to_end: Latencies,
    /// Intended send time → made: how late the driver itself was.
    pub driver_lateness: Latencies,
    /// None where the server ended, or no window was reached.
    pub cpu: Option<Cpu>,
    pub timeline: Vec<Interval>,
    pub validity: Validity,
    /// Where the rate was searched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Found>,
    /// The cheapest programs that move the same bytes, measured in the same run unless
    /// `floors_from` says otherwise.
    pub floors: Vec<Measurement>,
    /// Which earlier result of `odradek bench floor` they are taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floors_from: Option<String>,
    /// What the figures do not cover.
    pub excluded: Vec<String>,
}

/// Who was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerFacts {
    pub brokers: String,
    /// Addresses of the partitions' leaders.
    pub leaders: Vec<String>,
    pub partitions: usize,
    /// Versions of the requests.
    pub produce_version: i16,
    pub fetch_version: i16,
    /// What the caller says of its settings.
    pub settings: Vec<String>,
}

/// What happened in the window, by the clock: an ack counts when it came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowTotals {
    pub seconds: f64,
    /// Messages whose intended time lay in the window.
    pub intended: u64,
    pub acked: u64,
    /// Of record batches that were acked (with acks=0: sent).
    pub acked_bytes: u64,
    /// Produce requests that were answered (with acks=0: sent).
    pub produce_requests: u64,
    /// Over all sets of consumers.
    pub consumed: u64,
    pub consumed_bytes: u64,
    pub fetch_requests: u64,
    /// Messages intended within the window that the run's end came before, about; not in
    /// `intended`.
    pub never_made: u64,
    /// Messages that were made late because the buffer was full.
    pub held_back: u64,
}

/// Of the messages intended within a window, so many are acked in it if the rate is held: fewer are a
/// queue that grows, more one from before the window that was worked off.
const SHARE_HELD: RangeInclusive<f64> = 0.99..=1.01;
/// And no greater share was held back: a p99.9 would see it.
const HELD_BACK_MAX: f64 = 0.001;

impl WindowTotals {
    /// Messages acked, of those intended; above 1 where some were intended before.
    pub fn share_acked(&self) -> f64 {
        self.acked as f64 / self.all_intended()
    }

    /// Whether the acks kept up with the messages, neither behind them nor catching up.
    pub fn sustained(&self) -> bool {
        SHARE_HELD.contains(&self.share_acked())
            && self.held_back as f64 <= HELD_BACK_MAX * self.all_intended()
    }

    /// Whether a backlog from before the window was worked off in it.
    pub fn caught_up(&self) -> bool {
        self.share_acked() > *SHARE_HELD.end()
    }

    /// Whether the acks fell behind the messages.
    pub fn fell_behind(&self) -> bool {
        self.share_acked() < *SHARE_HELD.start()
    }

    fn all_intended(&self) -> f64 {
        (self.intended + self.never_made) as f64
    }
}

/// Messages of the whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub made: u64,
    pub acked: u64,
    pub failed: u64,
    pub consumed: u64,
}

/// CPU in the window. Everything in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cpu {
    /// Process, machine, idle baseline and driver.
    #[serde(flatten)]
    pub cost: Cost,
    /// Of each driver thread.
    pub driver_threads_s: Vec<f64>,
    /// Soft interrupts of all cores as the kernel samples them: a part of the machine's.
    pub softirq_s: f64,
    pub memory: Option<Memory>,
}

impl Cpu {
    /// Of the whole machine less idle and driver; none where it was busy with something else, so
    /// that the difference means nothing.
    pub fn machine_s(&self) -> Option<f64> {
        self.cost
            .machine_was_quiet()
            .then_some(self.cost.machine_cpu_s)
    }
}

/// One step of the plots over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its end, seconds after the beginning of the warm-up.
    pub at_s: f64,
    pub seconds: f64,
    pub warmup: bool,
    pub made: u64,
    pub acked: u64,
    pub acked_bytes: u64,
    pub consumed: u64,
    pub produce_ack: Option<Percentiles>,
    pub end_to_end: Option<Percentiles>,
    /// Messages acked and not yet consumed by the slowest set, at the interval's end.
    pub lag: u64,
    /// Messages made and not yet acked, at the interval's end.
    pub unanswered: u64,
}

/// Of one interval, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// What the consumers proved. Counts of messages, over all sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// False: nobody read, nothing is proven.
    pub checked: bool,
    pub consumed: u64,
    /// Acked and never seen.
    pub lost: u64,
    /// Acked, and not yet read when the run was given up.
    pub unread: u64,
    pub doubled: u64,
    /// Seen after a later one of the same producer and partition.
    pub reordered: u64,
    /// Checksums do not match, or a batch does not open.
    pub corrupt: u64,
    /// Of other runs; not an error.
    pub foreign: u64,
    /// Failed or unanswered, and seen all the same; not an error.
    pub unacked_but_seen: u64,
    /// The first few violations, in words.
    pub examples: Vec<String>,
}

impl Validity {
    /// Nothing acked was lost, nothing came twice, out of order or damaged.
    pub fn holds(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.reordered == 0 && self.corrupt == 0
    }

    /// In a few words.
    pub fn verdict(&self) -> String {
        if !self.checked {
            return "not checked (nobody read)".to_owned();
        }
        let Self {
            consumed,
            lost,
            doubled,
            reordered,
            corrupt,
            ..
        } = self;
        let verdict = if self.holds() { "holds" } else { "VIOLATED" };
        format!(
            "{verdict}: {consumed} consumed, {lost} lost, {doubled} doubled, {reordered} \
             reordered, {corrupt} corrupt"
        )
    }
}

impl RunResult {
    /// Of a run that has not begun: nothing measured, not complete.
    pub(crate) fn blank() -> Self {
        Self {
            format: FORMAT,
            label: String::new(),
            started: String::new(),
            open_loop: true,
            complete: false,
            problems: Vec::new(),
            caveats: Vec::new(),
            load: Load::default(),
            server: ServerFacts::default(),
            machine: Facts::default(),
            window: WindowTotals::default(),
            totals: Totals::default(),
            produce_ack: Latencies::default(),
            end_to_end: Latencies::default(),
            driver_lateness: Latencies::default(),
            cpu: None,
            timeline: Vec::new(),
            validity: Validity::default(),
            search: None,
            floors: Vec::new(),
            floors_from: None,
            excluded: Vec::new(),
        }
    }

    /// Messages per second that were acked within the window.
    pub fn acked_per_s(&self) -> f64 {
        self.window.acked as f64 / self.window.seconds
    }

    pub fn gb_per_s(&self) -> f64 {
        self.window.acked_bytes as f64 / 1e9 / self.window.seconds
    }

    /// GB that the server moved within the window, in and out.
    pub fn moved_gb(&self) -> f64 {
        (self.window.acked_bytes + self.window.consumed_bytes) as f64 / 1e9
    }

    /// Requests that the server answered within the window.
    pub fn requests(&self) -> u64 {
        self.window.produce_requests + self.window.fetch_requests
    }

    /// Whether the acks kept up with the messages.
    pub fn sustained(&self) -> bool {
        self.window.sustained()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_held_neither_behind_nor_catching_up() {
        let window = |intended, never_made, acked, held_back| WindowTotals {
            intended,
            never_made,
            acked,
            held_back,
            ..WindowTotals::default()
        };
        for (acked, held) in [
            (98_999, false),
            (99_000, true),
            (101_000, true),
            (101_001, false),
        ] {
            assert_eq!(window(100_000, 0, acked, 0).sustained(), held, "{acked}");
        }
        let (behind, ahead) = (window(90, 10, 90, 0), window(100_000, 0, 125_000, 0));
        assert!(behind.fell_behind() && !behind.caught_up() && !behind.sustained());
        assert!(ahead.caught_up() && !ahead.fell_behind());
        assert!(window(100_000, 0, 100_000, 100).sustained());
        assert!(!window(100_000, 0, 100_000, 101).sustained());
        // Of nothing nothing is held.
        assert!(!window(0, 0, 0, 0).sustained());
    }
}
