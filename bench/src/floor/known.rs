//! Floors of this machine, measured before, to be drawn beside what a run found.
//!
//! They are taken from the newest result of `odradek bench floor` on the same CPU: who draws them
//! tells which. Of each floor on the ring its middle run counts, those with machine's figures that
//! cannot be believed do not.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::outcome::{FloorRuns, Floors, PREFIX};
use super::{Kind, Runtime};
use crate::load::Acks;
use crate::machine::Facts;
use crate::measurement::Measurement;
use crate::report::RunResult;
use crate::report::floors::kinds_for;
use crate::report::save::PARTIAL;

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct KnownFloors {
    /// The result's name.
    pub(crate) from: String,
    /// When it was measured, UTC.
    pub(crate) started: String,
    pub(crate) kernel: String,
    pub(crate) commit: String,
    /// As [`Self::file_system`].
    #[serde(default)]
    pub(crate) file_system: String,
    /// The middle run of each.
    pub(crate) runs: Vec<Measurement>,
}

impl KnownFloors {
    /// The newest of `dir` that were measured on such a machine, by such a build; none where there
    /// are none.
    pub(crate) fn newest(dir: &Path, machine: &Facts) -> Option<Self> {
        let entries = std::fs::read_dir(dir).ok()?;
        let partial = format!("{PARTIAL}.json");
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(PREFIX) && name.ends_with(".json"))
            .filter(|name| !name.ends_with(&partial))
            .collect();
        // They begin with their dates.
        names.sort_unstable_by(|a, b| b.cmp(a));
        names.into_iter().find_map(|name| {
            let bytes = std::fs::read(dir.join(&name)).ok()?;
            let floors: Floors = serde_json::from_slice(&bytes).ok()?;
            let of = &floors.machine;
            let same = (&of.cpu_model, of.cores, of.debug_assertions)
                == (&machine.cpu_model, machine.cores, machine.debug_assertions);
            same.then(|| Self::of(&name, &floors))
        })
    }

    fn of(name: &str, floors: &Floors) -> Self {
        let ring = floors.floors.iter();
        let ring = ring.filter(|floor| floor.runtime == Runtime::Ring);
        let commit = &floors.machine.commit;
        Self {
            from: name.to_owned(),
            started: floors.started.clone(),
            kernel: floors.machine.kernel.clone(),
            commit: commit.get(..10).unwrap_or("unknown").to_owned(),
            file_system: floors.machine.file_system.kind.clone(),
            runs: ring.filter_map(middle).collect(),
        }
    }

    /// Which they are, in words.
    pub(crate) fn told(&self) -> String {
        format!(
            "{} (measured {}, Linux {}, commit {}, on this CPU), on the ring, the middle run of each",
            self.from, self.started, self.kernel, self.commit
        )
    }

    /// Where their files were.
    pub(crate) fn file_system(&self) -> &str {
        match self.file_system.as_str() {
            "" => "an unknown file system",
            known => known,
        }
    }

    pub(crate) fn find(&self, kind: Kind) -> Option<&Measurement> {
        self.runs.iter().find(|run| run.name == kind.name())
    }

    /// What a load stands beside.
    pub(crate) fn beside(&self, run: &RunResult) -> Vec<Measurement> {
        let mut load = run.load.clone();
        let settings = &run.server.settings;
        if settings.iter().any(|one| one == "durable.acks.all=false") {
            // They do not wait for the disk.
            load.acks = Acks::Leader;
        }
        let kinds = kinds_for(&load).into_iter();
        kinds.filter_map(|kind| self.find(kind).cloned()).collect()
    }
}

/// Without its histogram: its percentiles are drawn.
fn middle(floor: &FloorRuns) -> Option<Measurement> {
    let figure = |run: &Measurement| match floor.kind {
        kind if kind.one_at_a_time() => run.latency.as_ref().map(|latency| latency.p50_ms),
        kind if kind.is_stream() => Some(run.machine_s_per_gb()),
        _ => Some(run.machine_us_per_request()),
    };
    // A latency needs no figure of the machine.
    let alone = floor.kind.one_at_a_time();
    let runs = floor.runs.iter();
    let quiet = runs.filter(|run| alone || run.machine_was_quiet());
    let mut runs: Vec<(f64, &Measurement)> =
        quiet.filter_map(|run| Some((figure(run)?, run))).collect();
    runs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (_, run) = runs.get(runs.len().checked_sub(1)? / 2)?;
    Some(run.coarse(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::{Cost, Latency};

    fn run(kind: Kind, machine_cpu_s: f64, p50_ms: Option<f64>) -> Measurement {
        Measurement {
            name: kind.name().to_owned(),
            bytes: 1_000_000_000,
            requests: p50_ms.map_or(0, |_| 1000),
            cost: Cost {
                seconds: 1.0,
                process_cpu_s: Some(machine_cpu_s),
                machine_cpu_s,
                machine_busy_s: 1.0,
                idle_baseline_s: 0.0,
                driver_cpu_s: 0.1,
                steal_s: 0.0,
            },
            latency: p50_ms.map(|p50_ms| Latency {
                p50_ms,
                ..Latency::default()
            }),
            memory: None,
        }
    }

    fn kept(dir: &Path, name: &str, cpu_model: &str, store: &[f64]) {
        let mut floors = Floors::default();
        floors.machine.cpu_model = cpu_model.to_owned();
        let mut of = FloorRuns::new(Kind::Store, Runtime::Ring);
        of.runs = store
            .iter()
            .map(|cpu| run(Kind::Store, *cpu, None))
            .collect();
        let mut epoll = FloorRuns::new(Kind::Store, Runtime::Epoll);
        epoll.runs = vec![run(Kind::Store, 0.9, None)];
        floors.floors = vec![epoll, of];
        let json = serde_json::to_vec(&floors).expect("JSON");
        std::fs::write(dir.join(name), json).expect("a file");
    }

    #[test]
    fn the_newest_of_this_cpu_count_each_by_its_middle_run() {
        let dir = tempfile::tempdir().expect("a directory");
        let machine = Facts {
            cpu_model: "this".to_owned(),
            ..Facts::default()
        };
        assert!(KnownFloors::newest(dir.path(), &machine).is_none());
        kept(dir.path(), "floors-2026-01-01-a.json", "this", &[7.0]);
        kept(
            dir.path(),
            "floors-2026-01-02-b.json",
            "this",
            &[0.3, 0.1, 0.2],
        );
        kept(dir.path(), "floors-2026-01-03-c.json", "another", &[8.0]);
        kept(
            dir.path(),
            "floors-2026-01-05-e-partial.json",
            "this",
            &[9.0],
        );
        std::fs::write(dir.path().join("floors-2026-01-04-d.json"), "{").expect("a file");
        let found = KnownFloors::newest(dir.path(), &machine).expect("floors");
        assert_eq!(found.from, "floors-2026-01-02-b.json");
        let per_gb: Vec<f64> = found
            .runs
            .iter()
            .map(Measurement::machine_s_per_gb)
            .collect();
        assert_eq!(per_gb, [0.2]);
    }

    #[test]
    fn latencies_count_by_their_medians() {
        let mut ping = FloorRuns::new(Kind::PingPong, Runtime::Ring);
        ping.runs = [0.3, 0.1, 0.2]
            .map(|p50| run(Kind::PingPong, 0.1, Some(p50)))
            .into();
        let found = middle(&ping).and_then(|run| run.latency).expect("a run");
        assert_eq!(found.p50_ms, 0.2);
        ping.runs.clear();
        assert!(middle(&ping).is_none());
    }
}
