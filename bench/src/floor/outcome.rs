//! What the floors came to, as it is kept.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Kind, Runtime};
use crate::contest::MemoryState;
use crate::machine::Facts;
use crate::measurement::Measurement;
use crate::record::Spread;
use crate::report::save;

/// Begins the names of these results.
pub(crate) const PREFIX: &str = "floors-";

/// One floor on one runtime.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FloorRuns {
    pub(crate) kind: Kind,
    pub(crate) runtime: Runtime,
    pub(crate) runs: Vec<Measurement>,
    /// Why it cannot be had there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) lacks: Option<String>,
    /// Why there are fewer runs than rounds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) failure: Option<String>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) warmup_seconds: f64,
    pub(crate) baseline_seconds: f64,
    pub(crate) echo_connections: usize,
    pub(crate) echo_in_flight: usize,
    pub(crate) echo_request_bytes: usize,
    pub(crate) echo_reply_bytes: usize,
    pub(crate) server_core: usize,
    pub(crate) driver_core: usize,
    /// The machine's, before each run.
    #[serde(default)]
    pub(crate) memory: MemoryState,
}

/// The whole.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Floors {
    pub(crate) started: String,
    pub(crate) machine: Facts,
    pub(crate) configuration: Configuration,
    pub(crate) floors: Vec<FloorRuns>,
    /// It was ended before all rounds were over.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) interrupted: bool,
}

impl FloorRuns {
    pub(crate) fn new(kind: Kind, runtime: Runtime) -> Self {
        Self {
            kind,
            runtime,
            runs: Vec::new(),
            lacks: runtime.lacks(kind).map(str::to_owned),
            failure: None,
        }
    }

    /// Whether another round makes sense.
    pub(crate) fn can_run(&self) -> bool {
        self.lacks.is_none() && self.failure.is_none()
    }

    /// The middle of a figure over the rounds.
    pub(crate) fn median(&self, figure: impl Fn(&Measurement) -> Option<f64>) -> Option<f64> {
        Some(Spread::of(self.runs.iter().filter_map(figure))?.median)
    }

    /// Whether the machine's figures can be believed.
    pub(crate) fn machine_was_quiet(&self) -> bool {
        self.runs.iter().all(Measurement::machine_was_quiet)
    }
}

impl Floors {
    pub(crate) fn find(&self, kind: Kind, runtime: Runtime) -> Option<&FloorRuns> {
        let mut all = self.floors.iter();
        all.find(|floor| floor.kind == kind && floor.runtime == runtime)
    }

    /// Why it is partial; empty where it is not.
    pub(crate) fn problems(&self) -> Vec<String> {
        let failed = self.floors.iter().filter_map(|floor| {
            let (kind, runtime) = (floor.kind.name(), floor.runtime.name());
            let failure = floor.failure.as_ref()?;
            Some(format!("{kind}, {runtime}, failed: {failure}"))
        });
        let interrupted = self.interrupted.then(|| "interrupted".to_owned());
        interrupted.into_iter().chain(failed).collect()
    }

    /// With its latencies to fewer significant digits.
    fn coarse(&self, digits: u8) -> Self {
        let mut floors = self.clone();
        for run in floors.floors.iter_mut().flat_map(|floor| &mut floor.runs) {
            *run = run.coarse(digits);
        }
        floors
    }

    /// Writes the runs as JSON, and what was made of them as page and markdown, named by date and
    /// commit. Returns the markdown's path.
    pub(crate) fn write(&self, dir: &Path, html: &str, markdown: &str) -> Result<PathBuf> {
        let json = save::bounded(|digits| {
            let text = serde_json::to_string_pretty(&self.coarse(digits))? + "\n";
            Ok(text.into_bytes())
        })?;
        let faces = save::Faces {
            partial: !self.problems().is_empty(),
            json: &json,
            html,
            markdown,
        };
        save::dated(dir, PREFIX, &self.started, &self.machine.commit, &faces)
    }
}
