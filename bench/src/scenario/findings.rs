//! What a scenario found of one contestant.

use serde::{Deserialize, Serialize};

use crate::contest::MemoryNow;
use crate::floor::Kind;
use crate::measurement::{Cost, Measurement};
use crate::report::{Latencies, RunResult};

/// What is to be wished of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Better {
    More,
    Less,
    /// It is told, not compared.
    Neither,
}

/// A named figure. The same name means the same of every contestant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Which load, then what of it: `three producers: acked`.
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) better: Better,
    pub(crate) value: f64,
}

/// A server that was started for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Started {
    /// None of a server that ran already.
    pub(crate) seconds: Option<f64>,
    /// Settings and flags.
    pub(crate) settings: Vec<String>,
    /// Of the machine, before the start.
    pub(crate) memory_before: MemoryNow,
    /// What it did, unmeasured, before its first measured load; empty where it did nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) warmed_by: String,
}

/// What a closed loop stands beside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beside {
    /// Figures of this load begin with it.
    pub(crate) load: String,
    /// The cheapest programs that move its bytes, or answer its requests.
    pub(crate) kinds: Vec<Kind>,
}

/// Names the share of messages that was acked in time.
const SUSTAINED: &str = "sustained";

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Findings {
    pub(crate) figures: Vec<Figure>,
    pub(crate) started: Vec<Started>,
    /// What was left out, and why.
    pub(crate) skipped: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// Open loops, with their histograms.
    pub(crate) runs: Vec<RunResult>,
    /// Closed loops.
    pub(crate) measurements: Vec<Measurement>,
    /// Of the closed loops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) floors: Vec<Beside>,
}

impl Findings {
    /// Whether a closed loop is one of small requests: its CPU counts for each of them.
    pub(crate) fn is_small(&self, load: &str) -> bool {
        let mut floors = self.floors.iter();
        floors.any(|one| one.load == load && one.kinds.contains(&Kind::Echo))
    }

    /// Adds a figure; one that is not a number is left out.
    pub(crate) fn figure(&mut self, name: &str, unit: &str, better: Better, value: f64) {
        if value.is_finite() {
            self.figures.push(Figure {
                name: name.to_owned(),
                unit: unit.to_owned(),
                better,
                value,
            });
        }
    }

    /// Adds what `cost` comes to for each of `count` (a count of `unit`'s denominator): of the
    /// machine, which is compared, and of the process and of the driver, which are told: a driver
    /// that is not light would be measured with the server.
    pub(crate) fn cpu(&mut self, of: &str, unit: &str, cost: &Cost, count: f64) {
        if cost.machine_was_quiet() {
            let machine = cost.machine_cpu_s / count;
            self.figure(&format!("{of}: machine CPU"), unit, Better::Less, machine);
        } else {
            let note =
                format!("{of}: the machine was busy with something else: its CPU is unknown");
            self.notes.push(note);
        }
        if let Some(process) = cost.process_cpu_s {
            let process = process / count;
            self.figure(
                &format!("{of}: process CPU"),
                unit,
                Better::Neither,
                process,
            );
        }
        let driver = cost.driver_cpu_s / count;
        self.figure(&format!("{of}: driver CPU"), unit, Better::Neither, driver);
    }

    /// Adds percentiles.
    pub(crate) fn latency(&mut self, of: &str, latencies: &Latencies) {
        for (percent, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            if let Some(ms) = latencies.ms(quantile) {
                self.figure(&format!("{of} {percent}"), "ms", Better::Less, ms);
            }
        }
    }

    /// Adds all that is to be said of an open loop (or of a saturating one of the same driver).
    pub(crate) fn run(&mut self, of: &str, run: &RunResult) {
        let (better, of_rate) = match run.open_loop {
            // What was asked for: equal, or not sustained.
            true => (Better::Neither, "acked"),
            false => (Better::More, "throughput"),
        };
        self.figure(
            &format!("{of}: {of_rate}"),
            "messages/s",
            better,
            run.acked_per_s(),
        );
        self.figure(
            &format!("{of}: {of_rate}"),
            "MB/s",
            better,
            1e3 * run.gb_per_s(),
        );
        if run.open_loop {
            self.latency(&format!("{of}: ack"), &run.produce_ack);
            self.latency(&format!("{of}: end to end"), &run.end_to_end);
            let share = run.window.share_acked();
            self.figure(
                &format!("{of}: {SUSTAINED}"),
                "of intended",
                Better::Neither,
                share,
            );
            if !run.sustained() {
                let (percent, held_back) = (100.0 * share, run.window.held_back);
                self.notes.push(format!(
                    "{of}: NOT SUSTAINED: {percent:.1} % acked, {held_back} held back"
                ));
            }
        }
        if let Some(cpu) = &run.cpu {
            self.cpu(of, "s/GB", &cpu.cost, run.moved_gb());
            let millions = run.window.acked as f64 / 1e6;
            self.cpu(of, "s/million messages", &cpu.cost, millions);
            let driver = cpu.cost.driver_cpu_s * 1e6 / run.requests() as f64;
            let name = format!("{of}: driver CPU");
            self.figure(&name, "µs/request", Better::Neither, driver);
        }
        for caveat in &run.caveats {
            let note = format!("{of}: {caveat}");
            if !caveat.starts_with("the machine was busy") && !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}
