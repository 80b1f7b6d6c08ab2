//! What the closed loops `produce` and `consume` found: shown, and kept where that is asked for.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use super::{BUSY, LEGEND};
use crate::drive::UNPROVEN;
use crate::floor::{Kind, KnownFloors};
use crate::machine::Facts;
use crate::measurement::{Measurement, columns, rows, table};
use crate::report::floors::over_percentiles;
use crate::report::grid::{Grid, paragraphs, table as grid};
use crate::report::html::{Split, document, latency_chart, list, section};
use crate::report::plot::{bars, escape};
use crate::report::save;

/// Where it is kept, and what it stands beside.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Keeping {
    /// Also write the result here as JSON, its page beside it; into a directory under a name of
    /// date and commit
    #[arg(long, value_name = "PATH")]
    save: Option<PathBuf>,
    /// Where results of `odradek bench floor` are: the newest of this CPU is drawn into the plots
    #[arg(long, default_value = "bench/results", value_name = "DIR")]
    floors: PathBuf,
}

/// One run, as it is kept.
#[derive(Serialize)]
struct Saved {
    /// UTC, to the minute.
    written: String,
    machine: Facts,
    notes: Vec<String>,
    runs: Vec<Measurement>,
    /// Of this machine, measured before; none where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    floors: Option<KnownFloors>,
    /// Of these, the ones that do the same.
    beside: Vec<Kind>,
}

/// Prints the run; where that is asked for, keeps it. `dir` is where the data is, `beside` are the
/// floors that do the same.
pub(super) fn report(
    run: Measurement,
    dir: &Path,
    keeping: &Keeping,
    mut notes: Vec<String>,
    beside: &[Kind],
) -> Result<()> {
    print!("{}", table(std::slice::from_ref(&run)));
    println!("\n{LEGEND}");
    if !run.machine_was_quiet() {
        let cores = run.cost.idle_baseline_s / run.cost.seconds;
        let name = &run.name;
        notes.push(format!("{name}: {BUSY} ({cores:.2} cores before the run)"));
    }
    for note in &notes {
        println!("{note}");
    }
    let Some(to) = &keeping.save else {
        return Ok(());
    };
    let machine = Facts::gather(dir)?;
    let saved = Saved {
        written: jiff::Timestamp::now()
            .strftime("%Y-%m-%d %H:%M")
            .to_string(),
        floors: KnownFloors::newest(&keeping.floors, &machine),
        machine,
        notes,
        runs: vec![run],
        beside: beside.to_vec(),
    };
    let path = saved.path(to);
    save::write(&path, &serde_json::to_vec_pretty(&saved)?)?;
    save::write(&path.with_extension("html"), saved.page().as_bytes())?;
    eprintln!("written: {}", path.display());
    Ok(())
}

impl Saved {
    fn path(&self, to: &Path) -> PathBuf {
        if !to.is_dir() {
            return to.to_owned();
        }
        let name = self.runs.first().map_or("", |run| run.name.as_str());
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let date = self.written.replace(':', "").replace(' ', "-");
        let commit = self.machine.commit.get(..10).unwrap_or("unknown");
        to.join(format!("{date}-{name}-{commit}.json"))
    }

    fn floors(&self) -> impl Iterator<Item = &Measurement> {
        let known = self.floors.iter();
        known.flat_map(|known| self.beside.iter().filter_map(|kind| known.find(*kind)))
    }

    fn page(&self) -> String {
        let names: Vec<&str> = self.runs.iter().map(|run| run.name.as_str()).collect();
        let title = escape(&names.join(", "));
        let mut body = format!(
            "<h1>{title}</h1>\n<p class=\"sub\">{} UTC · closed loop: saturation, its latencies are \
             of a saturated server</p>\n",
            self.written
        );
        let floors = match &self.floors {
            Some(floors) => format!("Floors drawn into the plots: {}.", floors.told()),
            None => "No floors are drawn: there is no result of `odradek bench floor` of this CPU."
                .to_owned(),
        };
        body.push_str(&paragraphs(&[self.machine.line(), floors]));
        let grid = grid(&Grid {
            columns: columns(),
            rows: rows(&self.runs),
        });
        body.push_str(&section("Figures", &grid));
        body.push_str(&section("CPU", &self.cpu()));
        body.push_str(&section("Latency by percentile", &self.latencies()));
        let mut notes = self.notes.clone();
        notes.extend([LEGEND.to_owned(), format!("excluded: {UNPROVEN}")]);
        body.push_str(&section("What the figures mean", &list(&notes)));
        document(&title, &body)
    }

    fn cpu(&self) -> String {
        let cores = self.runs.iter();
        let cores = cores.map(|run| Split::of(&run.cost).bar(&run.name, run.cost.seconds));
        let cores: Vec<_> = cores.collect();
        let mut text = bars("CPU split", "cores within the window", &cores);
        for (streams, title, unit) in [
            (true, "CPU per GB", "CPU seconds per GB"),
            (false, "CPU per request", "CPU microseconds per request"),
        ] {
            let per = |run: &Measurement| match streams {
                true => run.bytes as f64 / 1e9,
                false => run.requests as f64 / 1e6,
            };
            let floors = self
                .floors()
                .filter(|floor| (floor.requests == 0) == streams);
            let all = self.runs.iter().chain(floors).map(|run| {
                let split = Split::of(&run.cost);
                Split::server(split.process, split.machine).bar(&run.name, per(run))
            });
            let all: Vec<_> = all.collect();
            // Where a floor is one of requests, it says nothing of bytes.
            if streams || all.len() > self.runs.len() {
                text.push_str(&bars(title, unit, &all));
            }
        }
        text
    }

    fn latencies(&self) -> String {
        let lines = self.runs.iter().filter_map(|run| {
            let all = run.histogram()?;
            Some((run.name.clone(), "one", all))
        });
        let lines: Vec<_> = lines.collect();
        let disk = self.beside.contains(&Kind::StoreDurable);
        let kinds = [Kind::PingPong].into_iter();
        let kinds = kinds.chain(disk.then_some(Kind::DurableOver));
        let known = self.floors.as_ref();
        let floors = kinds.filter_map(|kind| known?.find(kind).cloned());
        let floors: Vec<Measurement> = floors.collect();
        let chart = latency_chart(
            "Latency by percentile",
            "percentile of requests",
            &lines,
            over_percentiles(&floors),
        );
        match chart.is_empty() {
            true => "<p>No request was answered within the window.</p>".to_owned(),
            false => chart,
        }
    }
}
